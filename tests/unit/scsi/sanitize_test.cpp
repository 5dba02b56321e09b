// SANITIZE and FORMAT UNIT: what is on the medium afterwards, and what everybody sees meanwhile.
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

Bytes overwrite_cdb(std::size_t length, std::uint8_t flags = 0) {
  Bytes cdb(10);
  cdb[0] = 0x48;
  cdb[1] = static_cast<std::uint8_t>(0x01 | flags);
  scsi::store16(cdb, 7, length);
  return cdb;
}

Bytes overwrite_list(std::uint8_t passes, const Bytes& pattern_bytes, bool invert = false) {
  Bytes list(4);
  list[0] = static_cast<std::uint8_t>(passes | (invert ? 0x80 : 0));
  scsi::store16(list, 2, pattern_bytes.size());
  list.insert(list.end(), pattern_bytes.begin(), pattern_bytes.end());
  return list;
}

const Bytes block_erase{0x48, 0x02, 0, 0, 0, 0, 0, 0, 0, 0};

bool all_are(const Target& target, std::uint8_t first, std::uint8_t second) {
  const std::vector<std::byte>& memory = target.disk.script->memory;
  for (std::size_t index = 0; index < memory.size(); ++index) {
    if (memory[index] != std::byte{index % 2 == 0 ? first : second}) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("SANITIZE OVERWRITE leaves the pattern everywhere", "[scsi][SBC-4 5.35]") {
  Target target;
  const Bytes list = overwrite_list(1, {0x12, 0x34});
  CHECK(target.run(overwrite_cdb(list.size()), 0, list)->is_good());
  CHECK(all_are(target, 0x12, 0x34));
  const Bytes twice = overwrite_list(2, {0x12, 0x34}, true);
  CHECK(target.run(overwrite_cdb(twice.size()), 0, twice)->is_good());
  CHECK(all_are(target, 0xed, 0xcb));
  CHECK(target.run({0x00})->is_good());
}

TEST_CASE("SANITIZE BLOCK ERASE and FORMAT UNIT leave zeros", "[scsi][SBC-4 5.4]") {
  Target target;
  for (const Bytes& cdb : {block_erase, Bytes{0x04, 0, 0, 0, 0, 0}}) {
    REQUIRE(target.run(cdb16(0x8a, 0, 2048), 0, pattern(2048 * 512))->is_good());
    CHECK(target.run(cdb)->is_good());
    CHECK(all_are(target, 0, 0));
    CHECK(target.disk.script->last_may_discard == (cdb[0] == 0x48));
  }
}

TEST_CASE("SANITIZE refuses parameter lists that make no sense", "[scsi][SBC-4 5.35]") {
  Target target;
  for (const std::size_t size : {std::size_t{0}, std::size_t{4}, std::size_t{517}}) {
    CHECK(target.run(overwrite_cdb(size), 0, Bytes(size))->refused_with(invalid_field_in_cdb));
  }
  for (Bytes list : {overwrite_list(0, Bytes(8)), overwrite_list(1, {}), overwrite_list(0x21, Bytes(8))}) {
    list.resize(12);
    CHECK(target.run(overwrite_cdb(list.size()), 0, list)->refused_with(invalid_field_in_parameter_list));
  }
  CHECK(target.run({0x48, 0x03, 0, 0, 0, 0, 0, 0, 0, 0})->refused_with(invalid_field_in_cdb));  // CRYPTO ERASE
  CHECK(target.disk.script->writes == 0);
}

TEST_CASE("while a SANITIZE runs nobody uses the medium and everybody can ask how far it is", "[scsi][SBC-4 4.11]") {
  Target target;
  Bytes immediate = block_erase;
  immediate[1] |= 0x80;
  // Started, and not given a turn yet.
  const auto started = target.start(immediate);
  CHECK(started->is_good());
  const auto refused = target.start(cdb10(0x28, 0, 1), 512);
  REQUIRE(refused->failed_with(SenseKey::not_ready, logical_unit_not_ready_sanitize_in_progress));
  CHECK(refused->sense().progress.has_value());
  CHECK(target.start(immediate)->failed_with(SenseKey::not_ready, logical_unit_not_ready_sanitize_in_progress));
  CHECK(target.start({0x12, 0, 0, 0, 36, 0}, 36)->is_good());
  const auto asked = target.start({0x03, 0, 0, 0, 32, 0}, 32);
  REQUIRE(asked->is_good());
  const std::optional<scsi::SenseData> sense = scsi::decode_sense(asked->mover.data_in);
  REQUIRE(sense.has_value());
  CHECK(sense->additional == logical_unit_not_ready_sanitize_in_progress);
  CHECK(sense->progress.has_value());
  target.step();
  CHECK(target.run({0x00})->is_good());
}

TEST_CASE("an aborted SANITIZE goes on without its command", "[scsi][SBC-4 4.11]") {
  Target target;
  REQUIRE(target.run(cdb16(0x8a, 0, 2048), 0, pattern(2048 * 512))->is_good());
  const auto running = target.start(block_erase);
  REQUIRE_FALSE(running->ended);
  target.worker.call([&] { target.nexus->abort(running->command); });
  target.step();
  CHECK(running->ended);
  CHECK(all_are(target, 0, 0));
}

TEST_CASE("a SANITIZE that failed keeps the medium closed until another one or EXIT FAILURE MODE",
          "[scsi][SBC-4 4.11]") {
  Target target;
  const Bytes exit{0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0};
  CHECK(target.run(exit)->is_good());
  target.disk.script->write_error = backends::BackendError::write_failed;
  const Bytes list = overwrite_list(1, {0});
  CHECK(target.run(overwrite_cdb(list.size()), 0, list)->failed_with(SenseKey::medium_error, sanitize_command_failed));
  CHECK(target.run(cdb10(0x28, 0, 1), 512)->failed_with(SenseKey::medium_error, sanitize_command_failed));
  CHECK(target.run(exit)->refused_with(invalid_field_in_cdb));  // AUSE was zero
  CHECK(target.run(overwrite_cdb(list.size(), 0x20), 0, list)
            ->failed_with(SenseKey::medium_error, sanitize_command_failed));
  CHECK(target.run(exit)->is_good());
  CHECK(target.run(cdb10(0x28, 0, 1), 512)->is_good());
}

TEST_CASE("a volume that closes does not wait for the end of a SANITIZE", "[scsi][SBC-4 4.11]") {
  Target target(thin_geometry(std::uint64_t{8} << 20));
  Bytes immediate = overwrite_cdb(5, 0x80);
  CHECK(target.start(immediate, 0, overwrite_list(31, {1}))->is_good());
  target.worker.step();
  target.worker.start(target.nexus->close());
  target.worker.start(target.disk.volume->close());
  target.step();
  CHECK(target.worker.running() == 0);
  CHECK(target.disk.script->writes < 31 * 32);
}
