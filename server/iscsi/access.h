// Who may log in where, with which proof, and what he sees then: the exports' rules applied to one visitor. Used by
// logins before the authentication and by session hosts after it.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "protocol/iscsi/chap.h"
#include "server/transport.h"

namespace lunaris::iscsi_server {

struct Visitor {
  std::string_view initiator;  // normalised name
  std::string_view address;
};

/// Before the authentication: refused, or the proof that is asked for.
struct Entrance {
  iscsi::LoginStatus status = iscsi::LoginStatus::success;
  std::string_view reason{};              // of a refusal, for the administrator; static
  std::optional<iscsi::ChapPolicy> chap;  // nothing: everybody who is let in is who he says; refers to the exports
};
/// `portal`: through which the visitor came; empty: any.
[[nodiscard]] Entrance entrance_of_target(const Exports& exports, const Visitor& visitor, std::string_view target,
                                          std::string_view portal);
[[nodiscard]] Entrance entrance_of_discovery(const Exports& exports);

/// After the authentication.
struct Rights {
  bool allowed = false;
  std::shared_ptr<const scsi_server::LunMap> luns;  // may be null when the target has none
};
/// `user`: as whom the visitor authenticated; empty: he did not.
[[nodiscard]] Rights rights_of(const Exports& exports, const Visitor& visitor, std::string_view target,
                               std::string_view user);

}  // namespace lunaris::iscsi_server
