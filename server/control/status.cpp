// The status document of Service: what there is and how it is, as JSON.
#include <algorithm>

#include "server/config/values.h"
#include "server/control/service.h"

namespace lunaris::control {

namespace json = boost::json;

namespace {

std::string_view health_text(volume::Health health) noexcept {
  switch (health) {
    case volume::Health::online:
      return "online";
    case volume::Health::failed:
      return "failed";
    case volume::Health::offline:
      return "offline";
  }
  return "";
}

json::string text(std::string_view words) {
  return json::string(words);
}

/// Whether initiators have to authenticate: "none", "chap", or "mixed" when it depends on the initiator.
json::string auth_text(const config::Target& target) {
  if (!target.auth.chap.empty()) return text("chap");
  const auto own =
      std::ranges::count_if(target.initiators, [](const config::Initiator& i) { return i.chap.has_value(); });
  if (own == 0) return text("none");
  return text(static_cast<std::size_t>(own) == target.initiators.size() ? "chap" : "mixed");
}

json::value backend_type(const config::Volume& volume) {
  const json::value* type = volume.backend.if_contains("type");
  return type == nullptr ? json::value(nullptr) : *type;
}

json::object open_volume(const volume::Volume& volume) {
  const auto view = volume.view();
  const volume::Volume::Totals totals = volume.totals();
  json::object object{{"state", text(health_text(view->health))},
                      {"size", view->size_bytes},
                      {"allocated", volume.allocated_bytes()},
                      {"block_size", view->block_bytes},
                      {"read_only", view->read_only},
                      {"reads", totals.reads},
                      {"writes", totals.writes},
                      {"read_bytes", totals.read_bytes},
                      {"written_bytes", totals.written_bytes},
                      {"flushes", totals.flushes},
                      {"discards", totals.discards},
                      {"errors", totals.errors}};
  if (!view->health_reason.empty()) object["reason"] = text(view->health_reason);
  return object;
}

}  // namespace

json::array Service::volumes_status() const {
  json::array list;
  for (const auto& [name, live] : reconciler_.volumes()) {
    json::object object =
        live.volume ? open_volume(*live.volume) : json::object{{"state", "not open"}, {"size", live.config.size_bytes}};
    object["name"] = text(name);
    object["uuid"] = text(config::uuid_text(live.uuid));
    object["backend"] = backend_type(live.config);
    if (!live.failure.empty()) object["reason"] = text(live.failure);
    list.push_back(std::move(object));
  }
  return list;
}

json::array Service::targets_status(const std::vector<SessionInfo>& sessions) const {
  json::array list;
  for (const auto& [name, target] : state_.document.targets) {
    json::object luns;
    for (const auto& [number, lun] : target.luns) luns[std::to_string(number)] = text(lun.volume);
    const auto count =
        std::ranges::count_if(sessions, [&](const SessionInfo& session) { return session.target == name; });
    list.push_back(json::object{{"name", text(name)},
                                {"alias", text(target.alias)},
                                {"luns", std::move(luns)},
                                {"auth", auth_text(target)},
                                {"sessions", static_cast<std::uint64_t>(count)}});
  }
  return list;
}

runtime::Task<json::object> Service::status() {
  const std::vector<SessionInfo> sessions = co_await parts_.transport.sessions();
  json::array portals;
  for (const auto& [name, portal] : state_.document.portals) {
    portals.push_back(json::object{{"name", text(name)},
                                   {"listen", text(config::address_text(portal.address, portal.port))},
                                   {"group_tag", portal.group_tag}});
  }
  json::array failures;
  for (const StepFailure& failure : failures_) {
    failures.push_back(json::object{{"pointer", text(failure.pointer)}, {"reason", text(failure.reason)}});
  }
  const std::uint64_t age_ns = parts_.management.clock().now_ns() - started_ns_;
  co_return json::object{{"version", text(parts_.version)},
                         {"state", stopping_ ? "stopping" : "running"},
                         {"ready", !stopping_ && failures_.empty()},
                         {"uptime_seconds", age_ns / 1'000'000'000},
                         {"revision", state_.revision},
                         {"managed_by", is_managed_by_file() ? text(parts_.config_file) : text("api")},
                         {"sessions", static_cast<std::uint64_t>(sessions.size())},
                         {"volumes", volumes_status()},
                         {"targets", targets_status(sessions)},
                         {"portals", std::move(portals)},
                         {"failures", std::move(failures)}};
}

}  // namespace lunaris::control
