// UNMAP and WRITE SAME (SBC-4 5.34, 5.50, 5.51): giving space back and writing one block many times.
#include <algorithm>
#include <cstring>
#include <vector>

#include "protocol/scsi/fields.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/limits.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

constexpr std::size_t unmap_header_bytes = 8;
constexpr std::size_t unmap_descriptor_bytes = 16;

/// The block descriptors of an UNMAP parameter list, all of them checked. False: the outcome is set.
bool decode_unmap(Execution& execution, std::span<const std::uint8_t> list, std::vector<scsi::BlockRange>& ranges) {
  using namespace scsi::additional_sense;
  if (list.size() < unmap_header_bytes) {
    execution.illegal_request(parameter_list_length_error);
    return false;
  }
  // UNMAP DATA LENGTH and UNMAP BLOCK DESCRIPTOR DATA LENGTH must not promise more than has come.
  const std::size_t descriptor_bytes = scsi::load16(list, 2);
  if (scsi::load16(list, 0) + std::size_t{2} > list.size() || descriptor_bytes + unmap_header_bytes > list.size()) {
    execution.illegal_request(parameter_list_length_error);
    return false;
  }
  const std::size_t count = descriptor_bytes / unmap_descriptor_bytes;  // an incomplete one is ignored
  std::uint64_t blocks = 0;
  for (std::size_t index = 0; index < count; ++index) {
    const std::size_t offset = unmap_header_bytes + index * unmap_descriptor_bytes;
    const scsi::BlockRange range{scsi::load64(list, offset), scsi::load32(list, offset + 8)};
    blocks += range.count;
    if (!range.fits(execution.view().block_count())) {
      execution.illegal_request(logical_block_address_out_of_range);
      return false;
    }
    ranges.push_back(range);
  }
  if (count > unmap_descriptors_max || blocks > unmap_blocks_max) {
    execution.illegal_request(invalid_field_in_parameter_list);
    return false;
  }
  return true;
}

/// Calls the device for `range` stride by stride. False: the command has ended.
template <class Call>
runtime::Task<bool> for_each_stride(Execution& execution, backends::ByteRange range, Call call) {
  while (range.length != 0) {
    if (execution.aborted()) co_return false;
    const backends::ByteRange stride{range.offset, std::min(range.length, stride_bytes)};
    volume::RangeUse use(execution.port().uses(), stride);
    if (use.must_wait()) co_await use.turn();
    if (execution.aborted()) co_return false;
    const backends::Result<> done = co_await call(execution.channel(), stride);
    if (done.has_error()) {
      report_error(execution, done.error());
      co_return false;
    }
    range = {stride.end(), range.length - stride.length};
  }
  co_return true;
}

bool is_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

/// Writes the first block of `pattern`, which fills the whole buffer repeatedly, over `range`.
runtime::Task<bool> write_pattern(Execution& execution, backends::ByteRange range, runtime::BufferLease& pattern) {
  const backends::WriteFlags flags = write_flags(execution, false);
  while (range.length != 0) {
    if (execution.aborted()) co_return false;
    const std::size_t size = std::min<std::uint64_t>(range.length, pattern.size_bytes());
    const iovec segment{pattern.bytes().data(), size};
    if (!co_await write_range(execution, range.offset, {&segment, 1}, flags, pattern.registered_index())) {
      co_return false;
    }
    range = {range.offset + size, range.length - size};
    co_await execution.worker.yield();
  }
  co_return true;
}

runtime::Task<bool> zero_range(Execution& execution, backends::ByteRange range, bool may_discard) {
  co_return co_await for_each_stride(execution, range,
                                     [may_discard](backends::BlockChannel& channel, backends::ByteRange stride) {
                                       return channel.write_zeroes(stride, may_discard);
                                     });
}

}  // namespace

runtime::Task<> unmap(Execution& execution) {
  const std::uint32_t length = scsi::load16(execution.command.cdb, 7);
  if (length == 0) co_return;  // not an error
  const std::optional<std::vector<std::uint8_t>> list = co_await receive_parameters(execution, length);
  if (!list) co_return;
  std::vector<scsi::BlockRange> ranges;
  if (!decode_unmap(execution, *list, ranges)) co_return;
  volume::PortCounters& counters = execution.port().counters();
  for (const scsi::BlockRange& range : ranges) {
    const backends::ByteRange bytes{execution.byte_offset(range.lba), range.count * execution.view().block_bytes};
    const bool done = co_await for_each_stride(
        execution, bytes,
        [](backends::BlockChannel& channel, backends::ByteRange stride) { return channel.discard(stride); });
    if (!done) co_return;
    counters.discards.store(counters.discards.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  static_cast<void>(co_await settle(execution));
}

runtime::Task<> write_same(Execution& execution) {
  const scsi::BlockCdb& blocks = execution.blocks;
  const std::uint64_t block_bytes = execution.view().block_bytes;
  const bool can_discard = execution.geometry().discard_granularity != 0;
  if (blocks.unmap() && !can_discard) {
    execution.invalid_field(1, std::uint8_t{3});
    co_return;
  }
  const std::uint64_t block_count = execution.view().block_count();
  if (blocks.range.lba >= block_count) {
    execution.illegal_request(scsi::additional_sense::logical_block_address_out_of_range);
    co_return;
  }
  // WSNZ is zero: a length of 0 means everything from here to the end (SBC-4 5.50).
  const std::uint64_t count = blocks.range.count != 0 ? blocks.range.count : block_count - blocks.range.lba;
  const backends::ByteRange range{execution.byte_offset(blocks.range.lba), count * block_bytes};
  bool done = false;
  if (blocks.no_data_out()) {
    done = co_await zero_range(execution, range, blocks.unmap());
  } else {
    runtime::BufferLease pattern = co_await receive_pattern(execution, range.length);
    if (!pattern) co_return;
    // Only blocks of zeros may be given back: what is read afterwards must be what was sent (SBC-4 5.50).
    if (is_zero(pattern.bytes().first(block_bytes))) {
      done = co_await zero_range(execution, range, blocks.unmap());
    } else {
      done = co_await write_pattern(execution, range, pattern);
    }
  }
  if (done) static_cast<void>(co_await settle(execution));
}

}  // namespace lunaris::scsi_server
