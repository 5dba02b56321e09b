// Binary values written as text: "0x" hexadecimal and "0b" base64 (RFC 7143 6.1). Used by the login keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lunaris::bytes {

/// Decodes a large-binary-value with its prefix ("0x", "0X", "0b", "0B") into `memory`; the number of bytes, or
/// nothing when the prefix, a digit, the padding or the length is wrong or `memory` is too small. An odd number of
/// hexadecimal digits has an implied leading zero (RFC 7143 6.1: the value is a number). Never allocates.
[[nodiscard]] std::optional<std::size_t> decode_binary(std::string_view text, std::span<std::byte> memory) noexcept;

/// "0x" and two lower-case digits a byte.
[[nodiscard]] std::string encode_hex(std::span<const std::byte> bytes);

/// A numerical-value: decimal without sign, or "0x" hexadecimal; nothing when malformed or above 2^64-1.
[[nodiscard]] std::optional<std::uint64_t> decode_number(std::string_view text) noexcept;

}  // namespace lunaris::bytes
