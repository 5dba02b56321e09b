// What is wrong between the members of a document.
#include <catch2/catch.hpp>

#include "server/config/validate.h"

using namespace lunaris::config;

namespace {

const std::string target_name = "iqn.2026-01.io.lunaris:demo";

Document demo() {
  Document document;
  document.portals["default"] = Portal{};
  document.volumes["demo"].size_bytes = 1U << 20;
  document.volumes["demo"].backend = {{"type", "file"}, {"path", "demo.img"}};
  document.targets[target_name].luns[0] = {"demo", false};
  return document;
}

void check_problem(const Document& document, std::string_view pointer, std::string_view detail,
                   Severity severity = Severity::error) {
  const Problems problems = validate(document, {nullptr, "/data"});
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].pointer == pointer);
  CHECK(problems[0].detail == detail);
  CHECK(problems[0].severity == severity);
}

}  // namespace

TEST_CASE("a sound document has no problems", "[config]") {
  CHECK(validate(demo(), {nullptr, "/data"}).empty());
}

TEST_CASE("a LUN must name a volume that exists", "[config]") {
  Document document = demo();
  document.targets[target_name].luns[1] = {"demp", false};
  check_problem(document, "/targets/" + target_name + "/luns/1/volume",
                "there is no volume \"demp\"; did you mean \"demo\"?");
}

TEST_CASE("one target maps a volume once and several targets may", "[config]") {
  Document document = demo();
  document.targets["iqn.2026-01.io.lunaris:other"].luns[0] = {"demo", true};
  CHECK(validate(document, {nullptr, "/data"}).empty());
  document.targets[target_name].luns[7] = {"demo", false};
  check_problem(document, "/targets/" + target_name + "/luns/7/volume",
                "volume \"demo\" is LUN 0 of this target already.");
}

TEST_CASE("a target must name portals that exist and each once", "[config]") {
  Document document = demo();
  document.targets[target_name].portals = {"nowhere"};
  check_problem(document, "/targets/" + target_name + "/portals/0", "there is no portal \"nowhere\".");
  document.targets[target_name].portals = {"default", "default"};
  check_problem(document, "/targets/" + target_name + "/portals/1", "portal \"default\" is listed twice.");
}

TEST_CASE("an initiator is listed once", "[config]") {
  Document document = demo();
  document.targets[target_name].initiators = {{.name = "iqn.1994-05.com.redhat:a"},
                                              {.name = "iqn.1994-05.com.redhat:a"}};
  check_problem(document, "/targets/" + target_name + "/initiators/1", "\"iqn.1994-05.com.redhat:a\" is listed twice.");
}

TEST_CASE("two portals cannot have one address", "[config]") {
  Document document = demo();
  document.portals["second"] = Portal{};
  check_problem(document, "/portals/second/listen", "127.0.0.1:3260 is taken by portal \"default\" (127.0.0.1:3260).");
  document.portals["second"].address = "0.0.0.0";
  check_problem(document, "/portals/second/listen", "0.0.0.0:3260 is taken by portal \"default\" (127.0.0.1:3260).");
  document.portals["second"].address = "::1";
  CHECK(validate(document, {nullptr, "/data"}).empty());
  document.portals["second"].address = "127.0.0.2";
  CHECK(validate(document, {nullptr, "/data"}).empty());
}

TEST_CASE("LUN 0 missing is a warning", "[config]") {
  Document document = demo();
  document.targets[target_name].luns = {{1, {"demo", false}}};
  check_problem(document, "/targets/" + target_name + "/luns",
                "LUN 0 is missing: some initiators look no further when they do not find it.", Severity::warning);
  document.targets[target_name].luns.clear();
  check_problem(document, "/targets/" + target_name + "/luns",
                "the target has no LUNs: initiators find nothing to use.", Severity::warning);
}

TEST_CASE("targets without a portal are a warning", "[config]") {
  Document document = demo();
  document.portals.clear();
  check_problem(document, "/portals", "no portal is configured: no initiator can reach the targets.",
                Severity::warning);
}

TEST_CASE("two volumes cannot share a file however it is spelled", "[config]") {
  Document document = demo();
  document.volumes["other"] = document.volumes["demo"];
  for (const char* path : {"demo.img", "./demo.img", "x/../demo.img", "/data/demo.img", "/data//demo.img"}) {
    INFO(path);
    document.volumes["other"].backend["path"] = path;
    check_problem(document, "/volumes/other/backend/path",
                  "volume \"demo\" has the same file: two volumes on it would destroy each other's data.");
  }
  document.volumes["other"].backend["path"] = "other.img";
  CHECK(validate(document, {nullptr, "/data"}).empty());
}

