// The state on disk: all or nothing at every step, never empty instead of unreadable (CFG-1).
#include <catch2/catch.hpp>

#include "server/control/state_store.h"
#include "tests/unit/control/fake_disk.h"

using namespace lunaris;
using namespace lunaris::control;
using test::FakeDisk;

namespace {

State state(std::uint64_t revision) {
  State state;
  state.revision = revision;
  state.document.volumes["v" + std::to_string(revision)].backend = {{"type", "memory"}};
  state.records["v" + std::to_string(revision)] = {config::Uuid{1, 2, 3}, true};
  return state;
}

}  // namespace

TEST_CASE("a state is what was saved", "[control][cfg-1]") {
  FakeDisk disk;
  StateStore store(disk, "/s");
  CHECK_FALSE(store.load().state.has_value());
  CHECK(store.load().refusal.empty());
  REQUIRE(store.save(state(1)).empty());
  CHECK(store.load().state == state(1));
  REQUIRE(store.save(state(2)).empty());
  CHECK(store.load().state == state(2));
}

TEST_CASE("a save that ends at any step leaves the old state or the new one", "[control][cfg-1]") {
  for (const auto survivor :
       {FakeDisk::Survivor::everything, FakeDisk::Survivor::synced, FakeDisk::Survivor::names_only}) {
    for (unsigned step = 1; step < 40; ++step) {
      for (const bool once : {false, true}) {  // ENOSPC at one step, or the process killed there
        INFO("step " << step << " survivor " << static_cast<int>(survivor) << " once " << once);
        FakeDisk disk;
        StateStore store(disk, "/s");
        REQUIRE(store.save(state(1)).empty());
        disk.steps = 0;
        disk.failing_step = step;
        disk.fails_once = once;
        const bool is_saved = store.save(state(2)).empty();
        const auto rest = disk.after(survivor);
        const StateStore::Loaded loaded = StateStore(*rest, "/s").load();
        REQUIRE(loaded.refusal.empty());
        REQUIRE(loaded.state.has_value());
        if (is_saved) {
          REQUIRE(loaded.state == state(2));
        } else {
          REQUIRE((loaded.state == state(1) || loaded.state == state(2)));
        }
      }
    }
  }
}

TEST_CASE("a failed save says what failed and the next one succeeds", "[control][cfg-1]") {
  FakeDisk disk;
  StateStore store(disk, "/s");
  REQUIRE(store.save(state(1)).empty());
  disk.steps = 0;
  disk.failing_step = 3;  // the write
  CHECK(store.save(state(2)) == "cannot write /s/config.json: No space left on device");
  disk.failing_step = 0;
  CHECK(store.save(state(2)).empty());
  CHECK(store.load().state == state(2));
}

TEST_CASE("the last ten revisions are kept", "[control]") {
  FakeDisk disk;
  StateStore store(disk, "/s");
  for (std::uint64_t revision = 1; revision <= 15; ++revision) REQUIRE(store.save(state(revision)).empty());
  std::set<std::string> expected{"/s/config.json"};
  for (int revision = 6; revision <= 15; ++revision) expected.insert("/s/config-" + std::to_string(revision) + ".json");
  CHECK(disk.names() == expected);
}

TEST_CASE("a state that cannot be used refuses the start", "[control][cfg-1]") {
  FakeDisk disk;
  StateStore store(disk, "/s");
  for (const char* content : {"", "{", "[]", "{}", "{\"format\": 2, \"revision\": 1, \"document\": {}}",
                              "{\"format\": 1, \"document\": {\"volume\": {}}}",
                              "{\"format\": 1, \"other\": 1, \"document\": {}}", "\x00\x00\x00"}) {
    INFO(content);
    disk.put("/s/config.json", content);
    const StateStore::Loaded loaded = store.load();
    CHECK_FALSE(loaded.state.has_value());
    CHECK(loaded.refusal.starts_with("the state in /s/config.json cannot be used: "));
    CHECK(loaded.refusal.find("does not start with an empty configuration") != std::string::npos);
  }
}

TEST_CASE("a state cut at any byte refuses the start", "[control][cfg-1]") {
  const std::string whole = encode_state(state(1));
  // The last two bytes are the closing brace and the newline; without the newline it is still whole.
  for (std::size_t length = 0; length + 2 <= whole.size(); ++length) {
    const StateStore::Loaded loaded = decode_state(whole.substr(0, length));
    REQUIRE_FALSE(loaded.state.has_value());
    REQUIRE_FALSE(loaded.refusal.empty());
  }
  CHECK(decode_state(whole).state == state(1));
}

TEST_CASE("a missing state beside earlier revisions refuses the start", "[control][cfg-1]") {
  FakeDisk disk;
  disk.put("/s/config-7.json", encode_state(state(7)));
  disk.put("/s/config-12.json", encode_state(state(12)));
  const StateStore::Loaded loaded = StateStore(disk, "/s").load();
  CHECK_FALSE(loaded.state.has_value());
  CHECK(loaded.refusal ==
        "/s/config.json is missing, but there are earlier revisions: copy /s/config-12.json to it, or remove all of "
        "them to "
        "begin anew.");
}
