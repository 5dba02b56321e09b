// AdminApi: one request of the management socket to one answer. JSON in, JSON out; no sockets, so that everything a
// client may say can be tried in tests.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "server/control/service.h"

namespace lunaris::control {

/// Management worker only. A request is {"method": NAME, "params": {...}, "id": anything}; an answer has the same id
/// and either "result" or "error": {"code", "message", ...details}. Never fails, whatever the text is.
class AdminApi {
 public:
  /// `set_log_level` makes a level of the log take effect, until the next restart.
  AdminApi(Service& service, std::function<void(config::LogLevel)> set_log_level);

  runtime::Task<boost::json::object> handle(std::string request);

 private:
  struct Call;
  struct Method;
  runtime::Task<> status(Call& call);
  runtime::Task<> sessions(Call& call);
  runtime::Task<> login_failures(Call& call);
  runtime::Task<> config_get(Call& call);
  runtime::Task<> config_apply(Call& call);
  runtime::Task<> config_plan(Call& call);
  runtime::Task<> session_drop(Call& call);
  runtime::Task<> reload(Call& call);
  runtime::Task<> log_level(Call& call);
  static const Method methods[];

  Service& service_;
  std::function<void(config::LogLevel)> set_log_level_;
};

/// A session as the API shows it.
[[nodiscard]] boost::json::object encode(const SessionInfo& session);
/// A refused login as the API shows it; `now` is what its age counts back from.
[[nodiscard]] boost::json::object encode(const LoginFailure& failure, std::chrono::system_clock::time_point now);

}  // namespace lunaris::control
