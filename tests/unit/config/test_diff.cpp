// What changes between two documents, and who would notice.
#include <boost/json/serialize.hpp>
#include <catch2/catch.hpp>

#include "server/config/diff.h"
#include "tests/unit/config/random_document.h"

using namespace lunaris::config;

namespace {

const std::string target_name = "iqn.2026-01.io.lunaris:demo";

Document demo() {
  Document document;
  document.portals["default"] = Portal{};
  document.volumes["demo"].size_bytes = 1U << 20;
  document.volumes["demo"].backend = {{"type", "memory"}};
  document.targets[target_name].luns[0] = {"demo", false};
  return document;
}

Change only_change(const Document& from, const Document& to) {
  const Diff changes = diff(from, to);
  REQUIRE(changes.size() == 1);
  CHECK(patch(from, changes) == to);
  return changes[0];
}

}  // namespace

TEST_CASE("equal documents have no difference", "[config]") {
  CHECK(diff(demo(), demo()).empty());
}

TEST_CASE("patching a with the difference from a to b gives b", "[config][property]") {
  const std::uint64_t seed = test::seed();
  INFO("LUNARIS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 500; ++round) {
    const Document a = test::random_document(random);
    const Document b = test::random_document(random);
    const Diff changes = diff(a, b);
    REQUIRE(patch(a, changes) == b);
    REQUIRE(changes.empty() == (a == b));
    REQUIRE(diff(b, b).empty());
  }
}

TEST_CASE("growing a volume disturbs nobody", "[config]") {
  Document next = demo();
  next.volumes["demo"].size_bytes *= 2;
  const Change change = only_change(demo(), next);
  CHECK(change.action == Action::update);
  CHECK(change.section == Section::volumes);
  CHECK(change.name == "demo");
  CHECK(change.members == std::vector<std::string>{"size"});
  CHECK(change.disruption.empty());
}

TEST_CASE("another back end means that the volume is opened again", "[config]") {
  Document next = demo();
  next.volumes["demo"].backend["type"] = "null";
  CHECK(only_change(demo(), next).disruption == "the volume is closed and opened again; commands meanwhile fail.");
}

TEST_CASE("removing a volume is disruptive only where it is mapped", "[config]") {
  Document mapped = demo();
  Document next = mapped;
  next.volumes.clear();
  CHECK(only_change(mapped, next).disruption == "initiators lose the disk.");
  mapped.targets.clear();
  next.targets.clear();
  CHECK(only_change(mapped, next).disruption.empty());
}

TEST_CASE("making a volume read-only is disruptive and making it writable is not", "[config]") {
  Document read_only = demo();
  read_only.volumes["demo"].read_only = true;
  CHECK(only_change(demo(), read_only).disruption == "writes are refused from then on.");
  CHECK(only_change(read_only, demo()).disruption.empty());
}

TEST_CASE("removing a target or a LUN is disruptive", "[config]") {
  Document next = demo();
  next.targets[target_name].luns.clear();
  const Change change = only_change(demo(), next);
  CHECK(change.disruption == "initiators lose LUN 0.");
  CHECK(change.members == std::vector<std::string>{"luns"});
  next.targets.clear();
  CHECK(only_change(demo(), next).disruption == "its sessions are closed.");
}

TEST_CASE("an access list that grows stricter is disruptive", "[config]") {
  Document next = demo();
  next.targets[target_name].initiators = {{.name = "iqn.1994-05.com.redhat:node1"}};
  CHECK_FALSE(only_change(demo(), next).disruption.empty());
  CHECK(only_change(next, demo()).disruption.empty());
}

TEST_CASE("moving a portal is disruptive and its group tag is not", "[config]") {
  Document next = demo();
  next.portals["default"].group_tag = 2;
  CHECK(only_change(demo(), next).disruption.empty());
  next.portals["default"].port = 3261;
  CHECK_FALSE(only_change(demo(), next).disruption.empty());
  next.portals.clear();
  CHECK_FALSE(only_change(demo(), next).disruption.empty());
}

TEST_CASE("settings of the process need a restart but for log level and grace", "[config]") {
  Document next = demo();
  next.server.log.level = LogLevel::debug;
  next.server.shutdown_grace_ms = 1;
  CHECK_FALSE(only_change(demo(), next).needs_restart);
  next.server.workers.count = 3;
  CHECK(only_change(demo(), next).needs_restart);
}

TEST_CASE("the difference is written as lists of names", "[config]") {
  Document next = demo();
  next.volumes["more"] = next.volumes["demo"];
  next.portals.clear();
  next.server.workers.count = 3;
  CHECK(boost::json::serialize(encode(diff(demo(), next))) ==
        R"({"create":["volumes/more"],"update":[{"name":"server","members":["workers"]}],"delete":["portals/default"],)"
        R"("disruptive":[{"name":"portals/default",)"
        R"("reason":"initiators that use this address find it closed when they connect again."}],)"
        R"("restart":["server"]})");
}
