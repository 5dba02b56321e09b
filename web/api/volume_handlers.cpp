// Volumes: as configured and as they are, changed by name.
#include <algorithm>
#include <boost/json/array.hpp>

#include "server/config/json.h"
#include "server/config/object_reader.h"
#include "server/config/values.h"
#include "web/api/api.h"

namespace lunaris::web {

namespace json = boost::json;
using runtime::Task;

namespace {

/// Members that a volume has in answers only; they are let pass in a PUT, so that what was read can be sent back.
constexpr std::string_view answer_members =
    "name allocated naa state reason sessions connect mapped_to totals revision failures";

std::string_view state_of(const control::LiveVolume& live) {
  if (!live.volume) return "not open";
  return live.volume->view()->health == volume::Health::online ? "online" : "failed";
}

json::string text(std::string_view words) {
  return json::string(words);
}

/// Where an initiator finds the volume.
json::array connections(const config::Document& document, const std::string& volume) {
  json::array list;
  for (const auto& [name, target] : document.targets) {
    for (const auto& [number, lun] : target.luns) {
      if (lun.volume != volume) continue;
      for (const auto& [portal_name, portal] : document.portals) {
        if (!target.portals.empty() && std::ranges::count(target.portals, portal_name) == 0) continue;
        list.push_back(json::object{{"portal", text(config::address_text(portal.address, portal.port))},
                                    {"target", text(name)},
                                    {"lun", number}});
      }
    }
  }
  return list;
}

bool is_mapped(const config::Document& document, const std::string& target, const std::string& volume) {
  const auto found = document.targets.find(target);
  return found != document.targets.end() &&
         std::ranges::any_of(found->second.luns, [&](const auto& lun) { return lun.second.volume == volume; });
}

/// What PUT /volumes/NAME says: the volume's members, and perhaps where it shall be seen.
struct VolumeInput {
  json::object members;
  json::value expose;  // null: not said
  config::Problems problems;
};

VolumeInput read_input(const json::value& body, const std::string& name) {
  VolumeInput input;
  const json::object* object = body.if_object();
  if (object == nullptr) {
    input.problems.push_back({"", "must be an object."});
    return input;
  }
  for (const auto& [key, value] : *object) {
    if (key == "expose") {
      input.expose = value;
    } else if (key == "name" && !(value.is_string() && value.get_string() == json::string_view(name))) {
      input.problems.push_back({"/name", "is not the name in the path: a volume cannot be renamed."});
    } else if (!has_word(answer_members, key)) {
      input.members[key] = value;
    }
  }
  return input;
}

/// The volume in `document` with the members of the input laid over it.
void lay_over(config::Document& document, const std::string& name, VolumeInput& input) {
  const auto before = document.volumes.find(name);
  json::object merged;
  if (before != document.volumes.end()) {
    merged = config::encode(before->second);
  } else {
    merged["backend"] = json::object{{"type", "file"}, {"path", text(name + ".img")}};
  }
  for (const auto& [key, value] : input.members) merged[key] = value;
  json::object volumes;
  volumes[name] = std::move(merged);
  config::Decoded decoded = config::decode(json::object{{"volumes", std::move(volumes)}});
  input.problems = std::move(decoded.problems);
  for (auto& [key, volume] : decoded.document.volumes) document.volumes[key] = std::move(volume);
}

/// Why somebody who is no administrator may not have this back end: a path out of the data folder leads to every file
/// that the server can read. Empty when he may.
std::string backend_fault(const config::Document& document, const std::string& name, const VolumeInput& input) {
  const json::value* backend = input.members.if_contains("backend");
  const auto before = document.volumes.find(name);
  if (backend == nullptr || (before != document.volumes.end() && *backend == json::value(before->second.backend))) {
    return "";
  }
  const json::object* members = backend->if_object();
  const json::value* path = members == nullptr ? nullptr : members->if_contains("path");
  if (path == nullptr || !path->is_string()) return "";
  const std::string_view text(path->get_string().data(), path->get_string().size());
  const bool leads_out = text.starts_with('/') || text.find("..") != std::string_view::npos;
  return leads_out ? "only an administrator may choose storage outside of the data folder." : "";
}

/// Makes the target of "expose", unless it shows the volume already.
void expose(config::Document& document, const std::string& volume, VolumeInput& input, const std::string& prefix) {
  if (input.expose.is_null()) return;
  config::ObjectReader reader(input.expose, prefix + "/expose", input.problems);
  std::string name;
  if (reader.require("target") != nullptr) reader.read_text("target", name, 223);
  const std::string fault = config::iscsi_name_fault(name);
  if (!fault.empty()) reader.problem("target", fault + ".");
  name = config::lower_case(name);
  std::vector<std::string> initiators;
  reader.read_texts("initiators", initiators, 1024);
  for (std::size_t i = 0; i < initiators.size(); ++i) {
    const std::string wrong = config::iscsi_name_fault(initiators[i]);
    if (!wrong.empty()) reader.problem("initiators", i, wrong + ".");
    initiators[i] = config::lower_case(initiators[i]);
  }
  if (config::has_errors(input.problems)) return;
  config::Target& target = document.targets[name];
  if (reader.find("initiators") != nullptr) {
    target.initiators.clear();
    for (std::string& initiator : initiators) target.initiators.push_back({.name = std::move(initiator)});
  }
  if (is_mapped(document, name, volume)) return;
  std::uint16_t number = 0;
  while (target.luns.contains(number)) ++number;
  target.luns[number] = {.volume = volume, .read_only = false};
}

void unmap(config::Document& document, const std::string& volume) {
  for (auto& [name, target] : document.targets) {
    std::erase_if(target.luns, [&](const auto& lun) { return lun.second.volume == volume; });
  }
}

/// "LUN 0 of iqn...", empty when no target shows it.
std::string first_mapping(const config::Document& document, const std::string& volume) {
  for (const auto& [name, target] : document.targets) {
    for (const auto& [number, lun] : target.luns) {
      if (lun.volume == volume) return "LUN " + std::to_string(number) + " of " + name;
    }
  }
  return "";
}

}  // namespace

json::object Api::volume_object(const std::string& name, const Sessions& sessions) const {
  const config::Document& document = service_.state().document;
  const config::Volume& volume = document.volumes.at(name);
  json::object object{{"name", text(name)}};
  for (auto& member : config::encode(volume)) object[member.key()] = std::move(member.value());
  if (const auto record = service_.state().records.find(name); record != service_.state().records.end()) {
    object["uuid"] = text(config::uuid_text(record->second.uuid));
  }
  object["state"] = "not open";
  if (const auto live = service_.volumes().find(name); live != service_.volumes().end()) {
    object["state"] = text(state_of(live->second));
    if (!live->second.failure.empty()) object["reason"] = text(live->second.failure);
    if (live->second.volume) {
      const auto view = live->second.volume->view();
      const auto totals = live->second.volume->totals();
      object["size"] = view->size_bytes;
      object["allocated"] = live->second.volume->allocated_bytes();
      if (!view->health_reason.empty()) object["reason"] = text(view->health_reason);
      object["totals"] = json::object{{"reads", totals.reads},           {"writes", totals.writes},
                                      {"read_bytes", totals.read_bytes}, {"written_bytes", totals.written_bytes},
                                      {"flushes", totals.flushes},       {"discards", totals.discards},
                                      {"errors", totals.errors}};
    }
  }
  object["sessions"] = static_cast<std::uint64_t>(std::ranges::count_if(
      sessions, [&](const SessionInfo& session) { return is_mapped(document, session.target, name); }));
  object["connect"] = connections(document, name);
  return object;
}

Task<Response> Api::volumes_get(Call& call) {
  const Sessions sessions = co_await service_.sessions();
  std::vector<std::string> names;
  for (const auto& entry : service_.state().document.volumes) names.push_back(entry.first);
  co_return with_revision(
      page_response(call, names, [&](const std::string& name) { return volume_object(name, sessions); }));
}

Task<Response> Api::volume_get(Call& call) {
  const Sessions sessions = co_await service_.sessions();
  const std::string& name = call.parameters[0];
  if (!service_.state().document.volumes.contains(name)) co_return not_found(call, "volume", name);
  co_return with_revision(json_response(200, volume_object(name, sessions)));
}

Task<Response> Api::volume_put(Call& call) {
  const std::string name = call.parameters[0];
  const std::string prefix = config::below("/volumes", name);
  VolumeInput input = read_input(call.body, name);
  if (config::has_errors(input.problems)) co_return problems_response(call.request, input.problems);
  if (const std::string fault = backend_fault(service_.state().document, name, input);
      !fault.empty() && call.who.role != Role::admin) {
    co_return problem_response(
        call.request,
        {403, "not-allowed", "You may not do this", fault, "Choose a path relative to the data folder.", {}});
  }
  if (call.request.header("if-none-match") == "*" && service_.state().document.volumes.contains(name)) {
    co_return problem_response(call.request, {412,
                                              "exists",
                                              "It exists already",
                                              "the volume " + name + " exists.",
                                              "Choose another name, or leave If-None-Match out to change it.",
                                              {}});
  }
  bool is_new = false;
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    is_new = !document.volumes.contains(name);
    input.problems.clear();
    lay_over(document, name, input);
    expose(document, name, input, prefix);
    if (!config::has_errors(input.problems)) return {};
    return problems_response(call.request, input.problems, prefix);
  };
  const Changed changed = co_await change(call, edit, prefix);
  if (changed.answer) co_return *changed.answer;
  const Sessions sessions = co_await service_.sessions();
  if (!service_.state().document.volumes.contains(name)) co_return not_found(call, "volume", name);
  co_return with_revision(json_response(is_new ? 201 : 200, volume_object(name, sessions)));
}

Task<Response> Api::volume_delete(Call& call) {
  const std::string name = call.parameters[0];
  const Sessions sessions = co_await service_.sessions();
  const config::Document& now = service_.state().document;
  if (!now.volumes.contains(name)) co_return not_found(call, "volume", name);
  const auto is_hit = [&](const SessionInfo& session) { return is_mapped(now, session.target, name); };
  if (auto no = in_use(call, "volume-in-use", name, sessions, is_hit)) co_return std::move(*no);
  if (const std::string where = first_mapping(now, name); !where.empty() && !call.is_set("drain")) {
    co_return problem_response(call.request, {409,
                                              "volume-mapped",
                                              "It is mapped",
                                              name + " is " + where + ".",
                                              "Take the LUN away first, or send ?drain=true.",
                                              {}});
  }
  const Edit edit = [&](config::Document& document) -> std::optional<Response> {
    document.volumes.erase(name);
    unmap(document, name);
    return {};
  };
  const Changed changed = co_await change(call, edit, "");
  if (changed.answer) co_return *changed.answer;
  Response response;
  response.status = 204;
  co_return with_revision(std::move(response));
}

}  // namespace lunaris::web
