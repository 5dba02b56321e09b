// iscsi_load: drives sessions against one or more logical units and reports rate, latency and, on request, the server's
// CPU time and allocations. Exit status: 0 good, 1 failed commands or wrong data, 2 no run or a protocol violation.
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <memory>
#include <stdexcept>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/report.h"
#include "tests/bench/session.h"
#include "tests/bench/workload.h"

namespace lunaris::bench {
namespace {

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr double drain_limit_s = 30;  // after this an unanswered command counts as lost

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * ns_per_s + static_cast<std::uint64_t>(now.tv_nsec);
}

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0)
    throw std::runtime_error("cannot run on CPU " + std::to_string(cpu));
}

// The event loop and everything it drives. Phases: fill (only when verifying), warm-up, measurement, drain.
class Load final : public Observer {
 public:
  explicit Load(const Options& options) : options_(options) {}
  ~Load() override {
    if (epoll_ >= 0) ::close(epoll_);
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  Report run() {
    open_sessions();
    if (options_.verify == Verify::fill) fill();
    if (!options_.fill_only) measure();
    drain();
    for (auto& session : sessions_) session->log_out();
    return finish_report();
  }

  void ended(Session& session, Slot& slot, Verdict verdict) override {
    if (verdict == Verdict::again) return;
    Workload& workload = workloads_[session.workload_index];
    workload.ended(slot.io, verdict == Verdict::good, block_of(slot));
    ++report_.ios_ever;
    if (!measuring_ || verdict != Verdict::good) return;
    ++(slot.io.write ? report_.writes : report_.reads);
    report_.latency.record(received_ns_ - slot.issued_ns);
  }

 private:
  std::span<std::byte> block_of(const Slot& slot) const {
    if (slot.buffer == nullptr) return {};
    return {slot.buffer, options_.block_bytes};
  }

  void open_sessions() {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) throw std::runtime_error("epoll_create1 failed");
    const bool keep_data = options_.verify != Verify::off;
    for (std::size_t unit = 0; unit < options_.urls.size(); ++unit) {
      for (unsigned i = 0; i < options_.sessions_per_url; ++i) {
        const auto index = static_cast<unsigned>(sessions_.size());
        sessions_.push_back(std::make_unique<Session>(options_.urls[unit], options_, index, keep_data, *this));
        sessions_.back()->workload_index = unit;
        number_in_unit_.push_back(i);
        wants_write_.push_back(false);
        epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
        ::epoll_ctl(epoll_, EPOLL_CTL_ADD, sessions_.back()->fd(), &event);
      }
      workloads_.emplace_back(options_, sessions_.back()->capacity_bytes(), options_.sessions_per_url);
    }
    report_.parameters = sessions_.front()->parameters();
  }

  void fill() {
    for (Workload& workload : workloads_) workload.set_filling(true);
    issuing_ = true;
    start_all();
    while (!all_filled()) turn();
    drain();
    for (Workload& workload : workloads_) workload.set_filling(false);
  }

  bool all_filled() const {
    for (const Workload& workload : workloads_)
      if (!workload.filled()) return false;
    return true;
  }

  void measure() {
    issuing_ = true;
    start_all();
    const std::uint64_t warm = now_ns() + static_cast<std::uint64_t>(options_.warmup_s * 1e9);
    while (now_ns() < warm) turn();
    for (auto& session : sessions_) session->forget_count();
    const WatchSample before = sample(options_.watch_pid, options_.watch_alloc_file);
    const std::uint64_t cpu_before = own_cpu_ns();
    const std::uint64_t start = now_ns();
    const std::uint64_t end = start + static_cast<std::uint64_t>(options_.duration_s * 1e9);
    measuring_ = true;
    while (received_ns_ < end && now_ns() < end) turn();
    measuring_ = false;
    report_.seconds = static_cast<double>(now_ns() - start) / 1e9;
    report_.client_cpu_ns = own_cpu_ns() - cpu_before;
    report_.server = difference(before, sample(options_.watch_pid, options_.watch_alloc_file));
    for (auto& session : sessions_) report_.ios_of_session.push_back(session->ended_count());
  }

