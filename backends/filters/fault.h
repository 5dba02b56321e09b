// The fault filter: operations of one kind fail, by chance, by count or by place. Stack several for several rules.
#pragma once

#include <atomic>
#include <boost/json/object.hpp>
#include <vector>

#include "backends/filters/filter.h"
#include "backends/registry.h"

namespace lunaris::backends {

struct FaultOptions {
  Operation operation = Operation::read;
  BackendError error = BackendError::read_failed;
  bool short_write = false;  // the first half of a write arrives, then it fails
  std::uint64_t every = 0;   // every Nth matching call fails; 0: by probability
  double probability = 0;
  std::uint64_t after = 0;  // this many matching calls pass first
  ByteRange range;          // length 0: everywhere
  std::uint64_t seed = 1;
  bool enabled = true;
};

class FaultDevice final : public FilterDevice {
 public:
  FaultDevice(std::unique_ptr<BlockDevice> below, const FaultOptions& options);
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) override;
  /// Any thread.
  void set_enabled(bool enabled) noexcept { enabled_.store(enabled, std::memory_order_relaxed); }
  /// Any thread: how many calls have been made to fail.
  [[nodiscard]] std::uint64_t injected() const noexcept { return injected_.load(std::memory_order_relaxed); }

 private:
  class Channel;
  FaultOptions options_;
  std::atomic<bool> enabled_;
  std::atomic<std::uint64_t> matching_{0};
  std::atomic<std::uint64_t> injected_{0};
};

[[nodiscard]] std::vector<OptionProblem> check_fault(const boost::json::object& options);
std::unique_ptr<BlockDevice> stack_fault(std::unique_ptr<BlockDevice> below, const boost::json::object& options);

}  // namespace lunaris::backends
