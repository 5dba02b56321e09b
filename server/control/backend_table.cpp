// Turns the findings of the back-end table into problems of the configuration.
#include "server/control/backend_table.h"

#include "backends/registry.h"

namespace lunaris::control {

config::Problems check_backend(const boost::json::object& backend) {
  config::Problems problems;
  for (backends::OptionProblem& problem : backends::check_backend(backend)) {
    if (!problem.detail.ends_with('.') && !problem.detail.ends_with('?')) problem.detail += '.';
    problems.push_back({std::move(problem.pointer), std::move(problem.detail)});
  }
  return problems;
}

}  // namespace lunaris::control
