// Problem: one thing wrong with a configuration, where it is and what to do. All of them are reported at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lunaris::config {

enum class Severity : std::uint8_t { error, warning };

struct Problem {
  std::string pointer;  // RFC 6901, "/volumes/db1/size"; empty: the whole document
  std::string detail;   // one sentence
  Severity severity = Severity::error;
  unsigned line = 0;  // for syntax errors, from 1; 0: not known
  unsigned column = 0;
  bool operator==(const Problem&) const = default;
};

using Problems = std::vector<Problem>;

/// Whether the document may not be used.
[[nodiscard]] inline bool has_errors(const Problems& problems) noexcept {
  return std::ranges::any_of(problems, [](const Problem& problem) { return problem.severity == Severity::error; });
}

/// `pointer` one member further down, with ~ and / escaped (RFC 6901 section 3).
[[nodiscard]] std::string below(std::string_view pointer, std::string_view member);

/// "error: /volumes/db1/size: must be ...", or with "line 3, column 7" in place of the pointer for syntax errors.
[[nodiscard]] std::string to_string(const Problem& problem);

}  // namespace lunaris::config
