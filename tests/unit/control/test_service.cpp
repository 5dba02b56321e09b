// Service and Reconciler together: what a change does to live objects, to the state on disk and to nobody else.
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

#include "server/config/json.h"
#include "tests/unit/control/service_fixture.h"

using namespace lunaris;
using namespace lunaris::control;
using namespace lunaris::control::test;
using Status = Outcome::Status;

namespace {

std::string uuid_of(Fixture& fixture, const std::string& volume) {
  const boost::json::object status = run(fixture.management, fixture.service->status());
  for (const boost::json::value& each : status.at("volumes").as_array()) {
    if (each.at("name").as_string() == volume) return boost::json::value_to<std::string>(each.at("uuid"));
  }
  return "";
}

std::uint64_t size_of(Fixture& fixture, const std::string& target) {
  return fixture.exports().targets.at(target).luns->entries.at(0).unit->volume().view()->size_bytes;
}

}  // namespace

TEST_CASE("a start brings up what is configured", "[control]") {
  Fixture fixture;
  const Outcome outcome = fixture.start(two_volumes());
  CHECK(outcome.failures.empty());
  CHECK(outcome.revision == 1);
  REQUIRE(fixture.transport.exports.size() == 1);
  CHECK(fixture.exports().targets.size() == 2);
  CHECK(size_of(fixture, target_a) == 1U << 20);
  REQUIRE(fixture.transport.portals.size() == 1);
  CHECK(fixture.transport.portals[0][0].port == 3260);
}

TEST_CASE("a volume keeps its UUID over restarts and file reloads", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const std::string uuid = uuid_of(fixture, "a");
  CHECK(uuid.size() == 36);
  CHECK(uuid != uuid_of(fixture, "b"));
  CHECK(uuid[14] == '4');  // a random UUID (RFC 4122 4.4)
  fixture.start();
  CHECK(uuid_of(fixture, "a") == uuid);
}

TEST_CASE("storage that was there once is not made anew", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  REQUIRE(fixture.opened.size() == 2);
  CHECK(fixture.opened[0].create);
  fixture.opened.clear();
  fixture.start();
  REQUIRE(fixture.opened.size() == 2);
  CHECK_FALSE(fixture.opened[0].create);
}

TEST_CASE("storage that could not be made the first time may be made the next time", "[control]") {
  Fixture fixture;
  fixture.broken = {"a"};
  fixture.start(two_volumes());
  fixture.opened.clear();
  fixture.broken.clear();
  run(fixture.management, fixture.service->reload());
  REQUIRE(fixture.opened.size() == 1);
  CHECK(fixture.opened[0].name == "a");
  CHECK(fixture.opened[0].create);
  CHECK(fixture.exports().targets.at(target_a).luns->entries.size() == 1);
}

TEST_CASE("a back end that does not open is reported and the others live", "[control]") {
  Fixture fixture;
  fixture.broken = {"a"};
  const Outcome outcome = fixture.start(two_volumes());
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0].pointer == "/volumes/a");
  CHECK(outcome.failures[0].reason == "the medium is not there; put it back.");
  CHECK(fixture.exports().targets.at(target_a).luns->entries.empty());
  CHECK(fixture.exports().targets.at(target_b).luns->entries.size() == 1);
}

TEST_CASE("a change does not touch the targets it does not concern", "[control][ses-2]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const auto luns_b = fixture.exports().targets.at(target_b).luns;
  config::Document next = two_volumes();
  next.volumes["c"] = next.volumes["a"];
  next.targets[target_a].luns[1].volume = "c";
  const Outcome outcome = fixture.apply(next);
  CHECK(outcome.status == Status::applied);
  CHECK(outcome.revision == 2);
  CHECK(fixture.exports().targets.at(target_a).luns->entries.size() == 2);
  CHECK(fixture.exports().targets.at(target_b).luns == luns_b);
  CHECK(fixture.transport.portals.size() == 1);  // the listeners were left alone
  CHECK(fixture.opened.size() == 3);             // each volume was opened once
}

TEST_CASE("applying what is in force changes nothing", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const Outcome outcome = fixture.apply(two_volumes());
  CHECK(outcome.status == Status::unchanged);
  CHECK(outcome.revision == 1);
  CHECK(fixture.transport.exports.size() == 1);
}

