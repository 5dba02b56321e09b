// The executable: subcommands and their flags. What cannot start says why in one message, caught here and nowhere else.
#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>

#include "server/app.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/config/values.h"

namespace {

namespace cli = lunaris::cli;

/// What the command line said, filled by CLI11 while it parses.
struct Flags {
  lunaris::ServeOptions serve;
  std::string socket;
  std::string web_listen;
  std::uint32_t workers = 0;
  std::string log_level;
  std::string log_format;
  cli::CtlOptions ctl;
  std::string output = "table";
  std::string check_file;
  std::string check_data = "data";
};

void add_serve(CLI::App& app, Flags& flags, int& code) {
  CLI::App* serve =
      app.add_subcommand("serve", "Run the server until SIGTERM or SIGINT; SIGHUP reads the configuration again");
  auto* config =
      serve->add_option("--config", flags.serve.config_file, "Configuration file; the server is then managed by it")
          ->envname("LUNARIS_CONFIG");
  serve->add_option("--data", flags.serve.data_folder, "Folder of the state and of volumes with relative paths")
      ->envname("LUNARIS_DATA")
      ->capture_default_str();
  serve->add_flag("--demo", flags.serve.demo, "Begin with a 1 GiB volume on 127.0.0.1:3260 and print how to connect")
      ->excludes(config);
  serve->add_option("--listen", flags.serve.listen, "ADDRESS:PORT of the portal that a new data folder begins with")
      ->envname("LUNARIS_LISTEN")
      ->excludes(config);
  auto* socket = serve->add_option("--socket", flags.socket, "Management socket")->envname("LUNARIS_SOCKET");
  auto* web = serve->add_option("--web-listen", flags.web_listen, "ADDRESS:PORT of the dashboard and its API, or none")
                  ->envname("LUNARIS_WEB_LISTEN");
  serve->add_flag("--insecure-http", flags.serve.insecure_http, "Let --web-listen be an address that others can reach");
  auto* workers = serve->add_option("--workers", flags.workers, "Data workers; 0: one per CPU")
                      ->envname("LUNARIS_WORKERS")
                      ->check(CLI::Range(0, 1024));
  auto* level = serve->add_option("--log-level", flags.log_level, "trace, debug, info, warn or error")
                    ->envname("LUNARIS_LOG_LEVEL")
                    ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  auto* format = serve->add_option("--log-format", flags.log_format, "text or json")
                     ->envname("LUNARIS_LOG_FORMAT")
                     ->check(CLI::IsMember({"text", "json"}));
  serve->callback([&flags, &code, socket, web, workers, level, format] {
    if (socket->count() != 0) flags.serve.socket = flags.socket;
    if (web->count() != 0) flags.serve.web_listen = flags.web_listen;
    if (workers->count() != 0) flags.serve.workers = flags.workers;
    if (level->count() != 0) flags.serve.log_level = lunaris::config::parse_log_level(flags.log_level);
    if (format->count() != 0) flags.serve.log_format = lunaris::config::parse_log_format(flags.log_format);
    code = lunaris::serve(flags.serve);
  });
}

CLI::Option* add_socket(CLI::App& command, Flags& flags) {
  flags.ctl.socket = cli::default_socket();
  return command.add_option("--socket", flags.ctl.socket, "Management socket of the server")
      ->envname("LUNARIS_SOCKET")
      ->capture_default_str();
}

CLI::Option* add_output(CLI::App& command, Flags& flags) {
  return command.add_option("-o,--output", flags.output, "table or json")->check(CLI::IsMember({"table", "json"}));
}

/// A leaf of `ctl`: after parsing, `run` is asked.
CLI::App* add_leaf(CLI::App& parent, const char* name, const char* help, Flags& flags, int& code,
                   int (*run)(const cli::CtlOptions&)) {
  CLI::App* leaf = parent.add_subcommand(name, help);
  leaf->fallthrough();  // --socket and -o may come after the subcommand
  leaf->callback([&flags, &code, run] {
    flags.ctl.output = flags.output == "json" ? cli::Output::json : cli::Output::table;
    code = run(flags.ctl);
  });
  return leaf;
}

void add_ctl(CLI::App& app, Flags& flags, int& code) {
  CLI::App* ctl = app.add_subcommand("ctl", "Ask or change a running server");
  ctl->require_subcommand(1);
  add_socket(*ctl, flags);
  add_output(*ctl, flags);
  add_leaf(*ctl, "status", "Volumes, targets, portals and how they are", flags, code, cli::ctl_status);
  add_leaf(*ctl, "sessions", "Who is logged in", flags, code, cli::ctl_sessions);
  add_leaf(*ctl, "login-failures", "The last logins that were refused, and why", flags, code, cli::ctl_login_failures);
  CLI::App* config = ctl->add_subcommand("config", "Read or change the configuration");
  config->require_subcommand(1);
  config->fallthrough();
  add_leaf(*config, "get", "Print the configuration", flags, code, cli::ctl_config_get);
  CLI::App* apply = add_leaf(*config, "apply", "Put a configuration in force", flags, code, cli::ctl_config_apply);
  CLI::App* plan = add_leaf(*config, "plan", "Say what applying it would change", flags, code, cli::ctl_config_plan);
  for (CLI::App* leaf : {apply, plan}) {
    leaf->add_option("FILE", flags.ctl.file, "Configuration; - is standard input")->required();
    leaf->add_option("--revision", flags.ctl.revision, "Refuse unless this revision is in force");
  }
  add_leaf(*ctl, "drop", "Close a session", flags, code, cli::ctl_drop)
      ->add_option("SESSION", flags.ctl.session, "As `ctl sessions` names it")
      ->required();
  add_leaf(*ctl, "reload", "Read the configuration file again; try again what could not be opened", flags, code,
           cli::ctl_reload);
  add_leaf(*ctl, "log-level", "Set the level of the log until the next start", flags, code, cli::ctl_log_level)
      ->add_option("LEVEL", flags.ctl.level, "trace, debug, info, warn or error")
      ->required();
}

void add_others(CLI::App& app, Flags& flags, int& code) {
  CLI::App* check = app.add_subcommand("check-config", "Say everything that is wrong with a configuration file");
  check->add_option("FILE", flags.check_file, "Configuration file")->required();
  check->add_option("--data", flags.check_data, "Folder where relative paths start")->envname("LUNARIS_DATA");
  add_output(*check, flags);
  check->callback([&flags, &code] {
    code = cli::check_config(flags.check_file, flags.check_data,
                             flags.output == "json" ? cli::Output::json : cli::Output::table);
  });
  CLI::App* health = app.add_subcommand("healthcheck", "Exit 0 when the server answers and runs");
  add_socket(*health, flags);
  health->callback([&flags, &code] { code = cli::healthcheck(flags.ctl.socket); });
  app.add_subcommand("version", "Print the version")->callback([] { std::cout << "lunaris " LUNARIS_VERSION "\n"; });
}

}  // namespace

int main(int argc, char** argv) {
  int code = cli::exit_ok;
  try {
    CLI::App app("Lunaris, a userspace iSCSI storage target", "lunaris");
    app.set_version_flag("--version", "lunaris " LUNARIS_VERSION);
    app.require_subcommand(1);
    Flags flags;
    add_serve(app, flags, code);
    add_ctl(app, flags, code);
    add_others(app, flags, code);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? cli::exit_ok : cli::exit_usage;
    }
  } catch (const std::exception& error) {
    std::cerr << "lunaris: " << error.what() << "\n";
    return cli::exit_failed;
  }
  return code;
}
