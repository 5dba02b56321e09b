// SerialNumber: CmdSN, StatSN, DataSN and R2TSN count modulo 2^32 and compare by RFC 1982 (RFC 7143 4.2.2.1).
#pragma once

#include <cstdint>

namespace lunaris::iscsi {

/// No `<` on purpose: "before" on a circle is not an order. Two numbers exactly 2^31 apart are neither before nor
/// after one another, as RFC 1982 leaves that undefined.
class SerialNumber {
 public:
  constexpr SerialNumber() = default;
  constexpr explicit SerialNumber(std::uint32_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint32_t value() const noexcept { return value_; }
  constexpr bool operator==(const SerialNumber&) const = default;

  [[nodiscard]] constexpr bool is_before(SerialNumber other) const noexcept {
    const std::uint32_t distance = other.value_ - value_;
    return distance != 0 && distance < half;
  }
  [[nodiscard]] constexpr bool is_after(SerialNumber other) const noexcept { return other.is_before(*this); }

  /// Steps from here up to `other` (0 to 2^32-1).
  [[nodiscard]] constexpr std::uint32_t distance_to(SerialNumber other) const noexcept { return other.value_ - value_; }

  constexpr SerialNumber& operator++() noexcept {
    ++value_;
    return *this;
  }
  [[nodiscard]] constexpr SerialNumber plus(std::uint32_t steps) const noexcept { return SerialNumber(value_ + steps); }
  [[nodiscard]] constexpr SerialNumber minus(std::uint32_t steps) const noexcept {
    return SerialNumber(value_ - steps);
  }

 private:
  static constexpr std::uint32_t half = std::uint32_t{1} << 31;
  std::uint32_t value_ = 0;
};

}  // namespace lunaris::iscsi
