// Gate: refuses new work, counts running work, waits for none. Every actor owns one and closes it before it dies, so
// nothing in Lunaris is detached: what is spawned is spawned through a gate.
#pragma once

#include <coroutine>
#include <cstdint>
#include <optional>
#include <utility>

#include "server/runtime/assert.h"
#include "server/runtime/task.h"

namespace lunaris::runtime {

/// Belongs to one worker. Destroying a gate with work inside is a bug and aborts.
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate() { LUN_ASSERT(count_ == 0); }

  /// Proof that the gate let its holder in; the last one out wakes `close()`.
  class [[nodiscard]] Pass {
   public:
    Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    Pass& operator=(Pass&&) = delete;
    ~Pass() {
      if (gate_ != nullptr) gate_->leave();
    }

   private:
    friend class Gate;
    explicit Pass(Gate& gate) noexcept : gate_(&gate) { ++gate.count_; }
    Gate* gate_;
  };

  /// Nothing when the gate is closed.
  [[nodiscard]] std::optional<Pass> try_enter() noexcept {
    if (closed_) return std::nullopt;
    return Pass(*this);
  }

  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

  /// Lets nobody in from now on, without waiting.
  void shut() noexcept { closed_ = true; }

  struct CloseAwaiter {
    Gate& gate;
    bool await_ready() const noexcept { return gate.count_ == 0; }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
      LUN_ASSERT(!gate.closer_);
      gate.closer_ = caller;
    }
    void await_resume() const noexcept {}
  };
  /// Closes the gate and waits for everybody to leave. One waiter at a time.
  [[nodiscard]] CloseAwaiter close() noexcept {
    closed_ = true;
    return CloseAwaiter{*this};
  }

 private:
  void leave() noexcept {
    LUN_ASSERT(count_ > 0);
    if (--count_ == 0 && closer_) std::exchange(closer_, nullptr).resume();
  }

  std::coroutine_handle<> closer_;
  std::uint32_t count_ = 0;
  bool closed_ = false;
};

namespace detail {

struct Spawned {
  struct promise_type {
    static void* operator new(std::size_t size) { return FramePool::allocate(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { FramePool::deallocate(frame, size); }
    Spawned get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { coroutine_threw(); }
  };
};

}  // namespace detail

/// Runs `task` beside the caller until its first suspension and then by itself; the gate counts it until it ends.
/// The caller has entered the gate already: a closed gate is the caller's decision to make, not a silent loss.
inline detail::Spawned spawn(Gate::Pass pass, Task<> task) {
  // The pass is a parameter, destroyed after the body: the task's frame is gone before the gate may open.
  {
    Task<> running = std::move(task);
    co_await std::move(running);
  }
  static_cast<void>(pass);
}

}  // namespace lunaris::runtime
