// The subcommands that are not `serve`: each takes its options and answers with the exit code of the process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace lunaris::cli {

enum class Output : std::uint8_t { table, json };

/// Where the management socket is when nobody says: LUNARIS_SOCKET is handled by the flag; then the usual place, then
/// the one that a server without rights to that place makes in ./data.
[[nodiscard]] std::string default_socket();

struct CtlOptions {
  std::string socket;
  Output output = Output::table;
  std::string file;                       // a configuration; "-": standard input
  std::optional<std::uint64_t> revision;  // the one that is to be replaced
  std::string session;
  std::string level;
};

int ctl_status(const CtlOptions& options);
int ctl_sessions(const CtlOptions& options);
int ctl_login_failures(const CtlOptions& options);
int ctl_config_get(const CtlOptions& options);
int ctl_config_apply(const CtlOptions& options);
int ctl_config_plan(const CtlOptions& options);
int ctl_drop(const CtlOptions& options);
int ctl_reload(const CtlOptions& options);
int ctl_log_level(const CtlOptions& options);

/// 0 when a server answers and runs.
int healthcheck(const std::string& socket);

/// Reads a configuration file, says everything that is wrong with it, touches nothing.
int check_config(const std::string& file, const std::string& data_folder, Output output);

}  // namespace lunaris::cli
