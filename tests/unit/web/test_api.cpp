// The API without sockets: what tests/web cannot reach from outside (conflicts, failing disks, limits).
#include <catch2/catch.hpp>

#include "tests/unit/web/web_fixture.h"

namespace lunaris::web::test {

namespace json = boost::json;
using control::test::session;
using control::test::target_a;

namespace {

json::object object(const Response& response) {
  return json::parse(response.body).as_object();
}

}  // namespace

TEST_CASE_METHOD(WebFixture, "a write with an old ETag is refused and changes nothing", "[api][RFC 9110 13.1.1]") {
  set_up();
  Request put = request("PUT", "/api/v1/volumes/c", R"({"size": "1MiB", "backend": {"type": "memory"}})");
  put.headers["if-match"] = "\"g1\"";
  CHECK(call(put).status == 201);
  CHECK(header(call("GET", "/api/v1/config"), "ETag") == "\"g2\"");
  put.target = "/api/v1/volumes/d";
  CHECK(call(put).status == 412);
  CHECK(service->state().document.volumes.size() == 3);
  put.headers["if-match"] = "*";
  CHECK(call(put).status == 201);
}

TEST_CASE_METHOD(WebFixture, "a change that cannot be stored is not in force", "[api]") {
  set_up();
  disk.failing_step = disk.steps + 1;
  const Response response = call("PUT", "/api/v1/volumes/c", R"({"size": "1MiB", "backend": {"type": "memory"}})");
  CHECK(response.status == 507);
  CHECK(object(response).at("type") == "/problems/not-stored");
  disk.failing_step = 0;
  CHECK(call("GET", "/api/v1/volumes/c").status == 404);
}

TEST_CASE_METHOD(WebFixture, "a volume whose medium is missing is made and says so", "[api]") {
  set_up();
  broken.insert("c");
  const Response response = call("PUT", "/api/v1/volumes/c", R"({"size": "1MiB", "backend": {"type": "memory"}})");
  CHECK(response.status == 201);
  CHECK(object(response).at("state") == "not open");
  CHECK_THAT(response.body, Catch::Contains("put it back"));
  const json::object system = object(call("GET", "/api/v1/system"));
  CHECK(system.at("health") == "degraded");
  CHECK(system.at("problems").as_array().size() == 1);
}

TEST_CASE_METHOD(WebFixture, "what sessions use is not deleted unless they are drained", "[api]") {
  set_up();
  transport.live_sessions.push_back(session("s-1", "iqn.1994-05.com.redhat:n", target_a));
  for (const std::string path : {"/api/v1/volumes/a", "/api/v1/targets/iqn.2026-01.io.lunaris%3Aa",
                                 "/api/v1/targets/iqn.2026-01.io.lunaris%3Aa/luns/0"}) {
    CAPTURE(path);
    const Response response = call("DELETE", path);
    CHECK(response.status == 409);
    CHECK(object(response).at("sessions") == json::array{"s-1"});
  }
  CHECK(call("PUT", "/api/v1/targets/iqn.2026-01.io.lunaris%3Aa/luns/0", R"({"volume": "b"})").status == 409);
  CHECK(call("DELETE", "/api/v1/volumes/a?drain=true").status == 204);
  CHECK(service->state().document.targets.at(target_a).luns.empty());
}

TEST_CASE_METHOD(WebFixture, "members that are left out keep their value", "[api]") {
  set_up();
  CHECK(call("PUT", "/api/v1/volumes/a", R"({"labels": {"owner": "me"}})").status == 200);
  CHECK(call("PUT", "/api/v1/volumes/a", R"({"size": "2MiB"})").status == 200);
  const config::Volume& volume = service->state().document.volumes.at("a");
  CHECK(volume.size_bytes == 2U << 20);
  CHECK(volume.labels.at("owner") == "me");
  CHECK(volume.backend == json::object{{"type", "memory"}});
}

TEST_CASE_METHOD(WebFixture, "exposing twice maps once and takes the next free LUN for another", "[api]") {
  set_up();
  const std::string body =
      R"({"size": "1MiB", "backend": {"type": "memory"}, "expose": {"target": ")" + target_a + "\"}}";
  CHECK(call("PUT", "/api/v1/volumes/c", body).status == 201);
  CHECK(call("PUT", "/api/v1/volumes/c", body).status == 200);
  const auto& luns = service->state().document.targets.at(target_a).luns;
  REQUIRE(luns.size() == 2);
  CHECK(luns.at(1).volume == "c");
}

TEST_CASE_METHOD(WebFixture, "a dry run says what would be and does nothing", "[api]") {
  set_up();
  const Response response = call("DELETE", "/api/v1/volumes/a?drain=true&dry_run=true");
  CHECK(response.status == 200);
  CHECK(object(response).at("changes").as_object().at("delete") == json::array{"volumes/a"});
  CHECK(service->state().revision == 1);
}

TEST_CASE_METHOD(WebFixture, "the metrics carry awkward names as they should be escaped", "[api]") {
  transport.live_sessions.push_back(session("s-1", "iqn.x", "a\"b\\c\n"));
  Request scrape = request("GET", "/metrics");
  scrape.is_loopback = true;
  CHECK_THAT(call(scrape).body, Catch::Contains("lunaris_sessions{target=\"a\\\"b\\\\c\\n\"} 1\n"));
}

TEST_CASE_METHOD(WebFixture, "every schema that the OpenAPI document refers to is in it", "[api]") {
  const json::object document = object(call("GET", "/openapi.json"));
  const json::object& schemas = document.at("components").as_object().at("schemas").as_object();
  for (const Route& route : routes()) {
    for (const std::string_view name : {route.request_schema, route.response_schema}) {
      CAPTURE(route.pattern, name);
      CHECK((name.empty() || schemas.contains(name)));
    }
  }
}

}  // namespace lunaris::web::test
