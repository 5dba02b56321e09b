// Task<T>: a lazy coroutine that runs when it is awaited, on the worker that awaits it, and hands its result over by
// symmetric transfer. Its frame comes from the worker's FramePool: starting one costs 10 to 20 ns and no heap call.
//
//   Task<Result<std::uint32_t>> read_header(ByteStream& stream);
//   Result<std::uint32_t> length = co_await read_header(stream);
//
// Rules: parameters by value, or references to what outlives the task; no capturing lambda coroutines; a task that
// throws has a bug and aborts. To run one beside the caller, `spawn(gate, task)` (gate.h).
#pragma once

#include <coroutine>
#include <cstddef>
#include <optional>
#include <utility>

#include "server/runtime/assert.h"
#include "server/runtime/frame_pool.h"

namespace lunaris::runtime {

namespace detail {

[[noreturn]] void coroutine_threw() noexcept;

class PromiseBase {
 public:
  static void* operator new(std::size_t size) { return FramePool::allocate(size); }
  static void operator delete(void* frame, std::size_t size) noexcept { FramePool::deallocate(frame, size); }

  std::suspend_always initial_suspend() noexcept { return {}; }

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) noexcept {
      return finished.promise().continuation;
    }
    void await_resume() noexcept {}
  };
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { coroutine_threw(); }

  std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <class T>
class Promise final : public PromiseBase {
 public:
  std::coroutine_handle<Promise> get_return_object() noexcept {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  template <class U>
  void return_value(U&& value) {
    value_.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*value_); }

 private:
  std::optional<T> value_;
};

template <>
class Promise<void> final : public PromiseBase {
 public:
  std::coroutine_handle<Promise> get_return_object() noexcept {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  void return_void() noexcept {}
  void take() noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;

  // Implicit: this is how the compiler turns the promise's handle into the coroutine's return value.
  Task(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    std::coroutine_handle<promise_type> handle;
    bool await_ready() noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
      handle.promise().continuation = caller;
      return handle;
    }
    T await_resume() { return handle.promise().take(); }
  };
  Awaiter operator co_await() && noexcept {
    LUN_ASSERT(handle_ != nullptr);
    return Awaiter{handle_};
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace lunaris::runtime
