// OptionReader: reads a back end's or filter's JSON options and collects everything that is wrong with them at once.
// Used by the `check` and `open` functions behind the rows of registry.cpp, so that both see the same rules.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/registry.h"

namespace lunaris::backends {

/// The known name that `name` is most likely a slip of (at most two edits away, or a prefix); empty when none is near.
[[nodiscard]] std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

/// `text` as one reference token of a JSON pointer (RFC 6901 section 3).
[[nodiscard]] std::string pointer_token(std::string_view text);

/// All problems in one line, for a log or a `reason`.
[[nodiscard]] std::string in_one_line(std::span<const OptionProblem> problems);

/// Reads members one by one; each call names a member that exists. `finish` refuses every other member.
class OptionReader {
 public:
  OptionReader(const boost::json::object& options, std::vector<OptionProblem>& problems)
      : options_(options), problems_(problems) {}

  /// Declares a member that somebody else reads.
  void ignore(std::string_view name) { known_.push_back(name); }
  [[nodiscard]] bool has(std::string_view name) const { return options_.contains(name); }

  bool flag(std::string_view name, bool otherwise);
  /// A whole number from `low` to `high`.
  std::uint64_t number(std::string_view name, std::uint64_t low, std::uint64_t high, std::uint64_t otherwise);
  /// Any number from `low` to `high`.
  double real(std::string_view name, double low, double high, double otherwise);
  /// A text that is not empty; `otherwise` when missing and not required.
  std::string text(std::string_view name, bool required);
  /// One of `choices`; its index.
  std::size_t choice(std::string_view name, std::span<const std::string_view> choices, std::size_t otherwise);
  /// A list of `choices`; bit i says that choice i is in it. All of them when missing.
  std::uint32_t choice_set(std::string_view name, std::span<const std::string_view> choices);

  void problem(std::string_view name, std::string detail);
  /// Refuses members that were not asked for, with the nearest known name as a hint.
  void finish();

 private:
  const boost::json::value* find(std::string_view name);
  std::optional<std::size_t> index_of(std::string_view pointer, const boost::json::value& value,
                                      std::span<const std::string_view> choices);

  const boost::json::object& options_;
  std::vector<OptionProblem>& problems_;
  std::vector<std::string_view> known_;
};

}  // namespace lunaris::backends
