// Reads the members of JSON objects and puts what is wrong into sentences.
#include "server/config/object_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/config/values.h"

namespace lunaris::config {

namespace json = boost::json;

namespace {

std::string expected(std::string_view what, const json::value& value) {
  return "must be " + std::string(what) + ", not " + std::string(kind_of(value)) + ".";
}

std::string range_text(std::uint64_t min, std::uint64_t max) {
  return std::to_string(min) + " to " + std::to_string(max);
}

std::optional<std::uint64_t> whole_number(const json::value& value) noexcept {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  return {};
}

}  // namespace

std::string_view kind_of(const json::value& value) noexcept {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "true or false";
    case json::kind::int64:
    case json::kind::uint64:
      return "a number";
    case json::kind::double_:
      return "a fraction";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "an object";
  }
  return "";
}

ObjectReader::ObjectReader(const json::value& value, std::string pointer, Problems& problems)
    : object_(value.if_object()), pointer_(std::move(pointer)), problems_(problems) {
  if (object_ == nullptr) problems_.push_back({pointer_, expected("an object", value)});
}

ObjectReader::~ObjectReader() {
  if (object_ == nullptr) return;
  for (const auto& member : *object_) {
    const std::string_view name(member.key().data(), member.key().size());
    if (std::ranges::find(asked_, name) != asked_.end()) continue;
    const std::string_view meant = closest_name(name, asked_);
    std::string detail = "is not known here";
    if (!meant.empty()) {
      detail += "; did you mean \"" + std::string(meant) + "\"?";
    } else {
      detail += "; allowed:";
      for (std::string_view allowed : asked_) detail += (allowed == asked_.front() ? " " : ", ") + std::string(allowed);
      detail += ".";
    }
    problem(name, std::move(detail));
  }
}

void ObjectReader::problem(std::string_view member, std::string detail) {
  problems_.push_back({pointer_to(member), std::move(detail)});
}

void ObjectReader::problem(std::string_view member, std::size_t index, std::string detail) {
  problems_.push_back({below(pointer_to(member), std::to_string(index)), std::move(detail)});
}

const json::value* ObjectReader::find(std::string_view member) {
  asked_.push_back(member);
  return object_ == nullptr ? nullptr : object_->if_contains(json::string_view(member.data(), member.size()));
}

const json::value* ObjectReader::require(std::string_view member) {
  const json::value* value = find(member);
  if (value == nullptr && object_ != nullptr) problem(member, "is missing.");
  return value;
}

const json::object* ObjectReader::find_object(std::string_view member) {
  const json::value* value = find(member);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) problem(member, expected("an object", *value));
  return value->if_object();
}

void ObjectReader::read(std::string_view member, bool& out) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  if (!value->is_bool()) return problem(member, expected("true or false", *value));
  out = value->get_bool();
}

void ObjectReader::read_text(std::string_view member, std::string& out, std::size_t bytes_max) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  if (!value->is_string()) return problem(member, expected("a string", *value));
  const json::string& text = value->get_string();
  if (text.size() > bytes_max) return problem(member, "has at most " + std::to_string(bytes_max) + " bytes.");
  if (std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
    return problem(member, "contains a control character.");
  }
  out.assign(text.data(), text.size());
}

void ObjectReader::read_printable(std::string_view member, std::string& out, std::size_t bytes_max) {
  std::string text = out;
  read_text(member, text, bytes_max);
  const bool is_printable = std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7F; });
  if (!is_printable) return problem(member, "initiators are shown ASCII characters only here.");
  out = std::move(text);
}

void ObjectReader::read_wide(std::string_view member, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  if (!value->is_number()) return problem(member, expected("a whole number", *value));
  const auto number = whole_number(*value);
  if (!number || *number < min || *number > max) {
    return problem(member, "must be a whole number from " + range_text(min, max) + ".");
  }
  out = *number;
}

void ObjectReader::read_size(std::string_view member, std::uint64_t& out, std::uint64_t min, std::uint64_t max) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  std::optional<std::uint64_t> bytes;
  if (value->is_string()) {
    const json::string& text = value->get_string();
    bytes = parse_size({text.data(), text.size()});
  } else {
    bytes = whole_number(*value);
  }
  if (!bytes) return problem(member, "must be a size: bytes as a whole number, or a string such as \"10GiB\".");
  if (*bytes < min || *bytes > max) {
    return problem(member, "must be from " + size_text(min) + " to " + size_text(max) + ".");
  }
  out = *bytes;
}

void ObjectReader::read_texts(std::string_view member, std::vector<std::string>& out, std::size_t count_max) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  if (!value->is_array()) return problem(member, expected("a list of strings", *value));
  const json::array& list = value->get_array();
  if (list.size() > count_max) return problem(member, "has at most " + std::to_string(count_max) + " elements.");
  out.clear();
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_string()) {
      problem(member, i, expected("a string", list[i]));
      continue;
    }
    const json::string& text = list[i].get_string();
    out.emplace_back(text.data(), text.size());
  }
}

void ObjectReader::read_numbers(std::string_view member, std::vector<std::uint32_t>& out, std::uint32_t max,
                                std::size_t count_max) {
  const json::value* value = find(member);
  if (value == nullptr) return;
  if (!value->is_array()) return problem(member, expected("a list of numbers", *value));
  const json::array& list = value->get_array();
  if (list.size() > count_max) return problem(member, "has at most " + std::to_string(count_max) + " elements.");
  out.clear();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto number = whole_number(list[i]);
    if (!number || *number > max) {
      problem(member, i, "must be a whole number from " + range_text(0, max) + ".");
      continue;
    }
    out.push_back(static_cast<std::uint32_t>(*number));
  }
}

}  // namespace lunaris::config
