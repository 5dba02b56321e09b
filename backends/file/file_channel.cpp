// The data path of the file back end. No lock, no allocation, and at depth no system call of its own.
#include "backends/file/file_channel.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "backends/checked_device.h"
#include "backends/file/file_device.h"
#include "backends/zero_page.h"
#include "server/runtime/assert.h"

namespace lunaris::backends {

namespace {

/// The ring may say "again" a few times under memory pressure; for ever would be a busy loop.
constexpr unsigned repeats_max = 16;
constexpr std::size_t extents_max = 128;

/// Segments of a write that the kernel takes in parts.
class Remaining {
 public:
  explicit Remaining(std::span<const iovec> data) noexcept : all_(data) {}

  /// What is still to be written. The caller's own array as long as nothing was cut.
  [[nodiscard]] std::span<const iovec> segments() const noexcept { return all_; }
  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }

  void advance(std::size_t written) noexcept {
    while (!all_.empty() && written >= all_.front().iov_len) {
      written -= all_.front().iov_len;
      all_ = all_.subspan(1);
    }
    if (written == 0) return;
    LUN_ASSERT(!all_.empty() && all_.size() <= copy_.size());
    std::memmove(copy_.data(), all_.data(), all_.size_bytes());  // all_ may point into copy_ already
    copy_[0].iov_base = static_cast<std::byte*>(copy_[0].iov_base) + written;
    copy_[0].iov_len -= written;
    all_ = {copy_.data(), all_.size()};
  }

 private:
  std::span<const iovec> all_;
  std::array<iovec, Payload::segments_max> copy_;
};

runtime::Task<Result<>> refused(BackendError error) {
  co_return make_error_code(error);
}

bool is_worth_repeating(std::int32_t result) noexcept {
  return result == -EAGAIN || result == -EINTR;
}

}  // namespace

void OperationSlots::Enter::await_suspend(std::coroutine_handle<> caller) noexcept {
  ready.coroutine = caller;
  if (slots.last_ == nullptr) {
    slots.first_ = this;
  } else {
    slots.last_->next = this;
  }
  slots.last_ = this;
}

void OperationSlots::give_back() noexcept {
  if (first_ == nullptr) {
    ++free_;
    return;
  }
  // The slot goes to the first in the queue without being free in between, or a newcomer could overtake it.
  Enter* next = first_;
  first_ = next->next;
  if (first_ == nullptr) last_ = nullptr;
  worker_.schedule(next->ready);
}

FileChannel::FileChannel(FileState& state, runtime::UniqueFd fd, runtime::Worker& worker)
    : state_(state), fd_(std::move(fd)), worker_(worker), ring_(worker.ring()), slots_(worker, state.queue_depth) {}

bool FileChannel::counts_as_low_depth() noexcept {
  const std::uint64_t turn = worker_.turn();
  if (turn != turn_) {
    reads_in_previous_turn_ = turn == turn_ + 1 ? reads_in_turn_ : 0;
    reads_in_turn_ = 0;
    turn_ = turn;
  }
  return reads_in_turn_++ == 0 && reads_in_previous_turn_ <= 1;
}

std::size_t FileChannel::read_cached(std::span<std::byte> into, std::uint64_t offset) noexcept {
  const iovec vector{into.data(), into.size()};
  const ssize_t got = ::preadv2(fd_.get(), &vector, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  if (got > 0) return static_cast<std::size_t>(got);
  // Whatever the error is, the ring's read finds it again; only this one is worth remembering.
  if (got < 0 && errno == EOPNOTSUPP) cached_reads_work_ = false;
  return 0;
}

runtime::Task<Result<Payload>> FileChannel::read(ByteRange range) {
  if (has_failed()) co_return make_error_code(BackendError::flush_failed);
  const auto length = static_cast<std::uint32_t>(range.length);
  const bool low_depth = counts_as_low_depth();
  std::optional<runtime::BufferLease> lease = worker_.buffers().try_acquire(length);
  if (!lease) lease = co_await worker_.buffers().acquire(length);
  std::span<std::byte> left = lease->bytes().first(length);
  if (low_depth && cached_reads_work_ && !state_.direct_io) left = left.subspan(read_cached(left, range.offset));
  if (left.empty()) co_return Payload(std::move(*lease), length);

  const OperationSlots::Slot slot = co_await slots_.enter();
  unsigned repeats = 0;
  while (!left.empty()) {
    const std::uint64_t offset = range.end() - left.size();
    std::int32_t got = 0;
    if (lease->registered_index() >= 0) {
      got = co_await ring_.read_fixed(fd_.get(), left, offset, lease->registered_index());
    } else {
      const iovec vector{left.data(), left.size()};
      got = co_await ring_.read(fd_.get(), {&vector, 1}, offset);
    }
    if (is_worth_repeating(got) && ++repeats <= repeats_max) continue;
    if (got < 0) co_return make_error_code(read_error(-got));
    // The file ends before the device does: somebody cut it.
    if (got == 0) co_return make_error_code(BackendError::out_of_range);
    left = left.subspan(static_cast<std::size_t>(got));
  }
  co_return Payload(std::move(*lease), length);
}

bool FileChannel::needs_bounce(std::span<const iovec> data) const noexcept {
  if (!state_.direct_io) return false;
  const std::uintptr_t mask = state_.geometry.io_alignment - 1;
  return std::ranges::any_of(data, [mask](const iovec& segment) {
    return ((std::bit_cast<std::uintptr_t>(segment.iov_base) | segment.iov_len) & mask) != 0;
  });
}

runtime::Task<Result<>> FileChannel::write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                           int registered_index) {
  if (has_failed()) return refused(BackendError::flush_failed);
  if (needs_bounce(data)) return write_bounced(offset, data, flags);
  return write_out(offset, data, flags, registered_index);
}

