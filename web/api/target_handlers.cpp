// Targets, their LUN maps, portals and sessions.
#include <algorithm>
#include <boost/json/array.hpp>

#include "server/config/json.h"
#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "server/control/admin_api.h"
#include "web/api/api.h"

namespace lunaris::web {

namespace json = boost::json;
using runtime::Task;

namespace {

/// Members that a target has in answers only; they are let pass in a PUT.
constexpr std::string_view answer_members = "name sessions connect";

json::string text(std::string_view words) {
  return json::string(words);
}

std::optional<std::uint16_t> parse_lun(const std::string& word) {
  const auto number = config::parse_size(word);
  if (!number || *number > 16383 || std::to_string(*number) != word) return {};
  return static_cast<std::uint16_t>(*number);
}

/// The target with the members of `body` laid over it, put into `document`.
config::Problems lay_over(config::Document& document, const std::string& name, const json::value& body) {
  const json::object* members = body.if_object();
  if (members == nullptr) return {{"", "must be an object."}};
  const auto before = document.targets.find(name);
  json::object merged = before == document.targets.end() ? json::object() : config::encode(before->second);
  for (const auto& [key, value] : *members) {
    if (!has_word(answer_members, key)) merged[key] = value;
  }
  json::object targets;
  targets[name] = std::move(merged);
  config::Decoded decoded = config::decode(json::object{{"targets", std::move(targets)}});
  for (auto& [key, target] : decoded.document.targets) document.targets[key] = std::move(target);
  return std::move(decoded.problems);
}

Response no_content() {
  Response response;
  response.status = 204;
  return response;
}

}  // namespace

json::object Api::target_object(const std::string& name, const Sessions& sessions) const {
  const config::Document& document = service_.state().document;
  const config::Target& target = document.targets.at(name);
  json::object object{{"name", text(name)}};
  for (auto& member : config::encode(target)) object[member.key()] = std::move(member.value());
  object["sessions"] = static_cast<std::uint64_t>(
      std::ranges::count_if(sessions, [&](const SessionInfo& session) { return session.target == name; }));
  json::array connect;
  for (const auto& [portal_name, portal] : document.portals) {
    if (!target.portals.empty() && std::ranges::count(target.portals, portal_name) == 0) continue;
    connect.push_back(json::object{{"portal", text(config::address_text(portal.address, portal.port))}});
  }
  object["connect"] = std::move(connect);
  return object;
}

Task<Response> Api::targets_get(Call& call) {
  const Sessions sessions = co_await service_.sessions();
  std::vector<std::string> names;
  for (const auto& entry : service_.state().document.targets) names.push_back(entry.first);
  co_return with_revision(
      page_response(call, names, [&](const std::string& name) { return target_object(name, sessions); }));
}

Task<Response> Api::target_get(Call& call) {
  const std::string name = config::lower_case(call.parameters[0]);
  const Sessions sessions = co_await service_.sessions();
  if (!service_.state().document.targets.contains(name)) co_return not_found(call, "target", name);
  co_return with_revision(json_response(200, target_object(name, sessions)));
}

Task<Response> Api::target_put(Call& call) {
  const std::string name = config::lower_case(call.parameters[0]);
  const std::string prefix = config::below("/targets", name);
  bool is_new = false;
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    is_new = !document.targets.contains(name);
    const config::Problems problems = lay_over(document, name, call.body);
    if (!config::has_errors(problems)) return {};
    return problems_response(call.request, problems, prefix);
  };
  const Changed changed = co_await change(call, edit, prefix);
  if (changed.answer) co_return *changed.answer;
  const Sessions sessions = co_await service_.sessions();
  if (!service_.state().document.targets.contains(name)) co_return not_found(call, "target", name);
  co_return with_revision(json_response(is_new ? 201 : 200, target_object(name, sessions)));
}

Task<Response> Api::target_delete(Call& call) {
  const std::string name = config::lower_case(call.parameters[0]);
  const Sessions sessions = co_await service_.sessions();
  if (!service_.state().document.targets.contains(name)) co_return not_found(call, "target", name);
  const auto is_hit = [&](const SessionInfo& session) { return session.target == name; };
  if (auto no = in_use(call, "target-in-use", name, sessions, is_hit)) co_return std::move(*no);
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    document.targets.erase(name);
    return {};
  };
  const Changed changed = co_await change(call, edit, "");
  co_return changed.answer ? *changed.answer : with_revision(no_content());
}

