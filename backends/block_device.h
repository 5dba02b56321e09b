// BlockDevice: the one interface every back end implements, and BlockChannel, a worker's own way into it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/runtime/buffer_pool.h"
#include "server/runtime/result.h"
#include "server/runtime/task.h"

namespace lunaris::runtime {
class Worker;
}

namespace lunaris::backends {

/// Why a device did not do what it was asked. server/scsi/sense_from_error.cpp is the only place that turns these
/// into what an initiator is told.
enum class BackendError : int {
  read_failed = 1,    // the medium did not give the data back (EIO)
  write_failed = 2,   // the medium did not take the data (EIO)
  flush_failed = 3,   // what was acknowledged may be lost; the volume is failed until it is reopened
  out_of_space = 4,   // thin storage is exhausted (ENOSPC, EDQUOT)
  out_of_memory = 5,  // no buffer now; may be repeated
  not_supported = 6,  // the device cannot do this at all
  gone = 7,           // removed, closed, or lost for good
  timed_out = 8,      // not finished in time, and may still happen
  read_only = 9,
  out_of_range = 10,  // beyond the end: the caller's bug, or the device shrank
};
[[nodiscard]] const boost::system::error_category& backend_category() noexcept;
[[nodiscard]] boost::system::error_code make_error_code(BackendError error) noexcept;

template <class T = void>
using Result = runtime::Result<T>;

/// A range of the device in bytes.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  [[nodiscard]] std::uint64_t end() const noexcept { return offset + length; }
};

/// What the device is. Fixed while it is open, but for size_bytes, which `resize` changes.
struct Geometry {
  std::uint64_t size_bytes = 0;
  std::uint32_t io_alignment = 1;  // offsets and lengths of every call are multiples of it
  std::uint32_t physical_block_bytes = 4096;
  std::uint32_t optimal_io_bytes = 0;     // 0: no preference
  std::uint32_t discard_granularity = 0;  // 0: cannot discard
  bool discard_reads_zero = false;        // what was discarded reads back as zeros, always
  bool thin = false;                      // space is allocated as it is written
  bool volatile_cache = false;            // an acknowledged write needs a flush to be on stable storage
  bool read_only = false;
};

/// Bytes on their way between a device and a transport: segments, and the lease of the memory behind them. A device
/// may point into its own memory, which then stays valid and unmoved as long as the device is open.
class Payload {
 public:
  static constexpr std::size_t segments_max = 8;

  Payload() = default;
  Payload(Payload&&) noexcept = default;
  Payload& operator=(Payload&&) noexcept = default;

  /// Owns `lease`; the first `size` bytes of it are the payload.
  Payload(runtime::BufferLease lease, std::size_t size) : lease_(std::move(lease)) {
    append(lease_.bytes().first(size));
  }
  /// Borrows memory of the device, or of anybody who outlives the payload.
  void append(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<const iovec> segments() const noexcept { return {segments_.data(), count_}; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_; }
  /// Copies to `out` (at least size_bytes).
  void copy_to(std::span<std::byte> out) const noexcept;

 private:
  runtime::BufferLease lease_;
  std::array<iovec, segments_max> segments_;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

struct WriteFlags {
  bool force_unit_access = false;  // on stable storage before it is acknowledged
};

enum class ExtentState : std::uint8_t { mapped, deallocated, anchored };
struct Extent {
  ByteRange range;
  ExtentState state = ExtentState::mapped;
};

/// A worker's own way into a device; made by `open_channel`, used and destroyed on that worker, with nothing running.
/// Any number of calls may run at once. Ranges lie within the device, are aligned to io_alignment and not empty;
/// checked_device.h asserts this on every call, so implementations need not.
class BlockChannel {
 public:
  /// Longest range of one `read` or `write`; longer transfers are loops of these.
  static constexpr std::uint32_t transfer_bytes_max = runtime::BufferPool::buffer_bytes_max;

  virtual ~BlockChannel() = default;

  /// At most transfer_bytes_max. The payload has exactly range.length bytes.
  virtual runtime::Task<Result<Payload>> read(ByteRange range) = 0;
  /// Writes the bytes of `data`, in order, from `offset`; at most transfer_bytes_max and Payload::segments_max
  /// segments, at any address (a device that needs aligned memory copies). `registered_index` is the lease's when all
  /// of `data` lies in one registered buffer, else -1.
  virtual runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                        int registered_index) = 0;
  /// Everything acknowledged before the call is on stable storage afterwards. A failure is never repeated silently.
  virtual runtime::Task<Result<>> flush() = 0;
  /// Gives the space back; afterwards reads return zeros where Geometry says so, anything otherwise.
  virtual runtime::Task<Result<>> discard(ByteRange range) = 0;
  /// Afterwards the range reads as zeros; `may_discard` allows giving the space back.
  virtual runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) = 0;
  /// State of the space from `range.offset` on: at least one extent, adjacent, the last may end before range.end().
  virtual runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) = 0;
};

/// An open device. Made, resized and destroyed on the management thread; geometry() may be read from any thread.
class BlockDevice {
 public:
  virtual ~BlockDevice() = default;
  [[nodiscard]] virtual const Geometry& geometry() const noexcept = 0;
  /// On the worker that will use it.
  virtual Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) = 0;
  /// Grows the device (blocking; management thread). Channels see the new size by the time this returns.
  virtual Result<> resize(std::uint64_t size_bytes) = 0;
  /// Bytes of storage really taken, for thin devices; size_bytes otherwise. Blocking; management thread.
  [[nodiscard]] virtual std::uint64_t allocated_bytes() const = 0;
};

}  // namespace lunaris::backends

template <>
struct boost::system::is_error_code_enum<lunaris::backends::BackendError> : std::true_type {};
