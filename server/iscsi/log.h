// What the iSCSI target writes to the log, one function per kind of line: lifecycle (info) and peers' mistakes (warn).
#pragma once

#include <string_view>

#include "protocol/iscsi/opcodes.h"
#include "server/iscsi/end_reason.h"
#include "server/iscsi/session_registry.h"
#include "server/runtime/stream.h"

namespace lunaris::iscsi_server {

void log_session_start(const SessionSpec& session, const runtime::Endpoint& peer);
void log_session_end(const SessionSpec& session, const runtime::Endpoint& peer, EndReason reason,
                     std::string_view what);
/// Callers bound how often they call this (limits::warnings_max per connection).
void log_peer_mistake(const SessionSpec& session, const runtime::Endpoint& peer, std::string_view what);
void log_login_refused(const runtime::Endpoint& peer, std::string_view initiator, std::string_view target,
                       iscsi::LoginStatus status, std::string_view what);
void log_accept_failed(std::string_view portal, std::string_view what, std::uint64_t turned_away);

}  // namespace lunaris::iscsi_server
