// Samples of the server that iscsi_load takes at both ends of its measurement: CPU time and context switches of every
// thread from /proc, and the allocation counter of alloc_count.cpp. Sampling inside the load generator keeps the two
// ends exact; a driver process would be scheduled late on a busy machine.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lunaris::bench {

struct ThreadSample {
  std::string name;
  std::uint64_t cpu_ns = 0;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
};

struct WatchSample {
  std::map<int, ThreadSample> threads;  // by thread id
  std::uint64_t allocations = 0;
};

// Reads what can be read; a thread that has just ended is left out.
WatchSample sample(int pid, const std::string& alloc_file);

// after - before, for threads that exist in `after`.
WatchSample difference(const WatchSample& before, const WatchSample& after);

// The process's CPU time in nanoseconds, for the load generator itself.
std::uint64_t own_cpu_ns();

}  // namespace lunaris::bench
