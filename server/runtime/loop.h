// Loop: what drives a worker. Asio's ring in the server (asio_loop.h), a seeded scheduler in tests/sim.
#pragma once

#include <cstdint>

namespace lunaris::runtime {

class Ring;
class Worker;

class Loop {
 public:
  virtual ~Loop() = default;

  /// Called once, in the worker's thread, before anything else.
  virtual void attach(Worker& worker) = 0;
  /// Runs until the worker has stopped and no operation is pending.
  virtual void run() = 0;
  /// Own thread: call `Worker::run_turn` after the completions that are queued already. Idempotent until it has run.
  virtual void request_turn() = 0;
  /// Any thread: call `Worker::drain_mailbox` soon. One call wakes once.
  virtual void wake() noexcept = 0;
  /// Own thread: stop listening for wakes, so that `run` can return.
  virtual void stop_waking() = 0;
  /// Own thread: listen again after `stop_waking`: a stopping worker waits for one more answer.
  virtual void resume_waking() {}
  /// Own thread: call `Worker::on_tick` at `deadline_ns`; a later call replaces the earlier one, 0 cancels.
  virtual void arm_tick(std::uint64_t deadline_ns) = 0;
  /// Null where there is none (simulation).
  [[nodiscard]] virtual Ring* ring() noexcept = 0;
};

}  // namespace lunaris::runtime
