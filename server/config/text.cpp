// JSON text to value, with what Boost.JSON leaves out: line numbers, members given twice, a limit on the size.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/stream_parser.hpp>
#include <set>
#include <string>
#include <vector>

#include "server/config/json.h"
#include "server/limits.h"

namespace lunaris::config {

namespace json = boost::json;

namespace {

json::parse_options options() {
  json::parse_options options;
  options.allow_comments = true;
  options.allow_trailing_commas = true;
  options.max_depth = limits::config_depth_max;
  return options;
}

/// Follows the parser through the text and notes every member that an object has twice.
class DuplicateFinder {
 public:
  static constexpr std::size_t max_object_size = ~std::size_t{0};
  static constexpr std::size_t max_array_size = ~std::size_t{0};
  static constexpr std::size_t max_key_size = ~std::size_t{0};
  static constexpr std::size_t max_string_size = ~std::size_t{0};

  Problems problems;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) { return open(); }
  bool on_object_end(std::size_t, json::error_code&) { return close(); }
  bool on_array_begin(json::error_code&) { return open(); }
  bool on_array_end(std::size_t, json::error_code&) { return close(); }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    key_.append(part.data(), part.size());
    Level& level = levels_.back();
    level.member = below(level.pointer, key_);
    if (!level.seen.insert(key_).second) {
      problems.push_back({level.member, "given twice in one object; remove one of them.", Severity::error, 0, 0});
    }
    key_.clear();
    return true;
  }
  bool on_string_part(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_string(json::string_view, std::size_t, json::error_code&) { return true; }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t, json::string_view, json::error_code&) { return true; }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
  bool on_double(double, json::string_view, json::error_code&) { return true; }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  struct Level {
    std::string pointer;
    std::string member;  // pointer of the member whose value is being read
    std::set<std::string, std::less<>> seen;
  };
  bool open() {
    levels_.push_back({levels_.empty() ? "" : levels_.back().member, "", {}});
    levels_.back().member = levels_.back().pointer;
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::vector<Level> levels_;
  std::string key_;
};

Problems find_duplicates(std::string_view text) {
  json::basic_parser<DuplicateFinder> parser(options());
  json::error_code error;
  parser.write_some(false, text.data(), text.size(), error);
  return std::move(parser.handler().problems);
}

std::string explain(const json::error_code& error) {
  if (error == json::error::incomplete)
    return "the text ends in the middle of the document; a bracket or quote is missing.";
  if (error == json::error::extra_data) return "there is more text after the end of the document.";
  if (error == json::error::too_deep) return "objects and arrays are nested too deeply.";
  return "not JSON here: " + error.message() + ".";
}

Problem syntax_problem(std::string_view text, std::size_t offset, const json::error_code& error) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  const auto line = static_cast<unsigned>(std::ranges::count(before, '\n') + 1);
  return {"", explain(error), Severity::error, line, static_cast<unsigned>(before.size() - line_start + 1)};
}

void write_pretty(std::string& out, const json::value& value, std::size_t depth) {
  const std::string inner(2 * (depth + 1), ' ');
  const std::string outer(2 * depth, ' ');
  if (value.is_object() && !value.get_object().empty()) {
    out += "{";
    const char* separator = "\n";
    for (const auto& member : value.get_object()) {
      out += separator + inner + json::serialize(json::string(member.key())) + ": ";
      write_pretty(out, member.value(), depth + 1);
      separator = ",\n";
    }
    out += "\n" + outer + "}";
  } else if (value.is_array() && !value.get_array().empty()) {
    out += "[";
    const char* separator = "\n";
    for (const json::value& element : value.get_array()) {
      out += separator + inner;
      write_pretty(out, element, depth + 1);
      separator = ",\n";
    }
    out += "\n" + outer + "]";
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

ParsedText parse_text(std::string_view text) {
  if (text.size() > limits::config_bytes_max) {
    return {nullptr, {{"", "the document is larger than " + std::to_string(limits::config_bytes_max) + " bytes."}}};
  }
  json::stream_parser parser({}, options());
  json::error_code error;
  std::size_t offset = parser.write_some(text.data(), text.size(), error);
  if (!error && offset < text.size()) error = json::error::extra_data;
  if (!error) parser.finish(error);
  if (error) return {nullptr, {syntax_problem(text, offset, error)}};
  return {parser.release(), find_duplicates(text)};
}

std::string pretty(const json::value& value) {
  std::string text;
  write_pretty(text, value, 0);
  text += "\n";
  return text;
}

}  // namespace lunaris::config
