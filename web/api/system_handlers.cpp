// Health, the whole configuration, statistics and lists.
#include <algorithm>
#include <boost/json/array.hpp>
#include <functional>

#include "server/config/json.h"
#include "server/config/values.h"
#include "web/api/api.h"
#include "web/limits.h"

namespace lunaris::web {

namespace json = boost::json;
using runtime::Task;

namespace {

Response text_response(std::string body) {
  Response response;
  response.content_type = "text/plain; charset=utf-8";
  response.body = std::move(body);
  return response;
}

/// "90", "90s" or "15m" in seconds, 1 to the length of the history.
std::optional<std::size_t> parse_range(std::string text) {
  if (text.empty()) return 60;
  std::uint64_t factor = 1;
  if (text.back() == 'm') factor = 60;
  if (text.back() == 'm' || text.back() == 's') text.pop_back();
  const auto number = config::parse_size(text);
  if (!number || *number == 0 || *number > limits::samples_max / factor) return {};
  return *number * factor;
}

/// Oldest first.
json::object series(const History& history, std::size_t count) {
  json::array reads, writes, read_bytes, written_bytes;
  for (std::size_t age = count; age-- > 0;) {
    const Activity sample = history.at(age);
    reads.emplace_back(sample.reads);
    writes.emplace_back(sample.writes);
    read_bytes.emplace_back(sample.read_bytes);
    written_bytes.emplace_back(sample.written_bytes);
  }
  return {{"reads", std::move(reads)},
          {"writes", std::move(writes)},
          {"read_bytes", std::move(read_bytes)},
          {"written_bytes", std::move(written_bytes)}};
}

json::object activity_object(const Activity& activity) {
  return {{"reads", activity.reads},
          {"writes", activity.writes},
          {"read_bytes", activity.read_bytes},
          {"written_bytes", activity.written_bytes}};
}

/// The volumes that move most, busiest first, as many as a page of a list has; or only the one with that name.
json::array busiest(const Sampler& sampler, const std::string& name) {
  using Entry = std::pair<const std::string, Sampler::Volume>;
  std::vector<const Entry*> entries;
  for (const Entry& entry : sampler.volumes()) {
    if (name.empty() || entry.first == name) entries.push_back(&entry);
  }
  const auto moved = [](const Entry* entry) {
    const Activity rates = entry->second.rates.newest();
    return rates.reads + rates.writes;
  };
  const std::size_t count = std::min(entries.size(), limits::page_items_default);
  std::ranges::partial_sort(entries, entries.begin() + static_cast<std::ptrdiff_t>(count), std::ranges::greater(),
                            moved);
  json::array list;
  for (std::size_t i = 0; i < count; ++i) {
    list.push_back(json::object{{"name", json::string(entries[i]->first)},
                                {"rates", activity_object(entries[i]->second.rates.newest())},
                                {"totals", activity_object(entries[i]->second.totals)}});
  }
  return list;
}

}  // namespace

Response page_response(const Call& call, const std::vector<std::string>& names,
                       const std::function<json::object(const std::string&)>& encode) {
  std::size_t limit = limits::page_items_default;
  if (const std::string word = call.query("limit"); !word.empty()) {
    const auto number = config::parse_size(word);
    if (!number || *number == 0 || *number > limits::page_items_max) {
      return problem_response(call.request,
                              {400,
                               "bad-query",
                               "The query is not valid",
                               "limit must be a number from 1 to " + std::to_string(limits::page_items_max) + ".",
                               "Correct or leave out the parameter.",
                               {}});
    }
    limit = *number;
  }
  auto next = std::ranges::upper_bound(names, call.query("page_token"));
  json::array items;
  for (; next != names.end() && items.size() < limit; ++next) items.push_back(encode(*next));
  json::value token;
  if (next != names.end()) token = json::string(*(next - 1));
  return json_response(200, json::object{{"items", std::move(items)}, {"next_page_token", std::move(token)}});
}

Task<Response> Api::livez(Call&) {
  co_return text_response("ok\n");
}

Task<Response> Api::readyz(Call&) {
  co_return text_response("ok\n");  // the web server answers from the end of the start to the beginning of the stop
}

Task<Response> Api::metrics(Call&) {
  const Sessions sessions = co_await service_.sessions();
  Response response = text_response(metrics_text(service_, sessions));
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  co_return response;
}

Task<Response> Api::openapi(Call&) {
  Response response;
  response.body = openapi_document(service_.version());
  co_return response;
}

Task<Response> Api::system_get(Call&) {
  json::object object = co_await service_.status();
  json::array problems;
  for (const json::value& failure : object.at("failures").as_array()) problems.push_back(failure);
  for (const auto& [name, live] : service_.volumes()) {
    if (!live.volume || live.volume->view()->health == volume::Health::online) continue;
    problems.push_back(json::object{{"pointer", json::string(config::below("/volumes", name))},
                                    {"reason", json::string(live.volume->view()->health_reason)}});
  }
  object["health"] = problems.empty() ? "ready" : "degraded";
  object["problems"] = std::move(problems);
  for (const char* list : {"volumes", "targets", "portals"}) {
    object[list] = object.at(list).as_array().size();
  }
  object.erase("failures");
  co_return json_response(200, object);
}

Task<Response> Api::config_get(Call& call) {
  Response response = with_revision(json_response(200, config::encode(service_.state().document)));
  if (call.request.header("if-none-match") == response.headers.back().second) {
    response.status = 304;
    response.body.clear();
  }
  co_return response;
}

Task<Response> Api::config_put(Call& call) {
  config::Decoded decoded = config::decode(call.body);
  if (config::has_errors(decoded.problems)) co_return problems_response(call.request, decoded.problems);
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    document = decoded.document;
    return {};
  };
  const Changed changed = co_await change(call, edit, "");
  if (changed.answer) co_return *changed.answer;
  co_return with_revision(json_response(200, control::encode(changed.outcome)));
}

Task<Response> Api::stats_get(Call& call) {
  const auto range = parse_range(call.query("range"));
  const std::string scope = call.query("scope");
  const std::string name = scope.starts_with("volume:") ? scope.substr(7) : "";
  if (!range || (!scope.empty() && scope != "all" && name.empty())) {
    co_return problem_response(call.request, {400,
                                              "bad-query",
                                              "The query is not valid",
                                              range ? "scope must be \"all\" or \"volume:NAME\"."
                                                    : "range must be 1 to 900 seconds, as \"60s\" or \"15m\".",
                                              "Correct or leave out the parameter.",
                                              {}});
  }
  const auto found = sampler_.volumes().find(name);
  if (!name.empty() && found == sampler_.volumes().end()) co_return not_found(call, "volume", name);
  const std::size_t count = std::min(*range, sampler_.count());
  json::object object{{"time_ms", sampler_.newest_ms()}, {"step_seconds", 1}};
  object["series"] = series(name.empty() ? sampler_.total() : found->second.rates, count);
  object["volumes"] = busiest(sampler_, name);
  co_return json_response(200, object);
}

}  // namespace lunaris::web
