// Hexadecimal, base64 and decimal text to bytes and numbers.
#include "protocol/bytes/text_codec.h"

#include <limits>

namespace lunaris::bytes {

namespace {

constexpr int not_a_digit = -1;

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return not_a_digit;
}

int base64_digit(char c) noexcept {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return not_a_digit;
}

std::optional<std::size_t> decode_hex(std::string_view digits, std::span<std::byte> memory) noexcept {
  if (digits.empty()) return std::nullopt;
  const std::size_t size = (digits.size() + 1) / 2;
  if (size > memory.size()) return std::nullopt;
  // An odd count starts in the middle of a byte.
  std::size_t nibble = digits.size() % 2;
  unsigned value = 0;
  std::size_t index = 0;
  for (const char c : digits) {
    const int digit = hex_digit(c);
    if (digit == not_a_digit) return std::nullopt;
    value = (value << 4 | static_cast<unsigned>(digit)) & 0xff;
    if (++nibble % 2 == 0) memory[index++] = static_cast<std::byte>(value);
  }
  return size;
}

std::optional<std::size_t> decode_base64(std::string_view digits, std::span<std::byte> memory) noexcept {
  if (digits.empty() || digits.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && digits[digits.size() - 1 - padding] == '=') ++padding;
  const std::size_t size = digits.size() / 4 * 3 - padding;
  if (size > memory.size()) return std::nullopt;
  std::uint32_t group = 0;
  std::size_t bits = 0;
  std::size_t index = 0;
  for (const char c : digits.substr(0, digits.size() - padding)) {
    const int digit = base64_digit(c);
    if (digit == not_a_digit) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    memory[index++] = static_cast<std::byte>(group >> bits & 0xff);
    group &= (1u << bits) - 1;
  }
  // Bits that no byte takes must be zero: one value has one spelling (RFC 4648 3.5).
  return group == 0 ? std::optional(size) : std::nullopt;
}

bool has_prefix(std::string_view text, char letter) noexcept {
  return text.size() >= 2 && text[0] == '0' && (text[1] == letter || text[1] == static_cast<char>(letter - 'a' + 'A'));
}

}  // namespace

std::optional<std::size_t> decode_binary(std::string_view text, std::span<std::byte> memory) noexcept {
  if (has_prefix(text, 'x')) return decode_hex(text.substr(2), memory);
  if (has_prefix(text, 'b')) return decode_base64(text.substr(2), memory);
  return std::nullopt;
}

std::string encode_hex(std::span<const std::byte> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text = "0x";
  text.reserve(2 + 2 * bytes.size());
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<std::size_t>(byte) >> 4];
    text += digits[std::to_integer<std::size_t>(byte) & 0xf];
  }
  return text;
}

std::optional<std::uint64_t> decode_number(std::string_view text) noexcept {
  const bool hexadecimal = has_prefix(text, 'x');
  const std::uint64_t base = hexadecimal ? 16 : 10;
  if (hexadecimal) text.remove_prefix(2);
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit == not_a_digit || static_cast<std::uint64_t>(digit) >= base) return std::nullopt;
    const auto added = static_cast<std::uint64_t>(digit);
    if (value > (std::numeric_limits<std::uint64_t>::max() - added) / base) return std::nullopt;
    value = value * base + added;
  }
  return value;
}

}  // namespace lunaris::bytes
