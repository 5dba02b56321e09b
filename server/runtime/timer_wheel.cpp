// The wheel: slot = tick modulo the slot count; a timer further away than one round stays in its slot until its tick.
#include "server/runtime/timer_wheel.h"

#include <algorithm>

#include "server/runtime/assert.h"

namespace lunaris::runtime {

Timer::~Timer() {
  if (wheel_ != nullptr) wheel_->cancel(*this);
}

TimerWheel::~TimerWheel() {
  LUN_ASSERT(armed_ == 0);
}

void TimerWheel::arm(Timer& timer, std::uint64_t now_ns, std::uint64_t delay_ns) noexcept {
  cancel(timer);
  if (armed_ == 0) current_tick_ = std::max(current_tick_, now_ns / tick_ns);
  const std::uint64_t deadline_ns = delay_ns > UINT64_MAX - tick_ns - now_ns ? UINT64_MAX - tick_ns : now_ns + delay_ns;
  timer.tick_ = std::max((deadline_ns + tick_ns - 1) / tick_ns, current_tick_ + 1);
  timer.wheel_ = this;
  link(timer, static_cast<std::uint32_t>(timer.tick_ % slot_count));
  ++armed_;
}

void TimerWheel::cancel(Timer& timer) noexcept {
  if (timer.wheel_ == nullptr) return;
  LUN_ASSERT(timer.wheel_ == this);
  unlink(timer);
  timer.wheel_ = nullptr;
  --armed_;
}

void TimerWheel::advance(std::uint64_t now_ns) {
  const std::uint64_t target = now_ns / tick_ns;
  if (target <= current_tick_) return;
  // Due timers move to a list of their own first: what fires may cancel or arm any other timer.
  const std::uint64_t first = current_tick_ + 1;
  const std::uint64_t last = std::min(target, current_tick_ + slot_count);
  current_tick_ = target;
  for (std::uint64_t tick = first; tick <= last; ++tick) {
    Timer* timer = slots_[tick % slot_count];
    while (timer != nullptr) {
      Timer* const next = timer->next_;
      if (timer->tick_ <= target) {
        unlink(*timer);
        link(*timer, due_slot);
      }
      timer = next;
    }
  }
  while (Timer* timer = slots_[due_slot]) {
    cancel(*timer);
    timer->fire();
  }
}

std::uint64_t TimerWheel::next_deadline_ns() const noexcept {
  if (armed_ == 0) return 0;
  // The first slot with anything in it: exact within a round, early (and harmless) for timers beyond it.
  for (std::uint64_t tick = current_tick_ + 1; tick <= current_tick_ + slot_count; ++tick) {
    if (slots_[tick % slot_count] != nullptr) return tick * tick_ns;
  }
  return (current_tick_ + 1) * tick_ns;
}

void TimerWheel::link(Timer& timer, std::uint32_t slot) noexcept {
  timer.slot_ = slot;
  timer.next_ = slots_[slot];
  timer.previous_ = nullptr;
  if (timer.next_ != nullptr) timer.next_->previous_ = &timer;
  slots_[slot] = &timer;
}

void TimerWheel::unlink(Timer& timer) noexcept {
  if (timer.previous_ != nullptr) {
    timer.previous_->next_ = timer.next_;
  } else {
    slots_[timer.slot_] = timer.next_;
  }
  if (timer.next_ != nullptr) timer.next_->previous_ = timer.previous_;
  timer.next_ = nullptr;
  timer.previous_ = nullptr;
}

}  // namespace lunaris::runtime
