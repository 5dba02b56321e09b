// See watch.h.
#include "tests/bench/watch.h"

#include <ctime>
#include <filesystem>
#include <fstream>

namespace lunaris::bench {
namespace {

void read_status(const std::filesystem::path& task, ThreadSample& thread) {
  std::ifstream status(task / "status");
  for (std::string word; status >> word;) {
    if (word == "voluntary_ctxt_switches:") status >> thread.voluntary_switches;
    if (word == "nonvoluntary_ctxt_switches:") status >> thread.involuntary_switches;
  }
}

}  // namespace

WatchSample sample(int pid, const std::string& alloc_file) {
  WatchSample result;
  if (pid != 0) {
    std::error_code failed;
    const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
    for (const auto& entry : std::filesystem::directory_iterator(tasks, failed)) {
      ThreadSample thread;
      std::ifstream(entry.path() / "schedstat") >> thread.cpu_ns;
      std::getline(std::ifstream(entry.path() / "comm") >> std::ws, thread.name);
      read_status(entry.path(), thread);
      result.threads[std::stoi(entry.path().filename().string())] = thread;
    }
  }
  if (!alloc_file.empty()) {
    std::ifstream file(alloc_file, std::ios::binary);
    std::uint64_t count = 0;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): raw bytes of a counter
    if (file.read(reinterpret_cast<char*>(&count), sizeof count)) result.allocations = count;
  }
  return result;
}

WatchSample difference(const WatchSample& before, const WatchSample& after) {
  WatchSample result = after;
  result.allocations -= before.allocations;
  for (auto& [id, thread] : result.threads) {
    const auto found = before.threads.find(id);
    if (found == before.threads.end()) continue;
    thread.cpu_ns -= found->second.cpu_ns;
    thread.voluntary_switches -= found->second.voluntary_switches;
    thread.involuntary_switches -= found->second.involuntary_switches;
  }
  return result;
}

std::uint64_t own_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace lunaris::bench
