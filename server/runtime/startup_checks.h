// Start-up checks: what the kernel and the container allow, in sentences that say how to allow more. Used by app.cpp
// and by WorkerGroup when a ring cannot be made; shown in the log, the API and the dashboard.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lunaris::runtime {

struct StartupReport {
  bool ring_available = false;
  std::string ring_problem;           // why not, and the remedy; empty when it is available
  std::vector<std::string> warnings;  // limits that are low, each with the remedy
};

/// Makes a small ring, reads RLIMIT_MEMLOCK and RLIMIT_NOFILE. Raises the soft limit of descriptors to the hard one
/// first.
[[nodiscard]] StartupReport check_startup();

/// Why io_uring_setup failed with `error` (a positive errno), given kernel.io_uring_disabled (-1: no such setting).
[[nodiscard]] std::string explain_ring_error(int error, int io_uring_disabled);
/// The value of kernel.io_uring_disabled; -1 where the kernel has no such setting.
[[nodiscard]] int read_io_uring_disabled();

/// Sentences about limits that are too low; nothing to say: empty. `UINT64_MAX` is unlimited.
[[nodiscard]] std::vector<std::string> explain_limits(std::uint64_t memlock_bytes, std::uint64_t descriptors);

}  // namespace lunaris::runtime