TEST_CASE("a volume is unmapped before it is closed", "[control][ses-2]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const std::weak_ptr<scsi_server::LogicalUnit> unit = fixture.exports().targets.at(target_a).luns->entries.at(0).unit;
  config::Document next = two_volumes();
  next.volumes["a"].backend = {{"type", "null"}};
  CHECK(fixture.apply(next).failures.empty());
  REQUIRE(fixture.transport.exports.size() == 3);
  CHECK(fixture.transport.exports[1]->targets.at(target_a).luns->entries.empty());
  CHECK(fixture.transport.exports[1]->targets.at(target_b).luns ==
        fixture.transport.exports[0]->targets.at(target_b).luns);
  CHECK(fixture.transport.exports[2]->targets.at(target_a).luns->entries.size() == 1);
  fixture.transport.exports.erase(fixture.transport.exports.begin());
  CHECK(unit.expired());
}

TEST_CASE("removing a target and its volume closes both", "[control][ses-2]") {
  Fixture fixture;
  fixture.start(two_volumes());
  config::Document next = two_volumes();
  next.volumes.erase("a");
  next.targets.erase(target_a);
  const Outcome outcome = fixture.apply(next);
  CHECK(outcome.failures.empty());
  CHECK(outcome.changes.size() == 2);
  CHECK_FALSE(fixture.exports().targets.contains(target_a));
  CHECK(uuid_of(fixture, "a").empty());
}

TEST_CASE("a volume grows without being opened again and does not shrink", "[control][ses-2]") {
  Fixture fixture;
  fixture.start(two_volumes());
  config::Document next = two_volumes();
  next.volumes["a"].size_bytes = 2U << 20;
  CHECK(fixture.apply(next).failures.empty());
  CHECK(size_of(fixture, target_a) == 2U << 20);
  CHECK(fixture.opened.size() == 2);
  CHECK(fixture.transport.exports.size() == 1);
  const Outcome outcome = fixture.apply(two_volumes());
  CHECK(outcome.status == Status::invalid);
  REQUIRE(outcome.problems.size() == 1);
  CHECK(outcome.problems[0].pointer == "/volumes/a/size");
  CHECK(size_of(fixture, target_a) == 2U << 20);
}

TEST_CASE("a volume becomes read-only and writable while it is open", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  config::Document next = two_volumes();
  next.volumes["a"].read_only = true;
  fixture.apply(next);
  const auto view = [&] { return fixture.exports().targets.at(target_a).luns->entries.at(0).unit->volume().view(); };
  CHECK(view()->read_only);
  fixture.apply(two_volumes());
  CHECK_FALSE(view()->read_only);
  CHECK(fixture.opened.size() == 2);
}

TEST_CASE("a failed volume is opened again by a reload and by nothing else", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const auto unit = fixture.exports().targets.at(target_a).luns->entries.at(0).unit;
  fixture.management.call([&] { unit->volume().fail("a flush failed"); });
  lunaris::test::settle({&fixture.management});
  config::Document next = two_volumes();
  next.volumes["b"].labels["x"] = "y";
  fixture.apply(next);
  CHECK(fixture.opened.size() == 2);
  run(fixture.management, fixture.service->reload());
  CHECK(fixture.opened.size() == 3);
  CHECK(fixture.exports().targets.at(target_a).luns->entries.at(0).unit != unit);
}

TEST_CASE("a change that expects another revision is refused", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const Outcome outcome = fixture.apply({}, 7);
  CHECK(outcome.status == Status::conflict);
  CHECK(outcome.detail == "the configuration is at revision 1, not 7: read it again and repeat the change.");
  CHECK(fixture.service->state().document == two_volumes());
  CHECK(fixture.apply({}, 1).status == Status::applied);
}

TEST_CASE("a change that cannot be stored is not in force", "[control][cfg-1]") {
  Fixture fixture;
  fixture.start(two_volumes());
  fixture.disk.steps = 0;
  fixture.disk.failing_step = 3;
  const Outcome outcome = fixture.apply({});
  CHECK(outcome.status == Status::not_stored);
  CHECK(outcome.detail.find("No space left on device") != std::string::npos);
  CHECK(fixture.service->state().document == two_volumes());
  CHECK(fixture.transport.exports.size() == 1);
}

TEST_CASE("a plan says what would change and changes nothing", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  const Outcome outcome = fixture.service->plan({}, {});
  CHECK(outcome.status == Status::planned);
  CHECK(outcome.changes.size() == 5);
  CHECK(fixture.service->state().document == two_volumes());
}

