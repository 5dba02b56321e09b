// The assertions around every call of a back end.
#include "backends/checked_device.h"

#include <bit>

#include "server/runtime/assert.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

namespace {

/// An error leaves a back end in our category, or the translation to sense data would not know it.
template <class T>
void assert_ours(const Result<T>& result) noexcept {
  LUN_ASSERT(result.has_value() || result.error().category() == backend_category());
}

runtime::Task<Result<>> refused(BackendError error) {
  co_return make_error_code(error);
}

class CheckedChannel final : public BlockChannel {
 public:
  CheckedChannel(std::unique_ptr<BlockChannel> below, const Geometry& geometry, const runtime::Worker& worker)
      : below_(std::move(below)), geometry_(geometry), worker_(worker) {}
  ~CheckedChannel() override { LUN_ASSERT(running_ == 0); }

  runtime::Task<Result<Payload>> read(ByteRange range) override {
    LUN_ASSERT(range.length <= transfer_bytes_max);
    assert_range(range);
    return checked_read(range);
  }

  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                int registered_index) override {
    LUN_ASSERT(data.size() <= Payload::segments_max);
    std::uint64_t length = 0;
    for (const iovec& segment : data) length += segment.iov_len;
    LUN_ASSERT(length <= transfer_bytes_max);
    assert_range({offset, length});
    if (geometry_.read_only) return refused(BackendError::read_only);
    return below_->write(offset, data, flags, registered_index);
  }

  runtime::Task<Result<>> flush() override {
    LUN_ASSERT(runtime::Worker::current() == &worker_);
    return checked(below_->flush());
  }

  runtime::Task<Result<>> discard(ByteRange range) override {
    assert_range(range);
    if (geometry_.read_only) return refused(BackendError::read_only);
    if (geometry_.discard_granularity == 0) return refused(BackendError::not_supported);
    return checked(below_->discard(range));
  }

  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override {
    assert_range(range);
    if (geometry_.read_only) return refused(BackendError::read_only);
    return checked(below_->write_zeroes(range, may_discard));
  }

  runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) override {
    assert_range(range);
    return checked_extents(range);
  }

 private:
  void assert_range(ByteRange range) const noexcept {
    LUN_ASSERT(runtime::Worker::current() == &worker_);
    LUN_ASSERT(range.length > 0);
    const std::uint64_t size = size_now(geometry_);
    LUN_ASSERT(range.offset <= size && range.length <= size - range.offset);
    // A power of two, as open_channel asserts.
    LUN_ASSERT(((range.offset | range.length) & (geometry_.io_alignment - 1)) == 0);
  }

  runtime::Task<Result<Payload>> checked_read(ByteRange range) {
    ++running_;
    Result<Payload> result = co_await below_->read(range);
    --running_;
    assert_ours(result);
    LUN_ASSERT(result.has_error() || result->size_bytes() == range.length);
    co_return std::move(result);
  }

  runtime::Task<Result<>> checked(runtime::Task<Result<>> call) {
    ++running_;
    const Result<> result = co_await std::move(call);
    --running_;
    assert_ours(result);
    co_return result;
  }

  runtime::Task<Result<std::vector<Extent>>> checked_extents(ByteRange range) {
    ++running_;
    Result<std::vector<Extent>> result = co_await below_->extents(range);
    --running_;
    assert_ours(result);
    if (result.has_value()) {
      LUN_ASSERT(!result->empty());
      std::uint64_t next = range.offset;
      for (const Extent& extent : *result) {
        LUN_ASSERT(extent.range.offset == next && extent.range.length > 0);
        next = extent.range.end();
      }
      LUN_ASSERT(next <= range.end());
    }
    co_return std::move(result);
  }

  std::unique_ptr<BlockChannel> below_;
  const Geometry& geometry_;
  const runtime::Worker& worker_;
  std::uint32_t running_ = 0;
};

}  // namespace

CheckedDevice::CheckedDevice(std::unique_ptr<BlockDevice> below) : below_(std::move(below)) {
  LUN_ASSERT(below_ != nullptr);
  LUN_ASSERT(std::has_single_bit(geometry().io_alignment));
  LUN_ASSERT(geometry().size_bytes > 0 && geometry().size_bytes % geometry().io_alignment == 0);
}

Result<std::unique_ptr<BlockChannel>> CheckedDevice::open_channel(runtime::Worker& worker) {
  LUN_ASSERT(runtime::Worker::current() == &worker);
  Result<std::unique_ptr<BlockChannel>> channel = below_->open_channel(worker);
  assert_ours(channel);
  if (channel.has_error()) return channel.error();
  LUN_ASSERT(*channel != nullptr);
  return std::unique_ptr<BlockChannel>(std::make_unique<CheckedChannel>(std::move(*channel), geometry(), worker));
}

Result<> CheckedDevice::resize(std::uint64_t size_bytes) {
  if (geometry().read_only) return make_error_code(BackendError::read_only);
  if (size_bytes < size_now(geometry())) return make_error_code(BackendError::not_supported);
  if (size_bytes % geometry().io_alignment != 0) return make_error_code(BackendError::out_of_range);
  const Result<> result = below_->resize(size_bytes);
  assert_ours(result);
  LUN_ASSERT(result.has_error() || size_now(geometry()) == size_bytes);
  return result;
}

}  // namespace lunaris::backends
