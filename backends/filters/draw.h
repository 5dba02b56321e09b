// Draw: repeatable random numbers for the filters; the same seed gives the same faults.
#pragma once

#include <cstdint>

namespace lunaris::backends {

/// SplitMix64: one addition and a mix per number, every seed is good. Not for anything a peer must not predict.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
  }
  /// From 0 to limit - 1; `limit` is not 0.
  std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
  /// From 0 up to but not including 1.
  double fraction() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace lunaris::backends
