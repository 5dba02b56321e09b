// Targets, routes, assets: everything between a request's bytes and its handler.
#include <catch2/catch.hpp>

#include "server/config/json.h"
#include "web/api/route_table.h"
#include "web/api/time_text.h"
#include "web/assets.h"
#include "web/http.h"

namespace lunaris::web {

namespace {

std::vector<std::string> segments(const std::string& target) {
  return parse_target(target).segments;
}

}  // namespace

TEST_CASE("a target is taken apart before its escapes are decoded", "[http][RFC 3986 2.4]") {
  const Target target = parse_target("/api/v1/volumes/a%2Fb%3a1?x=%26&y&x2=1%3D1");
  REQUIRE(target.is_valid);
  CHECK(target.segments == std::vector<std::string>{"api", "v1", "volumes", "a/b:1"});
  CHECK(target.query == std::map<std::string, std::string>{{"x", "&"}, {"y", ""}, {"x2", "1=1"}});
}

TEST_CASE("a bad escape or a control character makes a target invalid", "[http]") {
  for (const char* text : {"", "volumes", "*", "/a%", "/a%2", "/a%zz", "/a%00", "/a%0a", "/a?b=%7f", "/\x01"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_target(text).is_valid);
  }
}

TEST_CASE("a pattern's parameters are the segments in their place", "[routes]") {
  const auto values = match_path("/api/v1/targets/{name}/luns/{lun}", segments("/api/v1/targets/iqn.x%3Ay/luns/7"));
  REQUIRE(values);
  CHECK(*values == std::vector<std::string>{"iqn.x:y", "7"});
  CHECK_FALSE(match_path("/api/v1/targets/{name}", segments("/api/v1/targets/")));
  CHECK_FALSE(match_path("/api/v1/targets/{name}", segments("/api/v1/targets/a/b")));
  CHECK_FALSE(match_path("/api/v1/targets", segments("/api/v1/targets/")));
}

TEST_CASE("a path without the method names the methods it has", "[routes][RFC 9110 15.5.6]") {
  const Match match = find_route(routes(), "PATCH", segments("/api/v1/volumes/db1"));
  CHECK(match.route == nullptr);
  CHECK(match.allowed == "GET, HEAD, PUT, DELETE");
  CHECK(find_route(routes(), "GET", segments("/api/v2/volumes")).allowed.empty());
}

TEST_CASE("HEAD is answered by the route of GET", "[routes]") {
  const Match match = find_route(routes(), "HEAD", segments("/livez"));
  REQUIRE(match.route != nullptr);
  CHECK(match.route->method == "GET");
}

TEST_CASE("no two rows of the route table are the same", "[routes]") {
  for (const Route& left : routes()) {
    for (const Route& right : routes()) {
      if (&left == &right) continue;
      CAPTURE(left.pattern, left.method);
      CHECK_FALSE((left.pattern == right.pattern && left.method == right.method));
    }
  }
}

TEST_CASE("only reading and logging in are open to strangers", "[routes]") {
  for (const Route& route : routes()) {
    if (route.access != Access::open || route.method == "GET") continue;
    CAPTURE(route.pattern);
    CHECK((route.pattern == "/api/v1/session" || route.pattern == "/api/v1/setup"));
  }
}

TEST_CASE("an asset is sent once and compressed for those who take that", "[assets][RFC 9110 13.1.2]") {
  static constexpr unsigned char plain[] = {'p'};
  static constexpr unsigned char gzip[] = {'g', 'z'};
  static constexpr Asset table[] = {{"/index.html", "text/html", "\"tag\"", plain, gzip}};
  Request request;
  request.method = "GET";
  request.target = "/?x";
  CHECK(asset_response(request, table).body == "p");
  request.headers["accept-encoding"] = "br, gzip";
  CHECK(asset_response(request, table).body == "gz");
  request.headers["accept-encoding"] = "gzip;q=0";
  CHECK(asset_response(request, table).body == "p");
  request.headers["if-none-match"] = "\"tag\"";
  CHECK(asset_response(request, table).status == 304);
  request.headers["if-none-match"] = "\"old\"";
  CHECK(asset_response(request, table).status == 200);
  request.method = "POST";
  CHECK(asset_response(request, table).status == 405);
  request.target = "/none";
  CHECK(asset_response(request, table).status == 404);
}

TEST_CASE("times are written and read back", "[api][RFC 3339]") {
  CHECK(time_text(0) == "1970-01-01T00:00:00Z");
  CHECK(time_text(1'900'000'000) == "2030-03-17T17:46:40Z");
  CHECK(parse_time("2030-03-17T17:46:40Z") == std::uint64_t{1'900'000'000});
  for (const char* text : {"", "2030-02-30T00:00:00Z", "2030-03-17T24:00:00Z", "2030-03-17 17:46:40Z",
                           "1969-12-31T23:59:59Z", "2030-03-17T17:46:40+01", "2030-03-17T17:46:40Zx"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_time(text));
  }
}

TEST_CASE("the web address is a loopback address unless plain HTTP is wanted in so many words", "[config]") {
  const auto fault = [](const std::string& web) {
    const config::Decoded decoded = config::decode_text(R"({"server": {"web": )" + web + "}}");
    return decoded.problems.empty() ? decoded.document.server.web.listen : decoded.problems.front().pointer;
  };
  CHECK(fault("{}").empty());
  CHECK(fault(R"({"listen": null})").empty());
  CHECK(fault(R"({"listen": "127.0.0.1"})") == "127.0.0.1:8080");
  CHECK(fault(R"({"listen": "[::1]:80"})") == "[::1]:80");
  for (const char* listen : {R"("0.0.0.0:8080")", R"("[::]:8080")", R"("192.0.2.1:80")", R"("localhost:80")", "1"}) {
    CAPTURE(listen);
    CHECK(fault(std::string(R"({"listen": )") + listen + "}") == "/server/web/listen");
  }
  CHECK(fault(R"({"listen": "0.0.0.0:8080", "insecure_http": true})") == "0.0.0.0:8080");
}

TEST_CASE("the web section goes through text and back", "[config]") {
  config::Document document;
  CHECK(config::decode(config::encode(document)).document == document);
  document.server.web = {.listen = "127.0.0.1:9000", .insecure_http = true};
  CHECK(config::decode(config::encode(document)).document == document);
}

}  // namespace lunaris::web
