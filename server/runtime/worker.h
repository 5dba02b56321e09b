// Worker: one pinned thread, one single-threaded loop, and everything an actor needs that must not be shared: buffers,
// timers, coroutine frames, clock, randomness. Nothing on a worker takes a lock; others talk to it by mail.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "server/runtime/buffer_pool.h"
#include "server/runtime/clock.h"
#include "server/runtime/frame_pool.h"
#include "server/runtime/gate.h"
#include "server/runtime/loop.h"
#include "server/runtime/mailbox.h"
#include "server/runtime/rng.h"
#include "server/runtime/task.h"
#include "server/runtime/timer_wheel.h"

namespace lunaris::runtime {

/// Something to run once at the end of the current turn (a connection's flush, say). Intrusive; may be scheduled again
/// while it runs (for the next turn); scheduling it twice before it runs is one run; destroying it takes it off the
/// list.
class TurnHook {
 public:
  TurnHook() = default;
  TurnHook(const TurnHook&) = delete;
  TurnHook& operator=(const TurnHook&) = delete;
  virtual ~TurnHook();
  [[nodiscard]] bool is_scheduled() const noexcept { return scheduled_; }

 protected:
  virtual void run_at_end_of_turn() = 0;

 private:
  friend class Worker;
  TurnHook* next_ = nullptr;
  bool scheduled_ = false;
};

struct WorkerOptions {
  unsigned index = 0;
  int cpu = -1;        // CPU the thread is pinned to; -1: not pinned
  int numa_node = -1;  // node of that CPU; -1: unknown or a machine without NUMA
  std::string name = "worker";
  BufferPoolOptions buffers;
};

class Worker {
 public:
  /// `loop`, `clock` and `rng` are the seams: the server passes AsioLoop, SystemClock, SystemRng.
  Worker(WorkerOptions options, std::unique_ptr<Loop> loop, std::unique_ptr<Clock> clock, std::unique_ptr<Rng> rng);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The worker whose thread this is, null elsewhere.
  [[nodiscard]] static Worker* current() noexcept;
  /// For a simulation, which runs many workers in one thread: makes `worker` (or none) current, answers the one before.
  static Worker* exchange_current(Worker* worker) noexcept;

  /// Makes this the thread's worker and runs its loop until `stop` has been called and all work has ended.
  void run();
  /// Own thread. No new mail is accepted; `run` returns when the last operation is done.
  void stop();
  [[nodiscard]] bool is_stopping() const noexcept { return stopping_; }

  // --- own thread -----------------------------------------------------------------------------------------------
  [[nodiscard]] unsigned index() const noexcept { return options_.index; }
  [[nodiscard]] int cpu() const noexcept { return options_.cpu; }
  [[nodiscard]] int numa_node() const noexcept { return options_.numa_node; }
  [[nodiscard]] const std::string& name() const noexcept { return options_.name; }
  [[nodiscard]] BufferPool& buffers() noexcept { return buffers_; }
  [[nodiscard]] const Clock& clock() const noexcept { return *clock_; }
  [[nodiscard]] Rng& rng() noexcept { return *rng_; }
  [[nodiscard]] FramePool& frames() noexcept { return frames_; }
  /// Asserts in a simulation, which has none.
  [[nodiscard]] Ring& ring() noexcept;
  [[nodiscard]] Loop& loop() noexcept { return *loop_; }

  /// Runs `hook` when the completions of this turn have been handled.
  void at_end_of_turn(TurnHook& hook) noexcept;
  /// Resumes `ready.coroutine` in this turn, after the completions that are queued already. Scheduling it again
  /// before that changes nothing.
  void schedule(Ready& ready) noexcept;
  /// Counts turns: two events with the same number came in one batch.
  [[nodiscard]] std::uint64_t turn() noexcept {
    request_turn();
    return turn_;
  }

  void arm(Timer& timer, std::uint64_t delay_ns);
  void cancel(Timer& timer) noexcept { timers_.cancel(timer); }
  /// Timers armed now.
  [[nodiscard]] std::uint32_t timers_armed() const noexcept { return timers_.armed(); }
  /// Sleeps at least `delay_ns`, rounded up to the wheel's tick. Not cancellable: for bounded delays only.
  [[nodiscard]] Task<> sleep(std::uint64_t delay_ns);
  /// Lets everything else that is ready run first.
  [[nodiscard]] auto yield() noexcept {
    struct Awaiter {
      Worker& worker;
      Ready ready;
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> caller) noexcept {
        ready.coroutine = caller;
        worker.schedule_later(ready);
      }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this, {}};
  }

