// SessionRegistry: who is logged in where. Decides a new login's TSIH, worker and session number, and ends the session
// it replaces. Used by the login (by mail) and by IscsiTransport.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/runtime/task.h"
#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

class SessionHost;

/// What makes two logins the same session (RFC 7143 4.4.3: the I_T nexus; our portal groups share their targets).
struct SessionKey {
  std::string initiator;   // normalised name
  std::uint64_t isid = 0;  // 48 bits
  std::string target;      // normalised name; empty for a discovery session
  auto operator<=>(const SessionKey&) const = default;
};

/// All a worker needs to make the session before its connection arrives.
struct SessionSpec {
  std::uint64_t id = 0;  // "s-<id>", never reused
  std::uint16_t tsih = 0;
  SessionKey key;
  bool discovery = false;
  std::uint16_t portal_group = 1;
  std::string address;    // the initiator's
  std::string chap_user;  // as whom he authenticated; empty: he did not
};

/// Where the login ends up.
struct Admission {
  enum class Verdict : std::uint8_t { admitted, full, stopping };
  Verdict verdict = Verdict::full;
  std::uint64_t id = 0;
  std::uint16_t tsih = 0;
  unsigned host = 0;  // index of the worker in the transport's list
};

/// Belongs to the management worker. Lives as long as the transport.
class SessionRegistry {
 public:
  SessionRegistry(runtime::Worker& management, std::size_t sessions_max);

  /// The hosts, once, before the first login; they outlive the registry's last call.
  void set_hosts(std::vector<SessionHost*> hosts);

  /// Ends the session of the same key first (its tasks have ended and its connection is closed by the time this
  /// returns: RFC 7143 6.3.5), then makes the new one on its worker.
  runtime::Task<Admission> admit(SessionSpec wanted);
  /// A session has ended (by mail from its worker). Unknown numbers are ignored.
  void forget(std::uint64_t id) noexcept;
  /// The session with this TSIH belongs to initiator and ISID of `key` (RFC 7143 6.3.1).
  [[nodiscard]] bool has(const SessionKey& key, std::uint16_t tsih) const;
  /// The worker index of session `id`; -1 when there is none.
  [[nodiscard]] int host_of(std::uint64_t id) const;
  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }
  /// Admits nobody any more.
  void stop() noexcept { stopping_ = true; }

 private:
  struct Entry {
    SessionKey key;
    std::uint16_t tsih = 0;
    unsigned host = 0;
    bool discovery = false;
  };
  [[nodiscard]] std::uint16_t free_tsih();
  [[nodiscard]] unsigned least_loaded() const;
  runtime::Task<> end_session(std::uint64_t id);

  runtime::Worker& management_;
  std::size_t sessions_max_;
  std::vector<SessionHost*> hosts_;
  std::vector<std::uint32_t> load_;  // sessions per host
  std::map<std::uint64_t, Entry> sessions_;
  std::map<SessionKey, std::uint64_t> by_key_;
  std::map<std::uint16_t, std::uint64_t> by_tsih_;
  std::uint64_t next_id_ = 1;
  std::uint16_t next_tsih_ = 1;
  bool stopping_ = false;
};

}  // namespace lunaris::iscsi_server
