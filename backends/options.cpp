// Reading of JSON options, with every problem worded for the person who wrote them.
#include "backends/options.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <numeric>

namespace lunaris::backends {

namespace {

/// Levenshtein distance.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string listed(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += '"';
    text += name;
    text += '"';
  }
  return text;
}

std::string as_text(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
  std::string_view nearest;
  std::size_t edits_min = 3;
  for (const std::string_view candidate : known) {
    // A short name is near to every other short name: ask for half of it to be right.
    const std::size_t edits = edits_between(name, candidate);
    if (edits < edits_min && edits * 2 <= candidate.size()) {
      nearest = candidate;
      edits_min = edits;
    }
  }
  if (!nearest.empty() || name.size() < 3) return nearest;
  const auto prefix =
      std::ranges::find_if(known, [&](auto one) { return one.starts_with(name) || name.starts_with(one); });
  return prefix == known.end() ? std::string_view() : *prefix;
}

std::string pointer_token(std::string_view text) {
  std::string token;
  for (const char letter : text) {
    if (letter == '~') {
      token += "~0";
    } else if (letter == '/') {
      token += "~1";
    } else {
      token += letter;
    }
  }
  return token;
}

std::string in_one_line(std::span<const OptionProblem> problems) {
  std::string line;
  for (const OptionProblem& problem : problems) {
    if (!line.empty()) line += "; ";
    line += (problem.pointer.empty() ? "back end" : problem.pointer) + ": " + problem.detail;
  }
  return line;
}

const boost::json::value* OptionReader::find(std::string_view name) {
  known_.push_back(name);
  return options_.if_contains(name);
}

void OptionReader::problem(std::string_view name, std::string detail) {
  problems_.push_back({"/" + pointer_token(name), std::move(detail)});
}

bool OptionReader::flag(std::string_view name, bool otherwise) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return otherwise;
  if (const bool* given = value->if_bool()) return *given;
  problem(name, "must be true or false");
  return otherwise;
}

std::uint64_t OptionReader::number(std::string_view name, std::uint64_t low, std::uint64_t high,
                                   std::uint64_t otherwise) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return otherwise;
  boost::json::error_code error;
  const auto given = value->to_number<std::uint64_t>(error);
  if (!error && given >= low && given <= high) return given;
  problem(name, "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  return otherwise;
}

double OptionReader::real(std::string_view name, double low, double high, double otherwise) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return otherwise;
  boost::json::error_code error;
  const auto given = value->to_number<double>(error);
  if (!error && given >= low && given <= high) return given;
  problem(name, "must be a number from " + as_text(low) + " to " + as_text(high));
  return otherwise;
}

std::string OptionReader::text(std::string_view name, bool required) {
  const boost::json::value* value = find(name);
  if (value == nullptr) {
    if (required) problem(name, "is missing");
    return {};
  }
  const boost::json::string* given = value->if_string();
  if (given != nullptr && !given->empty() && given->find('\0') == boost::json::string::npos) {
    return std::string(*given);
  }
  problem(name, "must be a text that is not empty");
  return {};
}

std::optional<std::size_t> OptionReader::index_of(std::string_view pointer, const boost::json::value& value,
                                                  std::span<const std::string_view> choices) {
  const boost::json::string* given = value.if_string();
  if (given != nullptr) {
    const auto found = std::ranges::find(choices, std::string_view(*given));
    if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  }
  std::string detail = "must be one of " + listed(choices);
  const std::string_view hint = given != nullptr ? nearest_name(*given, choices) : std::string_view();
  if (!hint.empty()) detail += "; did you mean \"" + std::string(hint) + "\"?";
  problems_.push_back({"/" + std::string(pointer), std::move(detail)});
  return std::nullopt;
}

std::size_t OptionReader::choice(std::string_view name, std::span<const std::string_view> choices,
                                 std::size_t otherwise) {
  const boost::json::value* value = find(name);
  if (value == nullptr) return otherwise;
  return index_of(pointer_token(name), *value, choices).value_or(otherwise);
}

std::uint32_t OptionReader::choice_set(std::string_view name, std::span<const std::string_view> choices) {
  const std::uint32_t all = (std::uint32_t{1} << choices.size()) - 1;
  const boost::json::value* value = find(name);
  if (value == nullptr) return all;
  const boost::json::array* given = value->if_array();
  if (given == nullptr || given->empty()) {
    problem(name, "must be a list with at least one of " + listed(choices));
    return all;
  }
  std::uint32_t set = 0;
  for (std::size_t i = 0; i < given->size(); ++i) {
    const std::string pointer = pointer_token(name) + "/" + std::to_string(i);
    if (const auto index = index_of(pointer, (*given)[i], choices)) set |= std::uint32_t{1} << *index;
  }
  return set;
}

void OptionReader::finish() {
  for (const auto& member : options_) {
    const std::string_view name = member.key();
    if (std::ranges::find(known_, name) != known_.end()) continue;
    const std::string_view hint = nearest_name(name, known_);
    problem(name, hint.empty() ? std::string("is not known here")
                               : "is not known here; did you mean \"" + std::string(hint) + "\"?");
  }
}

}  // namespace lunaris::backends
