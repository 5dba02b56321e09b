// Writer: bounds-checked big-endian output into memory of the caller. Used by every encoder in protocol/.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace lunaris::bytes {

/// Fills borrowed memory from the front. What does not fit is dropped whole and makes `ok()` false for good; memory
/// beyond the end is never touched. Any thread; no allocation.
class Writer {
 public:
  constexpr explicit Writer(std::span<std::byte> memory) noexcept : memory_(memory) {}

  [[nodiscard]] constexpr bool ok() const noexcept { return ok_; }
  [[nodiscard]] constexpr std::size_t written() const noexcept { return written_; }
  [[nodiscard]] constexpr std::size_t remaining() const noexcept { return memory_.size() - written_; }

  constexpr Writer& u8(std::uint8_t value) noexcept { return big_endian(value, 1); }
  constexpr Writer& u16(std::uint16_t value) noexcept { return big_endian(value, 2); }
  constexpr Writer& u24(std::uint32_t value) noexcept { return big_endian(value, 3); }
  constexpr Writer& u32(std::uint32_t value) noexcept { return big_endian(value, 4); }
  constexpr Writer& u48(std::uint64_t value) noexcept { return big_endian(value, 6); }
  constexpr Writer& u64(std::uint64_t value) noexcept { return big_endian(value, 8); }

  constexpr Writer& bytes(std::span<const std::byte> source) noexcept {
    const auto target = take(source.size());
    if (!target.empty()) std::copy(source.begin(), source.end(), target.begin());
    return *this;
  }
  /// Reserved fields are sent as zero.
  constexpr Writer& zeros(std::size_t count) noexcept {
    const auto target = take(count);
    std::fill(target.begin(), target.end(), std::byte{0});
    return *this;
  }

 private:
  constexpr std::span<std::byte> take(std::size_t count) noexcept {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    const auto taken = memory_.subspan(written_, count);
    written_ += count;
    return taken;
  }
  constexpr Writer& big_endian(std::uint64_t value, std::size_t count) noexcept {
    const auto target = take(count);
    for (std::size_t index = 0; index < target.size(); ++index)
      target[index] = static_cast<std::byte>(value >> (8 * (count - 1 - index)) & 0xff);
    return *this;
  }

  std::span<std::byte> memory_;
  std::size_t written_ = 0;
  bool ok_ = true;
};

}  // namespace lunaris::bytes
