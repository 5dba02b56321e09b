// READ, WRITE, WRITE AND VERIFY, VERIFY, PRE-FETCH and SYNCHRONIZE CACHE (SBC-4 clause 5): loops over chunks that the
// device and the transport can take, never more in memory at once than one chunk of each side.
#include <algorithm>

#include "server/scsi/commands/commands.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

constexpr std::uint64_t chunk_bytes_max = backends::BlockChannel::transfer_bytes_max;

std::uint32_t chunk_of(std::uint64_t remaining) noexcept {
  return static_cast<std::uint32_t>(std::min(remaining, chunk_bytes_max));
}

/// Reads back what was written and, with BYTCHK 01b, compares it. False: the outcome is set.
runtime::Task<bool> check_chunk(Execution& execution, std::uint64_t offset, std::uint32_t size,
                                const backends::Payload* expected) {
  const std::optional<backends::Payload> found = co_await read_range(execution, {offset, size});
  if (!found) co_return false;
  if (expected == nullptr || !first_difference(*expected, *found)) co_return true;
  execution.check_condition(scsi::SenseKey::miscompare, scsi::additional_sense::miscompare_during_verify_operation);
  co_return false;
}

/// VERIFY with BYTCHK 00b: the medium gives the data back.
runtime::Task<> verify_medium(Execution& execution) {
  const std::uint64_t total = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  for (std::uint64_t done = 0; done < total && !execution.aborted();) {
    const std::uint32_t size = chunk_of(total - done);
    if (!co_await check_chunk(execution, start + done, size, nullptr)) co_return;
    done += size;
    co_await execution.worker.yield();
  }
}

/// VERIFY with BYTCHK 01b: Data-Out holds every block.
runtime::Task<> verify_against_data(Execution& execution) {
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  execution.command.data_out_length = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint64_t total = offered_bytes(execution, execution.blocks.range.count);
  for (std::uint64_t done = 0; done < total;) {
    const std::uint32_t size = chunk_of(total - done);
    DataMover::Received received = co_await execution.command.data->receive(done, size);
    if (received.outcome != MoveOutcome::moved || execution.aborted()) co_return;
    if (!co_await check_chunk(execution, start + done, size, &received.payload)) co_return;
    if (execution.aborted()) co_return;
    done += size;
  }
}

/// VERIFY with BYTCHK 11b: Data-Out holds one block that all blocks are compared with.
runtime::Task<> verify_against_one_block(Execution& execution) {
  const std::uint64_t total = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  const runtime::BufferLease pattern = co_await receive_pattern(execution, total);
  if (!pattern) co_return;
  for (std::uint64_t done = 0; done < total && !execution.aborted();) {
    const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(total - done, pattern.size_bytes()));
    backends::Payload expected;
    expected.append(pattern.bytes().first(size));
    if (!co_await check_chunk(execution, start + done, size, &expected)) co_return;
    done += size;
    co_await execution.worker.yield();
  }
}

enum class AfterWrite : std::uint8_t { nothing, read_back, compare };

/// Data the initiator does not offer is not written: whole blocks only, the rest is residual (RFC 7143 11.4.5.1).
runtime::Task<> write_blocks(Execution& execution, bool force_unit_access, AfterWrite after) {
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  execution.command.data_out_length = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint64_t total = offered_bytes(execution, execution.blocks.range.count);
  const backends::WriteFlags flags = write_flags(execution, force_unit_access);
  for (std::uint64_t done = 0; done < total;) {
    const std::uint32_t size = chunk_of(total - done);
    DataMover::Received received = co_await execution.command.data->receive(done, size);
    if (received.outcome != MoveOutcome::moved || execution.aborted()) co_return;
    LUN_ASSERT(received.payload.size_bytes() == size);
    if (!co_await write_range(execution, start + done, received.payload.segments(), flags, received.registered_index)) {
      co_return;
    }
    if (after != AfterWrite::nothing) {
      const backends::Payload* const expected = after == AfterWrite::compare ? &received.payload : nullptr;
      if (!co_await check_chunk(execution, start + done, size, expected)) co_return;
    }
    if (execution.aborted()) co_return;
    done += size;
  }
}

}  // namespace

runtime::Task<> read(Execution& execution) {
  const std::uint64_t total = execution.blocks.range.count * execution.view().block_bytes;
  const std::uint64_t start = execution.byte_offset(execution.blocks.range.lba);
  Command& command = execution.command;
  command.data_in_length = total;
  // FUA asks for the medium's data: whatever is acknowledged is what every reader sees, so there is nothing to add.
  for (std::uint64_t done = 0; done < total && done < command.data_in_max;) {
    const std::uint32_t size = chunk_of(total - done);
    std::optional<backends::Payload> payload = co_await read_range(execution, {start + done, size});
    if (!payload || execution.aborted()) co_return;
    const MoveOutcome outcome = co_await command.data->send(done, std::move(*payload));
    if (outcome != MoveOutcome::moved || execution.aborted()) co_return;
    done += size;
  }
}

runtime::Task<> write(Execution& execution) {
  co_await write_blocks(execution, execution.blocks.force_unit_access(), AfterWrite::nothing);
}

// SBC-4 5.44: the data is verified on the medium, so it is there before it is read back.
runtime::Task<> write_and_verify(Execution& execution) {
  switch (execution.blocks.byte_check()) {
    case scsi::ByteCheck::none:
      co_await write_blocks(execution, true, AfterWrite::read_back);
      break;
    case scsi::ByteCheck::compare:
      co_await write_blocks(execution, true, AfterWrite::compare);
      break;
    case scsi::ByteCheck::reserved:
    case scsi::ByteCheck::compare_one_block:
      execution.invalid_field(1, std::uint8_t{2});
      break;
  }
}

// SBC-4 5.33.
runtime::Task<> verify(Execution& execution) {
  switch (execution.blocks.byte_check()) {
    case scsi::ByteCheck::none:
      co_await verify_medium(execution);
      break;
    case scsi::ByteCheck::compare:
      co_await verify_against_data(execution);
      break;
    case scsi::ByteCheck::compare_one_block:
      if (execution.blocks.range.count != 0) co_await verify_against_one_block(execution);
      break;
    case scsi::ByteCheck::reserved:
      execution.invalid_field(1, std::uint8_t{2});
      break;
  }
}

// SBC-4 5.11: GOOD says that not all of the blocks are in a cache of ours, which is true; nothing is fetched.
runtime::Task<> pre_fetch(Execution& /*execution*/) {
  co_return;
}

// SBC-4 5.32. The device flushes everything, which includes the range; IMMED allows an early answer, it does not ask
// for one.
runtime::Task<> synchronize_cache(Execution& execution) {
  static_cast<void>(co_await flush(execution));
}

}  // namespace lunaris::scsi_server
