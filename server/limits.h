// Limits of the control side, each with the reason for its number. Used by server/config, server/control and the
// executable; what a protocol negotiates is in its own folder.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace lunaris::limits {

// --- the configuration document --------------------------------------------------------------------------------------

/// Ten thousand volumes with targets take about 5 MB of JSON; more than that is not a configuration.
inline constexpr std::size_t config_bytes_max = std::size_t{16} << 20;
/// The document is six levels deep; back-end options may nest a little.
inline constexpr std::size_t config_depth_max = 32;
/// Enough to correct a file by; more of them would only hide the first.
inline constexpr std::size_t problems_max = 100;
/// A target device has at most this many LUNs in flat space addressing (SAM-5 4.7.7.3: 14 bits).
inline constexpr std::uint16_t lun_max = 16383;
/// Every listener is a descriptor and a line in each SendTargets answer.
inline constexpr std::size_t portals_max = 256;
/// A volume costs a few kilobytes per worker and three descriptors; 4096 of them fit the usual descriptor limit of 16
/// Ki.
inline constexpr std::size_t volumes_max = 4096;
inline constexpr std::size_t targets_max = 4096;
/// ACL entries are compared one after the other at login.
inline constexpr std::size_t initiators_per_target_max = 1024;
/// A few networks; who needs more of them wants another rule.
inline constexpr std::size_t addresses_per_initiator_max = 64;
/// Users of one target or of discovery: compared one after the other at login.
inline constexpr std::size_t chap_users_max = 1024;
/// RFC 7143 9.2.1 asks for 96 bits: twelve characters have no more than that.
inline constexpr std::size_t chap_secret_bytes_min = 12;
/// Microsoft's initiator takes 12 to 16 characters.
inline constexpr std::size_t chap_secret_bytes_usual = 16;
/// RFC 7143 6.1: a text value of at most 255 bytes. Other targets stop there too.
inline constexpr std::size_t chap_secret_bytes_max = 255;
inline constexpr std::size_t chap_username_bytes_max = 255;
inline constexpr std::size_t labels_max = 64;
inline constexpr std::size_t label_bytes_max = 256;
/// RFC 7143 13.7: TargetAlias is a text value of at most 255 bytes.
inline constexpr std::size_t alias_bytes_max = 255;
/// SPC-5 6.7.2 (standard INQUIRY data): PRODUCT IDENTIFICATION has 16 bytes.
inline constexpr std::size_t product_bytes_max = 16;
/// The unit serial number page could hold more; 32 is what multipath tools and by-id links show whole.
inline constexpr std::size_t serial_bytes_max = 32;
/// File offsets are signed 64-bit; an exbibyte stays clear of every overflow in sums of them.
inline constexpr std::uint64_t volume_bytes_max = std::uint64_t{1} << 60;
/// One buffer slab per size class must fit.
inline constexpr std::uint64_t buffer_bytes_per_worker_min = std::uint64_t{8} << 20;
inline constexpr std::uint64_t buffer_bytes_per_worker_max = std::uint64_t{64} << 30;
/// Worker indices are shown and stored in 16 bits, and Linux machines of today have fewer CPUs.
inline constexpr std::uint32_t workers_max = 1024;
inline constexpr std::uint32_t cpu_max = 4095;
/// A stop must end within stop_ms_max: what is left after the grace is for flushing and closing.
inline constexpr std::uint32_t shutdown_grace_ms_max = 8000;
/// sockaddr_un::sun_path with its terminating zero.
inline constexpr std::size_t socket_path_bytes_max = 107;

// --- state folder ----------------------------------------------------------------------------------------------------

/// As many as targetcli keeps: enough to go back over an afternoon of mistakes.
inline constexpr std::size_t revisions_kept = 10;

/// A document with its records, indented.
inline constexpr std::size_t state_bytes_max = 4 * config_bytes_max;

// --- management socket -----------------------------------------------------------------------------------------------

/// One dashboard, a few scripts, one probe; more is a leak in a script.
inline constexpr std::size_t admin_connections_max = 32;
/// How long a start waits for the socket of a predecessor that was killed: as long as for a portal's port.
inline constexpr std::chrono::seconds admin_rebind_time_max{2};
/// The longest request carries a whole document, escaped.
inline constexpr std::size_t admin_request_bytes_max = config_bytes_max + (std::size_t{64} << 10);
/// A request is a local write; who takes longer has died or means harm.
inline constexpr std::chrono::seconds admin_request_time_max{10};
/// Between two requests of one connection.
inline constexpr std::chrono::seconds admin_idle_time_max{300};
/// Changes are made one at a time; this many may wait for their turn.
inline constexpr std::size_t changes_waiting_max = 16;

// --- start and stop --------------------------------------------------------------------------------------------------

/// Docker sends SIGKILL ten seconds after SIGTERM; the watchdog ends the process before that.
inline constexpr std::chrono::milliseconds stop_time_max{9500};
/// How long `ctl` and `healthcheck` wait for an answer.
inline constexpr std::chrono::seconds ctl_answer_time_max{60};
inline constexpr std::chrono::seconds healthcheck_time_max{5};

}  // namespace lunaris::limits
