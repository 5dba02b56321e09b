// Accounts and initiators from the document to the exports, and what the management protocol shows of them.
#include <boost/json/serialize.hpp>

#include "server/config/json.h"
#include "server/control/admin_api.h"
#include "tests/unit/control/service_fixture.h"

using namespace lunaris;
using namespace lunaris::control;
using namespace lunaris::control::test;
namespace json = boost::json;

namespace {

const std::string secret = "correct horse 1";

config::Document guarded() {
  config::Document document = two_volumes();
  config::Target& target = document.targets[target_a];
  target.luns[1].volume = "b";
  target.auth.chap = {{"me", Secret(secret)}};
  target.auth.mutual = config::ChapAccount{"target", Secret("battery staple2")};
  target.auth.chap_algorithms = {config::ChapAlgorithm::sha256};
  target.initiators = {{.name = "iqn.1994-05.com.redhat:a"}, {.addresses = {*parse_address_range("10.0.0.0/8")}}};
  target.initiators[1].luns.emplace()[1].read_only = true;
  document.discovery_auth.chap = {{"finder", Secret("discovery secret")}};
  return document;
}

struct AccessFixture : Fixture {
  std::unique_ptr<AdminApi> api;

  AccessFixture() {
    start(guarded());
    api = std::make_unique<AdminApi>(*service, [](config::LogLevel) {});
  }
  json::object ask(const json::object& request) { return run(management, api->handle(json::serialize(request))); }
};

}  // namespace

TEST_CASE("accounts and initiators reach the exports", "[control][chap]") {
  AccessFixture fixture;
  const Exports& exports = fixture.exports();
  CHECK(exports.discovery_auth.users.at(0).username == "finder");
  const ExportedTarget& target = exports.targets.at(target_a);
  REQUIRE(target.auth.users.size() == 1);
  CHECK(target.auth.users[0].secret.reveal() == secret);
  CHECK(target.auth.mutual->username == "target");
  CHECK(target.auth.algorithms == std::vector<std::uint8_t>{7});
  REQUIRE(target.initiators.size() == 2);
  CHECK(target.initiators[0].name == "iqn.1994-05.com.redhat:a");
  CHECK(target.initiators[0].luns == nullptr);
  REQUIRE(target.initiators[1].luns != nullptr);
  CHECK(target.initiators[1].luns->entries.size() == 1);
  CHECK(target.initiators[1].luns->entries.at(1).read_only);
  CHECK_FALSE(target.luns->entries.at(1).read_only);
}

TEST_CASE("a change elsewhere leaves the LUNs of an initiator where they are", "[control]") {
  AccessFixture fixture;
  const auto before = fixture.exports().targets.at(target_a).initiators.at(1).luns;
  config::Document next = guarded();
  next.targets[target_b].alias = "changed";
  fixture.apply(next);
  CHECK(fixture.exports().targets.at(target_a).initiators.at(1).luns == before);
}

TEST_CASE("a volume that is closed leaves the LUNs of initiators first", "[control]") {
  AccessFixture fixture;
  config::Document next = guarded();
  next.volumes["b"].serial = "another";  // closed and opened again
  fixture.transport.exports.clear();
  fixture.apply(next);
  REQUIRE(fixture.transport.exports.size() == 2);
  CHECK(fixture.transport.exports[0]->targets.at(target_a).initiators.at(1).luns->entries.empty());
  CHECK(fixture.transport.exports[1]->targets.at(target_a).initiators.at(1).luns->entries.size() == 1);
}

TEST_CASE("no answer of the management protocol has a secret in it", "[control][chap]") {
  AccessFixture fixture;
  for (const char* method : {"status", "config.get", "sessions", "login_failures", "reload"}) {
    const std::string answer = json::serialize(fixture.ask({{"method", method}}));
    CHECK_THAT(answer, !Catch::Contains(secret) && !Catch::Contains("battery") && !Catch::Contains("discovery secret"));
  }
  config::Document next = guarded();
  next.targets[target_a].auth.chap[0].secret = Secret("short");
  const json::object request{{"method", "config.apply"},
                             {"params", {{"document", config::encode(next, config::Secrets::revealed)}}}};
  const json::object answer = fixture.ask(request);
  CHECK(answer.at("error").at("problems").at(0).at("pointer") ==
        json::string("/targets/" + target_a + "/auth/chap/0/secret"));
  CHECK_THAT(json::serialize(answer), !Catch::Contains("short\""));
  const json::object status = fixture.ask({{"method", "status"}});
  CHECK(status.at("result").at("targets").at(0).at("auth") == "chap");
  CHECK(status.at("result").at("targets").at(1).at("auth") == "none");
}

TEST_CASE("a configuration that was read can be changed and applied without its secrets", "[control][chap]") {
  AccessFixture fixture;
  json::object document = fixture.ask({{"method", "config.get"}}).at("result").at("document").as_object();
  document.at("targets").at(target_a).as_object()["alias"] = "changed";
  const json::object answer = fixture.ask({{"method", "config.apply"}, {"params", {{"document", document}}}});
  INFO(json::serialize(answer));
  REQUIRE(answer.contains("result"));
  config::Document expected = guarded();
  expected.targets[target_a].alias = "changed";
  CHECK(fixture.service->state().document == expected);
  CHECK(fixture.exports().targets.at(target_a).auth.users.at(0).secret.reveal() == secret);

  // A user who is new has no secret that could be kept.
  document.at("targets").at(target_a).at("auth").at("chap").at(0).as_object()["username"] = "you";
  CHECK(fixture.ask({{"method", "config.apply"}, {"params", {{"document", document}}}}).contains("error"));
}

TEST_CASE("secrets are there again after a restart", "[control][chap]") {
  AccessFixture fixture;
  fixture.start();
  CHECK(fixture.service->state().document == guarded());
  CHECK(fixture.exports().targets.at(target_a).auth.users.at(0).secret.reveal() == secret);
}

TEST_CASE("refused logins are listed with a time and a reason", "[control]") {
  AccessFixture fixture;
  fixture.transport.refused = {7, {{"iqn.1994-05.com.redhat:a", "192.0.2.1", target_a, "CHAP secret wrong", 3, 1000}}};
  const json::value result = fixture.ask({{"method", "login_failures"}}).at("result");
  CHECK(result.at("total") == 7U);
  const json::value& failure = result.at("items").at(0);
  CHECK(failure.at("reason") == "CHAP secret wrong");
  CHECK(failure.at("count") == 3U);
  CHECK(failure.at("age_ms") == 1000U);
  const auto time = std::chrono::system_clock::time_point(std::chrono::seconds(1'767'225'600));  // 2026-01-01
  CHECK(encode(fixture.transport.refused.failures[0], time).at("time") == "2025-12-31T23:59:59Z");
}