runtime::Task<Result<>> FileChannel::write_bounced(std::uint64_t offset, std::span<const iovec> data,
                                                   WriteFlags flags) {
  std::size_t length = 0;
  for (const iovec& segment : data) length += segment.iov_len;
  // Not waited for: the caller holds a buffer already, and all of them might wait for a second one.
  std::optional<runtime::BufferLease> lease = worker_.buffers().try_acquire(static_cast<std::uint32_t>(length));
  if (!lease) co_return make_error_code(BackendError::out_of_memory);
  std::byte* to = lease->bytes().data();
  for (const iovec& segment : data) {
    std::memcpy(to, segment.iov_base, segment.iov_len);
    to += segment.iov_len;
  }
  const iovec copied{lease->bytes().data(), length};
  co_return co_await write_out(offset, {&copied, 1}, flags, lease->registered_index());
}

BackendError FileChannel::failed_write(int error, WriteFlags flags) noexcept {
  const BackendError meaning = write_error(error);
  // A write with RWF_DSYNC may have been told of the loss of other writes, which nobody will be told of again.
  if (flags.force_unit_access && meaning == BackendError::write_failed) {
    state_.flush_failed.store(true, std::memory_order_relaxed);
    return BackendError::flush_failed;
  }
  return meaning;
}

runtime::Task<Result<>> FileChannel::write_out(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                               int registered_index) {
  const OperationSlots::Slot slot = co_await slots_.enter();
  Remaining remaining(data);
  unsigned repeats = 0;
  while (!remaining.empty()) {
    const std::span<const iovec> segments = remaining.segments();
    std::int32_t put = 0;
    // A registered buffer is written as one piece; the ring takes RWF flags for gathered writes only.
    if (registered_index >= 0 && segments.size() == 1 && !flags.force_unit_access) {
      const std::span bytes(static_cast<const std::byte*>(segments[0].iov_base), segments[0].iov_len);
      put = co_await ring_.write_fixed(fd_.get(), bytes, offset, registered_index);
    } else {
      put = co_await ring_.write(fd_.get(), segments, offset, flags.force_unit_access ? RWF_DSYNC : 0);
    }
    if (is_worth_repeating(put) && ++repeats <= repeats_max) continue;
    if (put < 0) co_return make_error_code(failed_write(-put, flags));
    if (put == 0) co_return make_error_code(BackendError::write_failed);
    offset += static_cast<std::uint64_t>(put);
    remaining.advance(static_cast<std::size_t>(put));
  }
  co_return Result<>{};
}

void FileChannel::FlushWaiter::await_suspend(std::coroutine_handle<> caller) noexcept {
  ready.coroutine = caller;
  if (channel.last_flush_ == nullptr) {
    channel.first_flush_ = this;
  } else {
    channel.last_flush_->next = this;
  }
  channel.last_flush_ = this;
}

