// Value to document and back: defaults, every wrong member with its pointer and sentence, and whatever random text
// brings.
#include <boost/json/serialize.hpp>
#include <catch2/catch.hpp>

#include "server/config/json.h"
#include "tests/unit/config/random_document.h"

using namespace lunaris::config;

namespace {

/// The one problem that the text has.
Problem only_problem(std::string_view text) {
  const Decoded decoded = decode_text(text);
  INFO(text);
  REQUIRE(decoded.problems.size() == 1);
  return decoded.problems[0];
}

void check_problem(std::string_view text, std::string_view pointer, std::string_view detail) {
  const Problem problem = only_problem(text);
  INFO(text);
  CHECK(problem.pointer == pointer);
  CHECK(problem.detail == detail);
  CHECK(problem.severity == Severity::error);
}

}  // namespace

TEST_CASE("an empty object is the default document", "[config]") {
  const Decoded decoded = decode_text("{}");
  CHECK(decoded.problems.empty());
  CHECK(decoded.document == Document{});
}

TEST_CASE("a whole document is decoded", "[config]") {
  const Decoded decoded = decode_text(R"({
    "server": {"workers": {"count": 2, "cpus": [0, 1]}, "buffers": {"bytes_per_worker": "32MiB"},
               "log": {"level": "debug", "format": "json"}, "management": {"socket": "/tmp/a.sock"},
               "shutdown_grace_ms": 100},
    "portals": {"default": {"listen": "[0::1]:3261", "advertise": ["storage.example:3260,1"], "group_tag": 7}},
    "volumes": {"demo": {"size": "1GiB", "backend": {"type": "file", "path": "demo.img", "filters": []},
                "block_size": 4096, "read_only": true, "uuid": "01234567-89ab-cdef-0123-456789abcdef", 
                "serial": "S1", "product": "P",
                "labels": {"owner": "csi"}}},
    "targets": {"IQN.2026-01.io.Lunaris:Demo": {"alias": "a", "luns": {"5": {"volume": "demo", "read_only": true}},
                "initiators": ["iqn.1994-05.com.RedHat:node1"], "portals": ["default"]}}})");
  REQUIRE(decoded.problems.empty());
  const Document& document = decoded.document;
  CHECK(document.server.workers.cpus == std::vector<std::uint32_t>{0, 1});
  CHECK(document.server.buffers.bytes_per_worker == 32U << 20);
  CHECK(document.server.log.level == LogLevel::debug);
  CHECK(document.server.log.format == LogFormat::json);
  CHECK(document.server.management.socket == "/tmp/a.sock");
  CHECK(document.server.shutdown_grace_ms == 100);
  const Portal& portal = document.portals.at("default");
  CHECK(portal.address == "::1");
  CHECK(portal.port == 3261);
  CHECK(portal.advertised == std::vector<std::string>{"storage.example:3260,1"});
  CHECK(portal.group_tag == 7);
  const Volume& volume = document.volumes.at("demo");
  CHECK(volume.size_bytes == 1U << 30);
  CHECK(volume.block_bytes == 4096);
  CHECK(volume.read_only);
  CHECK(volume.uuid.has_value());
  CHECK(volume.labels.at("owner") == "csi");
  const Target& target = document.targets.at("iqn.2026-01.io.lunaris:demo");
  CHECK(target.luns.at(5) == Lun{"demo", true});
  CHECK(target.initiators == std::vector<Initiator>{{.name = "iqn.1994-05.com.redhat:node1"}});
}

TEST_CASE("every wrong type is named with its pointer", "[config]") {
  check_problem("[]", "", "must be an object, not a list.");
  check_problem(R"({"server": 1})", "/server", "must be an object, not a number.");
  check_problem(R"({"server": {"workers": null}})", "/server/workers", "must be an object, not null.");
  check_problem(R"({"server": {"workers": {"cpus": "0"}}})", "/server/workers/cpus",
                "must be a list of numbers, not a string.");
  check_problem(R"({"server": {"workers": {"cpus": [0, "1"]}}})", "/server/workers/cpus/1",
                "must be a whole number from 0 to 4095.");
  check_problem(R"({"server": {"workers": {"count": "2"}}})", "/server/workers/count",
                "must be a whole number, not a string.");
  check_problem(R"({"volumes": []})", "/volumes", "must be an object, not a list.");
  check_problem(R"({"volumes": {"a": 1}})", "/volumes/a", "must be an object, not a number.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "read_only": 1}}})", "/volumes/a/read_only",
                "must be true or false, not a number.");
  check_problem(R"({"volumes": {"a": {"backend": "file"}}})", "/volumes/a/backend",
                "must be an object with a \"type\".");
  check_problem(R"({"volumes": {"a": {"backend": {}, "labels": {"x": 1}}}})", "/volumes/a/labels/x",
                "a label is a string of at most 256 bytes.");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"portals": [1]}}})", "/targets/iqn.2026-01.io.x:a/portals/0",
                "must be a string, not a number.");
}

