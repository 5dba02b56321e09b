// A request and its answer as the API sees them: plain values, no sockets, so that everything can be tried in tests.
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/runtime/task.h"

namespace lunaris::web {

struct Request {
  std::string method;
  std::string target;                          // as it was sent: "/api/v1/volumes/db%3A1?dry_run=true"
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string peer;  // numeric address
  bool is_loopback = false;
  std::string id;  // X-Request-Id of the answer

  /// Empty when it was not sent.
  [[nodiscard]] std::string_view header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
  }
};

struct Response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// `value` as the body.
[[nodiscard]] Response json_response(unsigned status, const boost::json::value& value);

/// The parts of a request's target.
struct Target {
  std::string path;                          // before decoding
  std::vector<std::string> segments;         // decoded: "api", "v1", "volumes", "db:1"
  std::map<std::string, std::string> query;  // decoded
  bool is_valid = false;                     // false: no absolute path, a bad escape, a control character
};
[[nodiscard]] Target parse_target(std::string_view target);

/// What answers requests.
class Handler {
 public:
  virtual ~Handler() = default;
  /// Management worker. Never fails: a refusal is an answer.
  virtual runtime::Task<Response> handle(Request request) = 0;
};

}  // namespace lunaris::web
