// ConnectionLimits: how many connections there are, and how many of one address have not logged in yet. Used by
// IscsiTransport where connections are accepted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/iscsi/session_host.h"
#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

struct ConnectionLimitOptions {
  /// All connections together. Keep it well below RLIMIT_NOFILE: volumes, logs and the API need descriptors too.
  std::uint32_t connections_max = 10'000;
  /// Connections of one address that have not logged in: enough for a host that logs in to many targets at once, too
  /// few for one host to fill the table.
  std::uint32_t logins_per_address_max = 64;
  /// Connections that have not logged in, of all addresses together.
  std::uint32_t logins_max = 1024;
};

/// Counts on the accepting worker; tickets report to it by mail, so it is shared with them.
class ConnectionLimits final : public std::enable_shared_from_this<ConnectionLimits> {
 public:
  ConnectionLimits(runtime::Worker& worker, ConnectionLimitOptions options) : worker_(worker), options_(options) {}

  /// On the accepting worker: a ticket for a connection from `address`, null when it must be turned away.
  [[nodiscard]] std::unique_ptr<ConnectionTicket> admit(const std::string& address) {
    if (connections_ >= options_.connections_max || logins_ >= options_.logins_max) return turn_away();
    std::uint32_t& of_address = logging_in_[address];
    if (of_address >= options_.logins_per_address_max) return turn_away();
    ++of_address;
    ++logins_;
    ++connections_;
    return std::make_unique<Ticket>(shared_from_this(), address);
  }
  [[nodiscard]] std::uint32_t connections() const noexcept { return connections_; }
  [[nodiscard]] std::uint32_t logins() const noexcept { return logins_; }
  [[nodiscard]] std::uint64_t turned_away() const noexcept { return turned_away_; }

 private:
  class Ticket final : public ConnectionTicket {
   public:
    Ticket(std::shared_ptr<ConnectionLimits> limits, std::string address)
        : limits_(std::move(limits)), address_(std::move(address)) {}
    ~Ticket() override {
      if (!logged_in_) report_login_over();
      limits_->worker_.post([limits = limits_] { --limits->connections_; });
    }
    void logged_in() override {
      logged_in_ = true;
      report_login_over();
    }

   private:
    void report_login_over() {
      limits_->worker_.post([limits = limits_, address = address_] { limits->login_over(address); });
    }
    std::shared_ptr<ConnectionLimits> limits_;
    std::string address_;
    bool logged_in_ = false;
  };

  std::unique_ptr<ConnectionTicket> turn_away() {
    ++turned_away_;
    return nullptr;
  }
  void login_over(const std::string& address) {
    --logins_;
    const auto found = logging_in_.find(address);
    if (found != logging_in_.end() && --found->second == 0) logging_in_.erase(found);
  }

  runtime::Worker& worker_;
  ConnectionLimitOptions options_;
  std::map<std::string, std::uint32_t> logging_in_;
  std::uint32_t connections_ = 0;
  std::uint32_t logins_ = 0;
  std::uint64_t turned_away_ = 0;
};

}  // namespace lunaris::iscsi_server