TEST_CASE("every value out of range is named with what is allowed", "[config]") {
  check_problem(R"({"server": {"shutdown_grace_ms": 8001}})", "/server/shutdown_grace_ms",
                "must be a whole number from 0 to 8000.");
  check_problem(R"({"server": {"shutdown_grace_ms": 1.5}})", "/server/shutdown_grace_ms",
                "must be a whole number from 0 to 8000.");
  check_problem(R"({"server": {"shutdown_grace_ms": -1}})", "/server/shutdown_grace_ms",
                "must be a whole number from 0 to 8000.");
  check_problem(R"({"server": {"buffers": {"bytes_per_worker": "1MiB"}}})", "/server/buffers/bytes_per_worker",
                "must be from 8MiB to 64GiB.");
  check_problem(R"({"server": {"log": {"level": "loud"}}})", "/server/log/level",
                "must be trace, debug, info, warn or error.");
  check_problem(R"({"server": {"log": {"format": "xml"}}})", "/server/log/format", "must be text or json.");
  check_problem(R"({"server": {"management": {"socket": ""}}})", "/server/management/socket",
                "must be the path of the management socket.");
  check_problem(R"({"portals": {"p": {"listen": "localhost:1"}}})", "/portals/p/listen",
                "must be a numeric address and a port: \"0.0.0.0:3260\" or \"[::]:3260\".");
  check_problem(R"({"portals": {"p": {"listen": "127.0.0.1:1", "advertise": "yes"}}})", "/portals/p/advertise",
                "must be \"auto\", \"omit\" or a list of \"host:port,group_tag\".");
  check_problem(R"({"portals": {"p": {"listen": "127.0.0.1:1", "advertise": ["a:1,1", "b"]}}})",
                "/portals/p/advertise/1", "\"b\" is not of the form \"host:port,group_tag\".");
  check_problem(R"({"portals": {"p": {"listen": "127.0.0.1:1", "advertise": []}}})", "/portals/p/advertise",
                "the list is empty; write \"omit\" to advertise nothing.");
  check_problem(R"({"portals": {"p": {"listen": "127.0.0.1:1", "group_tag": 0}}})", "/portals/p/group_tag",
                "must be a whole number from 1 to 65535.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "size": "ten"}}})", "/volumes/a/size",
                "must be a size: bytes as a whole number, or a string such as \"10GiB\".");
  check_problem(R"({"volumes": {"a": {"backend": {}, "size": "2048PiB"}}})", "/volumes/a/size",
                "must be from 0 to 1024PiB.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "block_size": 1024}}})", "/volumes/a/block_size",
                "must be 512 or 4096.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "uuid": "x"}}})", "/volumes/a/uuid",
                "must be of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, in hexadecimal digits.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "product": "12345678901234567"}}})", "/volumes/a/product",
                "has at most 16 bytes.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "serial": "é"}}})", "/volumes/a/serial",
                "initiators are shown ASCII characters only here.");
  check_problem(R"({"volumes": {"a": {"backend": {}, "serial": "\n"}}})", "/volumes/a/serial",
                "contains a control character.");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"luns": {"16384": {"volume": "a"}}}}})",
                "/targets/iqn.2026-01.io.x:a/luns/16384", "a LUN is a number from 0 to 16383.");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"luns": {"01": {"volume": "a"}}}}})",
                "/targets/iqn.2026-01.io.x:a/luns/01", "a LUN is a number from 0 to 16383.");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"initiators": ["bob"]}}})",
                "/targets/iqn.2026-01.io.x:a/initiators/0",
                "\"bob\" is no iSCSI name: an iSCSI name begins with \"iqn.\", \"eui.\" or \"naa.\".");
}

