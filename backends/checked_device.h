// CheckedDevice: the wrapper that open_backend puts around every stack. It asserts the BlockChannel contract on both
// sides of a call, so that implementations need not check what callers promise, and refuses changes of a read-only
// device in one place.
#pragma once

#include <atomic>
#include <memory>

#include "backends/block_device.h"

namespace lunaris::backends {

/// The size as it is now. `resize` stores it on the management thread while workers load it, hence the atomic access.
[[nodiscard]] inline std::uint64_t size_now(const Geometry& geometry) noexcept {
  return std::atomic_ref(const_cast<std::uint64_t&>(geometry.size_bytes)).load(std::memory_order_acquire);
}
inline void set_size(Geometry& geometry, std::uint64_t size_bytes) noexcept {
  std::atomic_ref(geometry.size_bytes).store(size_bytes, std::memory_order_release);
}

/// Before: the range lies inside the device, is aligned and not empty, the length is within the limits, the call comes
/// from the channel's worker. Afterwards: a payload has exactly the bytes asked for, an error is of backend_category,
/// extents are adjacent and inside the range; and a channel is destroyed with no call running. A read costs one frame
/// from the worker's pool more; a write is passed on as it is (only its arguments are checked).
class CheckedDevice final : public BlockDevice {
 public:
  explicit CheckedDevice(std::unique_ptr<BlockDevice> below);

  const Geometry& geometry() const noexcept override { return below_->geometry(); }
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) override;
  /// Refuses a smaller size (not_supported), a size that is not aligned (out_of_range) and a read-only device.
  Result<> resize(std::uint64_t size_bytes) override;
  std::uint64_t allocated_bytes() const override { return below_->allocated_bytes(); }

 private:
  std::unique_ptr<BlockDevice> below_;
};

}  // namespace lunaris::backends
