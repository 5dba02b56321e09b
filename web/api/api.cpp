// The way of a request: route, access, body, handler; and the way of a change.
#include "web/api/api.h"

#include <boost/json/array.hpp>
#include <utility>

#include "server/config/json.h"
#include "server/config/values.h"
#include "web/limits.h"

namespace lunaris::web {

namespace json = boost::json;
using runtime::Task;

namespace {

bool is_write(std::string_view method) noexcept {
  return method != "GET" && method != "HEAD";
}

bool is_json(std::string_view content_type) noexcept {
  return content_type == "application/json" || content_type.starts_with("application/json;");
}

/// The first query parameter that the route does not know, or a flag that is neither true nor false.
std::string query_fault(const Route& route, const Target& target) {
  for (const auto& [name, value] : target.query) {
    if (!has_word(route.query, name)) {
      const std::string_view meant = config::closest_name(name, words_of(route.query));
      return "there is no query parameter \"" + name + "\" here" +
             (meant.empty() ? "." : "; did you mean \"" + std::string(meant) + "\"?");
    }
    const bool is_flag = name == "dry_run" || name == "drain";
    if (is_flag && value != "true" && value != "false") return "\"" + name + "\" must be true or false.";
  }
  return "";
}

/// "g17" with its quotes, as If-Match has it; `is_any` for "*" and for no header.
struct Expected {
  std::optional<std::uint64_t> revision;
  bool is_valid = true;
};

Expected expected_revision(const Request& request) {
  std::string_view tag = request.header("if-match");
  if (tag.empty() || tag == "*") return {};
  if (tag.size() < 4 || !tag.starts_with("\"g") || !tag.ends_with('"')) return {.revision = {}, .is_valid = false};
  const auto number = config::parse_size(tag.substr(2, tag.size() - 3));
  return {.revision = number, .is_valid = number.has_value()};
}

}  // namespace

Api::Api(control::Service& service, Authenticator& access, const Sampler& sampler)
    : service_(service), access_(access), sampler_(sampler) {}

bool Api::is_path(std::string_view path) noexcept {
  return path.starts_with("/api/") || path == "/livez" || path == "/readyz" || path == "/metrics" ||
         path == "/openapi.json";
}

Task<Response> Api::handle(Request request) {
  Call call{std::move(request), {}, {}, {}, {}};
  call.target = parse_target(call.request.target);
  if (!call.target.is_valid) {
    co_return problem_response(
        call.request,
        {400, "bad-path", "The address is not valid", "the path or a query parameter has a bad escape.", "", {}});
  }
  Match match = find_route(routes(), call.request.method, call.target.segments);
  if (match.route == nullptr && match.allowed.empty()) {
    co_return problem_response(call.request, {404,
                                              "no-such-path",
                                              "There is nothing here",
                                              "there is no such path.",
                                              "See /openapi.json for what there is.",
                                              {}});
  }
  if (match.route == nullptr) {
    Response response = problem_response(call.request, {405,
                                                        "method-not-allowed",
                                                        "This method is not allowed here",
                                                        call.request.method + " is not allowed here.",
                                                        "Use " + match.allowed + ".",
                                                        {}});
    response.headers.emplace_back("Allow", match.allowed);
    co_return response;
  }
  call.parameters = std::move(match.parameters);
  if (auto no = authorize(call, match.route->access)) co_return std::move(*no);
  if (const std::string fault = query_fault(*match.route, call.target); !fault.empty()) {
    co_return problem_response(
        call.request, {400, "bad-query", "The query is not valid", fault, "Correct or leave out the parameter.", {}});
  }
  if (auto no = read_body(call, *match.route)) co_return std::move(*no);
  Response response = co_await (this->*match.route->handler)(call);
  response.headers.emplace_back("Cache-Control", "no-store");
  co_return response;
}

std::optional<Response> Api::authorize(Call& call, Access access) {
  call.who = access_.identify(call.request);
  if (access == Access::open) return {};
  // What a proxy on this machine passes on comes from elsewhere.
  const bool is_local = call.request.is_loopback && call.request.header("x-forwarded-for").empty() &&
                        call.request.header("forwarded").empty();
  if (access == Access::metrics && is_local) return {};
  if (call.who.proof == Identity::Proof::none) {
    Response response = problem_response(
        call.request, {401,
                       "not-logged-in",
                       "Who are you?",
                       call.request.header("authorization").empty() ? "this needs a login or a token."
                                                                    : "the token is unknown, wrong or expired.",
                       access_.needs_setup() ? "Open the setup link of the server's log." : "Log in, or send a token.",
                       {}});
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }
  Role needed = Role::viewer;
  if (access == Access::operate) needed = Role::operate;
  if (access == Access::admin) needed = Role::admin;
  if (call.who.role < needed) {
    return problem_response(call.request, {403,
                                           "not-allowed",
                                           "You may not do this",
                                           call.who.name + " is " + std::string(to_string(call.who.role)) +
                                               "; this needs " + std::string(to_string(needed)) + ".",
                                           "Ask an administrator.",
                                           {}});
  }
  if (call.who.proof != Identity::Proof::login || !is_write(call.request.method)) return {};
  const std::string fault = Authenticator::foreign_page(call.request);
  if (fault.empty()) return {};
  return problem_response(call.request, {403,
                                         "foreign-page",
                                         "The request comes from another page",
                                         fault + ".",
                                         "Scripts use a token instead of the browser's cookie.",
                                         {}});
}

std::optional<Response> Api::read_body(Call& call, const Route& route) {
  if (route.request_schema.empty()) return {};
  if (!is_json(call.request.header("content-type"))) {
    return problem_response(call.request, {415,
                                           "not-json",
                                           "The body is not JSON",
                                           "the Content-Type of the body is not application/json.",
                                           "Send JSON and \"Content-Type: application/json\".",
                                           {}});
  }
  config::ParsedText parsed = config::parse_text(call.request.body);
  if (config::has_errors(parsed.problems)) {
    return problem_response(call.request, {400,
                                           "bad-json",
                                           "The body is not valid JSON",
                                           config::to_string(parsed.problems.front()) + "",
                                           "Correct the JSON text.",
                                           {{"errors", config::encode(parsed.problems)}}});
  }
  call.body = std::move(parsed.value);
  return {};
}

Task<Api::Changed> Api::change(const Call& call, Edit edit, std::string strip) {
  const Expected expected = expected_revision(call.request);
  Changed changed;
  if (!expected.is_valid) {
    changed.answer = problem_response(call.request, {412,
                                                     "bad-if-match",
                                                     "The precondition is not valid",
                                                     "If-Match must be an ETag of the configuration, as \"g17\".",
                                                     "Send the ETag of the last answer.",
                                                     {}});
    co_return changed;
  }
  for (unsigned attempt = 0; attempt < limits::change_attempts_max; ++attempt) {
    config::Document document = service_.state().document;
    const std::uint64_t revision = service_.state().revision;
    if ((changed.answer = edit(document))) co_return changed;
    if (call.is_set("dry_run")) {
      changed.outcome = service_.plan(document, expected.revision);
      if (!changed.outcome.is_refused()) changed.answer = json_response(200, control::encode(changed.outcome));
      break;
    }
    changed.outcome = co_await service_.apply(std::move(document), expected.revision.value_or(revision));
    const bool was_overtaken = changed.outcome.status == control::Outcome::Status::conflict && !expected.revision;
    if (!was_overtaken) break;
  }
  if (changed.outcome.is_refused()) changed.answer = outcome_response(call.request, changed.outcome, strip);
  co_return changed;
}

Response Api::with_revision(Response response) const {
  response.headers.emplace_back("ETag", "\"g" + std::to_string(service_.state().revision) + "\"");
  return response;
}

Response Api::not_found(const Call& call, std::string_view kind, const std::string& name) const {
  return problem_response(call.request, {404,
                                         "not-found",
                                         "There is no such " + std::string(kind),
                                         "there is no " + std::string(kind) + " \"" + name + "\".",
                                         "Look at the list of what there is.",
                                         {}});
}

std::optional<Response> Api::in_use(const Call& call, std::string_view kind, const std::string& name,
                                    const Sessions& sessions,
                                    const std::function<bool(const SessionInfo&)>& is_hit) const {
  if (call.is_set("drain")) return {};
  json::array ids;
  std::string first;
  for (const SessionInfo& session : sessions) {
    if (!is_hit(session)) continue;
    if (first.empty()) first = session.initiator + " (" + session.initiator_address + ")";
    ids.emplace_back(json::string(session.id));
  }
  if (ids.empty()) return {};
  std::string detail = name + " is in use: " + std::to_string(ids.size()) +
                       (ids.size() == 1 ? " session, from " : " sessions, the first from ") + first + ".";
  return problem_response(call.request, {409,
                                         std::string_view(kind),
                                         "It is in use",
                                         std::move(detail),
                                         "Log the initiators out, or send ?drain=true.",
                                         {{"sessions", std::move(ids)}}});
}

}  // namespace lunaris::web
