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

#include "server/address_range.h"
#include "server/secret.h"

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

  /// The dashboard and its API over HTTP.
  struct Web {
    std::string listen;          // "127.0.0.1:8080", numeric and canonical; empty: none
    bool insecure_http = false;  // allows an address that others can reach, without TLS
    bool operator==(const Web&) const = default;
  };

  Workers workers;
  Buffers buffers;
  Log log;
  Management management;
  Web web;
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

/// CHAP_A (RFC 7143 12.1.3).
enum class ChapAlgorithm : std::uint8_t { md5 = 5, sha1 = 6, sha256 = 7, sha3_256 = 8 };

/// A user name with its secret. In a change an empty secret means: the one in force (secrets.h).
struct ChapAccount {
  std::string username;
  Secret secret;
  bool operator==(const ChapAccount&) const = default;
};

/// How initiators and targets prove who they are. Without users nobody has to.
struct Auth {
  std::vector<ChapAccount> chap;               // users who may log in
  std::optional<ChapAccount> mutual;           // how the target proves itself to initiators that ask
  std::vector<ChapAlgorithm> chap_algorithms;  // allowed; empty: all
  bool operator==(const Auth&) const = default;
};

/// Of a LUN, for one initiator.
struct InitiatorLun {
  bool read_only = false;  // a read-only LUN stays so
  bool operator==(const InitiatorLun&) const = default;
};

/// Who may log in to a target, and what he finds there. All that is said must fit.
struct Initiator {
  std::string name = {};                     // iSCSI name in lower case; empty: any
  std::vector<AddressRange> addresses = {};  // empty: any
  std::optional<ChapAccount> chap = {};      // logs in as this user; nothing: as one of the target's
  std::optional<ChapAccount> mutual = {};    // nothing: the target's
  std::optional<std::map<std::uint16_t, InitiatorLun>> luns = {};  // nothing: all of the target
  bool operator==(const Initiator&) const = default;
};

/// What an initiator logs in to. Its name, the key in Document::targets, is in lower case.
struct Target {
  std::string alias;  // TargetAlias (RFC 7143 13.7)
  std::map<std::uint16_t, Lun> luns;
  std::vector<Initiator> initiators;  // who may log in, the first that fits counts; empty: everybody
  std::vector<std::string> portals;   // portals it is reached through; empty: all
  Auth auth;
  bool operator==(const Target&) const = default;
};

/// The whole. Maps are by name.
struct Document {
  Server server;
  Auth discovery_auth;  // of discovery sessions
  std::map<std::string, Portal> portals;
  std::map<std::string, Volume> volumes;
  std::map<std::string, Target> targets;
  bool operator==(const Document&) const = default;
};

}  // namespace lunaris::config
