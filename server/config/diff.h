// The difference between two documents: what would be created, updated and deleted, and who would notice.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/config/model.h"

namespace lunaris::config {

enum class Section : std::uint8_t { server, discovery_auth, portals, volumes, targets };
enum class Action : std::uint8_t { create, update, remove };

struct Change {
  Action action = Action::update;
  Section section = Section::server;
  std::string name;                  // empty for the sections server and discovery_auth
  std::vector<std::string> members;  // of an update: what differs, "size", "luns/0"
  /// Why sessions that exist would notice; empty: they do not.
  std::string disruption;
  /// Server section: takes effect at the next start only.
  bool needs_restart = false;
  /// The new value; monostate when it is removed.
  std::variant<std::monostate, Server, Auth, Portal, Volume, Target> value;
  bool operator==(const Change&) const = default;
};

using Diff = std::vector<Change>;

/// Changes that turn `from` into `to`, in the order of the sections and of the names. Empty: they are equal.
[[nodiscard]] Diff diff(const Document& from, const Document& to);

/// `document` with the changes made; patch(a, diff(a, b)) is b.
[[nodiscard]] Document patch(Document document, const Diff& changes);

/// {"create": ["volumes/db1"], "update": [{"name": "targets/iqn...", "members": [...]}], "delete": [...],
///  "disruptive": [{"name": ..., "reason": ...}], "restart": ["server/workers"]}
[[nodiscard]] boost::json::object encode(const Diff& changes);

[[nodiscard]] std::string_view to_string(Section section) noexcept;
[[nodiscard]] std::string_view to_string(Action action) noexcept;

}  // namespace lunaris::config
