// The three name forms of iSCSI.
#include "protocol/iscsi/names.h"

#include <algorithm>

namespace lunaris::iscsi {

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

bool is_hex(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'f'); });
}

/// Length of the UTF-8 sequence at the front of `text`; 0 when it is none. Overlong forms, surrogates and code points
/// above U+10FFFF are none.
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xc2 ? 0
                             : first < 0xe0 ? 2
                             : first < 0xf0 ? 3
                             : first < 0xf5 ? 4
                                            : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t index = 1; index < length; ++index)
    if ((byte(index) & 0xc0) != 0x80) return 0;
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) > 0x9f) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

/// RFC 7143 4.2.7.1 and RFC 3722: letters, digits, dash, dot, colon; international characters in UTF-8.
bool has_name_characters(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    const char c = text.front();
    const bool allowed =
        length > 1 || is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == ':';
    if (!allowed) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// "yyyy-mm.reversed.domain" and maybe ":anything" (RFC 7143 4.2.7.4).
std::string_view iqn_problem(std::string_view rest) noexcept {
  if (rest.size() < 9 || !std::ranges::all_of(rest.substr(0, 4), is_digit) || rest[4] != '-' ||
      !std::ranges::all_of(rest.substr(5, 2), is_digit) || rest[7] != '.')
    return "an iqn name begins with iqn.yyyy-mm. and the reversed domain";
  const std::string_view month = rest.substr(5, 2);
  if (month < "01" || month > "12") return "the month of an iqn name is 01 to 12";
  if (rest[8] == ':') return "an iqn name names a domain before the colon";
  return {};
}

bool has_prefix(std::string_view name, std::string_view prefix) noexcept {
  return name.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), name.begin(), [](char a, char b) { return a == lower(b); });
}

}  // namespace

std::string_view name_problem(std::string_view name) noexcept {
  if (name.size() > name_bytes_max) return "an iSCSI name is at most 223 bytes";
  if (!has_name_characters(name)) return "an iSCSI name consists of letters, digits, '-', '.' and ':'";
  const std::string_view rest = name.substr(std::min<std::size_t>(4, name.size()));
  if (has_prefix(name, "iqn.")) return iqn_problem(rest);
  if (has_prefix(name, "eui."))
    return rest.size() == 16 && is_hex(rest) ? std::string_view() : "an eui name has 16 hexadecimal digits";
  if (has_prefix(name, "naa."))
    return (rest.size() == 16 || rest.size() == 32) && is_hex(rest) ? std::string_view()
                                                                    : "a naa name has 16 or 32 hexadecimal digits";
  return "an iSCSI name begins with iqn., eui. or naa.";
}

std::optional<std::string> normalize_name(std::string_view name) {
  if (!name_problem(name).empty()) return std::nullopt;
  std::string normalized(name);
  std::ranges::transform(normalized, normalized.begin(), lower);
  return normalized;
}

}  // namespace lunaris::iscsi
