// IscsiTransport: the iSCSI target as server/control sees it: portals, exports, sessions. Made by App.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/iscsi/connection_limits.h"
#include "server/iscsi/session_host.h"
#include "server/iscsi/session_registry.h"
#include "server/runtime/worker.h"
#include "server/transport.h"

namespace lunaris::iscsi_server {

struct IscsiOptions {
  ConnectionLimitOptions connections;
  std::size_t sessions_max = 10'000;
};

/// Belongs to the management worker. `workers` (at least one; the first one accepts) and `management` outlive it and
/// are running by the first call; `stop` must have returned before it is destroyed.
class IscsiTransport final : public Transport {
 public:
  IscsiTransport(runtime::Worker& management, std::span<runtime::Worker* const> workers, IscsiOptions options = {});
  ~IscsiTransport() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "iscsi"; }
  runtime::Task<std::vector<std::string>> apply_portals(std::vector<PortalSpec> portals) override;
  runtime::Task<> apply_exports(std::shared_ptr<const Exports> exports) override;
  runtime::Task<std::vector<SessionInfo>> sessions() override;
  runtime::Task<LoginFailures> login_failures() override;
  runtime::Task<bool> drop_session(std::string id) override;
  runtime::Task<> stop(std::uint32_t grace_ms) override;

  /// For simulations, which have no listener: on the accepting worker, a connection of portal `portal`. `make` makes
  /// the stream for the worker that will log it in. False when it is turned away.
  template <class Make>
  bool accept(const std::string& address, const std::string& portal, Make make) {
    auto ticket = limits_->admit(address);
    if (!ticket) return false;
    SessionHost& host = next_host();
    place(host, make(host.worker()), portal, std::move(ticket));
    return true;
  }
  /// Where a portal really listens (its port may have been 0); port 0 when it is not open.
  [[nodiscard]] runtime::Endpoint bound(const std::string& portal) const;

 private:
  class Portal;
  [[nodiscard]] SessionHost& next_host() noexcept;
  void place(SessionHost& host, std::unique_ptr<runtime::ByteStream> stream, const std::string& portal,
             std::unique_ptr<ConnectionTicket> ticket);
  runtime::Task<> publish();
  runtime::Task<> close_portal(std::string portal);
  runtime::Task<std::string> open_portal(PortalSpec spec);

  runtime::Worker& management_;
  runtime::Worker& acceptor_;
  iscsi::ChapChallenges challenges_;
  LoginRecords records_;
  std::vector<std::unique_ptr<SessionHost>> hosts_;
  SessionRegistry registry_;
  std::shared_ptr<ConnectionLimits> limits_;
  std::map<std::string, std::unique_ptr<Portal>> portals_;
  std::shared_ptr<const Exports> exports_;
  std::size_t next_host_ = 0;  // acceptor's
  bool stopped_ = false;
};

}  // namespace lunaris::iscsi_server
