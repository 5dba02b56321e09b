// What is wrong with a document that its members, each by itself, do not show: references, duplicates, contradictions.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>

#include "server/config/model.h"
#include "server/config/problem.h"

namespace lunaris::config {

/// What validation must know of the world. Pure functions all the same: no file is touched.
struct Surroundings {
  /// Problems of one `backend` object, pointers below it; null: back ends are not checked.
  std::function<Problems(const boost::json::object& backend)> check_backend;
  /// Where relative paths start, to see that two paths are one file.
  std::string data_folder;
};

[[nodiscard]] Problems validate(const Document& document, const Surroundings& surroundings);

/// What may not become of `current`: a volume may not shrink (its initiators would lose what lies beyond the new end),
/// nor change its block size or UUID while it exists.
[[nodiscard]] Problems validate_change(const Document& current, const Document& next);

}  // namespace lunaris::config
