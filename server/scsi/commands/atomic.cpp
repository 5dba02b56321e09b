// COMPARE AND WRITE, ORWRITE and WRITE ATOMIC (SBC-4 5.3, 5.12, 5.47): commands that nobody may come between. Their
// data is taken from the initiator first and kept outside the worker's buffers, so that under the lock nothing is
// waited for but the device.
#include <algorithm>
#include <functional>
#include <vector>

#include "server/scsi/commands/commands.h"
#include "server/scsi/limits.h"
#include "server/scsi/transfer.h"
#include "server/volume/range_lock.h"

namespace lunaris::scsi_server {
namespace {

/// An initiator that offers another length than the CDB implies has something else in mind: nothing is done.
bool offers_exactly(Execution& execution, std::uint64_t bytes) {
  execution.command.data_out_length = bytes;
  if (execution.command.data_out_max == bytes) return true;
  execution.illegal_request(scsi::additional_sense::invalid_field_in_command_information_unit);
  return false;
}

/// Writes `data` in calls the device can take. False: the outcome is set.
runtime::Task<bool> write_all(Execution& execution, std::uint64_t offset, std::span<std::byte> data) {
  const backends::WriteFlags flags = write_flags(execution, execution.blocks.force_unit_access());
  while (!data.empty()) {
    const std::size_t size = std::min<std::size_t>(data.size(), backends::BlockChannel::transfer_bytes_max);
    const iovec segment{data.data(), size};
    if (!co_await write_range(execution, offset, {&segment, 1}, flags, -1)) co_return false;
    offset += size;
    data = data.subspan(size);
  }
  co_return true;
}

/// The medium's `size` bytes at `offset`. Nothing: the outcome is set.
runtime::Task<std::optional<std::vector<std::byte>>> read_all(Execution& execution, std::uint64_t offset,
                                                              std::size_t size) {
  std::vector<std::byte> data(size);
  for (std::size_t done = 0; done < size;) {
    const std::size_t chunk = std::min<std::size_t>(size - done, backends::BlockChannel::transfer_bytes_max);
    const std::optional<backends::Payload> payload = co_await read_range(execution, {offset + done, chunk});
    if (!payload) co_return std::nullopt;
    payload->copy_to(std::span(data).subspan(done));
    done += chunk;
  }
  co_return data;
}

}  // namespace

runtime::Task<> compare_and_write(Execution& execution) {
  const scsi::BlockRange blocks = execution.blocks.range;
  const std::uint64_t block_bytes = execution.view().block_bytes;
  const bool is_too_long = blocks.count > compare_and_write_bytes_max / block_bytes;
  // No blocks and data for some: a length of 256 that does not fit its field, say.
  if (is_too_long || (blocks.count == 0 && execution.command.data_out_max != 0)) {
    execution.invalid_field(scsi::block_count_offset(execution.command.cdb));
    co_return;
  }
  const std::size_t size = blocks.count * block_bytes;
  if (!offers_exactly(execution, 2 * size) || size == 0) co_return;
  std::optional<std::vector<std::byte>> data = co_await receive_all(execution, 0, 2 * size);
  if (!data) co_return;
  const std::span<std::byte> expected = std::span(*data).first(size);
  const std::uint64_t offset = execution.byte_offset(blocks.lba);

  volume::ExclusiveRange exclusive(execution.volume(), {offset, size});
  co_await exclusive.acquire();
  if (execution.aborted()) co_return;
  execution.has_exclusive_range = true;
  const std::optional<std::vector<std::byte>> found = co_await read_all(execution, offset, size);
  if (!found || execution.aborted()) co_return;
  const auto different = std::mismatch(expected.begin(), expected.end(), found->begin());
  if (different.first != expected.end()) {
    // INFORMATION: where in Data-Out the first difference is (SBC-4 5.3).
    execution.check_condition({.key = scsi::SenseKey::miscompare,
                               .additional = scsi::additional_sense::miscompare_during_verify_operation,
                               .information = static_cast<std::uint64_t>(different.first - expected.begin()),
                               .field = {}});
    co_return;
  }
  static_cast<void>(co_await write_all(execution, offset, std::span(*data).subspan(size)));
}

// Every block by itself is read, combined and written with nobody between (SBC-4 5.12); so the lock is held for a chunk
// at a time, never while the initiator is waited for.
runtime::Task<> orwrite(Execution& execution) {
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  const std::uint64_t total = execution.blocks.range.count * execution.view().block_bytes;
  if (!offers_exactly(execution, total)) co_return;
  for (std::uint64_t done = 0; done < total;) {
    const std::uint64_t size = std::min<std::uint64_t>(total - done, backends::BlockChannel::transfer_bytes_max);
    std::optional<std::vector<std::byte>> data = co_await receive_all(execution, done, size);
    if (!data) co_return;
    volume::ExclusiveRange exclusive(execution.volume(), {start + done, size});
    co_await exclusive.acquire();
    if (execution.aborted()) co_return;
    execution.has_exclusive_range = true;
    const std::optional<std::vector<std::byte>> found = co_await read_all(execution, start + done, size);
    if (!found || execution.aborted()) co_return;
    std::transform(data->begin(), data->end(), found->begin(), data->begin(), std::bit_or<>());
    if (!co_await write_all(execution, start + done, *data)) co_return;
    execution.has_exclusive_range = false;
    done += size;
  }
}

runtime::Task<> write_atomic(Execution& execution) {
  const std::uint64_t size = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint32_t granularity = atomic_granularity_blocks(execution.view());
  if (size > atomic_bytes_max || execution.blocks.range.count % granularity != 0) {
    execution.invalid_field(scsi::block_count_offset(execution.command.cdb));
    co_return;
  }
  if (execution.blocks.range.lba % granularity != 0) {
    execution.invalid_field(2);
    co_return;
  }
  if (!offers_exactly(execution, size) || size == 0) co_return;
  std::optional<std::vector<std::byte>> data = co_await receive_all(execution, 0, size);
  if (!data) co_return;
  const std::uint64_t offset = execution.byte_offset(execution.blocks.range.lba);
  volume::ExclusiveRange exclusive(execution.volume(), {offset, size});
  co_await exclusive.acquire();
  if (execution.aborted()) co_return;
  execution.has_exclusive_range = true;
  static_cast<void>(co_await write_all(execution, offset, *data));
}

}  // namespace lunaris::scsi_server
