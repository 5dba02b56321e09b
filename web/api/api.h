// Api: one HTTP request to one answer. Finds the route, checks who asks, reads the body, calls the handler. Every
// change is a new configuration document that goes through control::Service::apply.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "server/control/service.h"
#include "web/api/route_table.h"
#include "web/auth/authenticator.h"
#include "web/http.h"
#include "web/problem.h"
#include "web/sampler.h"

namespace lunaris::web {

/// One request on its way through a handler.
struct Call {
  Request request;
  Target target;
  std::vector<std::string> parameters;  // of the path
  Identity who;
  boost::json::value body;

  [[nodiscard]] std::string query(const std::string& name) const {
    const auto found = target.query.find(name);
    return found == target.query.end() ? std::string() : found->second;
  }
  [[nodiscard]] bool is_set(const std::string& name) const { return query(name) == "true"; }
};

/// Management worker only.
class Api final : public Handler {
 public:
  Api(control::Service& service, Authenticator& access, const Sampler& sampler);

  runtime::Task<Response> handle(Request request) override;
  /// Whether the path belongs to the API (and not to the dashboard).
  [[nodiscard]] static bool is_path(std::string_view path) noexcept;

  // --- handlers, named in the route table -----------------------------------------------------------------------
  runtime::Task<Response> livez(Call& call);
  runtime::Task<Response> readyz(Call& call);
  runtime::Task<Response> metrics(Call& call);
  runtime::Task<Response> openapi(Call& call);
  runtime::Task<Response> session_get(Call& call);
  runtime::Task<Response> session_post(Call& call);
  runtime::Task<Response> session_delete(Call& call);
  runtime::Task<Response> setup_post(Call& call);
  runtime::Task<Response> tokens_get(Call& call);
  runtime::Task<Response> tokens_post(Call& call);
  runtime::Task<Response> token_delete(Call& call);
  runtime::Task<Response> system_get(Call& call);
  runtime::Task<Response> config_get(Call& call);
  runtime::Task<Response> config_put(Call& call);
  runtime::Task<Response> volumes_get(Call& call);
  runtime::Task<Response> volume_get(Call& call);
  runtime::Task<Response> volume_put(Call& call);
  runtime::Task<Response> volume_delete(Call& call);
  runtime::Task<Response> targets_get(Call& call);
  runtime::Task<Response> target_get(Call& call);
  runtime::Task<Response> target_put(Call& call);
  runtime::Task<Response> target_delete(Call& call);
  runtime::Task<Response> lun_put(Call& call);
  runtime::Task<Response> lun_delete(Call& call);
  runtime::Task<Response> portals_get(Call& call);
  runtime::Task<Response> sessions_get(Call& call);
  runtime::Task<Response> session_drop(Call& call);
  runtime::Task<Response> stats_get(Call& call);

 private:
  /// Makes the new document out of the one in force, or answers why not. May be called several times.
  using Edit = std::function<std::optional<Response>(config::Document& document)>;
  struct Changed {
    control::Outcome outcome;
    std::optional<Response> answer;  // a refusal, or the answer to a dry run
  };
  /// `strip`: what to take off pointers to get those of the caller's body.
  runtime::Task<Changed> change(const Call& call, Edit edit, std::string strip);

  [[nodiscard]] std::optional<Response> authorize(Call& call, Access access);
  [[nodiscard]] std::optional<Response> read_body(Call& call, const Route& route);
  [[nodiscard]] Response attempt_response(const Call& call, const Authenticator::Attempt& attempt);
  [[nodiscard]] Response with_revision(Response response) const;
  [[nodiscard]] Response not_found(const Call& call, std::string_view kind, const std::string& name) const;

  using Sessions = std::vector<SessionInfo>;
  [[nodiscard]] boost::json::object volume_object(const std::string& name, const Sessions& sessions) const;
  [[nodiscard]] boost::json::object target_object(const std::string& name, const Sessions& sessions) const;
  /// 409 when one of `sessions` is on a target for which `is_hit`, unless ?drain=true.
  [[nodiscard]] std::optional<Response> in_use(const Call& call, std::string_view kind, const std::string& name,
                                               const Sessions& sessions,
                                               const std::function<bool(const SessionInfo&)>& is_hit) const;

  control::Service& service_;
  Authenticator& access_;
  const Sampler& sampler_;
};

/// {"items": [...], "next_page_token": ...} of the names in `map` that the query asks for; `encode(name)` makes an
/// item. A problem when the query is not valid.
[[nodiscard]] Response page_response(const Call& call, const std::vector<std::string>& names,
                                     const std::function<boost::json::object(const std::string&)>& encode);

/// Metrics in the text format of Prometheus.
[[nodiscard]] std::string metrics_text(const control::Service& service, const std::vector<SessionInfo>& sessions);

}  // namespace lunaris::web
