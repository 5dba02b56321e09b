// Decoding of the CDBs that name logical blocks (SBC-4 clause 5): one struct for the 6, 10, 12 and 16 byte forms.
#pragma once

#include <cstdint>
#include <span>

namespace lunaris::scsi {

/// Logical blocks, [lba, lba + count). The sum may exceed 64 bits in what a peer sends: use `fits`.
struct BlockRange {
  std::uint64_t lba = 0;
  std::uint64_t count = 0;
  /// Whether all of it lies in a medium of `block_count` blocks.
  [[nodiscard]] constexpr bool fits(std::uint64_t block_count) const noexcept {
    return lba <= block_count && count <= block_count - lba;
  }
  bool operator==(const BlockRange&) const = default;
};

/// BYTCHK of VERIFY and WRITE AND VERIFY (SBC-4 5.33, 5.44).
enum class ByteCheck : std::uint8_t { none = 0, compare = 1, reserved = 2, compare_one_block = 3 };

struct BlockCdb {
  BlockRange range;
  /// DPO (bit 4; ANCHOR in WRITE SAME), FUA (bit 3; UNMAP in WRITE SAME), BYTCHK or IMMED (bits 2 and 1), NDOB (bit 0)
  /// as they lie in byte 1: which of them mean something depends on the command.
  std::uint8_t flags = 0;

  [[nodiscard]] constexpr bool force_unit_access() const noexcept { return (flags & 0x08) != 0; }
  [[nodiscard]] constexpr ByteCheck byte_check() const noexcept { return static_cast<ByteCheck>(flags >> 1 & 0x03); }
  [[nodiscard]] constexpr bool immediate() const noexcept { return (flags & 0x02) != 0; }
  [[nodiscard]] constexpr bool anchor() const noexcept { return (flags & 0x10) != 0; }
  [[nodiscard]] constexpr bool unmap() const noexcept { return (flags & 0x08) != 0; }
  [[nodiscard]] constexpr bool no_data_out() const noexcept { return (flags & 0x01) != 0; }
};

/// `cdb` holds at least the bytes of its group: READ, WRITE, VERIFY, WRITE AND VERIFY, WRITE SAME, SYNCHRONIZE CACHE,
/// PRE-FETCH, ORWRITE, COMPARE AND WRITE, WRITE ATOMIC, whatever their length. A transfer length of 0 is 256 blocks in
/// the 6 byte forms (SBC-4 5.16).
[[nodiscard]] BlockCdb decode_block_cdb(std::span<const std::uint8_t> cdb) noexcept;

/// Where the transfer length of such a CDB begins, for field pointers.
[[nodiscard]] std::uint16_t block_count_offset(std::span<const std::uint8_t> cdb) noexcept;

}  // namespace lunaris::scsi
