// Refusals as application/problem+json.
#include "web/problem.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

namespace lunaris::web {

namespace json = boost::json;

Response problem_response(const Request& request, Refusal refusal) {
  json::object object{{"type", json::string("/problems/" + std::string(refusal.type))},
                      {"title", json::string(refusal.title)},
                      {"status", refusal.status},
                      {"detail", json::string(refusal.detail)},
                      {"instance", json::string(request.target.substr(0, request.target.find('?')))}};
  if (!refusal.fix.empty()) object["fix"] = json::string(refusal.fix);
  object["request_id"] = json::string(request.id);
  for (auto& member : refusal.more) object[member.key()] = std::move(member.value());
  Response response;
  response.status = refusal.status;
  response.content_type = "application/problem+json";
  response.body = json::serialize(object) + "\n";
  return response;
}

Response problems_response(const Request& request, const config::Problems& problems, std::string_view strip) {
  json::array errors;
  std::string detail;
  for (const config::Problem& problem : problems) {
    if (problem.severity != config::Severity::error) continue;
    std::string pointer = problem.pointer;
    if (!strip.empty() && pointer.starts_with(strip)) pointer.erase(0, strip.size());
    if (detail.empty()) detail = (pointer.empty() ? "" : pointer + " ") + problem.detail;
    errors.push_back(json::object{{"pointer", json::string(pointer)}, {"detail", json::string(problem.detail)}});
  }
  if (errors.size() > 1) detail += " And " + std::to_string(errors.size() - 1) + " more.";
  return problem_response(request, {.status = 422,
                                    .type = "invalid",
                                    .title = "The request is not valid",
                                    .detail = detail,
                                    .fix = "Correct what \"errors\" names.",
                                    .more = {{"errors", std::move(errors)}}});
}

Response outcome_response(const Request& request, const control::Outcome& outcome, std::string_view strip) {
  using Status = control::Outcome::Status;
  Refusal refusal{.status = 500,
                  .type = control::to_string(outcome.status),
                  .title = "The change was not made",
                  .detail = outcome.detail,
                  .fix = "",
                  .more = {}};
  switch (outcome.status) {
    case Status::invalid:
      return problems_response(request, outcome.problems, strip);
    case Status::conflict:
      refusal.status = 412;
      refusal.fix = "Read it again and repeat the change.";
      break;
    case Status::managed_by_file:
      refusal.status = 409;
      refusal.fix = "Change the configuration file and send SIGHUP, or run `lunaris ctl reload`.";
      break;
    case Status::busy:
    case Status::stopping:
      refusal.status = 503;
      refusal.fix = "Try again in a moment.";
      break;
    case Status::not_stored:
      refusal.status = 507;
      refusal.fix = "Make room on the disk of the data folder, or make it writable.";
      break;
    case Status::applied:
    case Status::unchanged:
    case Status::planned:
      break;  // no refusals: callers ask is_refused first
  }
  Response response = problem_response(request, std::move(refusal));
  if (response.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace lunaris::web
