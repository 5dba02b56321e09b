// Parsers of the small languages inside configuration strings.
#include "server/config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include "server/config/problem.h"

namespace lunaris::config {

namespace {

struct Unit {
  std::string_view name;
  unsigned shift;
};
constexpr Unit units[] = {{"PiB", 50}, {"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}};

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) noexcept {
  return c >= 'a' && c <= 'z';
}
bool is_hex(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// All of `text` as a decimal number without sign or leading zero.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  if (text.empty() || !std::ranges::all_of(text, is_digit) || (text.size() > 1 && text.front() == '0')) return {};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return number;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_number<std::uint16_t>(text);
  return port && *port != 0 ? port : std::nullopt;
}

/// Canonical form of a numeric address, IPv6 without brackets.
std::optional<std::string> canonical(int family, std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  std::array<char, INET6_ADDRSTRLEN> printed{};
  const std::string terminated(text);
  if (text.find('\0') != std::string_view::npos) return {};
  if (::inet_pton(family, terminated.c_str(), binary.data()) != 1) return {};
  return ::inet_ntop(family, binary.data(), printed.data(), printed.size());
}

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 && std::ranges::all_of(host, [](char c) {
    return is_digit(c) || is_lower(lower_case({&c, 1})[0]) || c == '-' || c == '.';
  });
}

std::string iqn_fault(std::string_view rest) {
  // iqn.YYYY-MM.reversed-domain[:anything], RFC 7143 4.2.7.4
  const auto digits = [&](std::size_t at, std::size_t count) {
    return rest.size() >= at + count && std::ranges::all_of(rest.substr(at, count), is_digit);
  };
  if (!digits(0, 4) || rest.size() < 8 || rest[4] != '-' || !digits(5, 2) || rest[7] != '.') {
    return "after \"iqn.\" comes the year and month in which the domain was registered, as in "
           "iqn.2026-01.io.example:disk";
  }
  const std::string_view month = rest.substr(5, 2);
  if (month < "01" || month > "12") return "the month after the year must be 01 to 12";
  const std::string_view domain =
      rest.substr(8, rest.find(':') == std::string_view::npos ? rest.npos : rest.find(':') - 8);
  if (domain.empty() || domain.front() == '.' || domain.back() == '.') return "the reversed domain name is missing";
  return "";
}

std::string hexadecimal_fault(std::string_view digits, std::string_view prefix, bool long_form_allowed) {
  const bool length_fits = digits.size() == 16 || (long_form_allowed && digits.size() == 32);
  if (length_fits && std::ranges::all_of(digits, is_hex)) return "";
  return "after \"" + std::string(prefix) + "\" come 16 " + (long_form_allowed ? "or 32 " : "") + "hexadecimal digits";
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  unsigned shift = 0;
  for (const Unit& unit : units) {
    if (!text.ends_with(unit.name)) continue;
    shift = unit.shift;
    text.remove_suffix(unit.name.size());
    while (text.ends_with(' ')) text.remove_suffix(1);
    break;
  }
  const auto number = parse_number<std::uint64_t>(text);
  if (!number || *number > (std::numeric_limits<std::uint64_t>::max() >> shift)) return {};
  return *number << shift;
}

std::string size_text(std::uint64_t bytes) {
  for (const Unit& unit : units) {
    const std::uint64_t one = std::uint64_t{1} << unit.shift;
    if (unit.shift != 0 && bytes != 0 && bytes % one == 0) return std::to_string(bytes / one) + std::string(unit.name);
  }
  return std::to_string(bytes);
}

std::optional<Address> parse_address(std::string_view text, std::uint16_t default_port) {
  std::optional<std::uint16_t> port = default_port;
  std::optional<std::string> address;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return {};
    address = canonical(AF_INET6, text.substr(1, end - 1));
    const std::string_view rest = text.substr(end + 1);
    if (!rest.empty()) port = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
  } else {
    const std::size_t colon = text.find(':');
    address = canonical(AF_INET, text.substr(0, colon));
    if (colon != std::string_view::npos) port = parse_port(text.substr(colon + 1));
  }
  if (!address || !port) return {};
  return Address{std::move(*address), *port};
}

std::string address_text(std::string_view address, std::uint16_t port) {
  const bool is_ipv6 = address.find(':') != std::string_view::npos;
  return (is_ipv6 ? "[" : "") + std::string(address) + (is_ipv6 ? "]:" : ":") + std::to_string(port);
}

std::string web_listen_fault(std::string_view text, bool insecure_http) {
  const auto address = parse_address(text, web_port_default);
  if (!address) return "must be a numeric address and a port: \"127.0.0.1:8080\".";
  const bool is_loopback = address->address.starts_with("127.") || address->address == "::1";
  if (is_loopback || insecure_http) return "";
  return "others can reach this address, and there is no TLS yet: listen on 127.0.0.1 or [::1] (behind a proxy with "
         "TLS, or an SSH tunnel), or allow plain HTTP with \"insecure_http\": true.";
}

bool is_advertised_address(std::string_view text) {
  const std::size_t comma = text.rfind(',');
  if (comma == std::string_view::npos || !parse_port(text.substr(comma + 1))) return false;
  const std::string_view endpoint = text.substr(0, comma);
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos || !parse_port(endpoint.substr(colon + 1))) return false;
  const std::string_view host = endpoint.substr(0, colon);
  if (host.starts_with('['))
    return host.ends_with(']') && canonical(AF_INET6, host.substr(1, host.size() - 2)).has_value();
  return is_host_name(host);
}

