// The methods of the management socket: a table and a function each.
#include "server/control/admin_api.h"

#include <ctime>
#include <utility>

#include "server/config/json.h"
#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "server/limits.h"

namespace lunaris::control {

namespace json = boost::json;
using runtime::Task;

/// One request under way.
struct AdminApi::Call {
  json::value params;
  json::value result;
  json::object error;

  void fail(std::string_view code, std::string_view message) {
    error = {{"code", json::string(code)}, {"message", json::string(message)}};
  }
  void fail(const config::Problems& problems) {
    fail("invalid", config::to_string(problems.front()));
    error["problems"] = config::encode(problems);
  }
  /// An outcome is the result, or when it refuses the details of the error.
  void finish(const Outcome& outcome) {
    if (!outcome.is_refused()) {
      result = encode(outcome);
      return;
    }
    fail(to_string(outcome.status), outcome.detail);
    error["problems"] = config::encode(outcome.problems);
    error["revision"] = outcome.revision;
  }
};

struct AdminApi::Method {
  std::string_view name;
  Task<> (AdminApi::*run)(Call& call);
};

const AdminApi::Method AdminApi::methods[] = {
    {"status", &AdminApi::status},
    {"sessions", &AdminApi::sessions},
    {"session.drop", &AdminApi::session_drop},
    {"login_failures", &AdminApi::login_failures},
    {"config.get", &AdminApi::config_get},
    {"config.apply", &AdminApi::config_apply},
    {"config.plan", &AdminApi::config_plan},
    {"reload", &AdminApi::reload},
    {"log.level", &AdminApi::log_level},
};

namespace {

/// The parameters of config.apply and config.plan: {"document": {...} or "text", "revision": N}. A document given as
/// text is read like a file, comments and line numbers included.
struct ChangeParams {
  config::Document document;
  std::optional<std::uint64_t> revision;
  config::Problems problems;
};

ChangeParams read_change(const json::value& params) {
  ChangeParams out;
  config::ObjectReader reader(params, "", out.problems);
  std::uint64_t revision = 0;
  reader.read_number("revision", revision, 0, UINT64_MAX);
  if (const json::object* object = params.if_object(); object != nullptr && object->contains("revision")) {
    out.revision = revision;
  }
  if (const json::value* document = reader.require("document")) {
    const json::string* text = document->if_string();
    config::Decoded decoded =
        text != nullptr ? config::decode_text({text->data(), text->size()}) : config::decode(*document);
    out.document = std::move(decoded.document);
    for (config::Problem& problem : decoded.problems) out.problems.push_back(std::move(problem));
  }
  return out;
}

/// The one string parameter `name`; a problem when it is missing or something else, or when there are others.
std::string read_one_text(const json::value& params, std::string_view name, config::Problems& problems) {
  std::string text;
  config::ObjectReader reader(params, "", problems);
  if (reader.require(name) != nullptr) reader.read_text(name, text, limits::label_bytes_max);
  return text;
}

}  // namespace

AdminApi::AdminApi(Service& service, std::function<void(config::LogLevel)> set_log_level)
    : service_(service), set_log_level_(std::move(set_log_level)) {}

Task<json::object> AdminApi::handle(std::string request) {
  Call call;
  json::object answer;
  config::ParsedText parsed = config::parse_text(request);
  std::string name;
  if (!config::has_errors(parsed.problems)) {
    config::ObjectReader reader(parsed.value, "", parsed.problems);
    if (reader.require("method") != nullptr) reader.read_text("method", name, limits::label_bytes_max);
    const json::value* params = reader.find("params");
    call.params = params == nullptr ? json::value(json::object()) : *params;
    if (const json::value* id = reader.find("id")) answer["id"] = *id;
  }
  if (config::has_errors(parsed.problems)) {
    call.fail(parsed.problems);
  } else {
    const Method* found = nullptr;
    std::vector<std::string_view> names;
    for (const Method& method : methods) {
      if (method.name == name) found = &method;
      names.push_back(method.name);
    }
    if (found == nullptr) {
      const std::string_view meant = config::closest_name(name, names);
      call.fail("unknown-method", "there is no method \"" + name + "\"" +
                                      (meant.empty() ? "." : "; did you mean \"" + std::string(meant) + "\"?"));
    } else {
      co_await (this->*found->run)(call);
    }
  }
  if (call.error.empty()) {
    answer["result"] = std::move(call.result);
  } else {
    answer["error"] = std::move(call.error);
  }
  co_return answer;
}

Task<> AdminApi::status(Call& call) {
  call.result = co_await service_.status();
}

Task<> AdminApi::sessions(Call& call) {
  json::array items;
  for (const SessionInfo& session : co_await service_.sessions()) items.push_back(encode(session));
  call.result = json::object{{"items", std::move(items)}};
}

Task<> AdminApi::login_failures(Call& call) {
  const LoginFailures known = co_await service_.login_failures();
  const auto now = std::chrono::system_clock::now();
  json::array items;
  for (const LoginFailure& failure : known.failures) items.push_back(encode(failure, now));
  call.result = json::object{{"total", known.total}, {"items", std::move(items)}};
}

Task<> AdminApi::config_get(Call& call) {
  call.result =
      json::object{{"revision", service_.state().revision}, {"document", config::encode(service_.state().document)}};
  co_return;
}

Task<> AdminApi::config_apply(Call& call) {
  ChangeParams params = read_change(call.params);
  if (config::has_errors(params.problems)) {
    call.fail(params.problems);
    co_return;
  }
  call.finish(co_await service_.apply(std::move(params.document), params.revision));
}

Task<> AdminApi::config_plan(Call& call) {
  const ChangeParams params = read_change(call.params);
  if (config::has_errors(params.problems)) {
    call.fail(params.problems);
  } else {
    call.finish(service_.plan(params.document, params.revision));
  }
  co_return;
}

Task<> AdminApi::session_drop(Call& call) {
  config::Problems problems;
  const std::string id = read_one_text(call.params, "session", problems);
  if (config::has_errors(problems)) {
    call.fail(problems);
  } else if (!co_await service_.drop_session(id)) {
    call.fail("not-found", "there is no session \"" + id + "\".");
  } else {
    call.result = json::object{};
  }
}

Task<> AdminApi::reload(Call& call) {
  call.finish(co_await service_.reload());
}

Task<> AdminApi::log_level(Call& call) {
  config::Problems problems;
  const std::string word = read_one_text(call.params, "level", problems);
  const auto level = config::parse_log_level(word);
  if (config::has_errors(problems)) {
    call.fail(problems);
  } else if (!level) {
    call.fail("invalid", "level must be trace, debug, info, warn or error.");
  } else {
    set_log_level_(*level);
    call.result = json::object{{"level", json::string(word)}};
  }
  co_return;
}

json::object encode(const SessionInfo& session) {
  return {{"id", json::string(session.id)},
          {"initiator", json::string(session.initiator)},
          {"target", json::string(session.target)},
          {"address", json::string(session.initiator_address)},
          {"isid", session.isid},
          {"tsih", session.tsih},
          {"worker", session.worker},
          {"connections", session.connections},
          {"commands", session.commands},
          {"read_bytes", session.read_bytes},
          {"written_bytes", session.written_bytes},
          {"age_ms", session.age_ms}};
}

namespace {

/// RFC 3339, in UTC, to the second.
std::string time_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::string text(32, '\0');
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

}  // namespace

json::object encode(const LoginFailure& failure, std::chrono::system_clock::time_point now) {
  return {{"time", json::string(time_text(now - std::chrono::milliseconds(failure.age_ms)))},
          {"initiator", json::string(failure.initiator)},
          {"address", json::string(failure.address)},
          {"target", json::string(failure.target)},
          {"reason", json::string(failure.reason)},
          {"count", failure.count},
          {"age_ms", failure.age_ms}};
}

}  // namespace lunaris::control
