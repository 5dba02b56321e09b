// Moving data between handlers, movers and the device.
#include "server/scsi/transfer.h"

#include <algorithm>
#include <cstring>

#include "server/scsi/sense_from_error.h"

namespace lunaris::scsi_server {
namespace {

/// Counters have one writer: no read-modify-write is needed.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

runtime::Task<> reply(Execution& execution, std::span<const std::uint8_t> data, std::uint64_t allocation_length) {
  Command& command = execution.command;
  const std::uint64_t size = std::min<std::uint64_t>(data.size(), allocation_length);
  command.data_in_length = size;
  const std::uint64_t to_send = std::min<std::uint64_t>(size, command.data_in_max);
  for (std::uint64_t offset = 0; offset < to_send;) {
    const auto chunk =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(to_send - offset, runtime::BufferPool::buffer_bytes_max));
    runtime::BufferLease lease = co_await execution.worker.buffers().acquire(chunk);
    if (execution.aborted()) co_return;
    std::memcpy(lease.bytes().data(), data.data() + offset, chunk);
    const MoveOutcome outcome = co_await command.data->send(offset, backends::Payload(std::move(lease), chunk));
    if (outcome != MoveOutcome::moved || execution.aborted()) co_return;
    offset += chunk;
  }
}

runtime::Task<std::optional<std::vector<std::uint8_t>>> receive_parameters(Execution& execution, std::uint32_t length) {
  Command& command = execution.command;
  command.data_out_length = length;
  const std::uint32_t size = std::min(length, command.data_out_max);
  if (size == 0) co_return std::vector<std::uint8_t>{};
  DataMover::Received received = co_await command.data->receive(0, size);
  if (received.outcome != MoveOutcome::moved || execution.aborted()) co_return std::nullopt;
  LUN_ASSERT(received.payload.size_bytes() == size);
  std::vector<std::uint8_t> list(size);
  received.payload.copy_to(std::as_writable_bytes(std::span(list)));
  co_return list;
}

runtime::Task<std::optional<std::vector<std::byte>>> receive_all(Execution& execution, std::uint64_t offset,
                                                                 std::uint64_t size) {
  std::vector<std::byte> data(size);
  for (std::uint64_t done = 0; done < size;) {
    const auto chunk =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(size - done, backends::BlockChannel::transfer_bytes_max));
    DataMover::Received received = co_await execution.command.data->receive(offset + done, chunk);
    if (received.outcome != MoveOutcome::moved || execution.aborted()) co_return std::nullopt;
    received.payload.copy_to(std::span(data).subspan(done));
    done += chunk;
  }
  co_return data;
}

runtime::Task<runtime::BufferLease> receive_pattern(Execution& execution, std::uint64_t bytes_wanted) {
  const std::uint32_t block_bytes = execution.view().block_bytes;
  execution.command.data_out_length = block_bytes;
  if (execution.command.data_out_max != block_bytes) {
    execution.illegal_request(scsi::additional_sense::invalid_field_in_command_information_unit);
    co_return runtime::BufferLease{};
  }
  DataMover::Received received = co_await execution.command.data->receive(0, block_bytes);
  if (received.outcome != MoveOutcome::moved || execution.aborted()) co_return runtime::BufferLease{};
  const auto size = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(bytes_wanted, block_bytes, runtime::BufferPool::buffer_bytes_max));
  runtime::BufferLease pattern = co_await execution.worker.buffers().acquire(size);
  if (execution.aborted()) co_return runtime::BufferLease{};
  const std::span<std::byte> bytes = pattern.bytes();
  received.payload.copy_to(bytes.first(block_bytes));
  for (std::size_t filled = block_bytes; filled < bytes.size(); filled *= 2) {
    const std::size_t copied = std::min(filled, bytes.size() - filled);
    std::memcpy(bytes.data() + filled, bytes.data(), copied);
  }
  co_return pattern;
}

void report_error(Execution& execution, const runtime::Error& error) {
  add(execution.port().counters().errors, 1);
  if (fails_the_volume(error)) execution.volume().fail(error.message());
  execution.check_condition(sense_from_error(error));
}

std::uint64_t offered_bytes(const Execution& execution, std::uint64_t blocks) noexcept {
  const std::uint64_t block_bytes = execution.view().block_bytes;
  return std::min<std::uint64_t>(blocks, execution.command.data_out_max / block_bytes) * block_bytes;
}

backends::WriteFlags write_flags(const Execution& execution, bool force_unit_access) noexcept {
  const bool wanted = force_unit_access || !execution.settings.write_cache_enabled;
  return {.force_unit_access = wanted && execution.geometry().volatile_cache};
}

runtime::Task<bool> settle(Execution& execution) {
  if (!write_flags(execution, false).force_unit_access) co_return true;
  co_return co_await flush(execution);
}

runtime::Task<bool> flush(Execution& execution) {
  add(execution.port().counters().flushes, 1);
  const backends::Result<> flushed = co_await execution.channel().flush();
  if (flushed.has_error()) {
    report_error(execution, flushed.error());
    co_return false;
  }
  co_return true;
}

runtime::Task<std::optional<backends::Payload>> read_range(Execution& execution, backends::ByteRange range) {
  volume::RangeUse use(execution.port().uses(), range);
  if (!execution.has_exclusive_range && use.must_wait()) co_await use.turn();
  if (execution.aborted()) co_return std::nullopt;
  backends::Result<backends::Payload> payload = co_await execution.channel().read(range);
  if (payload.has_error()) {
    report_error(execution, payload.error());
    co_return std::nullopt;
  }
  volume::PortCounters& counters = execution.port().counters();
  add(counters.reads, 1);
  add(counters.read_bytes, range.length);
  co_return std::move(*payload);
}

runtime::Task<bool> write_range(Execution& execution, std::uint64_t offset, std::span<const iovec> data,
                                backends::WriteFlags flags, int registered_index) {
  std::uint64_t size = 0;
  for (const iovec& segment : data) size += segment.iov_len;
  volume::RangeUse use(execution.port().uses(), {offset, size});
  if (!execution.has_exclusive_range && use.must_wait()) co_await use.turn();
  if (execution.aborted()) co_return false;
  const backends::Result<> written = co_await execution.channel().write(offset, data, flags, registered_index);
  if (written.has_error()) {
    report_error(execution, written.error());
    co_return false;
  }
  volume::PortCounters& counters = execution.port().counters();
  add(counters.writes, 1);
  add(counters.written_bytes, size);
  co_return true;
}

std::optional<std::size_t> first_difference(const backends::Payload& left, const backends::Payload& right) noexcept {
  LUN_ASSERT(left.size_bytes() == right.size_bytes());
  std::size_t left_index = 0, left_offset = 0, right_index = 0, right_offset = 0;
  for (std::size_t done = 0; done < left.size_bytes();) {
    const iovec a = left.segments()[left_index];
    const iovec b = right.segments()[right_index];
    const std::size_t size = std::min(a.iov_len - left_offset, b.iov_len - right_offset);
    const auto* const from = static_cast<const std::byte*>(a.iov_base) + left_offset;
    const auto* const other = static_cast<const std::byte*>(b.iov_base) + right_offset;
    if (std::memcmp(from, other, size) != 0) {
      return done + static_cast<std::size_t>(std::mismatch(from, from + size, other).first - from);
    }
    done += size;
    if ((left_offset += size) == a.iov_len) ++left_index, left_offset = 0;
    if ((right_offset += size) == b.iov_len) ++right_index, right_offset = 0;
  }
  return std::nullopt;
}

}  // namespace lunaris::scsi_server