// --- LUNs ------------------------------------------------------------------------------------------------------------

Task<Response> Api::lun_put(Call& call) {
  const std::string name = config::lower_case(call.parameters[0]);
  const auto number = parse_lun(call.parameters[1]);
  if (!service_.state().document.targets.contains(name)) co_return not_found(call, "target", name);
  if (!number) co_return problems_response(call.request, {{"", "a LUN is a number from 0 to 16383."}});
  config::Problems problems;
  config::Lun lun;
  {
    config::ObjectReader reader(call.body, "", problems);
    if (reader.require("volume") != nullptr) reader.read_text("volume", lun.volume, 63);
    reader.read("read_only", lun.read_only);
  }
  if (config::has_errors(problems)) co_return problems_response(call.request, problems);
  const Sessions sessions = co_await service_.sessions();
  const auto target = service_.state().document.targets.find(name);
  if (target == service_.state().document.targets.end()) co_return not_found(call, "target", name);
  const auto before = target->second.luns.find(*number);
  const bool is_new = before == target->second.luns.end();
  if (!is_new && before->second.volume != lun.volume) {  // a disk that becomes another one
    const auto is_hit = [&](const SessionInfo& session) { return session.target == name; };
    if (auto no = in_use(call, "target-in-use", name, sessions, is_hit)) co_return std::move(*no);
  }
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    const auto found = document.targets.find(name);
    if (found == document.targets.end()) return not_found(call, "target", name);
    found->second.luns[*number] = lun;
    return {};
  };
  const Changed changed = co_await change(call, edit, config::below("/targets", name) + "/luns/" + call.parameters[1]);
  if (changed.answer) co_return *changed.answer;
  if (!service_.state().document.targets.contains(name)) co_return not_found(call, "target", name);
  co_return with_revision(json_response(is_new ? 201 : 200, target_object(name, sessions)));
}

Task<Response> Api::lun_delete(Call& call) {
  const std::string name = config::lower_case(call.parameters[0]);
  const auto number = parse_lun(call.parameters[1]);
  const Sessions sessions = co_await service_.sessions();
  const auto target = service_.state().document.targets.find(name);
  if (target == service_.state().document.targets.end()) co_return not_found(call, "target", name);
  if (!number || !target->second.luns.contains(*number)) co_return not_found(call, "LUN", call.parameters[1]);
  const auto is_hit = [&](const SessionInfo& session) { return session.target == name; };
  if (auto no = in_use(call, "target-in-use", name, sessions, is_hit)) co_return std::move(*no);
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    if (const auto found = document.targets.find(name); found != document.targets.end()) {
      found->second.luns.erase(*number);
    }
    return {};
  };
  const Changed changed = co_await change(call, edit, "");
  co_return changed.answer ? *changed.answer : with_revision(no_content());
}

// --- portals and sessions --------------------------------------------------------------------------------------------

Task<Response> Api::portals_get(Call&) {
  json::array items;
  for (const auto& [name, portal] : service_.state().document.portals) {
    json::object object{{"name", text(name)}};
    for (auto& member : config::encode(portal)) object[member.key()] = std::move(member.value());
    items.push_back(std::move(object));
  }
  co_return with_revision(json_response(200, json::object{{"items", std::move(items)}}));
}

Task<Response> Api::sessions_get(Call& call) {
  const std::string target = config::lower_case(call.query("target"));
  const std::string initiator = config::lower_case(call.query("initiator"));
  json::array items;
  for (const SessionInfo& session : co_await service_.sessions()) {
    if (!target.empty() && session.target != target) continue;
    if (!initiator.empty() && session.initiator != initiator) continue;
    items.push_back(control::encode(session));
  }
  co_return json_response(200, json::object{{"items", std::move(items)}});
}

Task<Response> Api::session_drop(Call& call) {
  if (!co_await service_.drop_session(call.parameters[0])) co_return not_found(call, "session", call.parameters[0]);
  co_return no_content();
}

}  // namespace lunaris::web
