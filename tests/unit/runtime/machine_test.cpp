// What the machine offers: CPU lists, cgroup limits, worker placement, start-up sentences, worker groups.
#include <sched.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "server/runtime/startup_checks.h"
#include "server/runtime/topology.h"
#include "server/runtime/worker_group.h"

using namespace lunaris::runtime;

namespace {

/// A made-up /sys/fs/cgroup.
class CgroupTree {
 public:
  CgroupTree() {
    char path[] = "/tmp/lunaris-cgroup-XXXXXX";
    REQUIRE(::mkdtemp(path) != nullptr);
    root = path;
  }
  ~CgroupTree() { std::filesystem::remove_all(root); }
  void put(const std::string& file, const std::string& content) const {
    const std::filesystem::path path = root + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << content;
  }
  std::string root;
};

Topology four_cpus_two_nodes() {
  Topology topology;
  topology.cpus = {{0, 0}, {1, 0}, {2, 1}, {3, 1}};
  return topology;
}

}  // namespace

TEST_CASE("CPU lists are read as the kernel writes them", "[runtime][topology]") {
  using List = std::vector<int>;
  CHECK(parse_cpu_list("0-3,7") == List{0, 1, 2, 3, 7});
  CHECK(parse_cpu_list("5\n") == List{5});
  CHECK(parse_cpu_list("2,1,2") == List{1, 2});
  CHECK(parse_cpu_list("") == List{});
  for (const char* bad : {"a", "1-", "-1", "3-1", "1,,2", "1,", "1 2", "0-99999999", "1-2-3"}) {
    INFO(bad);
    CHECK_FALSE(parse_cpu_list(bad).has_value());
  }
}

TEST_CASE("cgroup limits of both versions are read", "[runtime][topology]") {
  CHECK(parse_cpu_max("200000 100000\n") == 2.0);
  CHECK(parse_cpu_max("50000 100000") == 0.5);
  CHECK_FALSE(parse_cpu_max("max 100000\n").has_value());
  CHECK_FALSE(parse_cpu_max("").has_value());
  CHECK(parse_cfs_quota("150000\n", "100000\n") == 1.5);
  CHECK_FALSE(parse_cfs_quota("-1\n", "100000\n").has_value());
  CHECK_FALSE(parse_cfs_quota("", "").has_value());
}

TEST_CASE("the cpu controller's group is found among the others", "[runtime][topology]") {
  CHECK(parse_self_cgroup("0::/user.slice/a:b\n") == CpuGroup{"/user.slice/a:b", true});
  CHECK(parse_self_cgroup("12:memory:/m\n3:cpu,cpuacct:/docker/x\n0::/\n") == CpuGroup{"/docker/x", false});
  CHECK(parse_self_cgroup("4:cpuset:/s\n2:cpuacct:/a\n1:cpu:/c\n") == CpuGroup{"/c", false});
  CHECK_FALSE(parse_self_cgroup("4:cpuset:/s\nnonsense\n").has_value());
}

TEST_CASE("the smallest limit on the way to the root counts", "[runtime][topology]") {
  const CgroupTree tree;
  tree.put("/cpu.max", "800000 100000\n");
  tree.put("/a/cpu.max", "150000 100000\n");
  tree.put("/a/b/cpu.max", "max 100000\n");
  tree.put("/cpu/d/cpu.cfs_quota_us", "300000\n");
  tree.put("/cpu/d/cpu.cfs_period_us", "100000\n");
  CHECK(read_cpu_quota(tree.root, {"/a/b", true}) == 1.5);
  CHECK(read_cpu_quota(tree.root, {"/", true}) == 8.0);
  CHECK(read_cpu_quota(tree.root, {"/not/visible/in/the/container", true}) == 8.0);
  CHECK(read_cpu_quota(tree.root, {"/d", false}) == 3.0);
  CHECK_FALSE(read_cpu_quota(tree.root, {"/elsewhere", false}).has_value());
}

TEST_CASE("one worker per allowed CPU unless the quota or the administrator says otherwise", "[runtime][topology]") {
  Topology topology = four_cpus_two_nodes();
  std::vector<std::string> problems;
  CHECK(place_workers(topology, 0, {}, problems) == topology.cpus);
  topology.cpu_quota = 1.5;
  CHECK(place_workers(topology, 0, {}, problems) == std::vector<CpuPlace>{{0, 0}, {1, 0}});
  topology.cpu_quota = 0.2;
  CHECK(place_workers(topology, 0, {}, problems).size() == 1);
  CHECK(place_workers(topology, 3, {}, problems).size() == 3);
  const std::vector<int> wanted{3, 2};
  topology.cpu_quota.reset();
  CHECK(place_workers(topology, 0, wanted, problems) == std::vector<CpuPlace>{{2, 1}, {3, 1}});
  CHECK(place_workers(topology, 3, wanted, problems) == std::vector<CpuPlace>{{2, 1}, {3, 1}, {2, 1}});
  CHECK(problems.empty());
}

