// Decoding of block CDBs: SBC-4 5.16 (READ (6)) and its siblings share their layout by length.
#include "protocol/scsi/cdb.h"

#include "protocol/scsi/fields.h"
#include "protocol/scsi/opcodes.h"

namespace lunaris::scsi {
namespace {

struct Layout {
  std::uint8_t lba_offset, lba_bytes, count_offset, count_bytes;
};

constexpr Layout layout_of(std::uint8_t opcode) noexcept {
  switch (static_cast<Opcode>(opcode)) {
    case Opcode::compare_and_write:
      return {2, 8, 13, 1};
    case Opcode::write_atomic_16:
      return {2, 8, 12, 2};
    default:
      break;
  }
  switch (cdb_length_of_group(opcode)) {
    case 6:
      return {1, 3, 4, 1};
    case 10:
      return {2, 4, 7, 2};
    case 12:
      return {2, 4, 6, 4};
    default:
      return {2, 8, 10, 4};
  }
}

}  // namespace

BlockCdb decode_block_cdb(std::span<const std::uint8_t> cdb) noexcept {
  const Layout layout = layout_of(load8(cdb, 0));
  BlockCdb decoded;
  decoded.range = {load(cdb, layout.lba_offset, layout.lba_bytes), load(cdb, layout.count_offset, layout.count_bytes)};
  if (layout.lba_bytes == 3) {
    decoded.range.lba &= 0x1fffff;
    if (decoded.range.count == 0) decoded.range.count = 256;
  } else {
    decoded.flags = load8(cdb, 1) & 0x1f;
  }
  return decoded;
}

std::uint16_t block_count_offset(std::span<const std::uint8_t> cdb) noexcept {
  return layout_of(load8(cdb, 0)).count_offset;
}

}  // namespace lunaris::scsi
