// Problem details (RFC 9457): every refusal of the API says what is wrong and what to do.
#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "server/config/problem.h"
#include "server/control/service.h"
#include "web/http.h"

namespace lunaris::web {

/// One refusal. `type` becomes "/problems/TYPE"; `fix` is what the caller can do, empty when nothing.
struct Refusal {
  unsigned status = 400;
  std::string_view type;
  std::string title;
  std::string detail;
  std::string fix;
  boost::json::object more;  // further members: "errors", "sessions"
};
[[nodiscard]] Response problem_response(const Request& request, Refusal refusal);

/// 422 with one entry per problem; `strip` is taken off the pointers, so that they are those of the caller's body.
[[nodiscard]] Response problems_response(const Request& request, const config::Problems& problems,
                                         std::string_view strip = "");

/// What a refused change is in HTTP.
[[nodiscard]] Response outcome_response(const Request& request, const control::Outcome& outcome,
                                        std::string_view strip = "");

}  // namespace lunaris::web
