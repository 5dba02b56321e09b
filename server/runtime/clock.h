// Clock: time as a parameter. The server's is CLOCK_MONOTONIC; a simulation's moves when the simulation says so.
#pragma once

#include <cstdint>

namespace lunaris::runtime {

class Clock {
 public:
  virtual ~Clock() = default;
  /// Nanoseconds since an arbitrary start; never goes back. Any thread.
  [[nodiscard]] virtual std::uint64_t now_ns() const noexcept = 0;
};

/// CLOCK_MONOTONIC.
class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::uint64_t now_ns() const noexcept override;
};

}  // namespace lunaris::runtime
