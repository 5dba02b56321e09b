// The parts of the block interface that every back end shares: the error category and Payload.
#include "backends/block_device.h"

#include <cstring>
#include <string>

#include "server/runtime/assert.h"

namespace lunaris::backends {

namespace {

class BackendCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "backend"; }
  std::string message(int value) const override {
    switch (static_cast<BackendError>(value)) {
      case BackendError::read_failed:
        return "the medium did not give the data back";
      case BackendError::write_failed:
        return "the medium did not take the data";
      case BackendError::flush_failed:
        return "a flush failed: what was acknowledged before it may be lost";
      case BackendError::out_of_space:
        return "no space is left on the storage below";
      case BackendError::out_of_memory:
        return "no memory for this now";
      case BackendError::not_supported:
        return "the device cannot do this";
      case BackendError::gone:
        return "the device is closed or lost";
      case BackendError::timed_out:
        return "the device did not answer in time";
      case BackendError::read_only:
        return "the device is read-only";
      case BackendError::out_of_range:
        return "the range is beyond the end of the device";
    }
    return "unknown back-end error " + std::to_string(value);
  }
};

}  // namespace

const boost::system::error_category& backend_category() noexcept {
  static const BackendCategory category;
  return category;
}

boost::system::error_code make_error_code(BackendError error) noexcept {
  return {static_cast<int>(error), backend_category()};
}

void Payload::append(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  LUN_ASSERT(count_ < segments_max);
  // An iovec has no const variant; the segments are handed out as const, and nobody writes through them.
  segments_[count_].iov_base = const_cast<std::byte*>(bytes.data());
  segments_[count_].iov_len = bytes.size();
  ++count_;
  size_ += bytes.size();
}

void Payload::copy_to(std::span<std::byte> out) const noexcept {
  LUN_ASSERT(out.size() >= size_);
  std::byte* to = out.data();
  for (const iovec& segment : segments()) {
    std::memcpy(to, segment.iov_base, segment.iov_len);
    to += segment.iov_len;
  }
}

}  // namespace lunaris::backends
