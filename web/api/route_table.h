// The one table of everything that can be asked over HTTP: dispatch, access control and the OpenAPI document all come
// from it, so that they cannot disagree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/runtime/task.h"
#include "web/auth/accounts.h"
#include "web/http.h"

namespace lunaris::web {

class Api;
struct Call;

/// Who may call a route.
enum class Access : std::uint8_t { open, metrics, viewer, operate, admin };

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/api/v1/volumes/{name}"
  Access access;
  runtime::Task<Response> (Api::*handler)(Call& call);
  std::string_view summary;
  std::string_view query;            // names of the query parameters: "limit page_token"
  std::string_view request_schema;   // empty: no body
  std::string_view response_schema;  // empty: no content, or text
  std::string_view statuses;         // of success: "200 201"
};

[[nodiscard]] std::span<const Route> routes() noexcept;

/// The values of the {parameters} when `segments` are those of `pattern`.
[[nodiscard]] std::optional<std::vector<std::string>> match_path(std::string_view pattern,
                                                                 const std::vector<std::string>& segments);

struct Match {
  const Route* route = nullptr;  // null: `allowed` are the methods of that path, empty when there is no such path
  std::vector<std::string> parameters;
  std::string allowed;
};
/// HEAD is answered by the route of GET.
[[nodiscard]] Match find_route(std::span<const Route> table, std::string_view method,
                               const std::vector<std::string>& segments);

/// Whether `name` is one of the words of `list`.
[[nodiscard]] bool has_word(std::string_view list, std::string_view name) noexcept;
[[nodiscard]] std::vector<std::string_view> words_of(std::string_view list);

/// The OpenAPI 3.1 document of the table, as text.
[[nodiscard]] std::string openapi_document(std::string_view version);

}  // namespace lunaris::web
