// The configuration as plain values: what the file, the API and `ctl` all say. Decoded by json.h, checked by
// validate.h, compared by diff.h, carried out by server/control. Nothing here is live.
#pragma once

#include <array>
#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lunaris::config {

/// RFC 4122 octets, in the order they are written.
using Uuid = std::array<std::uint8_t, 16>;

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { text, json };

/// Settings of the process. Everything but `log.level` and `shutdown_grace_ms` takes effect at the next start.
struct Server {
  struct Workers {
    std::uint32_t count = 0;          // 0: one per CPU that the process may use
    std::vector<std::uint32_t> cpus;  // CPUs to pin to, in this order; empty: all that the process may use
    bool operator==(const Workers&) const = default;
  };
  struct Buffers {
    std::uint64_t bytes_per_worker = std::uint64_t{64} << 20;
    bool operator==(const Buffers&) const = default;
  };
  struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;
    bool operator==(const Log&) const = default;
  };
  struct Management {
    std::string socket = "/run/lunaris/admin.sock";
    bool operator==(const Management&) const = default;
  };

  Workers workers;
  Buffers buffers;
  Log log;
  Management management;
  std::uint32_t shutdown_grace_ms = 5000;  // how long initiators may take to log out at a stop
  bool operator==(const Server&) const = default;
};

/// A listening address. `address` is numeric and in canonical form: "127.0.0.1", "::1".
struct Portal {
  enum class Advertise : std::uint8_t { automatic, list, omit };

  std::string address = "127.0.0.1";
  std::uint16_t port = 3260;
  Advertise advertise = Advertise::automatic;
  std::vector<std::string> advertised;  // "host:port,tag", for Advertise::list
  std::uint16_t group_tag = 1;          // TargetPortalGroupTag (RFC 7143 13.9), 1 to 65535
  bool operator==(const Portal&) const = default;
};

/// A disk. `backend` is {"type": KIND, ...options, "filters": [...]}; what the options mean is the back end's business.
struct Volume {
  std::uint64_t size_bytes = 0;  // 0: as large as what is there already
  boost::json::object backend;
  std::uint32_t block_bytes = 512;  // logical block: 512 or 4096
  std::uint32_t physical_block_bytes = 4096;
  bool read_only = false;
  bool removable = false;    // shown as a drive with a removable medium
  std::optional<Uuid> uuid;  // nothing: assigned when the volume is first made, and kept
  std::string serial;        // 32 printable ASCII characters at most; empty: from the UUID
  std::string product;       // 16; empty: "VOLUME"
  std::map<std::string, std::string> labels;
  bool operator==(const Volume&) const = default;
};

/// A volume as one target shows it.
struct Lun {
  std::string volume;
  bool read_only = false;
  bool operator==(const Lun&) const = default;
};

/// What an initiator logs in to. Its name, the key in Document::targets, is in lower case.
struct Target {
  std::string alias;  // TargetAlias (RFC 7143 13.7)
  std::map<std::uint16_t, Lun> luns;
  std::vector<std::string> initiators;  // names that may log in, lower case; empty: everybody
  std::vector<std::string> portals;     // portals it is reached through; empty: all
  bool operator==(const Target&) const = default;
};

/// The whole. Maps are by name.
struct Document {
  Server server;
  std::map<std::string, Portal> portals;
  std::map<std::string, Volume> volumes;
  std::map<std::string, Target> targets;
  bool operator==(const Document&) const = default;
};

}  // namespace lunaris::config
