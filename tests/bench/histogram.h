// Log-linear latency histogram of iscsi_load: 64 linear steps per power of two, so any percentile is within 1.6 %.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace lunaris::bench {

class Histogram {
 public:
  void record(std::uint64_t ns) {
    ++counts_[index_of(ns)];
    ++count_;
    sum_ns_ += ns;
    max_ns_ = std::max(max_ns_, ns);
  }

  void clear() { *this = Histogram{}; }

  std::uint64_t count() const { return count_; }
  std::uint64_t max_ns() const { return max_ns_; }
  double mean_ns() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_ns_) / static_cast<double>(count_); }

  // The smallest recorded bucket's upper end below which `fraction` (0..1) of all values lie; 0 when empty.
  std::uint64_t percentile_ns(double fraction) const {
    const auto wanted = static_cast<std::uint64_t>(fraction * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted || (seen == count_ && count_ != 0)) return std::min(upper_end(i), max_ns_);
    }
    return 0;
  }

 private:
  static constexpr unsigned step_bits = 6;
  static constexpr std::size_t steps = std::size_t{1} << step_bits;

  // Values below 64 ns have a bucket each; above, the top six bits after the leading one choose the step.
  static std::size_t index_of(std::uint64_t ns) {
    if (ns < steps) return static_cast<std::size_t>(ns);
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - step_bits;
    return (std::size_t{shift} + 1) * steps + static_cast<std::size_t>((ns >> shift) - steps);
  }

  static std::uint64_t upper_end(std::size_t index) {
    if (index < steps) return index;
    const auto shift = static_cast<unsigned>(index / steps - 1);
    return ((std::uint64_t{steps} + index % steps + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64 - step_bits + 1) * steps> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t max_ns_ = 0;
};

}  // namespace lunaris::bench
