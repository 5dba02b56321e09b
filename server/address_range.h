// AddressRange: "10.0.0.0/8", "2001:db8::/32", "192.0.2.1". Written in the configuration, matched when an initiator
// logs in.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lunaris {

struct AddressRange {
  std::array<std::uint8_t, 16> bytes{};  // an IPv4 address has the first four
  bool is_ipv6 = false;
  std::uint8_t prefix_bits = 0;
  bool operator==(const AddressRange&) const = default;

  [[nodiscard]] std::uint8_t address_bits() const noexcept { return is_ipv6 ? 128 : 32; }

  /// The first address of the range.
  [[nodiscard]] AddressRange masked() const noexcept {
    AddressRange result = *this;
    for (unsigned bit = prefix_bits; bit < result.bytes.size() * 8; ++bit)
      result.bytes[bit / 8] = static_cast<std::uint8_t>(result.bytes[bit / 8] & ~(0x80u >> bit % 8));
    return result;
  }

  /// `address` without port; an IPv6 scope ("%eth0") is not looked at.
  [[nodiscard]] bool contains(std::string_view address) const;
};

/// An address alone is a range of one. Nothing when it is no numeric address or the prefix is too long.
[[nodiscard]] inline std::optional<AddressRange> parse_address_range(std::string_view text) {
  AddressRange range;
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  if (address.find('\0') != std::string::npos) return std::nullopt;
  range.is_ipv6 = address.find(':') != std::string::npos;
  if (::inet_pton(range.is_ipv6 ? AF_INET6 : AF_INET, address.c_str(), range.bytes.data()) != 1) return std::nullopt;
  range.prefix_bits = range.address_bits();
  if (slash == std::string_view::npos) return range;
  const std::string_view prefix = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), range.prefix_bits);
  if (error != std::errc() || end != prefix.data() + prefix.size()) return std::nullopt;
  if (range.prefix_bits > range.address_bits()) return std::nullopt;
  return range;
}

inline bool AddressRange::contains(std::string_view address) const {
  auto other = parse_address_range(address.substr(0, address.find('%')));
  if (!other || other->is_ipv6 != is_ipv6) return false;
  other->prefix_bits = prefix_bits;
  return other->masked().bytes == masked().bytes;
}

/// In canonical form; a range of one without its prefix.
[[nodiscard]] inline std::string to_string(const AddressRange& range) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(range.is_ipv6 ? AF_INET6 : AF_INET, range.bytes.data(), text.data(), text.size());
  std::string result = text.data();
  if (range.prefix_bits != range.address_bits()) result += "/" + std::to_string(range.prefix_bits);
  return result;
}

}  // namespace lunaris
