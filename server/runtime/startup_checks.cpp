// Probing the ring and reading limits; the texts are apart from the probing so that each can be tested.
#include "server/runtime/startup_checks.h"

#include <liburing.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <fstream>

namespace lunaris::runtime {
namespace {

constexpr std::uint64_t memlock_wanted_bytes = std::uint64_t{64} << 20;  // one worker's registered buffers
constexpr std::uint64_t descriptors_wanted = 4096;                       // a few thousand connections and volumes

std::uint64_t limit_value(rlim_t value) {
  return value == RLIM_INFINITY ? UINT64_MAX : value;
}

}  // namespace

int read_io_uring_disabled() {
  std::ifstream file("/proc/sys/kernel/io_uring_disabled");
  int value = -1;
  return file >> value ? value : -1;
}

std::string explain_ring_error(int error, int io_uring_disabled) {
  const std::string start = std::string("io_uring is not available (") + std::strerror(error) + "): ";
  const std::string seccomp =
      "a seccomp filter forbids it, as container runtimes do by default. Print a profile that allows it with "
      "`lunaris seccomp-profile` and start the container with --security-opt seccomp=FILE (Kubernetes: "
      "seccompProfile.type Localhost).";
  if (error == EPERM && io_uring_disabled == 2) {
    return start + "the kernel has it turned off. Run `sysctl kernel.io_uring_disabled=0` on the host.";
  }
  if (error == EPERM && io_uring_disabled == 1) {
    return start +
           "the kernel allows it to privileged processes only. Run `sysctl kernel.io_uring_disabled=0` on the host, or "
           "put this user into the group of kernel.io_uring_group.";
  }
  if (error == EPERM || error == EACCES) return start + seccomp;
  if (error == ENOSYS) return start + "the kernel is older than 5.1 or built without it, or " + seccomp;
  if (error == ENOMEM) {
    return start + "not enough memory may be locked. Raise RLIMIT_MEMLOCK (docker run --ulimit memlock=-1, systemd " +
           "LimitMEMLOCK=infinity).";
  }
  if (error == EMFILE || error == ENFILE) {
    return start + "no file descriptor is left. Raise RLIMIT_NOFILE (docker run --ulimit nofile=65536).";
  }
  return start + "the kernel refused to make a ring.";
}

std::vector<std::string> explain_limits(std::uint64_t memlock_bytes, std::uint64_t descriptors) {
  std::vector<std::string> warnings;
  if (memlock_bytes < memlock_wanted_bytes) {
    warnings.push_back("RLIMIT_MEMLOCK is " + std::to_string(memlock_bytes / 1024) +
                       " KiB: only that much buffer memory can be registered with the ring, the rest costs a little "
                       "more CPU. Raise it with docker run --ulimit memlock=-1 or systemd LimitMEMLOCK=infinity.");
  }
  if (descriptors < descriptors_wanted) {
    warnings.push_back("RLIMIT_NOFILE is " + std::to_string(descriptors) +
                       ": connections and volumes need a descriptor each, and further connections are turned away. "
                       "Raise it with docker run --ulimit nofile=65536 or systemd LimitNOFILE=65536.");
  }
  return warnings;
}

StartupReport check_startup() {
  StartupReport report;
  io_uring ring;
  const int result = ::io_uring_queue_init(8, &ring, 0);
  if (result == 0) {
    report.ring_available = true;
    ::io_uring_queue_exit(&ring);
  } else {
    report.ring_problem = explain_ring_error(-result, read_io_uring_disabled());
  }
  rlimit descriptors{};
  if (::getrlimit(RLIMIT_NOFILE, &descriptors) == 0 && descriptors.rlim_cur < descriptors.rlim_max) {
    descriptors.rlim_cur = descriptors.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &descriptors);
  }
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  rlimit memlock{};
  ::getrlimit(RLIMIT_MEMLOCK, &memlock);
  report.warnings = explain_limits(limit_value(memlock.rlim_cur), limit_value(descriptors.rlim_cur));
  return report;
}

}  // namespace lunaris::runtime
