#include "server/iscsi/log.h"

#include <array>
#include <string>

#include "server/observe/log.h"

namespace lunaris::iscsi_server {
namespace {

observe::Logger& session_log = observe::logger("iscsi.session");
observe::Logger& login_log = observe::logger("iscsi.login");
observe::Logger& portal_log = observe::logger("iscsi.portal");

std::string name_of(const SessionSpec& session) {
  return "s-" + std::to_string(session.id);
}

std::string text_of(const runtime::Endpoint& peer) {
  return peer.address + " port " + std::to_string(peer.port);
}

// Ends that belong to everyday life; the others are somebody's mistake or trouble.
bool is_ordinary(EndReason reason) noexcept {
  return reason == EndReason::logout || reason == EndReason::peer_closed || reason == EndReason::reinstated ||
         reason == EndReason::stopping || reason == EndReason::dropped || reason == EndReason::target_gone;
}

}  // namespace

void log_session_start(const SessionSpec& session, const runtime::Endpoint& peer) {
  LUN_LOG_INFO(session_log, "session started", "session", name_of(session), "initiator", session.key.initiator,
               "target", session.discovery ? std::string("(discovery)") : session.key.target, "tsih", session.tsih,
               "peer", text_of(peer));
}

void log_session_end(const SessionSpec& session, const runtime::Endpoint& peer, EndReason reason,
                     std::string_view what) {
  if (is_ordinary(reason)) {
    LUN_LOG_INFO(session_log, "session ended", "session", name_of(session), "initiator", session.key.initiator, "peer",
                 text_of(peer), "reason", to_string(reason), "detail", what);
  } else {
    LUN_LOG_WARN_LIMITED(session_log, "session ended", "session", name_of(session), "initiator", session.key.initiator,
                         "peer", text_of(peer), "reason", to_string(reason), "detail", what);
  }
}

void log_peer_mistake(const SessionSpec& session, const runtime::Endpoint& peer, std::string_view what) {
  LUN_LOG_WARN_LIMITED(session_log, "the initiator made a mistake", "session", name_of(session), "initiator",
                       session.key.initiator, "peer", text_of(peer), "detail", what);
}

void log_login_refused(const runtime::Endpoint& peer, std::string_view initiator, std::string_view target,
                       iscsi::LoginStatus status, std::string_view what) {
  LUN_LOG_WARN_LIMITED(login_log, "login refused", "peer", text_of(peer), "initiator", initiator, "target", target,
                       "status", static_cast<std::uint16_t>(status), "detail", what);
}

void log_accept_failed(std::string_view portal, std::string_view what, std::uint64_t turned_away) {
  LUN_LOG_WARN_LIMITED(portal_log, "connections turned away", "portal", portal, "detail", what, "turned_away",
                       turned_away);
}

}  // namespace lunaris::iscsi_server
