// READ CAPACITY (10) and (16), GET LBA STATUS (SBC-4 5.18, 5.19, 5.6).
#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <vector>

#include "protocol/scsi/fields.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/limits.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {

runtime::Task<> read_capacity_10(Execution& execution) {
  std::array<std::uint8_t, 8> data{};
  const std::uint64_t last = execution.view().block_count() - 1;
  scsi::store32(data, 0, std::min<std::uint64_t>(last, std::numeric_limits<std::uint32_t>::max()));
  scsi::store32(data, 4, execution.view().block_bytes);
  co_await reply(execution, data, data.size());
}

runtime::Task<> read_capacity_16(Execution& execution) {
  const volume::View& view = execution.view();
  const backends::Geometry& geometry = execution.geometry();
  std::array<std::uint8_t, 32> data{};
  scsi::store64(data, 0, view.block_count() - 1);
  scsi::store32(data, 8, view.block_bytes);
  const std::uint32_t per_physical = std::max(view.physical_block_bytes / view.block_bytes, 1U);
  scsi::store8(data, 13, std::bit_width(per_physical) - 1);
  const unsigned managed = geometry.discard_granularity != 0 ? 0x80U : 0U;          // LBPME
  const unsigned zeros = managed != 0 && geometry.discard_reads_zero ? 0x40U : 0U;  // LBPRZ
  scsi::store8(data, 14, managed | zeros);
  co_await reply(execution, data, scsi::load32(execution.command.cdb, 10));
}

namespace {

/// LBA STATUS descriptors in the making (SBC-4 5.6.2): neighbours of one state become one.
class LbaStatus {
 public:
  LbaStatus(std::uint64_t first_lba, std::size_t descriptors_max) : next_(first_lba), max_(descriptors_max) {}

  [[nodiscard]] std::uint64_t next() const noexcept { return next_; }
  /// Nothing more fits.
  [[nodiscard]] bool is_full() const noexcept { return full_; }

  /// Blocks from `next()` up to `end` are in `state`.
  void extend(std::uint64_t end, backends::ExtentState state) {
    constexpr std::uint64_t count_max = std::numeric_limits<std::uint32_t>::max();
    while (next_ < end && !full_) {
      const bool joins = !runs_.empty() && runs_.back().state == state && runs_.back().count < count_max;
      if (!joins && runs_.size() == max_) {
        full_ = true;
        return;
      }
      if (!joins) runs_.push_back({next_, 0, state});
      const std::uint64_t taken = std::min(end - next_, count_max - runs_.back().count);
      runs_.back().count += taken;
      next_ += taken;
    }
  }

  [[nodiscard]] std::vector<std::uint8_t> encode() const {
    std::vector<std::uint8_t> data(8 + 16 * runs_.size());
    scsi::store32(data, 0, data.size() - 4);
    for (std::size_t index = 0; index < runs_.size(); ++index) {
      scsi::store64(data, 8 + 16 * index, runs_[index].lba);
      scsi::store32(data, 16 + 16 * index, runs_[index].count);
      scsi::store8(data, 20 + 16 * index, static_cast<std::uint8_t>(runs_[index].state));
    }
    return data;
  }

 private:
  struct Run {
    std::uint64_t lba, count;
    backends::ExtentState state;
  };
  std::vector<Run> runs_;
  std::uint64_t next_;
  std::size_t max_;
  bool full_ = false;
};

}  // namespace

// PROVISIONING STATUS 0, 1 and 2 are ExtentState's values (SBC-4 table 65).
static_assert(static_cast<int>(backends::ExtentState::mapped) == 0 &&
              static_cast<int>(backends::ExtentState::deallocated) == 1 &&
              static_cast<int>(backends::ExtentState::anchored) == 2);

runtime::Task<> get_lba_status(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const std::uint64_t first = scsi::load64(cdb, 2);
  const std::uint32_t allocation_length = scsi::load32(cdb, 10);
  const std::uint64_t block_count = execution.view().block_count();
  const std::uint64_t block_bytes = execution.view().block_bytes;
  if (first >= block_count) {
    execution.illegal_request(scsi::additional_sense::logical_block_address_out_of_range);
    co_return;
  }
  const std::size_t room = allocation_length < 8 ? 0 : (allocation_length - 8) / 16;
  LbaStatus status(first, std::clamp<std::size_t>(room, 1, lba_status_descriptors_max));
  const std::uint64_t last = first + std::min(block_count - first, lba_status_bytes_max / block_bytes);
  while (!status.is_full() && status.next() < last && !execution.aborted()) {
    const std::uint64_t length = std::min((last - status.next()) * block_bytes, lba_status_stride_bytes);
    const backends::ByteRange wanted{status.next() * block_bytes, length};
    const backends::Result<std::vector<backends::Extent>> extents = co_await execution.channel().extents(wanted);
    if (extents.has_error()) {
      report_error(execution, extents.error());
      co_return;
    }
    const std::uint64_t before = status.next();
    for (const backends::Extent& extent : *extents) {
      // A block counts as deallocated when all of it is.
      const bool mapped = extent.state == backends::ExtentState::mapped;
      const std::uint64_t end = extent.range.end();
      if (!mapped) status.extend((extent.range.offset + block_bytes - 1) / block_bytes, backends::ExtentState::mapped);
      status.extend(mapped ? (end + block_bytes - 1) / block_bytes : end / block_bytes, extent.state);
    }
    // An answer of less than a block would be asked for again and again.
    if (status.next() == before && !status.is_full()) status.extend(before + 1, backends::ExtentState::mapped);
  }
  if (execution.aborted()) co_return;
  const std::vector<std::uint8_t> data = status.encode();
  co_await reply(execution, data, allocation_length);
}

}  // namespace lunaris::scsi_server
