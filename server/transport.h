// Transport: what server/control knows of a protocol that shows volumes to initiators: iSCSI now, NVMe/TCP later.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/runtime/result.h"
#include "server/runtime/task.h"

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

/// A target as initiators see it.
struct ExportedTarget {
  std::string name;  // iqn., eui. or naa.
  std::string alias;
  std::shared_ptr<const scsi_server::LunMap> luns;
  std::vector<std::string> portals;             // names; empty: all
  std::vector<std::string> allowed_initiators;  // names; empty: everybody
  bool header_digest_required = false, data_digest_required = false;
};

/// Everything that is exported, as one immutable snapshot.
struct Exports {
  std::uint64_t generation = 0;
  std::map<std::string, ExportedTarget> targets;  // by name, lower case
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
  /// Closes one session; false when there is none of that id.
  virtual runtime::Task<bool> drop_session(std::string id) = 0;
  /// Stops accepting, asks initiators to log out (Async Message), waits up to `grace_ms`, closes what is left.
  virtual runtime::Task<> stop(std::uint32_t grace_ms) = 0;
};

}  // namespace lunaris
