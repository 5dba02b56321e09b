// SessionHost: the part of the iSCSI target that lives on one worker: its logins, its sessions and its snapshot of what
// is exported. Made by IscsiTransport, one per worker.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/chap.h"
#include "protocol/iscsi/login.h"
#include "protocol/iscsi/text_exchange.h"
#include "server/iscsi/access.h"
#include "server/iscsi/end_event.h"
#include "server/iscsi/end_reason.h"
#include "server/iscsi/login_records.h"
#include "server/iscsi/session.h"
#include "server/iscsi/session_registry.h"
#include "server/runtime/gate.h"
#include "server/runtime/stream.h"
#include "server/runtime/worker.h"
#include "server/transport.h"

namespace lunaris::iscsi_server {

/// What the admission of connections wants to hear about one (connection_limits.h). Called once each, on any worker.
class ConnectionTicket {
 public:
  virtual ~ConnectionTicket() = default;  // the connection is gone
  /// It has logged in.
  virtual void logged_in() = 0;
};

/// The targets and portals of one moment. Immutable; every worker holds the current one.
struct Published {
  std::shared_ptr<const Exports> exports;
  std::vector<PortalSpec> portals;
};

/// What the logins of all workers share.
struct LoginShared {
  const iscsi::ChapChallenges& challenges;  // any worker
  LoginRecords& records;                    // the management worker's
};

/// Used on its worker only, but for `worker()`. Lives until `stop` has returned.
class SessionHost {
 public:
  SessionHost(runtime::Worker& worker, unsigned index, runtime::Worker& management, SessionRegistry& registry,
              LoginShared logins);
  ~SessionHost();
  SessionHost(const SessionHost&) = delete;
  SessionHost& operator=(const SessionHost&) = delete;

  void set_peers(std::vector<SessionHost*> hosts) { hosts_ = std::move(hosts); }
  [[nodiscard]] runtime::Worker& worker() noexcept { return worker_; }

  /// A connection to log in. `portal`: its name in the snapshot.
  void login(std::unique_ptr<runtime::ByteStream> stream, std::string portal, std::unique_ptr<ConnectionTicket> ticket);

  /// Makes a session that waits for its connection; false when its target is gone or the host is stopping.
  bool create(SessionSpec spec);
  /// The connection of session `id` has arrived.
  void attach(std::uint64_t id, Handover handover, std::unique_ptr<ConnectionTicket> ticket);
  /// Ends it and returns when its tasks have ended and its connection is closed; false when there is none.
  runtime::Task<bool> close_session(std::uint64_t id, EndReason reason);
  /// Returns when no session refers to an older snapshot.
  runtime::Task<> publish(std::shared_ptr<const Published> published);
  [[nodiscard]] std::vector<SessionInfo> infos() const;
  /// TARGET COLD RESET: ends every session with `target`; what is queued is still sent.
  void end_sessions_of(const std::string& target);
  /// Asks every session to log out.
  void request_logouts(std::uint16_t seconds);
  [[nodiscard]] std::size_t session_count() const noexcept { return sessions_.size(); }
  /// Ends logins and sessions, lets nobody in, and returns when all have gone.
  runtime::Task<> stop();

  // --- by sessions and logins -----------------------------------------------------------------------------------
  [[nodiscard]] const Published& published() const noexcept { return *published_; }
  [[nodiscard]] std::vector<iscsi::DiscoveredTarget> discover(const SessionSpec& spec, const runtime::Endpoint& local,
                                                              std::string_view name) const;
  [[nodiscard]] SessionRegistry& registry() noexcept { return registry_; }
  [[nodiscard]] runtime::Worker& management() noexcept { return management_; }
  [[nodiscard]] SessionHost& host(unsigned index) noexcept { return *hosts_[index]; }
  [[nodiscard]] const std::vector<SessionHost*>& peers() const noexcept { return hosts_; }
  [[nodiscard]] bool is_stopping() const noexcept { return gate_.is_closed(); }

  [[nodiscard]] const LoginShared& logins() const noexcept { return logins_; }

 private:
  friend class Login;
  struct Hosted {
    std::unique_ptr<Session> session;
    std::unique_ptr<ConnectionTicket> ticket;
    std::string portal;
  };
  [[nodiscard]] Rights rights(const SessionSpec& spec) const;
  runtime::Task<> run_session(std::uint64_t id);
  runtime::Task<> run_login(std::unique_ptr<runtime::ByteStream> stream, std::string portal,
                            std::unique_ptr<ConnectionTicket> ticket);

  runtime::Worker& worker_;
  unsigned index_;
  runtime::Worker& management_;
  SessionRegistry& registry_;
  LoginShared logins_;
  std::vector<SessionHost*> hosts_;
  std::shared_ptr<const Published> published_;
  std::map<std::uint64_t, Hosted> sessions_;
  class Login* first_login_ = nullptr;  // a list of those running
  runtime::Gate gate_;
};

}  // namespace lunaris::iscsi_server
