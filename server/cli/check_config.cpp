// `lunaris check-config FILE`: the same checks as at start and at a reload, without a server.
#include <boost/json/object.hpp>
#include <iostream>

#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/config/json.h"
#include "server/control/backend_table.h"
#include "server/control/next_state.h"

namespace lunaris::cli {

namespace json = boost::json;

int check_config(const std::string& file, const std::string& data_folder, Output output) {
  runtime::SystemFileOps files;
  config::Decoded decoded = control::read_config_file(files, file);
  config::Problems& problems = decoded.problems;
  if (!config::has_errors(problems)) {
    for (config::Problem& problem : config::validate(decoded.document, {control::check_backend, data_folder})) {
      problems.push_back(std::move(problem));
    }
  }
  const bool is_bad = config::has_errors(problems);
  if (output == Output::json) {
    std::cout << config::pretty(json::object{{"valid", !is_bad}, {"problems", config::encode(problems)}});
  } else {
    for (const config::Problem& problem : problems) std::cerr << file << ": " << config::to_string(problem) << "\n";
    if (!is_bad) {
      std::cout << file << ": valid, " << decoded.document.volumes.size() << " volumes, "
                << decoded.document.targets.size() << " targets, " << decoded.document.portals.size() << " portals, "
                << problems.size() << " warnings\n";
    }
  }
  return is_bad ? exit_failed : exit_ok;
}

}  // namespace lunaris::cli
