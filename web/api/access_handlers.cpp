// Login, setup and tokens.
#include <boost/json/array.hpp>

#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "web/api/api.h"
#include "web/api/time_text.h"
#include "web/limits.h"

namespace lunaris::web {

namespace json = boost::json;
using runtime::Task;

namespace {

constexpr std::size_t text_max = 1024;

/// Required strings of the body, in the order of `names`; what is wrong with them goes to `problems`.
std::vector<std::string> read_texts(const json::value& body, std::initializer_list<std::string_view> names,
                                    config::Problems& problems) {
  std::vector<std::string> texts;
  config::ObjectReader reader(body, "", problems);
  for (const std::string_view name : names) {
    std::string& text = texts.emplace_back();
    if (reader.require(name) != nullptr) reader.read_text(name, text, text_max);
  }
  return texts;
}

Response no_content(std::string cookie) {
  Response response;
  response.status = 204;
  if (!cookie.empty()) response.headers.emplace_back("Set-Cookie", std::move(cookie));
  return response;
}

/// A page of somebody else must not log anybody in either.
std::optional<Response> foreign_origin(const Request& request) {
  if (request.header("origin").empty() || Authenticator::is_own_origin(request)) return {};
  return problem_response(request, {403,
                                    "foreign-page",
                                    "The request comes from another page",
                                    "Origin is not this server.",
                                    "Open the dashboard by its own address.",
                                    {}});
}

json::object token_object(const std::string& id, const Token& token) {
  return {
      {"id", json::string(id)},
      {"name", json::string(token.name)},
      {"role", json::string(to_string(token.role))},
      {"created", json::string(time_text(token.created))},
      {"expires_at", token.expires == 0 ? json::value(nullptr) : json::value(json::string(time_text(token.expires)))}};
}

struct TokenInput {
  std::string name;
  Role role = Role::viewer;
  std::uint64_t expires = 0;
};

TokenInput read_token(const json::value& body, config::Problems& problems) {
  TokenInput input;
  config::ObjectReader reader(body, "", problems);
  if (reader.require("name") != nullptr) reader.read_text("name", input.name, limits::user_name_bytes_max);
  if (reader.require("role") != nullptr) {
    std::string word;
    reader.read_text("role", word, text_max);
    const auto role = parse_role(word);
    if (!role) reader.problem("role", "must be viewer, operator or admin.");
    input.role = role.value_or(Role::viewer);
  }
  if (!config::is_object_name(input.name)) {
    reader.problem("name", "has 1 to 63 characters from a-z 0-9 . _ : - and begins with a letter or digit.");
  }
  const json::value* expires = reader.find("expires_at");
  if (expires != nullptr && !expires->is_null()) {
    std::string text;
    reader.read_text("expires_at", text, text_max);
    const auto seconds = parse_time(text);
    if (!seconds || *seconds <= Authenticator::wall_seconds()) {
      reader.problem("expires_at", "must be a time to come, in UTC: \"2030-01-31T12:00:00Z\".");
    }
    input.expires = seconds.value_or(0);
  }
  return input;
}

}  // namespace

Response Api::attempt_response(const Call& call, const Authenticator::Attempt& attempt) {
  using Status = Authenticator::Attempt::Status;
  Refusal refusal{401, "wrong-password", "Login failed", "the user name or the password is wrong.", "", {}};
  switch (attempt.status) {
    case Status::ok:
      return no_content(attempt.cookie);
    case Status::wrong:
      break;
    case Status::too_often:
      refusal = {429,
                 "too-many-attempts",
                 "Too many attempts",
                 "there were too many attempts from your address.",
                 "Wait " + std::to_string(attempt.retry_seconds) + " seconds.",
                 {}};
      break;
    case Status::busy:
      refusal = {503, "busy", "Too many logins at once", "others are logging in.", "Try again in a moment.", {}};
      break;
    case Status::refused:
      refusal = {403,
                 "wrong-setup-token",
                 "The setup link is not valid",
                 "the token is not the one of this start of the server.",
                 "Open the newest link of the server's log.",
                 {}};
      break;
    case Status::not_stored:
      refusal = {507,
                 "not-stored",
                 "It could not be stored",
                 attempt.reason + ".",
                 "Make room on the disk of the data folder, or make it writable.",
                 {}};
      break;
  }
  Response response = problem_response(call.request, std::move(refusal));
  if (attempt.retry_seconds != 0) response.headers.emplace_back("Retry-After", std::to_string(attempt.retry_seconds));
  return response;
}

Task<Response> Api::session_get(Call& call) {
  const bool is_known = call.who.proof != Identity::Proof::none;
  json::object object{{"authenticated", is_known}, {"setup_required", access_.needs_setup()}};
  if (is_known) {
    object["name"] = json::string(call.who.name);
    object["role"] = json::string(to_string(call.who.role));
  }
  co_return json_response(200, object);
}

Task<Response> Api::session_post(Call& call) {
  if (auto no = foreign_origin(call.request)) co_return std::move(*no);
  config::Problems problems;
  std::vector<std::string> texts = read_texts(call.body, {"username", "password"}, problems);
  if (config::has_errors(problems)) co_return problems_response(call.request, problems);
  const auto attempt = co_await access_.login(std::move(texts[0]), std::move(texts[1]), call.request.peer);
  co_return attempt_response(call, attempt);
}

Task<Response> Api::session_delete(Call& call) {
  access_.logout(call.request);
  co_return no_content("lunaris_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
}

Task<Response> Api::setup_post(Call& call) {
  if (auto no = foreign_origin(call.request)) co_return std::move(*no);
  if (!access_.needs_setup()) {
    co_return problem_response(call.request,
                               {410, "setup-done", "The setup is done", "there is an administrator.", "Log in.", {}});
  }
  config::Problems problems;
  std::vector<std::string> texts = read_texts(call.body, {"token", "username", "password"}, problems);
  if (!is_user_name(texts[1])) {
    problems.push_back({"/username", "has 1 to 63 characters from a-z 0-9 . _ - and begins with a letter or digit."});
  }
  if (texts[2].size() < limits::password_bytes_min || texts[2].size() > limits::password_bytes_max) {
    problems.push_back({"/password", "has " + std::to_string(limits::password_bytes_min) + " to " +
                                         std::to_string(limits::password_bytes_max) + " bytes."});
  }
  if (config::has_errors(problems)) co_return problems_response(call.request, problems);
  const auto attempt =
      co_await access_.setup(std::move(texts[0]), std::move(texts[1]), std::move(texts[2]), call.request.peer);
  co_return attempt_response(call, attempt);
}

Task<Response> Api::tokens_get(Call&) {
  json::array items;
  for (const auto& [id, token] : access_.tokens()) items.push_back(token_object(id, token));
  co_return json_response(200, json::object{{"items", std::move(items)}});
}

Task<Response> Api::tokens_post(Call& call) {
  config::Problems problems;
  TokenInput input = read_token(call.body, problems);
  if (config::has_errors(problems)) co_return problems_response(call.request, problems);
  const auto made = co_await access_.create_token(input.name, input.role, input.expires);
  if (made.secret.empty()) {
    co_return problem_response(call.request, {507,
                                              "not-stored",
                                              "The token was not made",
                                              made.reason + ".",
                                              "Make room on the disk of the data folder, or make it writable.",
                                              {}});
  }
  json::object object = token_object(made.id, access_.tokens().at(made.id));
  object["token"] = json::string(made.secret);
  co_return json_response(201, object);
}

Task<Response> Api::token_delete(Call& call) {
  bool found = false;
  const std::string reason = co_await access_.delete_token(call.parameters[0], found);
  if (!found) co_return not_found(call, "token", call.parameters[0]);
  if (!reason.empty()) {
    co_return problem_response(call.request, {507,
                                              "not-stored",
                                              "The token was not deleted",
                                              reason + ".",
                                              "Make room on the disk of the data folder, or make it writable.",
                                              {}});
  }
  co_return no_content("");
}

}  // namespace lunaris::web
