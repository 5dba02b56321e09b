// The management protocol: every method, and whatever else a client may send.
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>
#include <random>

#include "server/config/json.h"
#include "server/control/admin_api.h"
#include "tests/unit/control/service_fixture.h"

using namespace lunaris;
using namespace lunaris::control;
using namespace lunaris::control::test;
namespace json = boost::json;

namespace {

struct ApiFixture : Fixture {
  std::optional<config::LogLevel> level;
  std::unique_ptr<AdminApi> api;

  ApiFixture() {
    start(two_volumes());
    api = std::make_unique<AdminApi>(*service, [this](config::LogLevel wanted) { level = wanted; });
  }
  json::object ask(const std::string& request) { return run(management, api->handle(request)); }
  std::string error_code(const std::string& request) {
    const json::object answer = ask(request);
    INFO(json::serialize(answer));
    REQUIRE(answer.contains("error"));
    return json::value_to<std::string>(answer.at("error").at("code"));
  }
};

}  // namespace

TEST_CASE("each method answers with a result", "[control]") {
  ApiFixture fixture;
  fixture.transport.live_sessions = {session("s-1", "iqn.1994-05.com.redhat:a", target_a)};
  json::object answer = fixture.ask(R"({"method": "status", "id": 7})");
  CHECK(answer.at("id") == 7);
  CHECK(answer.at("result").at("version") == "test");
  answer = fixture.ask(R"({"method": "sessions"})");
  CHECK(answer.at("result").at("items").at(0).at("id") == "s-1");
  answer = fixture.ask(R"({"method": "config.get"})");
  CHECK(answer.at("result").at("revision") == 1U);
  CHECK(answer.at("result").at("document").at("volumes").as_object().size() == 2);
  CHECK(fixture.ask(R"({"method": "session.drop", "params": {"session": "s-1"}})").contains("result"));
  CHECK(fixture.transport.dropped == std::vector<std::string>{"s-1"});
  CHECK(fixture.ask(R"({"method": "reload"})").at("result").at("status") == "unchanged");
  CHECK(fixture.ask(R"({"method": "log.level", "params": {"level": "debug"}})").contains("result"));
  CHECK(fixture.level == config::LogLevel::debug);
}

TEST_CASE("a configuration can be given as text or as a value", "[control]") {
  ApiFixture fixture;
  json::object request{{"method", "config.plan"}, {"params", {{"document", "{ /* none */ }"}, {"revision", 1}}}};
  json::object answer = fixture.ask(json::serialize(request));
  CHECK(answer.at("result").at("status") == "planned");
  CHECK(answer.at("result").at("changes").at("delete").as_array().size() == 5);
  request = {{"method", "config.apply"}, {"params", {{"document", json::object()}}}};
  answer = fixture.ask(json::serialize(request));
  CHECK(answer.at("result").at("status") == "applied");
  CHECK(fixture.service->state().document == config::Document{});
}

TEST_CASE("a wrong configuration is refused with all its problems", "[control]") {
  ApiFixture fixture;
  const json::object request{{"method", "config.apply"}, {"params", {{"document", "{\n\"volumes\": {,}}"}}}};
  const json::object answer = fixture.ask(json::serialize(request));
  CHECK(answer.at("error").at("code") == "invalid");
  CHECK(answer.at("error").at("problems").at(0).at("line") == 2);
  CHECK(fixture.service->state().document == two_volumes());
}

TEST_CASE("a wrong request gets an error that says what is wrong", "[control]") {
  ApiFixture fixture;
  CHECK(fixture.error_code("") == "invalid");
  CHECK(fixture.error_code("{}") == "invalid");
  CHECK(fixture.error_code("[]") == "invalid");
  CHECK(fixture.error_code(R"({"method": 1})") == "invalid");
  CHECK(fixture.error_code(R"({"method": "status", "extra": 1})") == "invalid");
  CHECK(fixture.error_code(R"({"method": "statsu"})") == "unknown-method");
  CHECK(fixture.ask(R"({"method": "statsu"})").at("error").at("message") ==
        "there is no method \"statsu\"; did you mean \"status\"?");
  CHECK(fixture.error_code(R"({"method": "session.drop"})") == "invalid");
  CHECK(fixture.error_code(R"({"method": "session.drop", "params": {"session": "s-9"}})") == "not-found");
  CHECK(fixture.error_code(R"({"method": "log.level", "params": {"level": "loud"}})") == "invalid");
  CHECK(fixture.error_code(R"({"method": "config.apply", "params": []})") == "invalid");
  CHECK(fixture.error_code(R"({"method": "config.apply", "params": {"document": {}, "revision": 9}})") == "conflict");
}

TEST_CASE("no request disturbs the server", "[control][property]") {
  ApiFixture fixture;
  const std::uint64_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const std::string requests[] = {
      R"({"method": "config.plan", "params": {"document": {"volumes": {"a": {"size": "1MiB"}}}}})",
      R"({"method": "session.drop", "params": {"session": "s-2"}, "id": [1, {"x": null}]})", R"({"method": "status"})"};
  constexpr std::string_view interesting = "{}[]\",:0123456789.-e\\ \n\x01\xff";
  for (int round = 0; round < 500; ++round) {
    std::string request = requests[random() % std::size(requests)];
    for (auto mutations = random() % 5; mutations > 0; --mutations) {
      request[random() % request.size()] = interesting[random() % interesting.size()];
    }
    const json::object answer = fixture.ask(request);
    REQUIRE(answer.contains("result") != answer.contains("error"));
  }
  CHECK(fixture.service->state().document == two_volumes());
}
