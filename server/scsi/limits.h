// Bounds of what one SCSI command may ask for, as initiators are told in the Block Limits page.
#pragma once

#include <cstdint>

#include "backends/block_device.h"
#include "protocol/scsi/third_party_copy.h"
#include "server/volume/volume.h"

namespace lunaris::scsi_server {

/// One UNMAP, in blocks: large enough that a file system is discarded in few commands, small enough that one ends
/// within seconds.
inline constexpr std::uint32_t unmap_blocks_max = std::uint32_t{1} << 20;
inline constexpr std::uint32_t unmap_descriptors_max = 256;  // one page of parameter data
/// MAXIMUM TRANSFER LENGTH in bytes: what a transport's 32-bit lengths can say.
inline constexpr std::uint64_t transfer_length_bytes_max = (std::uint64_t{4} << 30) - 1;
/// One WRITE ATOMIC is one call to the device.
inline constexpr std::uint32_t atomic_bytes_max = backends::BlockChannel::transfer_bytes_max;
/// Where it may begin and end: a part of a physical block would be read and written back around it.
[[nodiscard]] inline std::uint32_t atomic_granularity_blocks(const volume::View& view) noexcept {
  return view.physical_block_bytes > view.block_bytes ? view.physical_block_bytes / view.block_bytes : 1;
}
/// One COMPARE AND WRITE: its field has eight bits, its data comes twice, and while it waits it is kept in memory.
inline constexpr std::uint32_t compare_and_write_bytes_max = backends::BlockChannel::transfer_bytes_max / 2;
inline constexpr std::uint32_t compare_and_write_blocks_max = 255;
/// EXTENDED COPY: more than any initiator in use sends; the parameter list fits one small buffer.
inline constexpr std::uint8_t concurrent_copies_max = 16;
inline constexpr scsi::CopyLimits copy_limits{.targets = 64,
                                              .segments = 256,
                                              .list_bytes = 9216,
                                              .segment_bytes = 0xffff * 4096U,
                                              .concurrent_copies = concurrent_copies_max};
/// A command that loops over a range looks at its abort flag after this much.
inline constexpr std::uint64_t stride_bytes = std::uint64_t{64} << 20;
/// OPTIMAL TRANSFER LENGTH where the device has no preference: four transfers of the back end.
inline constexpr std::uint32_t optimal_transfer_bytes = std::uint32_t{1} << 20;
/// Descriptors in one GET LBA STATUS reply.
inline constexpr std::uint32_t lba_status_descriptors_max = 256;
/// Bytes one call to the device covers meanwhile.
inline constexpr std::uint64_t lba_status_stride_bytes = std::uint64_t{1} << 30;
/// One GET LBA STATUS looks at this much of the medium at most; its reply may end anywhere (SBC-4 5.6).
inline constexpr std::uint64_t lba_status_bytes_max = std::uint64_t{64} << 30;
/// Every target port is in the one group there is.
inline constexpr std::uint16_t target_port_group = 1;

}  // namespace lunaris::scsi_server
