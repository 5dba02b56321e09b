// The memory back end: sparse chunks of ordinary memory, allocated on first write on the writing worker's NUMA node.
// For tests, caches and scratch volumes; the contents end with the process.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "backends/registry.h"

namespace lunaris::backends {

[[nodiscard]] std::vector<OptionProblem> check_memory(const boost::json::object& options);
Result<std::unique_ptr<BlockDevice>> open_memory(const OpenRequest& request, const boost::json::object& options,
                                                 std::string& reason);

}  // namespace lunaris::backends
