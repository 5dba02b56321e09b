// Completion: the meeting point of one asynchronous operation and the coroutine that waits for it.
#pragma once

#include <coroutine>
#include <cstdint>
#include <utility>

namespace lunaris::runtime {

/// Lives where the waiter lives (in its coroutine frame), from the start of the operation until `complete`. Whoever
/// starts an operation must not complete it before the starting call has returned. Owner's worker only.
struct Completion {
  std::coroutine_handle<> waiter;
  /// Bytes or zero for success, a negative errno for failure.
  std::int32_t result = 0;

  void complete(std::int32_t value) {
    result = value;
    waiter.resume();
  }
};

/// A coroutine waiting to be resumed by its worker, in the order of scheduling. Lives in the coroutine's frame.
struct Ready {
  std::coroutine_handle<> coroutine;
  Ready* next = nullptr;
  bool scheduled = false;
};

/// Awaits the operation that `start(Completion&)` begins; yields the result. Costs nothing but its own frame space.
template <class Start>
class [[nodiscard]] Operation : public Completion {
 public:
  explicit Operation(Start start) : start_(std::move(start)) {}
  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    waiter = caller;
    start_(static_cast<Completion&>(*this));
  }
  [[nodiscard]] std::int32_t await_resume() const noexcept { return result; }

 private:
  Start start_;
};

}  // namespace lunaris::runtime
