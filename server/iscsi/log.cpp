#include "server/iscsi/log.h"

#include <spdlog/spdlog.h>

namespace lunaris::iscsi_server {

void log_session_start(const SessionSpec& session, const runtime::Endpoint& peer) {
  spdlog::info("session=s-{} event=start initiator={} target={} tsih={} peer={}:{}", session.id, session.key.initiator,
               session.discovery ? "(discovery)" : session.key.target, session.tsih, peer.address, peer.port);
}

void log_session_end(const SessionSpec& session, const runtime::Endpoint& peer, EndReason reason, std::string_view what) {
  const bool is_ordinary = reason == EndReason::logout || reason == EndReason::peer_closed ||
                           reason == EndReason::reinstated || reason == EndReason::stopping;
  spdlog::log(is_ordinary ? spdlog::level::info : spdlog::level::warn,
              "session=s-{} event=end reason={} peer={}:{} detail=\"{}\"", session.id, to_string(reason), peer.address,
              peer.port, what);
}

void log_peer_mistake(const SessionSpec& session, const runtime::Endpoint& peer, std::string_view what) {
  spdlog::warn("session=s-{} event=peer_mistake peer={}:{} detail=\"{}\"", session.id, peer.address, peer.port, what);
}

void log_login_refused(const runtime::Endpoint& peer, std::string_view initiator, std::string_view target,
                       iscsi::LoginStatus status, std::string_view what) {
  spdlog::warn("event=login_refused peer={}:{} initiator={} target={} status={:04x} detail=\"{}\"", peer.address,
               peer.port, initiator, target, static_cast<unsigned>(status), what);
}

void log_accept_failed(std::string_view portal, std::string_view what, std::uint64_t turned_away) {
  spdlog::warn("event=accept_failed portal={} turned_away={} detail=\"{}\"", portal, turned_away, what);
}

}  // namespace lunaris::iscsi_server