TEST_CASE("a size is a multiple of the block size", "[config]") {
  Document document = demo();
  document.volumes["demo"].size_bytes = 1000;
  check_problem(document, "/volumes/demo/size", "1000 bytes are no multiple of the block size of 512.");
}

TEST_CASE("a physical block is not smaller than a logical one", "[config]") {
  Document document = demo();
  document.volumes["demo"].block_bytes = 4096;
  document.volumes["demo"].physical_block_bytes = 512;
  check_problem(document, "/volumes/demo/physical_block_size",
                "a physical block cannot be smaller than a logical block (block_size 4096).");
}

TEST_CASE("two volumes cannot claim to be one disk", "[config]") {
  Document document = demo();
  document.volumes["other"] = document.volumes["demo"];
  document.volumes["other"].backend["path"] = "other.img";
  document.volumes["demo"].uuid = document.volumes["other"].uuid = Uuid{1};
  check_problem(document, "/volumes/other/uuid",
                "volume \"demo\" has the same UUID: initiators would take the two for one disk.");
  document.volumes["demo"].uuid.reset();
  document.volumes["demo"].serial = document.volumes["other"].serial = "S";
  check_problem(document, "/volumes/other/serial",
                "volume \"demo\" has the same serial number: initiators would take the two for one disk.");
}

TEST_CASE("more pinned workers than CPUs are a contradiction", "[config]") {
  Document document = demo();
  document.server.workers = {3, {0, 1}};
  check_problem(document, "/server/workers/count",
                "3 workers cannot be pinned to 2 CPUs one by one; lower count or name more cpus.");
  document.server.workers = {0, {1, 1}};
  check_problem(document, "/server/workers/cpus/1", "CPU 1 is listed twice.");
}

TEST_CASE("the management socket has an absolute path", "[config]") {
  Document document = demo();
  document.server.management.socket = "admin.sock";
  check_problem(document, "/server/management/socket",
                "must be an absolute path: it would depend on where lunaris is started.");
}

TEST_CASE("problems of a back end are found below the volume that has it", "[config]") {
  Surroundings surroundings;
  surroundings.check_backend = [](const boost::json::object&) { return Problems{{"/path", "is missing."}}; };
  const Problems problems = validate(demo(), surroundings);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].pointer == "/volumes/demo/backend/path");
  CHECK(problems[0].detail == "is missing.");
}

TEST_CASE("a long list of warnings never hides an error", "[config]") {
  Document document = demo();
  for (int i = 0; i < 300; ++i) document.targets["iqn.2026-01.io.lunaris:a" + std::to_string(i)] = Target{};
  document.targets["iqn.2026-01.io.lunaris:z"].luns[0] = {"nothing", false};
  CHECK(has_errors(validate(document, {})));
}

TEST_CASE("a volume cannot shrink", "[config]") {
  Document next = demo();
  next.volumes["demo"].size_bytes = 512;
  const Problems problems = validate_change(demo(), next);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].pointer == "/volumes/demo/size");
  CHECK(problems[0].detail.starts_with("a volume cannot shrink (it has 1MiB)"));
  next.volumes["demo"].size_bytes = 0;
  CHECK(validate_change(demo(), next).empty());
  next.volumes["demo"].size_bytes = 2U << 20;
  CHECK(validate_change(demo(), next).empty());
}

TEST_CASE("the block size and the UUID of a volume that exists cannot change", "[config]") {
  Document current = demo();
  current.volumes["demo"].uuid = Uuid{1};
  Document next = current;
  next.volumes["demo"].block_bytes = 4096;
  REQUIRE(validate_change(current, next).size() == 1);
  CHECK(validate_change(current, next)[0].pointer == "/volumes/demo/block_size");
  next = current;
  next.volumes["demo"].uuid = Uuid{2};
  REQUIRE(validate_change(current, next).size() == 1);
  CHECK(validate_change(current, next)[0].pointer == "/volumes/demo/uuid");
  next.volumes["demo"].uuid.reset();
  CHECK(validate_change(current, next).empty());
}
