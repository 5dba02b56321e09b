// Client: one side of the management socket, for the subcommands that ask a running server.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <string>

namespace lunaris::cli {

/// What a request came to: a result, or an exit code with a sentence.
struct Answer {
  boost::json::value result;
  int exit_code = 0;
  std::string message;          // why not
  boost::json::object details;  // the server's error object
};

/// Asks the server whose management socket is at `socket`; blocking, at most `time_max` per step.
[[nodiscard]] Answer ask(const std::string& socket, std::string_view method, boost::json::object params,
                         std::chrono::seconds time_max);

}  // namespace lunaris::cli
