// ObjectReader: takes an object apart member by member, notes what is wrong with each, and at the end names the members
// that nobody asked for. Used by the decoders in json.cpp only.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/problem.h"

namespace lunaris::config {

/// What a JSON value is, in words: "a string", "an object".
[[nodiscard]] std::string_view kind_of(const boost::json::value& value) noexcept;

class ObjectReader {
 public:
  /// `value` and `problems` outlive the reader. A value that is no object is a problem, and then has no members.
  ObjectReader(const boost::json::value& value, std::string pointer, Problems& problems);
  ObjectReader(const ObjectReader&) = delete;
  ObjectReader& operator=(const ObjectReader&) = delete;
  /// Reports the members that were never asked for, each with the name that was probably meant.
  ~ObjectReader();

  [[nodiscard]] const std::string& pointer() const noexcept { return pointer_; }
  [[nodiscard]] std::string pointer_to(std::string_view member) const { return below(pointer_, member); }
  void problem(std::string_view member, std::string detail);
  /// The same for one element of a list.
  void problem(std::string_view member, std::size_t index, std::string detail);

  /// The member, null when it is absent.
  [[nodiscard]] const boost::json::value* find(std::string_view member);
  /// The same, and its absence is a problem.
  [[nodiscard]] const boost::json::value* require(std::string_view member);
  /// The member when it is an object; a problem when it is something else.
  [[nodiscard]] const boost::json::object* find_object(std::string_view member);

  // Each leaves `out` alone when the member is absent or wrong.
  void read(std::string_view member, bool& out);
  void read_text(std::string_view member, std::string& out, std::size_t bytes_max);
  void read_printable(std::string_view member, std::string& out, std::size_t bytes_max);
  void read_size(std::string_view member, std::uint64_t& out, std::uint64_t min, std::uint64_t max);
  template <std::unsigned_integral Number>
  void read_number(std::string_view member, Number& out, std::uint64_t min, std::uint64_t max) {
    std::uint64_t wide = out;
    read_wide(member, wide, min, max);
    out = static_cast<Number>(wide);
  }
  void read_texts(std::string_view member, std::vector<std::string>& out, std::size_t count_max);
  void read_numbers(std::string_view member, std::vector<std::uint32_t>& out, std::uint32_t max, std::size_t count_max);

 private:
  void read_wide(std::string_view member, std::uint64_t& out, std::uint64_t min, std::uint64_t max);

  const boost::json::object* object_ = nullptr;
  std::string pointer_;
  Problems& problems_;
  std::vector<std::string_view> asked_;
};

}  // namespace lunaris::config
