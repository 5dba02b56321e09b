// Result: a value or the reason why there is none. I/O errors and peers' mistakes are values, not exceptions.
#pragma once

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace lunaris::runtime {

using Error = boost::system::error_code;

template <class T = void>
using Result = boost::system::result<T>;

/// An errno value (positive) as an Error.
[[nodiscard]] inline Error errno_error(int errno_value) noexcept {
  return {errno_value, boost::system::generic_category()};
}

}  // namespace lunaris::runtime
