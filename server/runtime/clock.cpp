// The server's clock: CLOCK_MONOTONIC, read through the vDSO.
#include "server/runtime/clock.h"

#include <time.h>

namespace lunaris::runtime {

std::uint64_t SystemClock::now_ns() const noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace lunaris::runtime