TEST_CASE("every CPU that is not there is named", "[runtime][topology]") {
  std::vector<std::string> problems;
  const std::vector<int> wanted{1, 8, 9};
  CHECK(place_workers(four_cpus_two_nodes(), 0, wanted, problems).empty());
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].find("CPU 8") != std::string::npos);
  CHECK(problems[1].find("CPU 9") != std::string::npos);
}

TEST_CASE("this machine's topology is what the scheduler allows", "[runtime][topology]") {
  cpu_set_t allowed;
  REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  const Topology topology = read_topology();
  CHECK(topology.cpus.size() == static_cast<std::size_t>(CPU_COUNT(&allowed)));
  for (const CpuPlace& place : topology.cpus) CHECK(CPU_ISSET(static_cast<std::size_t>(place.cpu), &allowed));
}

TEST_CASE("a ring that cannot be made is explained with its remedy", "[runtime][startup]") {
  const auto says = [](int error, int disabled, const char* text) {
    const std::string sentence = explain_ring_error(error, disabled);
    INFO(sentence);
    return sentence.find(text) != std::string::npos;
  };
  CHECK(says(EPERM, 2, "kernel.io_uring_disabled=0"));
  CHECK(says(EPERM, 1, "privileged"));
  CHECK(says(EPERM, 0, "seccomp-profile"));
  CHECK(says(EPERM, -1, "seccomp"));
  CHECK(says(ENOSYS, -1, "older than 5.1"));
  CHECK(says(ENOSYS, -1, "seccomp"));
  CHECK(says(ENOMEM, 0, "memlock"));
  CHECK(says(EMFILE, 0, "nofile"));
  CHECK(says(EINVAL, 0, "refused"));
}

TEST_CASE("low limits are explained and sufficient ones are not mentioned", "[runtime][startup]") {
  CHECK(explain_limits(UINT64_MAX, 65536).empty());
  const std::vector<std::string> both = explain_limits(8 << 20, 1024);
  REQUIRE(both.size() == 2);
  CHECK(both[0].find("8192 KiB") != std::string::npos);
  CHECK(both[0].find("--ulimit memlock=-1") != std::string::npos);
  CHECK(both[1].find("1024") != std::string::npos);
  CHECK(both[1].find("--ulimit nofile=65536") != std::string::npos);
}

TEST_CASE("the start-up check finds the ring that these tests run on", "[runtime][startup]") {
  const StartupReport report = check_startup();
  CHECK(report.ring_available);
  CHECK(report.ring_problem.empty());
}

namespace {

WorkerGroupOptions small_group(unsigned count) {
  WorkerGroupOptions options;
  options.count = count;
  options.name = "group";
  options.buffers.bytes_max = std::size_t{4} << 20;
  options.buffers.registered_bytes_max = 0;
  return options;
}

Task<std::string> name_of(Worker& worker) {
  co_return (co_await worker.ask([] { return Worker::current()->name(); })).value_or("?");
}

}  // namespace

TEST_CASE("a group runs its workers pinned and named and stops them", "[runtime][group]") {
  const Topology topology = read_topology();
  WorkerGroup group(small_group(3), topology);
  REQUIRE(group.start().empty());
  CHECK(group.size() == 3);
  for (std::size_t i = 0; i < group.size(); ++i) {
    CHECK(group[i].index() == i);
    CHECK(group[i].cpu() == topology.cpus[i % topology.cpus.size()].cpu);
  }
  std::promise<std::string> other;
  group[0].post([&]() -> Task<> { other.set_value(co_await name_of(group[2])); });
  CHECK(other.get_future().get() == "group-2");
  std::promise<int> affinity;
  group[1].post([&] {
    cpu_set_t cpus;
    ::sched_getaffinity(0, sizeof cpus, &cpus);
    affinity.set_value(CPU_COUNT(&cpus));
  });
  CHECK(affinity.get_future().get() == 1);
  CHECK(group.describe_pending().find("group-2: 0 ring operations") != std::string::npos);
  group.stop_all();
  group.stop_all();
  group.join();
}

TEST_CASE("a group with CPUs that are not there does not start and says why", "[runtime][group]") {
  WorkerGroupOptions options = small_group(1);
  options.cpus = {60000};
  WorkerGroup group(options, read_topology());
  const std::vector<std::string> problems = group.start();
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].find("CPU 60000") != std::string::npos);
  CHECK(group.size() == 0);
}
