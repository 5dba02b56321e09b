// The OpenAPI 3.1 document: paths from the route table, schemas from schemas.json (embedded at build time).
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "server/config/json.h"
#include "web/api/route_table.h"
#include "web/assets.h"

namespace lunaris::web {

namespace json = boost::json;

namespace {

json::string text(std::string_view words) {
  return json::string(words);
}

json::object reference(std::string_view schema) {
  return {{"schema", json::object{{"$ref", text("#/components/schemas/" + std::string(schema))}}}};
}

std::string_view description(std::string_view parameter) {
  if (parameter == "dry_run") return "true: say what the change would do, and do nothing";
  if (parameter == "drain") return "true: although sessions use it, or LUNs show it";
  if (parameter == "limit") return "items in one answer, 1 to 1000";
  if (parameter == "page_token") return "next_page_token of the answer before";
  if (parameter == "scope") return "\"all\" or \"volume:NAME\"";
  if (parameter == "range") return "how far back: \"60s\", \"15m\"";
  return "only those with this name";
}

json::array parameters(const Route& route) {
  json::array list;
  const auto add = [&](std::string_view name, const char* place, std::string_view words) {
    json::object parameter{{"name", text(name)},
                           {"in", place},
                           {"required", std::string_view(place) == "path"},
                           {"schema", json::object{{"type", "string"}}}};
    if (!words.empty()) parameter["description"] = text(words);
    list.push_back(std::move(parameter));
  };
  std::string_view rest = route.pattern;
  for (std::size_t open = rest.find('{'); open != std::string_view::npos; open = rest.find('{')) {
    rest.remove_prefix(open + 1);
    add(rest.substr(0, rest.find('}')), "path", "");
  }
  for (const std::string_view name : words_of(route.query)) add(name, "query", description(name));
  if (has_word(route.query, "dry_run")) add("If-Match", "header", "ETag of the configuration the change is made to");
  return list;
}

std::string_view access_text(Access access) {
  switch (access) {
    case Access::open:
      return "Anybody may.";
    case Access::metrics:
      return "Anybody on the same machine may; others need the role viewer.";
    case Access::viewer:
      return "Needs the role viewer.";
    case Access::operate:
      return "Needs the role operator.";
    case Access::admin:
      return "Needs the role admin.";
  }
  return "";
}

json::object operation(const Route& route) {
  json::object responses;
  for (const std::string_view status : words_of(route.statuses)) {
    json::object response{{"description", text(status == "201" ? "Created" : "Done")}};
    if (!route.response_schema.empty()) {
      response["content"] = json::object{{"application/json", reference(route.response_schema)}};
    } else if (status == "200") {
      response["content"] = json::object{{"text/plain", json::object{{"schema", json::object{{"type", "string"}}}}}};
    }
    responses[status] = std::move(response);
  }
  responses["default"] = json::object{{"description", "A refusal (RFC 9457)"},
                                      {"content", json::object{{"application/problem+json", reference("Problem")}}}};
  json::object object{{"summary", text(route.summary)}, {"description", text(access_text(route.access))}};
  if (json::array list = parameters(route); !list.empty()) object["parameters"] = std::move(list);
  if (!route.request_schema.empty()) {
    object["requestBody"] = json::object{
        {"required", true}, {"content", json::object{{"application/json", reference(route.request_schema)}}}};
  }
  object["responses"] = std::move(responses);
  object["security"] = route.access == Access::open ? json::array{}
                                                    : json::array{json::object{{"token", json::array{}}},
                                                                  json::object{{"cookie", json::array{}}}};
  return object;
}

std::string lower(std::string_view method) {
  std::string out;
  for (const char c : method) out += static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

std::string openapi_document(std::string_view version) {
  json::object paths;
  for (const Route& route : routes()) {
    json::value& path = paths[route.pattern];
    if (path.is_null()) path = json::object();
    path.get_object()[lower(route.method)] = operation(route);
  }
  const json::object security{
      {"token", json::object{{"type", "http"}, {"scheme", "bearer"}}},
      {"cookie", json::object{{"type", "apiKey"}, {"in", "cookie"}, {"name", "lunaris_session"}}}};
  const json::object document{
      {"openapi", "3.1.0"},
      {"info", json::object{{"title", "Lunaris"},
                            {"version", text(version)},
                            {"license", json::object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
      {"servers", json::array{json::object{{"url", "/"}}}},
      {"paths", std::move(paths)},
      {"components", json::object{{"schemas", json::parse(schemas_text())}, {"securitySchemes", security}}}};
  return json::serialize(document) + "\n";
}

}  // namespace lunaris::web
