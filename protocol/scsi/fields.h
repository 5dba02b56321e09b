// Fields: big-endian numbers at fixed offsets of CDBs and parameter data (SPC-5 3.5: the first byte is the most
// significant). Callers know that the bytes are there; out of range is a bug and reads as 0 or writes nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace lunaris::scsi {

/// `count` bytes (1 to 8) at `offset` as one number.
[[nodiscard]] constexpr std::uint64_t load(std::span<const std::uint8_t> from, std::size_t offset, std::size_t count) {
  if (offset > from.size() || count > from.size() - offset) return 0;
  std::uint64_t value = 0;
  for (const std::uint8_t byte : from.subspan(offset, count)) value = value << 8 | byte;
  return value;
}
[[nodiscard]] constexpr std::uint8_t load8(std::span<const std::uint8_t> from, std::size_t offset) {
  return static_cast<std::uint8_t>(load(from, offset, 1));
}
[[nodiscard]] constexpr std::uint16_t load16(std::span<const std::uint8_t> from, std::size_t offset) {
  return static_cast<std::uint16_t>(load(from, offset, 2));
}
[[nodiscard]] constexpr std::uint32_t load32(std::span<const std::uint8_t> from, std::size_t offset) {
  return static_cast<std::uint32_t>(load(from, offset, 4));
}
[[nodiscard]] constexpr std::uint64_t load64(std::span<const std::uint8_t> from, std::size_t offset) {
  return load(from, offset, 8);
}

/// `value` as `count` bytes (1 to 8) at `offset`.
constexpr void store(std::span<std::uint8_t> to, std::size_t offset, std::size_t count, std::uint64_t value) {
  if (offset > to.size() || count > to.size() - offset) return;
  for (std::size_t index = count; index-- > 0; value >>= 8) to[offset + index] = static_cast<std::uint8_t>(value);
}
constexpr void store8(std::span<std::uint8_t> to, std::size_t offset, std::uint64_t value) {
  store(to, offset, 1, value);
}
constexpr void store16(std::span<std::uint8_t> to, std::size_t offset, std::uint64_t value) {
  store(to, offset, 2, value);
}
constexpr void store32(std::span<std::uint8_t> to, std::size_t offset, std::uint64_t value) {
  store(to, offset, 4, value);
}
constexpr void store64(std::span<std::uint8_t> to, std::size_t offset, std::uint64_t value) {
  store(to, offset, 8, value);
}

/// ASCII, left-aligned, padded with spaces to `count` bytes (SPC-5 4.3.1).
constexpr void store_text(std::span<std::uint8_t> to, std::size_t offset, std::size_t count, std::string_view text) {
  if (offset > to.size() || count > to.size() - offset) return;
  const std::span<std::uint8_t> field = to.subspan(offset, count);
  std::fill(field.begin(), field.end(), std::uint8_t{' '});
  for (std::size_t index = 0; index < std::min(count, text.size()); ++index) {
    const char character = text[index];
    field[index] = character >= 0x20 && character <= 0x7e ? static_cast<std::uint8_t>(character) : std::uint8_t{' '};
  }
}

}  // namespace lunaris::scsi
