// SteppedWorker: a Worker without a thread or a ring. Tests run its turns by hand, several workers in one thread if
// they like, so that every interleaving is the test's own choice.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <utility>

#include "server/runtime/gate.h"
#include "server/runtime/worker.h"

namespace lunaris::test {

class SteppedLoop final : public runtime::Loop {
 public:
  void attach(runtime::Worker&) override {}
  void run() override {}
  void request_turn() override { turn_wanted = true; }
  void wake() noexcept override { mail_waits = true; }
  void stop_waking() override {}
  void arm_tick(std::uint64_t) override {}
  runtime::Ring* ring() noexcept override { return nullptr; }

  bool turn_wanted = false;
  std::atomic<bool> mail_waits{false};  // threads of a BlockingPool send mail as well
};

class SteppedWorker {
 public:
  explicit SteppedWorker(unsigned index = 0,
                         std::unique_ptr<runtime::Clock> clock = std::make_unique<runtime::SystemClock>())
      : worker_({.index = index, .name = "stepped", .buffers = {.bytes_max = std::size_t{16} << 20}}, make_loop(),
                std::move(clock), std::make_unique<runtime::SystemRng>()) {}

  runtime::Worker& operator*() noexcept { return worker_; }
  runtime::Worker* operator->() noexcept { return &worker_; }

  /// One turn with its mail, if there is anything to do.
  bool step() {
    const bool mail = loop_->mail_waits.exchange(false);
    const bool turn = std::exchange(loop_->turn_wanted, false);
    if (!mail && !turn) return false;
    runtime::Worker* const before = runtime::Worker::exchange_current(&worker_);
    if (mail) worker_.drain_mailbox();
    if (turn) worker_.run_turn();
    runtime::Worker::exchange_current(before);
    return true;
  }
  /// Starts `task` on this worker; it runs until it waits.
  void start(runtime::Task<> task) {
    runtime::Worker* const before = runtime::Worker::exchange_current(&worker_);
    runtime::spawn(std::move(*gate_.try_enter()), std::move(task));
    runtime::Worker::exchange_current(before);
  }
  template <class Function>
  auto call(Function function) {
    struct Current {
      explicit Current(runtime::Worker& worker) : before(runtime::Worker::exchange_current(&worker)) {}
      ~Current() { runtime::Worker::exchange_current(before); }
      runtime::Worker* before;
    };
    const Current current(worker_);
    return function();
  }
  /// Tasks that have not ended.
  [[nodiscard]] std::uint32_t running() const noexcept { return gate_.count(); }

 private:
  std::unique_ptr<SteppedLoop> make_loop() {
    auto loop = std::make_unique<SteppedLoop>();
    loop_ = loop.get();
    return loop;
  }

  SteppedLoop* loop_ = nullptr;
  runtime::Worker worker_;
  runtime::Gate gate_;
};

/// Turns of all of them until nobody has anything to do.
inline void settle(std::initializer_list<SteppedWorker*> workers) {
  for (bool busy = true; busy;) {
    busy = false;
    for (SteppedWorker* const worker : workers) busy = worker->step() || busy;
  }
}

}  // namespace lunaris::test
