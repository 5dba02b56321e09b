// Turnstile: one coroutine at a time, first come first served, all on one worker. Used where a change with waits in it
// must not meet another one: views being published, reservations being changed.
#pragma once

#include <coroutine>
#include <utility>

#include "server/runtime/worker.h"

namespace lunaris::volume {

/// Belongs to one worker. Whoever has entered leaves; nobody waits in it when it is destroyed.
class Turnstile {
 public:
  struct [[nodiscard]] Enter {
    Turnstile& turnstile;
    runtime::Ready ready{};
    Enter* next = nullptr;
    bool await_ready() const noexcept { return !std::exchange(turnstile.taken_, true); }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
      ready.coroutine = caller;
      Enter** last = &turnstile.first_;
      while (*last != nullptr) last = &(*last)->next;
      *last = this;
    }
    void await_resume() const noexcept {}
  };
  Enter enter() noexcept { return Enter{*this}; }
  void leave() noexcept {
    if (first_ == nullptr) {
      taken_ = false;
      return;
    }
    // It stays taken: the next in line has it now.
    Enter* next = std::exchange(first_, first_->next);
    runtime::Worker::current()->schedule(next->ready);
  }

 private:
  bool taken_ = false;
  Enter* first_ = nullptr;
};

}  // namespace lunaris::volume
