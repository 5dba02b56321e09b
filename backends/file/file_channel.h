// FileChannel: a worker's reads and writes of a file or block device, through its ring.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backends/file/file_state.h"
#include "server/runtime/ring.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

/// The operations a channel may have in the ring at once; more wait in their order, in their own frames.
class OperationSlots {
 public:
  OperationSlots(runtime::Worker& worker, std::uint32_t count) noexcept : worker_(worker), free_(count) {}
  OperationSlots(const OperationSlots&) = delete;
  OperationSlots& operator=(const OperationSlots&) = delete;

  /// Given back when it ends.
  class [[nodiscard]] Slot {
   public:
    explicit Slot(OperationSlots& slots) noexcept : slots_(slots) {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() { slots_.give_back(); }

   private:
    OperationSlots& slots_;
  };

  struct [[nodiscard]] Enter {
    OperationSlots& slots;
    runtime::Ready ready{};
    Enter* next = nullptr;
    bool await_ready() noexcept {
      if (slots.free_ == 0) return false;
      --slots.free_;
      return true;
    }
    void await_suspend(std::coroutine_handle<> caller) noexcept;
    Slot await_resume() noexcept { return Slot(slots); }
  };
  Enter enter() noexcept { return Enter{*this}; }

 private:
  void give_back() noexcept;

  runtime::Worker& worker_;
  std::uint32_t free_;
  Enter* first_ = nullptr;
  Enter* last_ = nullptr;
};

/// Reads fill a buffer of the worker's pool; writes go out from where the bytes lie. At low depth a read is tried at
/// once without the ring; at depth everything is submitted together at the end of the turn.
class FileChannel final : public BlockChannel {
 public:
  FileChannel(FileState& state, runtime::UniqueFd fd, runtime::Worker& worker);

  runtime::Task<Result<Payload>> read(ByteRange range) override;
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                int registered_index) override;
  runtime::Task<Result<>> flush() override;
  runtime::Task<Result<>> discard(ByteRange range) override;
  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override;
  /// Blocking (SEEK_DATA, SEEK_HOLE), hence few extents a call.
  runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) override;

 private:
  /// A flush that waits for the one in the ring to end: what it must cover may have come too late for that one.
  struct FlushWaiter {
    FileChannel& channel;
    FlushWaiter* next = nullptr;
    runtime::Ready ready{};
    bool leads = false;  // must start the next flush, for all in the list behind it
    Result<> result{};
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) noexcept;
    void await_resume() const noexcept {}
  };

  [[nodiscard]] bool has_failed() const noexcept { return state_.flush_failed.load(std::memory_order_relaxed); }
  /// Counts this read, and says whether it may be tried without the ring.
  [[nodiscard]] bool counts_as_low_depth() noexcept;
  /// Bytes at the front of `into` that were in the page cache.
  [[nodiscard]] std::size_t read_cached(std::span<std::byte> into, std::uint64_t offset) noexcept;
  [[nodiscard]] bool needs_bounce(std::span<const iovec> data) const noexcept;
  [[nodiscard]] BackendError failed_write(int error, WriteFlags flags) noexcept;
  /// By way of a pool buffer: O_DIRECT wants aligned memory.
  runtime::Task<Result<>> write_bounced(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags);
  /// Writes everything, however the kernel cuts it up.
  runtime::Task<Result<>> write_out(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                    int registered_index);
  runtime::Task<Result<>> change_layout(int mode, ByteRange range);
  runtime::Task<Result<>> write_zero_pages(ByteRange range);
  void end_flush(FlushWaiter* batch, const Result<>& result) noexcept;

  FileState& state_;
  runtime::UniqueFd fd_;
  runtime::Worker& worker_;
  runtime::Ring& ring_;
  OperationSlots slots_;
  std::uint64_t turn_ = 0;
  std::uint32_t reads_in_turn_ = 0;
  std::uint32_t reads_in_previous_turn_ = 0;
  bool cached_reads_work_ = true;
  bool flush_runs_ = false;
  FlushWaiter* first_flush_ = nullptr;
  FlushWaiter* last_flush_ = nullptr;
};

}  // namespace lunaris::backends