TEST_CASE("what the file manages the API does not change", "[control]") {
  Fixture fixture;
  fixture.config_file = "/etc/lunaris.json";
  fixture.disk.put("/etc/lunaris.json", config::pretty(config::encode(two_volumes())));
  fixture.start();
  CHECK(fixture.exports().targets.size() == 2);
  const Outcome outcome = fixture.apply({});
  CHECK(outcome.status == Status::managed_by_file);
  CHECK(outcome.detail == "the configuration is managed by /etc/lunaris.json: change that file and reload.");
}

TEST_CASE("a reload takes a good file and keeps what is in force when it is bad", "[control]") {
  Fixture fixture;
  fixture.config_file = "/etc/lunaris.json";
  fixture.disk.put("/etc/lunaris.json", config::pretty(config::encode(two_volumes())));
  fixture.start();
  const std::string uuid = uuid_of(fixture, "a");
  fixture.disk.put("/etc/lunaris.json", "{ // oops\n");
  Outcome outcome = run(fixture.management, fixture.service->reload());
  CHECK(outcome.status == Status::invalid);
  REQUIRE(outcome.problems.size() == 1);
  CHECK(outcome.problems[0].line == 2);
  CHECK(fixture.service->state().document == two_volumes());
  fixture.disk.put("/etc/lunaris.json",
                   "{\"targets\": {\"" + target_a + "\": {\"luns\": {\"0\": {\"volume\": \"x\"}}}}}");
  CHECK(run(fixture.management, fixture.service->reload()).status == Status::invalid);
  config::Document next = two_volumes();
  next.targets["iqn.2026-01.io.lunaris:c"].luns[0] = {"a", true};
  fixture.disk.put("/etc/lunaris.json", config::pretty(config::encode(next)));
  outcome = run(fixture.management, fixture.service->reload());
  CHECK(outcome.status == Status::applied);
  CHECK(fixture.exports().targets.size() == 3);
  CHECK(uuid_of(fixture, "a") == uuid);
}

TEST_CASE("a start without a usable configuration says why", "[control]") {
  Fixture fixture;
  fixture.config_file = "/etc/lunaris.json";
  CHECK_THROWS_WITH(fixture.start(),
                    Catch::Contains("/etc/lunaris.json cannot be used") && Catch::Contains("No such file"));
  fixture.disk.put("/etc/lunaris.json", "{\"volumes\": {\"a\": {\"backend\": {\"type\": \"nothing\"}}}}");
  CHECK_THROWS_WITH(fixture.start(), Catch::Contains("/volumes/a/backend/type"));
  fixture.config_file.clear();
  fixture.disk.put("/s/config.json", "half");
  CHECK_THROWS_WITH(fixture.start(), Catch::Contains("does not start with an empty configuration"));
}

TEST_CASE("a listener that could not be opened is tried again with the next change", "[control]") {
  Fixture fixture;
  fixture.transport.portal_failures = {"portal default: the port is taken"};
  const Outcome outcome = fixture.start(two_volumes());
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0] == StepFailure{"/portals", "portal default: the port is taken"});
  fixture.transport.portal_failures.clear();
  CHECK(fixture.apply(two_volumes()).failures.empty());
  CHECK(fixture.transport.portals.size() == 2);
  fixture.apply(two_volumes());
  CHECK(fixture.transport.portals.size() == 2);
}

TEST_CASE("a stop closes the transport before the volumes and refuses changes", "[control]") {
  Fixture fixture;
  fixture.start(two_volumes());
  fixture.management.start(fixture.service->stop());
  lunaris::test::settle({&fixture.management});
  CHECK(fixture.transport.stopped);
  CHECK(fixture.apply({}).status == Status::stopping);
  fixture.transport.exports.clear();
  fixture.service.reset();
}

TEST_CASE("the status names every volume and every failure", "[control]") {
  Fixture fixture;
  fixture.broken = {"b"};
  fixture.start(two_volumes());
  fixture.transport.live_sessions = {session("s-1", "iqn.1994-05.com.redhat:a", target_a)};
  const boost::json::object status = run(fixture.management, fixture.service->status());
  CHECK(status.at("state") == "running");
  CHECK(status.at("ready") == false);
  CHECK(status.at("sessions") == 1U);
  CHECK(status.at("volumes").at(0).at("state") == "online");
  CHECK(status.at("volumes").at(1).at("state") == "not open");
  CHECK(status.at("volumes").at(1).at("reason") == "the medium is not there; put it back.");
  CHECK(status.at("targets").at(0).at("sessions") == 1U);
  CHECK(status.at("failures").at(0).at("pointer") == "/volumes/b");
}
