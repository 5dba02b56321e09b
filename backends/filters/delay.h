// The delay filter: operations start later than they were asked for. For tests of time limits and of slow storage.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <vector>

#include "backends/filters/filter.h"
#include "backends/registry.h"

namespace lunaris::backends {

struct DelayOptions {
  std::uint64_t low_ms = 0;  // a delay is drawn evenly from low_ms to high_ms
  std::uint64_t high_ms = 0;
  std::uint32_t operations = 0;  // bit per Operation
  bool enabled = true;
};

/// Delays are at least as long as asked for, and end on a tick of the worker's timer wheel (100 ms).
class DelayDevice final : public FilterDevice {
 public:
  DelayDevice(std::unique_ptr<BlockDevice> below, DelayOptions options);
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) override;
  /// Any thread; operations that already wait are not cut short.
  void set_enabled(bool enabled) noexcept { enabled_.store(enabled, std::memory_order_relaxed); }

 private:
  class Channel;
  DelayOptions options_;
  std::atomic<bool> enabled_;
};

[[nodiscard]] std::vector<OptionProblem> check_delay(const boost::json::object& options);
std::unique_ptr<BlockDevice> stack_delay(std::unique_ptr<BlockDevice> below, const boost::json::object& options);

}  // namespace lunaris::backends
