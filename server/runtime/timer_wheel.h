// TimerWheel: thousands of coarse timers (login limits, keepalives, retries) behind one loop timer per worker.
#pragma once

#include <array>
#include <cstdint>

namespace lunaris::runtime {

/// Intrusive; embedded in the object whose time it keeps. `fire` runs on the owner's worker, after the timer has left
/// the wheel, and may arm it again or destroy it.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer();

  [[nodiscard]] bool is_armed() const noexcept { return wheel_ != nullptr; }

 protected:
  virtual void fire() = 0;

 private:
  friend class TimerWheel;
  class TimerWheel* wheel_ = nullptr;
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
  std::uint64_t tick_ = 0;
  std::uint32_t slot_ = 0;
};

/// Resolution `tick_ns`; a timer fires at the first tick at or after its deadline. Owner's worker only.
class TimerWheel {
 public:
  static constexpr std::uint64_t tick_ns = 100'000'000;
  static constexpr std::uint32_t slot_count = 512;  // 51.2 s a round; longer delays go round again

  TimerWheel() = default;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  /// Arms or re-arms. `now_ns` is the worker's clock.
  void arm(Timer& timer, std::uint64_t now_ns, std::uint64_t delay_ns) noexcept;
  void cancel(Timer& timer) noexcept;
  /// Fires what is due, in no particular order; each timer at most once a call.
  void advance(std::uint64_t now_ns);
  /// When `advance` should be called next; 0 when no timer is armed.
  [[nodiscard]] std::uint64_t next_deadline_ns() const noexcept;
  [[nodiscard]] std::uint32_t armed() const noexcept { return armed_; }
  /// When an armed timer will fire.
  [[nodiscard]] static std::uint64_t deadline_ns(const Timer& timer) noexcept { return timer.tick_ * tick_ns; }

 private:
  static constexpr std::uint32_t due_slot = slot_count;  // timers on their way to `fire`
  void link(Timer& timer, std::uint32_t slot) noexcept;
  void unlink(Timer& timer) noexcept;

  std::array<Timer*, slot_count + 1> slots_{};
  std::uint64_t current_tick_ = 0;
  std::uint32_t armed_ = 0;
};

}  // namespace lunaris::runtime
