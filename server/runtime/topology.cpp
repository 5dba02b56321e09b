// Reading affinity, cgroups (v1 and v2) and NUMA nodes. Parsing is apart from reading so that it can be tested.
#include "server/runtime/topology.h"

#include <numa.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>

namespace lunaris::runtime {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  text = trimmed(text);
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> quota_of(long long quota_us, long long period_us) {
  if (quota_us <= 0 || period_us <= 0) return std::nullopt;
  return static_cast<double>(quota_us) / static_cast<double>(period_us);
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::optional<double> quota_in(const std::string& folder, bool is_v2) {
  if (is_v2) return parse_cpu_max(content(folder + "/cpu.max"));
  return parse_cfs_quota(content(folder + "/cpu.cfs_quota_us"), content(folder + "/cpu.cfs_period_us"));
}

std::vector<int> allowed_cpus() {
  // Machines have more CPUs than the fixed set holds: ask with growing sets.
  for (std::size_t count = CPU_SETSIZE; count <= std::size_t{1} << 16; count *= 2) {
    cpu_set_t* const set = CPU_ALLOC(count);
    const std::size_t size = CPU_ALLOC_SIZE(count);
    std::vector<int> cpus;
    const bool known = ::sched_getaffinity(0, size, set) == 0;
    for (std::size_t cpu = 0; known && cpu < count; ++cpu) {
      if (CPU_ISSET_S(cpu, size, set)) cpus.push_back(static_cast<int>(cpu));
    }
    CPU_FREE(set);
    if (known) return cpus;
  }
  return {};
}

}  // namespace

std::optional<std::vector<int>> parse_cpu_list(std::string_view text) {
  constexpr int cpu_max = 65535;
  std::vector<int> cpus;
  text = trimmed(text);
  if (text.empty()) return cpus;
  for (;;) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    const std::size_t dash = item.find('-');
    const std::optional<int> first = number<int>(item.substr(0, dash));
    const std::optional<int> last = dash == std::string_view::npos ? first : number<int>(item.substr(dash + 1));
    if (!first || !last || *first < 0 || *last < *first || *last > cpu_max) return std::nullopt;
    for (int cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  text = trimmed(text);
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto quota = number<long long>(text.substr(0, space));
  const auto period = number<long long>(text.substr(space + 1));
  if (!quota || !period) return std::nullopt;
  return quota_of(*quota, *period);
}

std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period) {
  const auto quota_us = number<long long>(quota);
  const auto period_us = number<long long>(period);
  if (!quota_us || !period_us) return std::nullopt;
  return quota_of(*quota_us, *period_us);
}

std::optional<CpuGroup> parse_self_cgroup(std::string_view text) {
  std::optional<CpuGroup> found;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    // hierarchy:controllers:path; the path may contain colons.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string path(line.substr(second + 1));
    if (controllers.find(",cpu,") != std::string::npos) return CpuGroup{path, false};
    if (line.substr(0, first) == "0" && controllers == ",,") found = CpuGroup{path, true};
  }
  return found;
}

std::optional<double> read_cpu_quota(const std::string& root, const CpuGroup& group) {
  const std::string base = group.is_v2 ? root : root + "/cpu";
  std::optional<double> smallest;
  // In a container the group's path may not be visible below the root; the root itself then is the group.
  std::string path = group.path;
  for (;;) {
    if (path == "/") path.clear();
    const std::optional<double> quota = quota_in(base + path, group.is_v2);
    if (quota && (!smallest || *quota < *smallest)) smallest = quota;
    if (path.empty()) return smallest;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

Topology read_topology() {
  Topology topology;
  const bool has_numa = ::numa_available() >= 0;
  for (const int cpu : allowed_cpus()) topology.cpus.push_back({cpu, has_numa ? ::numa_node_of_cpu(cpu) : -1});
  if (topology.cpus.empty()) topology.cpus.push_back({});  // unknown: one worker that is not pinned
  if (const auto group = parse_self_cgroup(content("/proc/self/cgroup"))) {
    topology.cpu_quota = read_cpu_quota("/sys/fs/cgroup", *group);
  }
  return topology;
}

std::vector<CpuPlace> place_workers(const Topology& topology, unsigned count, std::span<const int> wanted_cpus,
                                    std::vector<std::string>& problems) {
  std::vector<CpuPlace> usable;
  for (const CpuPlace& place : topology.cpus) {
    const bool wanted =
        wanted_cpus.empty() || std::find(wanted_cpus.begin(), wanted_cpus.end(), place.cpu) != wanted_cpus.end();
    if (wanted) usable.push_back(place);
  }
  for (const int cpu : wanted_cpus) {
    const auto is_cpu = [cpu](const CpuPlace& place) { return place.cpu == cpu; };
    if (std::none_of(topology.cpus.begin(), topology.cpus.end(), is_cpu)) {
      problems.push_back("CPU " + std::to_string(cpu) + " is not available to this process; `taskset -p " +
                         "$$` and the container's cpuset show which are.");
    }
  }
  if (!problems.empty() || usable.empty()) return {};
  std::size_t workers = count;
  if (workers == 0) {
    workers = usable.size();
    if (topology.cpu_quota) {
      workers = std::min(workers, static_cast<std::size_t>(std::max(1.0, std::ceil(*topology.cpu_quota))));
    }
  }
  std::vector<CpuPlace> places;
  for (std::size_t i = 0; i < workers; ++i) places.push_back(usable[i % usable.size()]);
  return places;
}

}  // namespace lunaris::runtime