  /// Somebody outside will answer by mail that was marked as awaited: until `release`, a stopping worker keeps
  /// listening.
  void hold();
  void release();
  /// What `run` did not get (registered buffers, its CPU), in words; empty when it got everything.
  [[nodiscard]] const std::string& start_note() const noexcept { return start_note_; }

  // --- any thread -----------------------------------------------------------------------------------------------
  /// Delivers `mail`; `mail.refuse()` is called instead when this worker has stopped.
  void send(Mail& mail) noexcept;
  /// In words, what keeps this worker from stopping. A guess when it runs meanwhile.
  [[nodiscard]] std::string describe_pending() const;
  /// Runs `function` on this worker (to its end, when it returns Task<>); dropped when this worker has stopped.
  /// Allocates: for control, never per I/O.
  template <class Function>
  void post(Function function);
  /// From another worker's coroutine: runs `function()` here and yields its result there. `function` returns a value or
  /// nothing; nothing it returns may refer to this worker's state. nullopt (false for void) when this worker has
  /// stopped.
  template <class Function>
  [[nodiscard]] auto ask(Function function);
  /// As `ask` for a function that returns Task<R>: the task runs here to its end, its result is yielded there.
  template <class Function>
  [[nodiscard]] auto ask_task(Function function);

  // --- called by the loop, in the worker's thread (a simulation makes the worker current first) -------------------
  void run_turn();
  void drain_mailbox();
  void on_tick();

 private:
  enum class State : std::uint8_t {
    open,      // mail is welcome
    stopping,  // only awaited answers are
    closed,    // nobody reads the mailbox any more; whoever pushes late refuses what is in it
  };
  /// Coroutines resumed and mail run in one turn at most, so that sockets get their share.
  static constexpr unsigned ready_per_turn_max = 1024;
  static constexpr unsigned mail_per_turn_max = 512;

  struct ReadyList {
    Ready* first = nullptr;
    Ready* last = nullptr;
    void push(Ready& ready) noexcept;
    void append(ReadyList& other) noexcept;
    Ready* pop() noexcept;
  };

  struct HookList {
    TurnHook* first = nullptr;
    TurnHook* last = nullptr;
    void push(TurnHook& hook) noexcept;
    TurnHook* pop() noexcept;
    void remove(TurnHook& hook) noexcept;
  };

  friend class TurnHook;
  void request_turn();
  void schedule_later(Ready& ready) noexcept;
  void arm_tick_while_stopping();
  void close_mailbox_when_idle();
  void refuse_all() noexcept;
  void prepare_thread();

  WorkerOptions options_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Rng> rng_;
  FramePool frames_;
  TimerWheel timers_;
  std::unique_ptr<Loop> loop_;
  BufferPool buffers_;
  Mailbox mailbox_;
  Mail* backlog_ = nullptr;  // taken from the mailbox, not yet run
  std::atomic<State> state_{State::open};
  std::atomic<std::uint32_t> senders_{0};  // threads inside `send`
  bool stopping_ = false;
  bool turn_requested_ = false;
  std::atomic<std::uint32_t> held_{0};  // written by the owner only; atomic so that a watchdog may look
  std::uint64_t turn_ = 0;
  std::uint64_t tick_at_ns_ = 0;  // what the loop was last asked for; 0: nothing
  HookList hooks_;
  HookList running_hooks_;  // this turn's, while it runs
  ReadyList ready_;
  ReadyList later_;  // yielded: for the next turn
  std::string start_note_;
};

/// Auto-reset event with one waiter, both on one worker: `set` wakes the waiter in this turn (never inside `set`), or
/// lets the next `wait` pass. How actors wait apart from applying.
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void set() noexcept {
    if (ready_.coroutine) {
      Worker::current()->schedule(ready_);
    } else {
      is_set_ = true;
    }
  }
  [[nodiscard]] auto wait() noexcept {
    struct Awaiter {
      Signal& signal;
      bool await_ready() const noexcept { return std::exchange(signal.is_set_, false); }
      void await_suspend(std::coroutine_handle<> caller) noexcept { signal.ready_.coroutine = caller; }
      void await_resume() const noexcept { signal.ready_.coroutine = nullptr; }
    };
    return Awaiter{*this};
  }

 private:
  Ready ready_;
  bool is_set_ = false;
};

}  // namespace lunaris::runtime

#include "server/runtime/worker_mail.h"  // the templates' definitions