TEST_CASE("a missing member that must be there is named", "[config]") {
  check_problem(R"({"portals": {"p": {}}})", "/portals/p/listen", "is missing.");
  check_problem(R"({"volumes": {"a": {}}})", "/volumes/a/backend", "is missing.");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"luns": {"0": {}}}}})",
                "/targets/iqn.2026-01.io.x:a/luns/0/volume", "is missing.");
}

TEST_CASE("an unknown member is refused with the name that was probably meant", "[config]") {
  check_problem(R"({"volume": {}})", "/volume", "is not known here; did you mean \"volumes\"?");
  check_problem(R"({"volumes": {"a": {"backend": {}, "sise": 1}}})", "/volumes/a/sise",
                "is not known here; did you mean \"size\"?");
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {"luns": {"0": {"volume": "a", "readonly": true}}}}})",
                "/targets/iqn.2026-01.io.x:a/luns/0/readonly", "is not known here; did you mean \"read_only\"?");
  check_problem(R"({"server": {"workers": {"something": 1}}})", "/server/workers/something",
                "is not known here; allowed: count, cpus.");
}

TEST_CASE("a bad name is refused", "[config]") {
  check_problem(R"({"volumes": {"A": {"backend": {}}}})", "/volumes/A",
                "a name has 1 to 63 characters from a-z 0-9 . _ : - and begins with a letter or digit.");
  check_problem(R"({"portals": {"": {"listen": "127.0.0.1:1"}}})", "/portals/",
                "a name has 1 to 63 characters from a-z 0-9 . _ : - and begins with a letter or digit.");
  check_problem(R"({"targets": {"demo": {}}})", "/targets/demo",
                "an iSCSI name begins with \"iqn.\", \"eui.\" or \"naa.\".");
}

TEST_CASE("two target names that differ in case only are one name", "[config]") {
  check_problem(R"({"targets": {"iqn.2026-01.io.x:a": {}, "iqn.2026-01.io.x:A": {}}})", "/targets/iqn.2026-01.io.x:A",
                "this name is there already, in other letters: case does not matter.");
}

TEST_CASE("all problems are reported at once", "[config]") {
  const Decoded decoded =
      decode_text(R"({"volumes": {"a": {"size": "x", "block_size": 1}}, "portals": {"p": {}}, "y": 1})");
  CHECK(decoded.problems.size() == 5);
}

TEST_CASE("a hundred problems are enough", "[config]") {
  std::string text = R"({"volumes": {)";
  for (int i = 0; i < 500; ++i) text += (i == 0 ? "\"v" : ",\"v") + std::to_string(i) + "\": {}";
  CHECK(decode_text(text + "}}").problems.size() == 100);
}

TEST_CASE("decoding an encoded document gives it back", "[config][property]") {
  const std::uint64_t seed = test::seed();
  INFO("LUNARIS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    const Document document = test::random_document(random);
    const Decoded decoded = decode(encode(document, Secrets::revealed));
    REQUIRE(decoded.problems == Problems{});
    REQUIRE(decoded.document == document);
    REQUIRE(decode_text(pretty(encode(document, Secrets::revealed))).document == document);
  }
}

TEST_CASE("no mutation of a text makes the decoder fail otherwise than by saying so", "[config][property]") {
  const std::uint64_t seed = test::seed();
  INFO("LUNARIS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  constexpr std::string_view interesting = "{}[]\",:0123456789.-e/*\\ \n\tntf\x80\xff";
  std::size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = boost::json::serialize(encode(test::random_document(random), Secrets::revealed));
    for (auto mutations = 1 + random() % 4; mutations > 0; --mutations) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = interesting[random() % interesting.size()];
          break;
        case 1:
          text.erase(at, 1 + random() % 8);
          break;
        case 2:
          text.insert(at, 1, interesting[random() % interesting.size()]);
          break;
      }
      if (text.empty()) text = " ";
    }
    const Decoded decoded = decode_text(text);
    if (has_errors(decoded.problems)) {
      ++refused;
      for (const Problem& problem : decoded.problems) REQUIRE_FALSE(problem.detail.empty());
    } else {
      // Whatever is accepted means something definite: it can be written and read again.
      REQUIRE(decode(encode(decoded.document, Secrets::revealed)).document == decoded.document);
    }
  }
  CHECK(refused > 1000);
}
