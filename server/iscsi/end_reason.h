// EndReason: why a connection, and with it its session, came to its end. For logs and statistics.
#pragma once

#include <cstdint>
#include <string_view>

namespace lunaris::iscsi_server {

enum class EndReason : std::uint8_t {
  none,
  peer_closed,
  connection_error,
  protocol_violation,
  digest_error,
  logout,
  timed_out,
  reinstated,    // the same initiator logged in again
  target_gone,   // the target is not exported any more, or not to this initiator
  dropped,       // by the administrator
  target_reset,  // TARGET COLD RESET
  stopping,
  out_of_memory,
};

[[nodiscard]] constexpr std::string_view to_string(EndReason reason) noexcept {
  switch (reason) {
    case EndReason::none:
      return "none";
    case EndReason::peer_closed:
      return "peer_closed";
    case EndReason::connection_error:
      return "connection_error";
    case EndReason::protocol_violation:
      return "protocol_violation";
    case EndReason::digest_error:
      return "digest_error";
    case EndReason::logout:
      return "logout";
    case EndReason::timed_out:
      return "timed_out";
    case EndReason::reinstated:
      return "reinstated";
    case EndReason::target_gone:
      return "target_gone";
    case EndReason::dropped:
      return "dropped";
    case EndReason::target_reset:
      return "target_reset";
    case EndReason::stopping:
      return "stopping";
    case EndReason::out_of_memory:
      return "out_of_memory";
  }
  return "?";
}

}  // namespace lunaris::iscsi_server
