// LUN: the eight bytes of the LUN field and the number in them (SAM-5 4.7).
#pragma once

#include <cstdint>
#include <optional>

namespace lunaris::scsi_server {

/// Single level addressing: the peripheral device method below 256, the flat space method above.
[[nodiscard]] constexpr std::uint64_t encode_lun(std::uint16_t lun) noexcept {
  const std::uint64_t first_level = lun < 256 ? lun : 0x4000U | lun;
  return first_level << 48;
}

/// Nothing for other methods, levels below the first and buses that are not 0: no unit is there.
[[nodiscard]] constexpr std::optional<std::uint16_t> decode_lun(std::uint64_t field) noexcept {
  if ((field & 0x0000ffffffffffffU) != 0) return std::nullopt;
  const auto first_level = static_cast<std::uint16_t>(field >> 48);
  switch (first_level >> 14) {
    case 0:
      return (first_level & 0x3f00) == 0 ? std::optional(first_level) : std::nullopt;
    case 1:
      return static_cast<std::uint16_t>(first_level & 0x3fff);
    default:
      return std::nullopt;
  }
}

}  // namespace lunaris::scsi_server
