// Making, starting and ending the data workers.
#include "server/runtime/worker_group.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <future>

#include "server/runtime/asio_loop.h"
#include "server/runtime/startup_checks.h"

namespace lunaris::runtime {
namespace {

/// Rings count against RLIMIT_MEMLOCK as buffers do: what a worker's takes, and the management ring with the start-up
/// probe, rounded up.
constexpr std::size_t worker_ring_bytes = std::size_t{512} << 10;
constexpr std::size_t other_rings_bytes = std::size_t{1} << 20;

/// An even share of what may be locked; rings made later would find nothing left otherwise.
std::size_t registered_share(std::size_t wanted, std::size_t workers) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  // Privileged processes are not bound by the limit; a pool that asks for more than it gets shrinks by itself.
  if (::geteuid() == 0) return wanted;
  const std::size_t rings = other_rings_bytes + workers * worker_ring_bytes;
  const std::size_t left = limit.rlim_cur > rings ? limit.rlim_cur - rings : 0;
  return std::min(wanted, left / std::max<std::size_t>(workers, 1));
}

using Started = std::shared_ptr<std::promise<std::string>>;

void run_and_report(Worker& worker, const Started& started) {
  std::string problem;
  try {
    worker.run();
    return;
  } catch (const boost::system::system_error& error) {
    problem = explain_ring_error(error.code().value(), read_io_uring_disabled());
  } catch (const std::exception& error) {
    problem = error.what();
  }
  // Only a worker that has not started yet may fail by an exception; afterwards this throws, and the process ends.
  started->set_value(worker.name() + ": " + problem);
}

}  // namespace

WorkerGroup::WorkerGroup(WorkerGroupOptions options, const Topology& topology) : options_(std::move(options)) {
  const std::vector<CpuPlace> places = place_workers(topology, options_.count, options_.cpus, problems_);
  for (std::size_t i = 0; i < places.size(); ++i) {
    WorkerOptions worker;
    worker.index = static_cast<unsigned>(i);
    worker.cpu = options_.pin ? places[i].cpu : -1;
    worker.numa_node = options_.pin ? places[i].numa_node : -1;
    worker.name = options_.name + "-" + std::to_string(i);
    worker.buffers = options_.buffers;
    worker.buffers.numa_node = worker.numa_node;
    worker.buffers.registered_bytes_max = registered_share(options_.buffers.registered_bytes_max, places.size());
    workers_.push_back(std::make_unique<Worker>(std::move(worker), std::make_unique<AsioLoop>(AsioLoop::Mode::worker),
                                                std::make_unique<SystemClock>(), std::make_unique<SystemRng>()));
  }
}

WorkerGroup::~WorkerGroup() {
  stop_all();
  join();
}

std::vector<std::string> WorkerGroup::start() {
  if (!problems_.empty()) return problems_;
  std::vector<Started> all_started;
  std::vector<std::string> problems;
  for (const auto& each : workers_) {
    Worker& worker = *each;
    const Started& started = all_started.emplace_back(std::make_shared<std::promise<std::string>>());
    worker.post([started] { started->set_value({}); });
    threads_.emplace_back([&worker, started] { run_and_report(worker, started); });
  }
  for (const Started& started : all_started) {
    if (std::string problem = started->get_future().get(); !problem.empty()) problems.push_back(std::move(problem));
  }
  if (!problems.empty()) {
    stop_all();
    join();
  }
  return problems;
}

std::vector<std::string> WorkerGroup::notes() const {
  std::vector<std::string> notes;
  for (const auto& worker : workers_) {
    if (!worker->start_note().empty()) notes.push_back(worker->name() + ": " + worker->start_note());
  }
  return notes;
}

void WorkerGroup::stop_all() noexcept {
  for (const auto& each : workers_) {
    Worker& worker = *each;
    worker.post([&worker] { worker.stop(); });
  }
}

void WorkerGroup::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

std::string WorkerGroup::describe_pending() const {
  std::string text;
  for (const auto& worker : workers_) {
    text += worker->name() + ": " + worker->describe_pending() + "\n";
  }
  return text;
}

}  // namespace lunaris::runtime
