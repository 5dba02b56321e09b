// Transport: what server/control knows of a protocol that shows volumes to initiators: iSCSI now, NVMe/TCP later.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/address_range.h"
#include "server/runtime/result.h"
#include "server/runtime/task.h"
#include "server/secret.h"

namespace lunaris::scsi_server {
struct LunMap;
}

namespace lunaris {

/// A listening address.
struct PortalSpec {
  std::string name;     // the administrator's
  std::string address;  // numeric IPv4 or IPv6, "0.0.0.0" and "::" allowed
  std::uint16_t port = 3260;
  std::uint16_t group_tag = 1;  // TargetPortalGroupTag, 1 to 65535
  enum class Advertise : std::uint8_t { automatic, list, omit } advertise = Advertise::automatic;
  std::vector<std::string> advertised;  // "host:port,tag" for Advertise::list
  bool operator==(const PortalSpec&) const = default;
};

/// A user name with its secret, for CHAP.
struct ChapAccount {
  std::string username;
  Secret secret;
  bool operator==(const ChapAccount&) const = default;
};

/// How initiators and target prove who they are. Without users nobody has to.
struct AuthSpec {
  std::vector<ChapAccount> users;        // user names are distinct
  std::optional<ChapAccount> mutual;     // how the target proves itself to initiators that ask
  std::vector<std::uint8_t> algorithms;  // CHAP_A numbers that are allowed (RFC 7143 12.1.3); empty: all
  bool operator==(const AuthSpec&) const = default;
};

/// Who may log in, and what he sees. All that is said must fit.
struct InitiatorRule {
  std::string name;                                 // iSCSI name in lower case; empty: any
  std::vector<AddressRange> addresses;              // empty: any
  std::optional<ChapAccount> user;                  // authenticates as this one; nothing: as one of the target's users
  std::optional<ChapAccount> mutual;                // nothing: the target's
  std::shared_ptr<const scsi_server::LunMap> luns;  // null: the target's
  bool operator==(const InitiatorRule&) const = default;
};

/// A target as initiators see it.
struct ExportedTarget {
  std::string name;  // iqn., eui. or naa.
  std::string alias;
  std::shared_ptr<const scsi_server::LunMap> luns;
  std::vector<std::string> portals;             // names; empty: all
  std::vector<std::string> allowed_initiators;  // names; empty: everybody
  std::vector<InitiatorRule> initiators;        // the first that fits counts; empty: allowed_initiators decides
  AuthSpec auth;
  bool header_digest_required = false, data_digest_required = false;
  bool operator==(const ExportedTarget&) const = default;
};

/// Everything that is exported, as one immutable snapshot.
struct Exports {
  std::uint64_t generation = 0;
  std::map<std::string, ExportedTarget> targets;  // by name, lower case
  AuthSpec discovery_auth;                        // of discovery sessions
};

struct SessionInfo {
  std::string id;  // "s-31"
  std::string initiator, target;
  std::string initiator_address;
  std::uint64_t isid = 0;
  std::uint16_t tsih = 0;
  unsigned worker = 0;
  unsigned connections = 1;
  std::uint64_t commands = 0, read_bytes = 0, written_bytes = 0;
  std::uint64_t age_ms = 0;
};

/// A login that was refused. The same refusal again counts up.
struct LoginFailure {
  std::string initiator, address, target;  // target: empty in a discovery session
  std::string reason;                      // in plain words: "CHAP secret wrong"
  std::uint64_t count = 1;
  std::uint64_t age_ms = 0;  // of the last time
};
struct LoginFailures {
  std::uint64_t total = 0;             // since the start
  std::vector<LoginFailure> failures;  // the latest first
};

/// Called from the management worker only.
class Transport {
 public:
  virtual ~Transport() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// Opens and closes listeners until exactly `portals` are open; answers what could not be opened, in words.
  virtual runtime::Task<std::vector<std::string>> apply_portals(std::vector<PortalSpec> portals) = 0;
  /// New logins see `exports`; sessions of changed targets are remapped, of vanished targets closed. Returns when no
  /// session refers to the older snapshot any more.
  virtual runtime::Task<> apply_exports(std::shared_ptr<const Exports> exports) = 0;
  virtual runtime::Task<std::vector<SessionInfo>> sessions() = 0;
  /// The last refused logins.
  virtual runtime::Task<LoginFailures> login_failures() { co_return LoginFailures{}; }
  /// Closes one session; false when there is none of that id.
  virtual runtime::Task<bool> drop_session(std::string id) = 0;
  /// Stops accepting, asks initiators to log out (Async Message), waits up to `grace_ms`, closes what is left.
  virtual runtime::Task<> stop(std::uint32_t grace_ms) = 0;
};

}  // namespace lunaris
