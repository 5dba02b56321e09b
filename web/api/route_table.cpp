// The table, and finding a row in it.
#include "web/api/route_table.h"

#include <algorithm>
#include <array>

#include "web/api/api.h"

namespace lunaris::web {

namespace {

constexpr std::string_view change_query = "dry_run";
constexpr std::string_view delete_query = "dry_run drain";
constexpr std::string_view list_query = "limit page_token";

constexpr std::array table = {
    Route{"GET", "/livez", Access::open, &Api::livez, "The process runs", "", "", "", "200"},
    Route{"GET", "/readyz", Access::open, &Api::readyz, "The server is ready to serve", "", "", "", "200"},
    Route{"GET", "/metrics", Access::metrics, &Api::metrics, "Metrics for Prometheus", "", "", "", "200"},
    Route{"GET", "/openapi.json", Access::open, &Api::openapi, "This document", "", "", "Object", "200"},
    Route{"GET", "/api/v1/session", Access::open, &Api::session_get, "Who the caller is, and whether setup is due", "",
          "", "SessionState", "200"},
    Route{"POST", "/api/v1/session", Access::open, &Api::session_post, "Log in: sets a cookie", "", "Login", "", "204"},
    Route{"DELETE", "/api/v1/session", Access::viewer, &Api::session_delete, "Log out", "", "", "", "204"},
    Route{"POST", "/api/v1/setup", Access::open, &Api::setup_post, "Make the first administrator, once", "", "Setup",
          "", "204"},
    Route{"GET", "/api/v1/tokens", Access::admin, &Api::tokens_get, "API tokens, without their secrets", "", "",
          "TokenList", "200"},
    Route{"POST", "/api/v1/tokens", Access::admin, &Api::tokens_post, "Make a token; its secret is shown once", "",
          "NewToken", "CreatedToken", "201"},
    Route{"DELETE", "/api/v1/tokens/{id}", Access::admin, &Api::token_delete, "Delete a token", "", "", "", "204"},
    Route{"GET", "/api/v1/system", Access::viewer, &Api::system_get, "Version, health and what is wrong", "", "",
          "System", "200"},
    Route{"GET", "/api/v1/config", Access::viewer, &Api::config_get, "The configuration document", "", "", "Document",
          "200"},
    Route{"PUT", "/api/v1/config", Access::admin, &Api::config_put, "Put a configuration in force, or plan it",
          change_query, "Document", "Outcome", "200"},
    Route{"GET", "/api/v1/volumes", Access::viewer, &Api::volumes_get, "Volumes and how they are", list_query, "",
          "VolumeList", "200"},
    Route{"GET", "/api/v1/volumes/{name}", Access::viewer, &Api::volume_get, "One volume", "", "", "Volume", "200"},
    Route{"PUT", "/api/v1/volumes/{name}", Access::operate, &Api::volume_put,
          "Create or change a volume; a larger size grows it online", change_query, "VolumeInput", "Volume", "200 201"},
    Route{"DELETE", "/api/v1/volumes/{name}", Access::operate, &Api::volume_delete,
          "Take a volume out of the configuration; its storage stays", delete_query, "", "", "204"},
    Route{"GET", "/api/v1/targets", Access::viewer, &Api::targets_get, "Targets", list_query, "", "TargetList", "200"},
    Route{"GET", "/api/v1/targets/{name}", Access::viewer, &Api::target_get, "One target", "", "", "Target", "200"},
    Route{"PUT", "/api/v1/targets/{name}", Access::operate, &Api::target_put, "Create or change a target", change_query,
          "TargetInput", "Target", "200 201"},
    Route{"DELETE", "/api/v1/targets/{name}", Access::operate, &Api::target_delete, "Remove a target", delete_query, "",
          "", "204"},
    Route{"PUT", "/api/v1/targets/{name}/luns/{lun}", Access::operate, &Api::lun_put, "Show a volume as a LUN",
          delete_query, "Lun", "Target", "200 201"},
    Route{"DELETE", "/api/v1/targets/{name}/luns/{lun}", Access::operate, &Api::lun_delete, "Take a LUN away",
          delete_query, "", "", "204"},
    Route{"GET", "/api/v1/portals", Access::viewer, &Api::portals_get, "Listening addresses", "", "", "PortalList",
          "200"},
    Route{"GET", "/api/v1/sessions", Access::viewer, &Api::sessions_get, "Who is logged in", "target initiator", "",
          "SessionList", "200"},
    Route{"DELETE", "/api/v1/sessions/{id}", Access::operate, &Api::session_drop, "Drop a session", "", "", "", "204"},
    Route{"GET", "/api/v1/stats", Access::viewer, &Api::stats_get, "Totals and rates of the last 15 minutes",
          "scope range", "", "Stats", "200"},
};

}  // namespace

std::span<const Route> routes() noexcept {
  return table;
}

std::optional<std::vector<std::string>> match_path(std::string_view pattern, const std::vector<std::string>& segments) {
  std::vector<std::string> values;
  for (const std::string& segment : segments) {
    if (!pattern.starts_with('/')) return {};
    pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    if (part.starts_with('{')) {
      if (segment.empty()) return {};
      values.push_back(segment);
    } else if (part != segment) {
      return {};
    }
  }
  if (!pattern.empty()) return {};
  return values;
}

Match find_route(std::span<const Route> rows, std::string_view method, const std::vector<std::string>& segments) {
  Match match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const Route& route : rows) {
    auto values = match_path(route.pattern, segments);
    if (!values) continue;
    if (route.method == wanted) {
      match.route = &route;
      match.parameters = std::move(*values);
      return match;
    }
    match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method);
    if (route.method == "GET") match.allowed += ", HEAD";
  }
  return match;
}

std::vector<std::string_view> words_of(std::string_view list) {
  std::vector<std::string_view> words;
  while (!list.empty()) {
    const std::size_t end = list.find(' ');
    if (end != 0) words.push_back(list.substr(0, end));
    if (end == std::string_view::npos) break;
    list.remove_prefix(end + 1);
  }
  return words;
}

bool has_word(std::string_view list, std::string_view name) noexcept {
  for (;;) {
    const std::size_t end = list.find(' ');
    if (list.substr(0, end) == name) return true;
    if (end == std::string_view::npos) return false;
    list.remove_prefix(end + 1);
  }
}

}  // namespace lunaris::web
