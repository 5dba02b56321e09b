// Topology: the CPUs this process may use, their NUMA nodes, and the CPU time a container's limit leaves. Used to
// decide how many workers there are and where they run.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lunaris::runtime {

struct CpuPlace {
  int cpu = -1;
  int numa_node = -1;  // -1: unknown, or a machine without NUMA
  bool operator==(const CpuPlace&) const = default;
};

struct Topology {
  std::vector<CpuPlace> cpus;       // allowed by affinity and cpuset, in increasing order; never empty
  std::optional<double> cpu_quota;  // CPUs' worth of time the cgroup allows; nothing: no limit
};

[[nodiscard]] Topology read_topology();

/// Where `count` workers run; 0: one per allowed CPU, but no more than the quota is worth (rounded up). `wanted_cpus`
/// (may be empty) restricts the choice. More workers than CPUs share them. `problems` gets a sentence for each wish
/// that cannot be met; the answer is then empty.
[[nodiscard]] std::vector<CpuPlace> place_workers(const Topology& topology, unsigned count,
                                                  std::span<const int> wanted_cpus, std::vector<std::string>& problems);

/// "0-3,7" as the kernel writes and administrators type it; nothing when malformed.
[[nodiscard]] std::optional<std::vector<int>> parse_cpu_list(std::string_view text);
/// A cgroup v2 cpu.max: "200000 100000" is 2.0; "max 100000" is no limit.
[[nodiscard]] std::optional<double> parse_cpu_max(std::string_view text);
/// cgroup v1 cpu.cfs_quota_us (-1: no limit) and cpu.cfs_period_us.
[[nodiscard]] std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period);

/// The group that /proc/self/cgroup names for the cpu controller.
struct CpuGroup {
  std::string path;  // "/system.slice/lunaris.service"
  bool is_v2 = false;
  bool operator==(const CpuGroup&) const = default;
};
/// Nothing when there is none. A v1 line with the cpu controller goes before the v2 line.
[[nodiscard]] std::optional<CpuGroup> parse_self_cgroup(std::string_view text);

/// The smallest limit on the way from `group` to the root, below `root` ("/sys/fs/cgroup").
[[nodiscard]] std::optional<double> read_cpu_quota(const std::string& root, const CpuGroup& group);

}  // namespace lunaris::runtime
