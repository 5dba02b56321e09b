// StateStore: what Lunaris must remember across restarts, durably: the document in force with its revision, and of each
// volume who it is. A save is all or nothing; a state that cannot be read is never taken for an empty one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "server/config/model.h"
#include "server/runtime/file_ops.h"

namespace lunaris::control {

/// What a volume keeps for its life, beside what its owner configures.
struct VolumeRecord {
  config::Uuid uuid{};
  /// It has been opened once: from then on missing storage is an error and nothing to make anew.
  bool is_made = false;
  bool operator==(const VolumeRecord&) const = default;
};

struct State {
  std::uint64_t revision = 0;  // grows by one with each change of the document
  config::Document document;
  std::map<std::string, VolumeRecord> records;  // by volume name
  bool operator==(const State&) const = default;
};

/// Layout of the folder: `config.json` the state in force, `config-N.json` the last revisions (limits::revisions_kept),
/// `*.new` what a crash interrupted. Management thread only; blocking.
class StateStore {
 public:
  StateStore(runtime::FileOps& files, std::string folder);

  struct Loaded {
    std::optional<State> state;  // nothing: a new folder
    std::string refusal;         // not empty: why the folder cannot be used, and what to do
  };
  [[nodiscard]] Loaded load();

  /// Empty when `state` is in force and will be after a power cut; otherwise what failed, and the one before is in
  /// force. (When the last step, syncing the folder, fails, either may be after a power cut.)
  [[nodiscard]] std::string save(const State& state);

  [[nodiscard]] const std::string& folder() const noexcept { return folder_; }

 private:
  void keep_revision(std::uint64_t revision, const std::string& text);
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  runtime::FileOps& files_;
  std::string folder_;
};

/// The text of a state, and back; `refusal` as in StateStore::Loaded.
[[nodiscard]] std::string encode_state(const State& state);
[[nodiscard]] StateStore::Loaded decode_state(const std::string& text);

}  // namespace lunaris::control
