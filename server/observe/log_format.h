// Log lines as bytes: JSON objects or text, escaped so that nothing a peer sends can break a line or forge one. Pure.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "server/observe/log.h"

namespace lunaris::observe {

using LogTime = std::chrono::system_clock::time_point;

/// The part of a line that belongs to the call: message and fields, escaped.
[[nodiscard]] std::string format_body(Format format, std::string_view message, std::span<const Field> fields);
/// The whole line, newline included, appended to `out`. `body` is what `format_body` made.
void format_line(Format format, LogTime time, Level level, std::string_view component, std::string_view body,
                 std::string& out);

/// Appends `text` as the inside of a JSON string (RFC 8259 7); bytes that are not UTF-8 become U+FFFD.
void append_json_escaped(std::string_view text, std::string& out);
/// Appends `text` as a text value: quoted when it holds anything but printable ASCII without blanks, quotes and '='.
void append_text_value(std::string_view text, std::string& out);
/// "2026-11-21T02:16:15.123456Z" (RFC 3339).
void append_time(LogTime time, std::string& out);

}  // namespace lunaris::observe
