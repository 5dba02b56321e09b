// Big-endian fields, opcodes and CRC32C for the bench tools (iscsi_load, limit). Written apart from protocol/ on
// purpose: a load generator that shared the server's codec would share its mistakes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace lunaris::bench {

inline constexpr std::size_t header_bytes = 48;      // RFC 7143 section 11.2.1, without additional header segments
inline constexpr std::uint32_t no_tag = 0xffffffff;  // reserved value of ITT and TTT
using Header = std::array<std::byte, header_bytes>;

// Opcodes of RFC 7143 section 11.2.1.2, the six-bit value without the immediate bit.
enum class Opcode : std::uint8_t {
  nop_out = 0x00,
  scsi_command = 0x01,
  login_request = 0x03,
  text_request = 0x04,
  data_out = 0x05,
  logout_request = 0x06,
  nop_in = 0x20,
  scsi_response = 0x21,
  login_response = 0x23,
  data_in = 0x25,
  logout_response = 0x26,
  r2t = 0x31,
  async_message = 0x32,
  reject = 0x3f,
};

template <typename T>
T big_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
  return value;
}

template <typename T>
T get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return big_endian(value);
}

template <typename T>
void put(std::byte* to, T value) {
  value = big_endian(value);
  std::memcpy(to, &value, sizeof(T));
}

inline std::uint32_t get24(const std::byte* from) {
  return get<std::uint32_t>(from) & 0xffffffU;
}
inline std::uint8_t get8(const std::byte* from) {
  return std::to_integer<std::uint8_t>(*from);
}

inline Opcode opcode_of(const Header& header) {
  return static_cast<Opcode>(get8(header.data()) & 0x3fU);
}
inline std::uint32_t data_length_of(const Header& header) {
  return get<std::uint32_t>(header.data() + 4) & 0xffffffU;
}
inline std::uint32_t task_tag_of(const Header& header) {
  return get<std::uint32_t>(header.data() + 16);
}

// DataSegmentLength shares its word with TotalAHSLength, which we never use.
inline void set_data_length(Header& header, std::uint32_t length) {
  put<std::uint32_t>(header.data() + 4, length);
}

inline constexpr std::uint32_t padded(std::uint32_t length) {
  return (length + 3U) & ~3U;
}

// Serial number arithmetic of RFC 1982 as RFC 7143 section 4.2.2.1 uses it.
inline bool serial_less(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::int32_t>(a - b) < 0;
}

// CRC32C (Castagnoli) of `data`; continues from `previous`, the value an earlier call returned.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t previous = 0);

// The digest goes on the wire least significant byte first (RFC 7143 section 13.1).
inline void put_digest(std::byte* to, std::uint32_t digest) {
  std::memcpy(to, &digest, sizeof digest);
}
inline std::uint32_t get_digest(const std::byte* from) {
  std::uint32_t digest;
  std::memcpy(&digest, from, sizeof digest);
  return digest;
}

}  // namespace lunaris::bench
