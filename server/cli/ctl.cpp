// `lunaris ctl ...` and `lunaris healthcheck`: questions to a running server, answers for people or for programs.
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <optional>

#include "server/cli/client.h"
#include "server/cli/commands.h"
#include "server/cli/exit_code.h"
#include "server/cli/table.h"
#include "server/config/json.h"
#include "server/config/values.h"
#include "server/limits.h"
#include "server/runtime/file_ops.h"

namespace lunaris::cli {

namespace json = boost::json;

namespace {

/// A member as text, whatever it is; empty when it is absent.
std::string text_of(const json::object& object, std::string_view member) {
  const json::value* value = object.if_contains(member);
  if (value == nullptr) return "";
  if (const json::string* text = value->if_string()) return {text->data(), text->size()};
  return json::serialize(*value);
}

std::string size_of(const json::object& object, std::string_view member) {
  const json::value* value = object.if_contains(member);
  json::error_code error;
  const auto bytes = value == nullptr ? 0 : value->to_number<std::uint64_t>(error);
  return error ? "" : config::size_text(bytes);
}

/// The elements of the list `member` that are objects.
std::vector<json::object> objects_of(const json::value& value, std::string_view member) {
  std::vector<json::object> objects;
  const json::object* object = value.if_object();
  const json::value* list = object == nullptr ? nullptr : object->if_contains(member);
  if (list == nullptr || !list->is_array()) return objects;
  for (const json::value& element : list->get_array()) {
    if (element.is_object()) objects.push_back(element.get_object());
  }
  return objects;
}

int report(const Answer& answer) {
  std::cerr << "lunaris: " << answer.message << "\n";
  for (const json::object& problem : objects_of(answer.details, "problems")) {
    const std::string pointer = text_of(problem, "pointer");
    const std::string line = text_of(problem, "line");
    std::cerr << "  " << text_of(problem, "severity") << ": "
              << (line.empty() ? pointer : "line " + line + ", column " + text_of(problem, "column"))
              << (pointer.empty() && line.empty() ? "" : ": ") << text_of(problem, "detail") << "\n";
  }
  return answer.exit_code;
}

Answer ask_server(const CtlOptions& options, std::string_view method, json::object params = {}) {
  return ask(options.socket, method, std::move(params), limits::ctl_answer_time_max);
}

std::string luns_text(const json::object& target) {
  std::string text;
  const json::value* luns = target.if_contains("luns");
  if (luns == nullptr || !luns->is_object()) return text;
  for (const auto& lun : luns->get_object()) {
    text += (text.empty() ? "" : " ") + std::string(lun.key()) + "=" + text_of(luns->get_object(), lun.key());
  }
  return text;
}

std::string members_text(const json::object& change) {
  const json::value* list = change.if_contains("members");
  std::string text;
  if (list == nullptr || !list->is_array()) return text;
  for (const json::value& member : list->get_array()) {
    if (const json::string* name = member.if_string())
      text += (text.empty() ? "" : ", ") + std::string(name->data(), name->size());
  }
  return text;
}

void print_failures(const json::value& result) {
  for (const json::object& failure : objects_of(result, "failures")) {
    std::cout << "failed: " << text_of(failure, "pointer") << ": " << text_of(failure, "reason") << "\n";
  }
}

void print_status(const json::value& result) {
  const json::object& status = result.get_object();
  std::cout << "lunaris " << text_of(status, "version") << " " << text_of(status, "state") << " for "
            << text_of(status, "uptime_seconds") << " s, revision " << text_of(status, "revision") << ", managed by "
            << text_of(status, "managed_by") << ", " << text_of(status, "sessions") << " sessions\n";
  std::vector<Row> rows;
  for (const json::object& volume : objects_of(result, "volumes")) {
    rows.push_back({text_of(volume, "name"), text_of(volume, "state"), size_of(volume, "size"),
                    text_of(volume, "backend"), size_of(volume, "read_bytes"), size_of(volume, "written_bytes")});
  }
  print_table(std::cout, {"VOLUME", "STATE", "SIZE", "BACKEND", "READ", "WRITTEN"}, rows);
  rows.clear();
  for (const json::object& target : objects_of(result, "targets")) {
    rows.push_back({text_of(target, "name"), text_of(target, "sessions"), luns_text(target)});
  }
  print_table(std::cout, {"TARGET", "SESSIONS", "LUNS"}, rows);
  rows.clear();
  for (const json::object& portal : objects_of(result, "portals")) {
    rows.push_back({text_of(portal, "name"), text_of(portal, "listen"), text_of(portal, "group_tag")});
  }
  print_table(std::cout, {"PORTAL", "LISTEN", "GROUP TAG"}, rows);
  print_failures(result);
}

/// "update volumes/a: size, labels", a line per element of the list `member`.
void print_names(std::string_view verb, const json::object& changes, std::string_view member) {
  const json::value* list = changes.if_contains(member);
  if (list == nullptr || !list->is_array()) return;
  for (const json::value& element : list->get_array()) {
    if (const json::string* name = element.if_string()) {
      std::cout << verb << " " << std::string_view(name->data(), name->size()) << "\n";
    } else if (element.is_object()) {
      const json::object& object = element.get_object();
      std::cout << verb << " " << text_of(object, "name") << ": " << text_of(object, "reason") << members_text(object)
                << "\n";
    }
  }
}

/// An outcome; steps that failed make the exit code 1.
int print_outcome(const CtlOptions& options, const Answer& answer) {
  if (answer.exit_code != exit_ok) return report(answer);
  const int code = objects_of(answer.result, "failures").empty() ? exit_ok : exit_failed;
  if (options.output == Output::json) {
    std::cout << config::pretty(answer.result);
    return code;
  }
  const json::object& outcome = answer.result.get_object();
  std::cout << text_of(outcome, "status") << ", revision " << text_of(outcome, "revision") << "\n";
  if (const json::value* changes = outcome.if_contains("changes"); changes != nullptr && changes->is_object()) {
    print_names("create", changes->get_object(), "create");
    print_names("update", changes->get_object(), "update");
    print_names("delete", changes->get_object(), "delete");
    print_names("disruptive:", changes->get_object(), "disruptive");
    print_names("at the next start:", changes->get_object(), "restart");
  }
  for (const json::object& problem : objects_of(answer.result, "problems")) {
    std::cout << text_of(problem, "severity") << ": " << text_of(problem, "pointer") << ": "
              << text_of(problem, "detail") << "\n";
  }
  print_failures(answer.result);
  return code;
}

int send_config(const CtlOptions& options, std::string_view method) {
  std::string text;
  if (options.file == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    runtime::SystemFileOps files;
    auto read = runtime::read_file(files, options.file, limits::config_bytes_max);
    if (!read.has_value()) {
      std::cerr << "lunaris: cannot read " << options.file << ": " << read.error().message() << ".\n";
      return exit_failed;
    }
    text = std::move(read.value());
  }
  json::object params{{"document", json::string(text)}};
  if (options.revision) params["revision"] = *options.revision;
  return print_outcome(options, ask_server(options, method, std::move(params)));
}

}  // namespace

std::string default_socket() {
  const std::string usual = "/run/lunaris/admin.sock";
  const std::string own = "data/admin.sock";
  return ::access(usual.c_str(), F_OK) != 0 && ::access(own.c_str(), F_OK) == 0 ? own : usual;
}

int ctl_status(const CtlOptions& options) {
  const Answer answer = ask_server(options, "status");
  if (answer.exit_code != exit_ok) return report(answer);
  if (options.output == Output::json) {
    std::cout << config::pretty(answer.result);
  } else {
    print_status(answer.result);
  }
  return exit_ok;
}

int ctl_sessions(const CtlOptions& options) {
  const Answer answer = ask_server(options, "sessions");
  if (answer.exit_code != exit_ok) return report(answer);
  if (options.output == Output::json) {
    std::cout << config::pretty(answer.result);
    return exit_ok;
  }
  std::vector<Row> rows;
  for (const json::object& session : objects_of(answer.result, "items")) {
    rows.push_back({text_of(session, "id"), text_of(session, "initiator"), text_of(session, "address"),
                    text_of(session, "target"), text_of(session, "worker"), text_of(session, "connections"),
                    text_of(session, "commands"), size_of(session, "read_bytes"), size_of(session, "written_bytes")});
  }
  print_table(std::cout,
              {"SESSION", "INITIATOR", "ADDRESS", "TARGET", "WORKER", "CONNECTIONS", "COMMANDS", "READ", "WRITTEN"},
              rows);
  if (rows.empty()) std::cout << "no sessions\n";
  return exit_ok;
}

int ctl_login_failures(const CtlOptions& options) {
  const Answer answer = ask_server(options, "login_failures");
  if (answer.exit_code != exit_ok) return report(answer);
  if (options.output == Output::json) {
    std::cout << config::pretty(answer.result);
    return exit_ok;
  }
  std::vector<Row> rows;
  for (const json::object& failure : objects_of(answer.result, "items")) {
    rows.push_back({text_of(failure, "time"), text_of(failure, "initiator"), text_of(failure, "address"),
                    text_of(failure, "target"), text_of(failure, "reason"), text_of(failure, "count")});
  }
  print_table(std::cout, {"LAST", "INITIATOR", "ADDRESS", "TARGET", "REASON", "TIMES"}, rows);
  if (rows.empty()) std::cout << "no login was refused\n";
  return exit_ok;
}

int ctl_config_get(const CtlOptions& options) {
  const Answer answer = ask_server(options, "config.get");
  if (answer.exit_code != exit_ok) return report(answer);
  // Without -o json the document alone: it can be edited and applied.
  const json::value* document =
      answer.result.is_object() ? answer.result.get_object().if_contains("document") : nullptr;
  std::cout << config::pretty(options.output == Output::json || document == nullptr ? answer.result : *document);
  return exit_ok;
}

int ctl_config_apply(const CtlOptions& options) {
  return send_config(options, "config.apply");
}

int ctl_config_plan(const CtlOptions& options) {
  return send_config(options, "config.plan");
}

int ctl_drop(const CtlOptions& options) {
  const Answer answer = ask_server(options, "session.drop", {{"session", json::string(options.session)}});
  return answer.exit_code == exit_ok ? exit_ok : report(answer);
}

int ctl_reload(const CtlOptions& options) {
  return print_outcome(options, ask_server(options, "reload"));
}

int ctl_log_level(const CtlOptions& options) {
  const Answer answer = ask_server(options, "log.level", {{"level", json::string(options.level)}});
  return answer.exit_code == exit_ok ? exit_ok : report(answer);
}

int healthcheck(const std::string& socket) {
  const Answer answer = ask(socket, "status", {}, limits::healthcheck_time_max);
  if (answer.exit_code != exit_ok) return report(answer);
  const std::string state = answer.result.is_object() ? text_of(answer.result.get_object(), "state") : "";
  std::cout << state << "\n";
  print_failures(answer.result);
  return state == "running" ? exit_ok : exit_failed;
}

}  // namespace lunaris::cli
