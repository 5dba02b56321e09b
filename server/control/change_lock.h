// ChangeLock: changes to the configuration are made one after the other, first come, first served.
#pragma once

#include <cstddef>
#include <utility>

#include "server/runtime/assert.h"
#include "server/runtime/worker.h"

namespace lunaris::control {

/// Belongs to the management worker.
class ChangeLock {
 public:
  ChangeLock() = default;
  ChangeLock(const ChangeLock&) = delete;
  ChangeLock& operator=(const ChangeLock&) = delete;
  ~ChangeLock() { LUN_ASSERT(!held_); }

  /// Held until destruction.
  class [[nodiscard]] Hold {
   public:
    explicit Hold(ChangeLock& lock) noexcept : lock_(&lock) {}
    Hold(Hold&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Hold& operator=(Hold&&) = delete;
    ~Hold() {
      if (lock_ != nullptr) lock_->release();
    }

   private:
    ChangeLock* lock_;
  };

  struct Acquire {
    ChangeLock& lock;
    runtime::Ready ready;
    Acquire* next = nullptr;

    bool await_ready() noexcept { return !std::exchange(lock.held_, true); }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
      ready.coroutine = caller;
      ++lock.waiting_;
      (lock.last_ == nullptr ? lock.first_ : lock.last_->next) = this;
      lock.last_ = this;
    }
    Hold await_resume() noexcept { return Hold(lock); }
  };
  [[nodiscard]] Acquire acquire() noexcept { return {*this, {}, nullptr}; }

  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

 private:
  void release() noexcept {
    Acquire* next = first_;
    if (next == nullptr) {
      held_ = false;
      return;
    }
    first_ = next->next;
    if (first_ == nullptr) last_ = nullptr;
    --waiting_;
    runtime::Worker::current()->schedule(next->ready);  // the lock passes on without having been free
  }

  bool held_ = false;
  std::size_t waiting_ = 0;
  Acquire* first_ = nullptr;
  Acquire* last_ = nullptr;
};

}  // namespace lunaris::control