bool is_object_name(std::string_view name) {
  const auto first = [](char c) { return is_lower(c) || is_digit(c); };
  const auto other = [&](char c) { return first(c) || c == '.' || c == '_' || c == ':' || c == '-'; };
  return !name.empty() && name.size() <= 63 && first(name.front()) && std::ranges::all_of(name, other);
}

std::string iscsi_name_fault(std::string_view name) {
  if (name.empty()) return "the name is empty";
  if (name.size() > 223) return "an iSCSI name has at most 223 bytes";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    // RFC 3722: of ASCII only letters, digits, dash, dot and colon; other characters are UTF-8, prepared by whoever
    // writes the name.
    if (byte < 0x80 && !is_digit(c) && !is_lower(lower_case({&c, 1})[0]) && c != '-' && c != '.' && c != ':') {
      return "letters, digits, \"-\", \".\" and \":\" are allowed";
    }
  }
  const std::string lower = lower_case(name);
  const std::string_view view = lower;
  if (view.starts_with("iqn.")) return iqn_fault(view.substr(4));
  if (view.starts_with("eui.")) return hexadecimal_fault(view.substr(4), "eui.", false);
  if (view.starts_with("naa.")) return hexadecimal_fault(view.substr(4), "naa.", true);
  return "an iSCSI name begins with \"iqn.\", \"eui.\" or \"naa.\"";
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  constexpr std::string_view shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != shape.size()) return {};
  std::string digits;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 'x' ? !is_hex(text[i]) : text[i] != '-') return {};
    if (shape[i] == 'x') digits += text[i];
  }
  Uuid uuid{};
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    std::from_chars(digits.data() + 2 * i, digits.data() + 2 * i + 2, uuid[i], 16);
  }
  return uuid;
}

std::string uuid_text(const Uuid& uuid) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[uuid[i] >> 4];
    text += digits[uuid[i] & 15];
  }
  return text;
}

std::string_view to_string(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::trace:
      return "trace";
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warn:
      return "warn";
    case LogLevel::error:
      return "error";
  }
  return "";
}

std::string_view to_string(LogFormat format) noexcept {
  return format == LogFormat::json ? "json" : "text";
}

std::optional<LogLevel> parse_log_level(std::string_view text) noexcept {
  for (LogLevel level : {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
    if (to_string(level) == text) return level;
  }
  return {};
}

std::optional<LogFormat> parse_log_format(std::string_view text) noexcept {
  if (text == "text") return LogFormat::text;
  if (text == "json") return LogFormat::json;
  return {};
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
  constexpr std::size_t compared_max = 64;  // longer words are no typing slips of a member's name
  if (left.size() > compared_max || right.size() > compared_max) return compared_max;
  std::vector<std::vector<std::size_t>> cost(left.size() + 1, std::vector<std::size_t>(right.size() + 1));
  for (std::size_t i = 0; i <= left.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= right.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t replaced = cost[i - 1][j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[left.size()][right.size()];
}

std::string below(std::string_view pointer, std::string_view member) {
  std::string result(pointer);
  result += '/';
  for (const char c : member) {
    if (c == '~') {
      result += "~0";
    } else if (c == '/') {
      result += "~1";
    } else {
      result += c;
    }
  }
  return result;
}

std::string to_string(const Problem& problem) {
  std::string text = problem.severity == Severity::warning ? "warning: " : "error: ";
  if (problem.line != 0) {
    text += "line " + std::to_string(problem.line) + ", column " + std::to_string(problem.column) + ": ";
  } else if (!problem.pointer.empty()) {
    text += problem.pointer + ": ";
  }
  return text + problem.detail;
}

}  // namespace lunaris::config
