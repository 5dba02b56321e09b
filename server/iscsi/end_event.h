// EndEvent: something that happens once and that any number of coroutines of one worker wait for (the end of a
// session).
#pragma once

#include <coroutine>

#include "server/runtime/worker.h"

namespace lunaris::iscsi_server {

/// Waiters are resumed in a later step of the turn, so the object may be destroyed right after `set`.
class EndEvent {
 public:
  EndEvent() = default;
  EndEvent(const EndEvent&) = delete;
  EndEvent& operator=(const EndEvent&) = delete;

  class [[nodiscard]] Wait {
   public:
    explicit Wait(EndEvent& event) noexcept : event_(event) {}
    bool await_ready() const noexcept { return event_.is_set_; }
    void await_suspend(std::coroutine_handle<> caller) noexcept {
      ready_.coroutine = caller;
      next_ = event_.first_;
      event_.first_ = this;
    }
    void await_resume() const noexcept {}

   private:
    friend class EndEvent;
    EndEvent& event_;
    Wait* next_ = nullptr;
    runtime::Ready ready_;
  };
  [[nodiscard]] Wait wait() noexcept { return Wait(*this); }
  [[nodiscard]] bool is_set() const noexcept { return is_set_; }

  void set() noexcept {
    is_set_ = true;
    for (Wait* wait = first_; wait != nullptr;) {
      Wait* following = wait->next_;
      runtime::Worker::current()->schedule(wait->ready_);
      wait = following;
    }
    first_ = nullptr;
  }

 private:
  Wait* first_ = nullptr;
  bool is_set_ = false;
};

}  // namespace lunaris::iscsi_server
