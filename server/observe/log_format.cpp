// Escaping and layout of log lines.
#include "server/observe/log_format.h"

#include <time.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace lunaris::observe {
namespace {

constexpr std::string_view replacement_character = "\\ufffd";

void append_hex_escape(std::string_view prefix, unsigned char byte, std::string& out) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.append(prefix);
  out.push_back(digits[byte >> 4U]);
  out.push_back(digits[byte & 15U]);
}

/// Length of the UTF-8 sequence that `text` starts with (2 to 4); 0 when it is malformed, overlong or a surrogate.
std::size_t multibyte_length(std::string_view text) noexcept {
  const auto at = [&text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  if (lead == 0xe0 && at(1) < 0xa0) return 0;  // overlong
  if (lead == 0xed && at(1) > 0x9f) return 0;  // surrogates
  if (lead == 0xf0 && at(1) < 0x90) return 0;  // overlong
  if (lead == 0xf4 && at(1) > 0x8f) return 0;  // beyond U+10FFFF
  return length;
}

void append_json_ascii(unsigned char byte, std::string& out) {
  switch (byte) {
    case '"':
      out.append("\\\"");
      return;
    case '\\':
      out.append("\\\\");
      return;
    case '\n':
      out.append("\\n");
      return;
    case '\r':
      out.append("\\r");
      return;
    case '\t':
      out.append("\\t");
      return;
    default:
      break;
  }
  if (byte < 0x20 || byte == 0x7f) {
    append_hex_escape("\\u00", byte, out);
  } else {
    out.push_back(static_cast<char>(byte));
  }
}

template <class Number>
void append_number(Number number, std::string& out) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc()) out.append(text.data(), end);
}

void append_json_string(std::string_view text, std::string& out) {
  out.push_back('"');
  append_json_escaped(text, out);
  out.push_back('"');
}

void append_value(Format format, const FieldValue& value, std::string& out) {
  switch (value.kind) {
    case FieldValue::Kind::text:
      format == Format::json ? append_json_string(value.text, out) : append_text_value(value.text, out);
      return;
    case FieldValue::Kind::signed_number:
      append_number(value.signed_number, out);
      return;
    case FieldValue::Kind::unsigned_number:
      append_number(value.unsigned_number, out);
      return;
    case FieldValue::Kind::boolean:
      out.append(value.boolean ? "true" : "false");
      return;
    case FieldValue::Kind::real:
      // JSON has no infinity and no NaN.
      std::isfinite(value.real) ? append_number(value.real, out) : static_cast<void>(out.append("null"));
      return;
  }
}

}  // namespace

void append_json_escaped(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const auto byte = static_cast<unsigned char>(text.front());
    std::size_t length = 1;
    if (byte < 0x80) {
      append_json_ascii(byte, out);
    } else if (const std::size_t sequence = multibyte_length(text); sequence != 0) {
      length = sequence;
      out.append(text.substr(0, length));
    } else {
      out.append(replacement_character);
    }
    text.remove_prefix(length);
  }
}

void append_text_value(std::string_view text, std::string& out) {
  bool plain = !text.empty();
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\' || c == '=') plain = false;
  }
  if (plain) {
    out.append(text);
    return;
  }
  out.push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || byte < 0x20 || byte == 0x7f) {
      append_hex_escape("\\x", byte, out);  // no terminal escapes, no forged lines
    } else {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void append_time(LogTime time, std::string& out) {
  const auto since_epoch = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<time_t>(since_epoch / 1'000'000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text;
  const int length = std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                                   parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                                   parts.tm_sec, static_cast<int>(since_epoch % 1'000'000));
  out.append(text.data(), static_cast<std::size_t>(length));
}

std::string format_body(Format format, std::string_view message, std::span<const Field> fields) {
  std::string body;
  body.reserve(message.size() + 2 + fields.size() * 24);
  if (format == Format::json) {
    body.append("\"msg\":");
    append_json_string(message, body);
  } else {
    // The message is a literal of ours; control characters in it would still break the line.
    for (const char c : message) body.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
  }
  for (const Field& field : fields) {
    if (format == Format::json) {
      body.push_back(',');
      append_json_string(field.key, body);
      body.push_back(':');
    } else {
      body.push_back(' ');
      body.append(field.key);
      body.push_back('=');
    }
    append_value(format, field.value, body);
  }
  return body;
}

void format_line(Format format, LogTime time, Level level, std::string_view component, std::string_view body,
                 std::string& out) {
  if (format == Format::json) {
    out.append("{\"ts\":\"");
    append_time(time, out);
    out.append("\",\"level\":\"").append(to_string(level)).append("\",\"component\":");
    append_json_string(component, out);
    out.append(",").append(body).append("}\n");
    return;
  }
  append_time(time, out);
  out.push_back(' ');
  const std::string_view name = to_string(level);
  out.append(name).append(6 - name.size(), ' ');
  out.append(component).append(": ").append(body).push_back('\n');
}

}  // namespace lunaris::observe
