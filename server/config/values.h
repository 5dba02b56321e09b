// The small languages inside configuration strings: sizes, addresses, names, UUIDs. Pure; each parser answers nothing
// for what it does not understand, and the caller says why in words.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/config/model.h"

namespace lunaris::config {

/// "4096", "10GiB": whole numbers (no fractions) with B, KiB, MiB, GiB, TiB, PiB or no unit (bytes); nothing on
/// overflow.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
/// The shortest exact form: "10GiB", "1000".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

struct Address {
  std::string address;  // canonical, without brackets
  std::uint16_t port = 0;
  bool operator==(const Address&) const = default;
};
/// "127.0.0.1:3260", "[::1]:3260"; the port may be left out. Numeric addresses only: a name may mean another machine
/// tomorrow.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text, std::uint16_t default_port);
[[nodiscard]] std::string address_text(std::string_view address, std::uint16_t port);
/// Of a web address without a port.
inline constexpr std::uint16_t web_port_default = 8080;
/// Why the web server may not listen on `text`, a sentence; empty when it may. Plain HTTP carries passwords, so that
/// only this machine may reach it unless `insecure_http`.
[[nodiscard]] std::string web_listen_fault(std::string_view text, bool insecure_http);
/// "host:port,tag": host a name, an IPv4 address or an IPv6 address in brackets; port and tag 1 to 65535.
[[nodiscard]] bool is_advertised_address(std::string_view text);

/// Volumes and portals: [a-z0-9][a-z0-9._:-]{0,62}.
[[nodiscard]] bool is_object_name(std::string_view name);

/// iSCSI names (RFC 7143 4.2.7): iqn.YYYY-MM.domain[:anything], eui. with 16 and naa. with 16 or 32 hexadecimal
/// digits; 223 bytes at most. Returns nothing when it is one, else what is wrong with it.
[[nodiscard]] std::string iscsi_name_fault(std::string_view name);
/// ASCII letters in lower case, the form in which names are compared (RFC 3722).
[[nodiscard]] std::string lower_case(std::string_view text);

/// 8-4-4-4-12 hexadecimal digits.
[[nodiscard]] std::optional<Uuid> parse_uuid(std::string_view text);
[[nodiscard]] std::string uuid_text(const Uuid& uuid);

[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;
[[nodiscard]] std::string_view to_string(LogFormat format) noexcept;
[[nodiscard]] std::optional<LogLevel> parse_log_level(std::string_view text) noexcept;
[[nodiscard]] std::optional<LogFormat> parse_log_format(std::string_view text) noexcept;

/// The one of `known` that `given` was probably meant to be; empty when none is close.
template <class Names>
[[nodiscard]] std::string_view closest_name(std::string_view given, const Names& known);
/// Edits (insert, delete, replace, swap neighbours) between two words.
[[nodiscard]] std::size_t edit_distance(std::string_view left, std::string_view right);

template <class Names>
std::string_view closest_name(std::string_view given, const Names& known) {
  std::string_view best;
  std::size_t best_distance = given.size() / 3 + 2;  // farther than this is another word, not a slip
  for (std::string_view name : known) {
    if (const std::size_t distance = edit_distance(given, name); distance < best_distance) {
      best = name;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace lunaris::config
