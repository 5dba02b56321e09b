// ManualWorker: a worker whose loop the test turns by hand, and whose clock it sets; no thread, no ring.
#pragma once

#include <memory>

#include "server/runtime/worker.h"

namespace lunaris::runtime::test {

class ManualWorker {
 public:
  class ManualClock final : public Clock {
   public:
    [[nodiscard]] std::uint64_t now_ns() const noexcept override { return now; }
    std::uint64_t now = 1'000'000'000'000;
  };
  class ManualLoop final : public Loop {
   public:
    void attach(Worker&) override {}
    void run() override {}
    void request_turn() override {
      turn = true;
      ++turns_requested;
    }
    void wake() noexcept override { ++wakes; }
    void stop_waking() override { waking = false; }
    void resume_waking() override { waking = true; }
    void arm_tick(std::uint64_t deadline_ns) override { tick_ns = deadline_ns; }
    Ring* ring() noexcept override { return nullptr; }
    bool turn = false;
    bool waking = true;
    unsigned turns_requested = 0;
    unsigned wakes = 0;
    std::uint64_t tick_ns = 0;
  };

  explicit ManualWorker(BufferPoolOptions buffers = {}) {
    WorkerOptions options;
    options.name = "manual";
    options.buffers = buffers;
    auto owned_loop = std::make_unique<ManualLoop>();
    auto owned_clock = std::make_unique<ManualClock>();
    loop = owned_loop.get();
    clock = owned_clock.get();
    worker_ = std::make_unique<Worker>(std::move(options), std::move(owned_loop), std::move(owned_clock),
                                       std::make_unique<SystemRng>());
    before_ = Worker::exchange_current(worker_.get());
  }
  ManualWorker(const ManualWorker&) = delete;
  ManualWorker& operator=(const ManualWorker&) = delete;
  ~ManualWorker() { Worker::exchange_current(before_); }

  Worker& operator*() { return *worker_; }
  Worker* operator->() { return worker_.get(); }

  /// One turn, if one was requested.
  bool turn() {
    if (!std::exchange(loop->turn, false)) return false;
    worker_->run_turn();
    return true;
  }
  void turns() {
    while (turn()) {
    }
  }
  void pass(std::uint64_t ns) {
    clock->now += ns;
    if (loop->tick_ns != 0 && loop->tick_ns <= clock->now) {
      loop->tick_ns = 0;
      worker_->on_tick();
    }
  }
  void start(Task<> task) { spawn(*gate.try_enter(), std::move(task)); }

  ManualLoop* loop = nullptr;
  ManualClock* clock = nullptr;
  Gate gate;

 private:
  std::unique_ptr<Worker> worker_;
  Worker* before_ = nullptr;
};

}  // namespace lunaris::runtime::test
