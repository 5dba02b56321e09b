// Taking targets apart: percent escapes (RFC 3986 2.1) and query parameters.
#include "web/http.h"

#include <boost/json/serialize.hpp>
#include <optional>

namespace lunaris::web {

namespace {

std::optional<unsigned> hexadecimal(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
  if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a') + 10;
  if (digit >= 'A' && digit <= 'F') return static_cast<unsigned>(digit - 'A') + 10;
  return {};
}

/// Nothing on a bad escape, and for control characters, which no name of ours has.
std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return {};
      const auto high = hexadecimal(text[i + 1]);
      const auto low = hexadecimal(text[i + 2]);
      if (!high || !low) return {};
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return {};
    out += c;
  }
  return out;
}

/// Calls `use` with each part of `text` between `separator`s until it answers false.
template <class Use>
bool each_part(std::string_view text, char separator, Use use) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!use(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Response json_response(unsigned status, const boost::json::value& value) {
  Response response;
  response.status = status;
  response.body = boost::json::serialize(value) + "\n";
  return response;
}

Target parse_target(std::string_view target) {
  Target out;
  const std::size_t question = target.find('?');
  out.path = std::string(target.substr(0, question));
  if (out.path.empty() || out.path.front() != '/') return out;
  out.is_valid = each_part(std::string_view(out.path).substr(1), '/', [&](std::string_view part) {
    auto segment = decode_percent(part);
    if (segment) out.segments.push_back(std::move(*segment));
    return segment.has_value();
  });
  if (!out.is_valid || question == std::string_view::npos) return out;
  out.is_valid = each_part(target.substr(question + 1), '&', [&](std::string_view part) {
    if (part.empty()) return true;
    const std::size_t equals = part.find('=');
    auto name = decode_percent(part.substr(0, equals));
    auto value = decode_percent(equals == std::string_view::npos ? "" : part.substr(equals + 1));
    if (name && value) out.query[*name] = *value;
    return name && value;
  });
  return out;
}

}  // namespace lunaris::web
