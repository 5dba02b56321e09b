// The back-end table as the configuration sees it: the check that validation calls, for the server and check-config.
#pragma once

#include <boost/json/object.hpp>

#include "server/config/problem.h"

namespace lunaris::control {

/// backends::check_backend with its findings as problems.
[[nodiscard]] config::Problems check_backend(const boost::json::object& backend);

}  // namespace lunaris::control
