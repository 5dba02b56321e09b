// ForeignCompletion: an operation that ends in a thread that is no worker's (librbd, a blocking pool), awaited by a
// worker's coroutine. The end travels through the worker's mailbox; no lock, no allocation.
#pragma once

#include <utility>

#include "server/runtime/worker.h"

namespace lunaris::runtime {

/// Lives in the waiting coroutine's frame. The worker does not stop before it has completed.
class ForeignCompletion : public Mail {
 public:
  ForeignCompletion(const ForeignCompletion&) = delete;
  ForeignCompletion& operator=(const ForeignCompletion&) = delete;

  /// Any thread, exactly once; the object may be gone when this returns. Bytes or zero, or a negative errno.
  void complete(std::int32_t result) noexcept {
    result_ = result;
    worker_.send(*this);
  }

 protected:
  explicit ForeignCompletion(Worker& worker) noexcept : worker_(worker) { awaited_ = true; }
  ~ForeignCompletion() override = default;

  void begin(std::coroutine_handle<> caller) {
    LUN_ASSERT(Worker::current() == &worker_);
    caller_ = caller;
    worker_.hold();
  }
  [[nodiscard]] std::int32_t result() const noexcept { return result_; }

 private:
  void run() override {
    const std::coroutine_handle<> caller = caller_;
    worker_.release();
    caller.resume();
  }
  void refuse() noexcept override { LUN_ASSERT(false); }  // awaited mail is never refused

  Worker& worker_;
  std::coroutine_handle<> caller_;
  std::int32_t result_ = 0;
};

/// Awaits what `start(ForeignCompletion&)` begins; yields the result:
///   std::int32_t got = co_await ForeignOperation(worker, [&](ForeignCompletion& done) { begin_read(..., &done); });
template <class Start>
class [[nodiscard]] ForeignOperation final : public ForeignCompletion {
 public:
  ForeignOperation(Worker& worker, Start start) : ForeignCompletion(worker), start_(std::move(start)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    begin(caller);
    start_(static_cast<ForeignCompletion&>(*this));
  }
  [[nodiscard]] std::int32_t await_resume() const noexcept { return result(); }

 private:
  Start start_;
};

}  // namespace lunaris::runtime
