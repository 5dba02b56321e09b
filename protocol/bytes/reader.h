// Reader: bounds-checked big-endian access to received bytes. Used by every decoder in protocol/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lunaris::bytes {

/// Walks over borrowed bytes from the front. Reading past the end gives zeros (and empty spans) and makes `ok()` false
/// for good, so a decoder reads all its fields and asks once. Any thread; no allocation.
class Reader {
 public:
  constexpr explicit Reader(std::span<const std::byte> bytes) noexcept : rest_(bytes) {}

  /// False once something was read that was not there.
  [[nodiscard]] constexpr bool ok() const noexcept { return ok_; }
  [[nodiscard]] constexpr std::size_t remaining() const noexcept { return rest_.size(); }

  [[nodiscard]] constexpr std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(big_endian(1)); }
  [[nodiscard]] constexpr std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(big_endian(2)); }
  [[nodiscard]] constexpr std::uint32_t u24() noexcept { return static_cast<std::uint32_t>(big_endian(3)); }
  [[nodiscard]] constexpr std::uint32_t u32() noexcept { return static_cast<std::uint32_t>(big_endian(4)); }
  [[nodiscard]] constexpr std::uint64_t u48() noexcept { return big_endian(6); }
  [[nodiscard]] constexpr std::uint64_t u64() noexcept { return big_endian(8); }

  /// The next `count` bytes where they lie; empty when there are fewer.
  [[nodiscard]] constexpr std::span<const std::byte> bytes(std::size_t count) noexcept {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  /// Steps over `count` bytes; false when one of them is not zero (a reserved field that is in use) or missing.
  constexpr bool zeros(std::size_t count) noexcept {
    bool zero = true;
    for (const std::byte byte : bytes(count)) zero = zero && byte == std::byte{0};
    return zero && ok_;
  }
  constexpr void skip(std::size_t count) noexcept { static_cast<void>(bytes(count)); }

 private:
  constexpr std::uint64_t big_endian(std::size_t count) noexcept {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes(count)) value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return value;
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

}  // namespace lunaris::bytes