  void drain() {
    issuing_ = false;
    const std::uint64_t deadline = now_ns() + static_cast<std::uint64_t>(drain_limit_s * 1e9);
    for (bool open = true; open;) {
      open = false;
      for (auto& session : sessions_) open = open || session->in_flight() != 0;
      if (!open) return;
      if (now_ns() > deadline) throw ProtocolError("commands are still unanswered after 30 s");
      turn();
    }
  }

  void start_all() {
    for (std::size_t i = 0; i < sessions_.size(); ++i) pump(i);
  }

  // Waits once and serves every session that has something.
  void turn() {
    bool delayed = false;
    for (auto& session : sessions_) delayed = delayed || session->has_delayed();
    std::array<epoll_event, 64> events;
    // Commands refused with BUSY wait a millisecond; anything else wakes the loop by itself.
    const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), delayed ? 1 : 100);
    received_ns_ = now_ns();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const auto index = static_cast<std::size_t>(event.data.u64);
      if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) sessions_[index]->receive();
      pump(index);
    }
    if (!delayed && !options_have_pauses()) return;
    for (std::size_t i = 0; i < sessions_.size(); ++i) pump(i);
  }

  // A verifying session may find no free block and must be asked again when another session frees one.
  bool options_have_pauses() const { return options_.verify != Verify::off; }

  void pump(std::size_t index) {
    Session& session = *sessions_[index];
    const std::uint64_t now = now_ns();
    session.reissue_delayed(now);
    Workload& workload = workloads_[session.workload_index];
    while (issuing_) {
      Slot* slot = session.free_slot();
      if (slot == nullptr) break;
      const std::optional<Io> io = workload.next(number_in_unit_[index]);
      if (!io) break;
      slot->io = *io;
      if (io->write) workload.stamp(*io, block_of(*slot));
      session.issue(*slot, now);
    }
    const bool blocked = !session.flush();
    if (blocked == wants_write_[index]) return;
    wants_write_[index] = blocked;
    epoll_event event{.events = EPOLLIN | (blocked ? std::uint32_t{EPOLLOUT} : 0U), .data = {.u64 = index}};
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, session.fd(), &event);
  }

  Report finish_report() {
    for (const auto& session : sessions_) {
      const Troubles& t = session->troubles();
      report_.troubles.busy += t.busy;
      report_.troubles.task_set_full += t.task_set_full;
      report_.troubles.unit_attention += t.unit_attention;
      report_.troubles.errors += t.errors;
      if (report_.troubles.first_error.empty()) report_.troubles.first_error = t.first_error;
    }
    for (const Workload& workload : workloads_) {
      report_.checked += workload.checked();
      report_.mismatches += workload.mismatches();
      if (report_.first_mismatch.empty()) report_.first_mismatch = workload.first_mismatch();
    }
    return report_;
  }

  const Options& options_;
  int epoll_ = -1;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<unsigned> number_in_unit_;  // per session
  std::vector<bool> wants_write_;         // per session: EPOLLOUT is registered
  std::vector<Workload> workloads_;       // per URL
  Report report_;
  bool issuing_ = false;
  bool measuring_ = false;
  std::uint64_t received_ns_ = 0;
};

int run(int argc, char** argv) {
  Options options;
  int exit_code = 0;
  if (!parse_options(argc, argv, options, exit_code)) return exit_code;
  try {
    pin_to(options.cpu);
    const Report report = Load(options).run();
    options.json ? print_json(report, options) : print_line(report, options);
    return report.good() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "iscsi_load: %s\n", error.what());
    return 2;
  }
}

}  // namespace
}  // namespace lunaris::bench

int main(int argc, char** argv) {
  return lunaris::bench::run(argc, argv);
}