/// One flush in the ring at a time. Those that arrive meanwhile share the next one: they cannot use this one, which may
/// have started before their writes were acknowledged.
runtime::Task<Result<>> FileChannel::flush() {
  FlushWaiter* batch = nullptr;
  FlushWaiter waiter{*this};
  if (flush_runs_) {
    co_await waiter;
    if (!waiter.leads) co_return waiter.result;
    batch = waiter.next;
  }
  flush_runs_ = true;
  Result<> result;
  if (!has_failed()) {
    const std::int32_t done = co_await ring_.fdatasync(fd_.get());
    // Whatever the reason is: what was acknowledged before may be lost, and asking again would hide it.
    if (done < 0) state_.flush_failed.store(true, std::memory_order_relaxed);
  }
  // Read once more: another worker's flush may have failed meanwhile, and its loss is everybody's.
  if (has_failed()) result = make_error_code(BackendError::flush_failed);
  end_flush(batch, result);
  co_return result;
}

void FileChannel::end_flush(FlushWaiter* batch, const Result<>& result) noexcept {
  while (batch != nullptr) {
    FlushWaiter& follower = *std::exchange(batch, batch->next);
    follower.result = result;
    worker_.schedule(follower.ready);
  }
  FlushWaiter* leader = std::exchange(first_flush_, nullptr);
  last_flush_ = nullptr;
  // The leader finds the rest of its batch behind itself. The flag stays set until it runs, so that nobody overtakes.
  flush_runs_ = leader != nullptr;
  if (leader == nullptr) return;
  leader->leads = true;
  worker_.schedule(leader->ready);
}

runtime::Task<Result<>> FileChannel::change_layout(int mode, ByteRange range) {
  if (has_failed()) co_return make_error_code(BackendError::flush_failed);
  const OperationSlots::Slot slot = co_await slots_.enter();
  std::int32_t done = 0;
  unsigned repeats = 0;
  do {
    done = co_await ring_.fallocate(fd_.get(), mode, range.offset, range.length);
  } while (is_worth_repeating(done) && ++repeats <= repeats_max);
  if (done < 0) co_return make_error_code(write_error(-done));
  co_return Result<>{};
}

runtime::Task<Result<>> FileChannel::discard(ByteRange range) {
  return change_layout(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range);
}

runtime::Task<Result<>> FileChannel::write_zeroes(ByteRange range, bool may_discard) {
  if (may_discard && state_.geometry.discard_granularity > 0) {
    const Result<> punched = co_await discard(range);
    if (punched.has_value() || punched.error() != make_error_code(BackendError::not_supported)) co_return punched;
  }
  if (state_.zero_range_works.load(std::memory_order_relaxed)) {
    const Result<> zeroed = co_await change_layout(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, range);
    if (zeroed.has_value() || zeroed.error() != make_error_code(BackendError::not_supported)) co_return zeroed;
    state_.zero_range_works.store(false, std::memory_order_relaxed);
  }
  co_return co_await write_zero_pages(range);
}

runtime::Task<Result<>> FileChannel::write_zero_pages(ByteRange range) {
  while (range.length > 0) {
    const std::uint64_t part = std::min<std::uint64_t>(range.length, transfer_bytes_max);
    Payload zeros;
    append_zeros(zeros, part);
    const Result<> written = co_await write_out(range.offset, zeros.segments(), {}, -1);
    if (written.has_error()) co_return written;
    range.offset += part;
    range.length -= part;
  }
  co_return Result<>{};
}

namespace {

/// `offset` moved to where data (or a hole) starts, at most to `end`; nothing where the file system cannot say.
std::optional<std::uint64_t> seek(int fd, std::uint64_t offset, int whence, std::uint64_t end) noexcept {
  const off_t found = ::lseek(fd, static_cast<off_t>(offset), whence);
  if (found >= 0) return std::min(static_cast<std::uint64_t>(found), end);
  if (errno == ENXIO) return end;  // no data from here on
  return std::nullopt;
}

}  // namespace

runtime::Task<Result<std::vector<Extent>>> FileChannel::extents(ByteRange range) {
  if (has_failed()) co_return make_error_code(BackendError::flush_failed);
  std::vector<Extent> found;
  std::uint64_t at = range.offset;
  while (state_.geometry.thin && at < range.end() && found.size() < extents_max) {
    const std::optional<std::uint64_t> data = seek(fd_.get(), at, SEEK_DATA, range.end());
    if (!data) break;
    if (*data > at) {
      found.push_back({{at, *data - at}, ExtentState::deallocated});
      at = *data;
      continue;
    }
    const std::optional<std::uint64_t> hole = seek(fd_.get(), at, SEEK_HOLE, range.end());
    if (!hole || *hole <= at) break;
    found.push_back({{at, *hole - at}, ExtentState::mapped});
    at = *hole;
  }
  // All of it is there: a block device, a file allocated in full, or a file system that keeps it to itself.
  if (found.empty()) found.push_back({range, ExtentState::mapped});
  co_return std::move(found);
}

}  // namespace lunaris::backends
