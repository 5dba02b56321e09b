// App: the server process. Owns everything, in the order in which it depends on each other; used by main.cpp only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/config/model.h"

namespace lunaris {

/// What `lunaris serve` was told. Everything optional overrides the document's server section.
struct ServeOptions {
  std::string config_file;  // not empty: managed by this file
  std::string data_folder = "data";
  bool demo = false;   // a folder without state begins with a volume to try things on
  std::string listen;  // of the portal that a folder without state begins with
  std::optional<std::string> socket;
  std::optional<std::string> web_listen;  // "none": no web server
  bool insecure_http = false;
  std::optional<std::uint32_t> workers;
  std::optional<config::LogLevel> log_level;
  std::optional<config::LogFormat> log_format;
};

/// Runs the server until SIGTERM or SIGINT; 0 when everything was closed in order. Throws std::exception when it
/// cannot start, with a message that says what to do.
int serve(const ServeOptions& options);

}  // namespace lunaris
