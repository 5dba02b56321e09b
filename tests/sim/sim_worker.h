// SimWorker: a Worker whose loop is the simulation's event queue. Any number of them share one thread.
#pragma once

#include <memory>
#include <utility>

#include "server/runtime/worker.h"
#include "tests/sim/sim_world.h"

namespace lunaris::sim {

/// Makes `worker` current for the time of `function`.
template <class Function>
void run_on(runtime::Worker& worker, Function&& function) {
  runtime::Worker* before = runtime::Worker::exchange_current(&worker);
  std::forward<Function>(function)();
  runtime::Worker::exchange_current(before);
}

class SimLoop final : public runtime::Loop {
 public:
  explicit SimLoop(SimWorld& world) : world_(world) {}

  void attach(runtime::Worker& worker) override { worker_ = &worker; }
  void run() override {}
  void request_turn() override {
    world_.after(0, [this] { run_on(*worker_, [this] { worker_->run_turn(); }); });
  }
  void wake() noexcept override {
    world_.after(1 + world_.below(20'000), [this] { run_on(*worker_, [this] { worker_->drain_mailbox(); }); });
  }
  void stop_waking() override {}
  void arm_tick(std::uint64_t deadline_ns) override {
    const std::uint64_t armed = ++armed_;
    if (deadline_ns == 0) return;
    const std::uint64_t now = world_.now_ns();
    world_.after(deadline_ns > now ? deadline_ns - now : 0, [this, armed] {
      if (armed == armed_) run_on(*worker_, [this] { worker_->on_tick(); });
    });
  }
  [[nodiscard]] runtime::Ring* ring() noexcept override { return nullptr; }

 private:
  SimWorld& world_;
  runtime::Worker* worker_ = nullptr;
  std::uint64_t armed_ = 0;
};

/// The worker must outlive every event that names it: it goes with the world's last event.
inline std::unique_ptr<runtime::Worker> make_sim_worker(SimWorld& world, unsigned index, std::string name,
                                                        std::size_t buffer_bytes) {
  runtime::WorkerOptions options;
  options.index = index;
  options.name = std::move(name);
  options.buffers.bytes_max = buffer_bytes;
  auto worker = std::make_unique<runtime::Worker>(std::move(options), std::make_unique<SimLoop>(world),
                                                  std::make_unique<SimClock>(world), std::make_unique<SimRng>(world));
  worker->loop().attach(*worker);
  return worker;
}

/// Runs `task` on `worker` and lets the world go on until it has ended. False when it did not within `limit_ns`.
inline bool run_task(SimWorld& world, runtime::Worker& worker, runtime::Task<> task,
                     std::uint64_t limit_ns = 600'000'000'000) {
  bool done = false;
  runtime::Gate gate;
  struct Runner {
    static runtime::Task<> run(runtime::Task<> inner, bool* finished) {
      co_await std::move(inner);
      *finished = true;
    }
  };
  run_on(worker, [&] { runtime::spawn(*gate.try_enter(), Runner::run(std::move(task), &done)); });
  const bool ended = world.run_until([&] { return done; }, limit_ns);
  return ended;
}

}  // namespace lunaris::sim
