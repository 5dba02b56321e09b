// What every filter starts from: a device and a channel that pass each call on unchanged.
#pragma once

#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "backends/block_device.h"

namespace lunaris::backends {

/// The operations of a BlockChannel that a filter may be told to act on, in the order of `operation_names`.
enum class Operation : std::uint8_t { read, write, flush, discard, write_zeroes };
inline constexpr std::array<std::string_view, 5> operation_names{"read", "write", "flush", "discard", "write_zeroes"};

class FilterDevice : public BlockDevice {
 public:
  explicit FilterDevice(std::unique_ptr<BlockDevice> below) : below_(std::move(below)) {}
  const Geometry& geometry() const noexcept override { return below_->geometry(); }
  Result<> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }
  std::uint64_t allocated_bytes() const override { return below_->allocated_bytes(); }

 protected:
  [[nodiscard]] BlockDevice& below() noexcept { return *below_; }

 private:
  std::unique_ptr<BlockDevice> below_;
};

class FilterChannel : public BlockChannel {
 public:
  explicit FilterChannel(std::unique_ptr<BlockChannel> below) : below_(std::move(below)) {}
  runtime::Task<Result<Payload>> read(ByteRange range) override { return below_->read(range); }
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                int registered_index) override {
    return below_->write(offset, data, flags, registered_index);
  }
  runtime::Task<Result<>> flush() override { return below_->flush(); }
  runtime::Task<Result<>> discard(ByteRange range) override { return below_->discard(range); }
  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override {
    return below_->write_zeroes(range, may_discard);
  }
  runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) override { return below_->extents(range); }

 protected:
  [[nodiscard]] BlockChannel& below() noexcept { return *below_; }

 private:
  std::unique_ptr<BlockChannel> below_;
};

}  // namespace lunaris::backends
