// The null back end: reads return zeros, writes vanish. For measuring everything but storage.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "backends/registry.h"

namespace lunaris::backends {

[[nodiscard]] std::vector<OptionProblem> check_null(const boost::json::object& options);
Result<std::unique_ptr<BlockDevice>> open_null(const OpenRequest& request, const boost::json::object& options,
                                               std::string& reason);

}  // namespace lunaris::backends
