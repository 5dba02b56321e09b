// Times as the API writes them: RFC 3339, UTC, whole seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lunaris::web {

/// "2026-01-31T12:00:00Z"
[[nodiscard]] std::string time_text(std::uint64_t unix_seconds);
/// The same way back; nothing when it is no such time.
[[nodiscard]] std::optional<std::uint64_t> parse_time(std::string_view text);

}  // namespace lunaris::web
