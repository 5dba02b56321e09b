// COMPARE AND WRITE, ORWRITE, WRITE ATOMIC and READ DEFECT DATA through whole targets, alone and against each other.
#include <random>

#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

Bytes medium(const Target& target, std::size_t offset, std::size_t size) {
  Bytes bytes(size);
  std::memcpy(bytes.data(), target.disk.script->memory.data() + offset, size);
  return bytes;
}

Bytes caw_cdb(std::uint64_t lba, std::uint8_t count, std::uint8_t flags = 0) {
  Bytes cdb(16);
  cdb[0] = 0x89;
  cdb[1] = flags;
  scsi::store64(cdb, 2, lba);
  cdb[13] = count;
  return cdb;
}

Bytes atomic_cdb(std::uint64_t lba, std::uint16_t count, std::uint8_t flags = 0) {
  Bytes cdb(16);
  cdb[0] = 0x9c;
  cdb[1] = flags;
  scsi::store64(cdb, 2, lba);
  scsi::store16(cdb, 12, count);
  return cdb;
}

Bytes operator+(const Bytes& first, const Bytes& second) {
  Bytes both = first;
  both.insert(both.end(), second.begin(), second.end());
  return both;
}

/// A nexus beside the target's own.
struct Extra {
  Extra(Target& the_target, SteppedWorker& the_worker, const std::string& name)
      : target(the_target), worker(the_worker) {
    nexus = worker.call([&] { return std::make_unique<scsi_server::Nexus>(*worker, identity_of(name), target.map); });
    const auto cleared = target.start(worker, *nexus, {0x00});
    target.step();
    REQUIRE(cleared->ended);
  }
  ~Extra() {
    target.close(worker, *nexus);
    worker.call([&] { nexus.reset(); });
  }
  Target& target;
  SteppedWorker& worker;
  std::unique_ptr<scsi_server::Nexus> nexus;
};

}  // namespace

TEST_CASE("COMPARE AND WRITE writes when every block compares equal", "[scsi][SBC-4 5.3]") {
  Target target;
  const Bytes before = pattern(5 * 512, 1);
  const Bytes after = pattern(5 * 512, 2);
  REQUIRE(target.run(cdb10(0x2a, 7, 5), 0, before)->is_good());
  const auto run = target.run(caw_cdb(7, 5), 0, before + after);
  CHECK(run->is_good());
  CHECK(run->command.data_out_length == 2 * after.size());
  CHECK(medium(target, 7 * 512, after.size()) == after);
  CHECK(target.disk.script->forced_writes == 0);
  CHECK(target.run(caw_cdb(7, 5, 0x08), 0, after + before)->is_good());
  CHECK(target.disk.script->forced_writes == 1);
}

TEST_CASE("COMPARE AND WRITE says where the first difference is and writes nothing", "[scsi][SBC-4 5.3]") {
  Target target;
  const Bytes data = pattern(4 * 512, 1);
  REQUIRE(target.run(cdb10(0x2a, 0, 4), 0, data)->is_good());
  for (const std::size_t offset : {std::size_t{0}, std::size_t{511}, std::size_t{512}, std::size_t{2047}}) {
    Bytes wrong = data;
    wrong[offset] ^= 0x80;
    if (offset < 2047) wrong[2047] ^= 1;
    const auto run = target.run(caw_cdb(0, 4), 0, wrong + pattern(4 * 512, 9));
    REQUIRE(run->failed_with(SenseKey::miscompare, miscompare_during_verify_operation));
    CHECK(run->sense().information == offset);
    CHECK(medium(target, 0, data.size()) == data);
  }
}

TEST_CASE("COMPARE AND WRITE refuses what it cannot compare", "[scsi][SBC-4 5.3]") {
  Target target;
  CHECK(target.run(caw_cdb(0, 0))->is_good());
  CHECK(target.run(caw_cdb(0, 0), 0, Bytes(1024))->refused_with(invalid_field_in_cdb));
  for (const std::size_t size : {std::size_t{0}, std::size_t{512}, std::size_t{1023}, std::size_t{2048}}) {
    CHECK(target.run(caw_cdb(0, 1), 0, Bytes(size))->refused_with(invalid_field_in_command_information_unit));
  }
  CHECK(target.run(caw_cdb(2047, 2), 0, Bytes(2048))->refused_with(logical_block_address_out_of_range));
  CHECK(target.disk.script->writes == 0);
  const auto limits = target.run({0x12, 1, 0xb0, 0, 255, 0}, 255);
  CHECK(limits->mover.data_in[5] == 255);
  CHECK(target.run(caw_cdb(0, 255), 0, Bytes(2 * 255 * 512))->is_good());

  Target large(thin_geometry(), view_of(1 << 20, 4096));
  const unsigned blocks_max = large.run({0x12, 1, 0xb0, 0, 255, 0}, 255)->mover.data_in[5];
  REQUIRE(blocks_max != 0);
  REQUIRE(blocks_max < 255);
  CHECK(large.run(caw_cdb(0, static_cast<std::uint8_t>(blocks_max)), 0, Bytes(2 * blocks_max * 4096))->is_good());
  const auto beyond = large.run(caw_cdb(0, static_cast<std::uint8_t>(blocks_max + 1)), 0,
                                Bytes(2 * std::size_t{blocks_max + 1} * 4096));
  REQUIRE(beyond->refused_with(invalid_field_in_cdb));
  CHECK(beyond->sense().field->byte == 13);
}

TEST_CASE("ORWRITE sets bits and clears none", "[scsi][SBC-4 5.12]") {
  Target target;
  const std::size_t blocks = 2 * backends::BlockChannel::transfer_bytes_max / 512 + 3;
  Target big(thin_geometry(std::uint64_t{16} << 20));
  const Bytes there = pattern(blocks * 512, 1);
  const Bytes sent = pattern(blocks * 512, 2);
  REQUIRE(big.run(cdb16(0x8a, 5, static_cast<std::uint32_t>(blocks)), 0, there)->is_good());
  CHECK(big.run(cdb16(0x8b, 5, static_cast<std::uint32_t>(blocks)), 0, sent)->is_good());
  Bytes expected = there;
  for (std::size_t index = 0; index < expected.size(); ++index) expected[index] |= sent[index];
  CHECK(medium(big, 5 * 512, expected.size()) == expected);
  CHECK(target.run(cdb16(0x8b, 0, 0))->is_good());
  CHECK(target.run(cdb16(0x8b, 0, 2), 0, Bytes(512))->refused_with(invalid_field_in_command_information_unit));
}

TEST_CASE("WRITE ATOMIC keeps to the limits of the Block Limits page", "[scsi][SBC-4 5.47]") {
  Target target;
  const Bytes limits = target.run({0x12, 1, 0xb0, 0, 255, 0}, 255)->mover.data_in;
  const std::uint32_t most = scsi::load32(limits, 44);
  CHECK(most == backends::BlockChannel::transfer_bytes_max / 512);
  CHECK(most <= scsi::load32(limits, 8));
  CHECK(scsi::load32(limits, 48) == 8);
  CHECK(scsi::load32(limits, 52) == 8);
  CHECK(scsi::load64(limits, 56) == 0);

  const Bytes data = pattern(most * std::size_t{512});
  CHECK(target.run(atomic_cdb(8, static_cast<std::uint16_t>(most)), 0, data)->is_good());
  CHECK(target.disk.script->writes == 1);
  CHECK(medium(target, 8 * 512, data.size()) == data);
  CHECK(target.run(atomic_cdb(8, 0))->is_good());
  CHECK(target.run(atomic_cdb(8, static_cast<std::uint16_t>(most + 8)), 0, Bytes(data.size() + 4096))
            ->refused_with(invalid_field_in_cdb));
  CHECK(target.run(atomic_cdb(4, 8), 0, Bytes(4096))->refused_with(invalid_field_in_cdb));
  CHECK(target.run(atomic_cdb(8, 4), 0, Bytes(2048))->refused_with(invalid_field_in_cdb));
  Bytes with_boundary = atomic_cdb(8, 8);
  with_boundary[11] = 8;
  CHECK(target.run(with_boundary, 0, Bytes(4096))->refused_with(invalid_field_in_cdb));
  CHECK(target.disk.script->writes == 1);
}

TEST_CASE("a write waits for a COMPARE AND WRITE in the same blocks and others do not", "[scsi][SBC-4 5.3]") {
  Target target;
  Extra second(target, target.other, "iqn.2026-01.io.example:second");
  target.disk.script->reads_wait = true;
  const auto comparing = target.start(caw_cdb(4, 2), 0, Bytes(1024) + pattern(1024, 3));
  target.step();
  REQUIRE_FALSE(comparing->ended);
  const auto same = target.start(target.other, *second.nexus, cdb10(0x2a, 5, 1), 0, pattern(512, 4));
  const auto elsewhere = target.start(target.other, *second.nexus, cdb10(0x2a, 6, 1), 0, pattern(512, 5));
  target.step();
  CHECK_FALSE(same->ended);
  CHECK(elsewhere->is_good());
  target.disk.script->release();
  target.step();
  CHECK(comparing->is_good());
  CHECK(same->is_good());
  const Bytes written = pattern(1024, 3);
  CHECK(medium(target, 4 * 512, 512) == Bytes(written.begin(), written.begin() + 512));
  CHECK(medium(target, 5 * 512, 512) == pattern(512, 4));
}

TEST_CASE("a COMPARE AND WRITE waits for reads of other workers that are under way", "[scsi][SBC-4 5.3]") {
  Target target;
  Extra second(target, target.other, "iqn.2026-01.io.example:second");
  target.disk.script->reads_wait = true;
  const auto reading = target.start(target.other, *second.nexus, cdb10(0x28, 0, 8), 4096);
  target.step();
  const unsigned reads = target.disk.script->reads;
  const auto comparing = target.start(caw_cdb(7, 1), 0, Bytes(512) + pattern(512, 3));
  target.step();
  CHECK(target.disk.script->reads == reads);  // it has not looked yet
  CHECK_FALSE(comparing->ended);
  target.disk.script->release();
  target.step();
  CHECK(reading->mover.data_in == Bytes(4096));
  CHECK(comparing->is_good());
}

TEST_CASE("an aborted COMPARE AND WRITE that waited writes nothing", "[scsi][SAM-5 7.2]") {
  Target target;
  target.disk.script->reads_wait = true;
  const auto first = target.start(caw_cdb(0, 1), 0, Bytes(512) + pattern(512, 1));
  const auto second = target.start(caw_cdb(0, 1), 0, pattern(512, 1) + pattern(512, 2));
  target.step();
  target.worker.call([&] { target.nexus->abort(second->command); });
  target.disk.script->release();
  target.step();
  CHECK(first->is_good());
  CHECK(second->ended);
  CHECK(medium(target, 0, 512) == pattern(512, 1));
}

TEST_CASE("no update is lost when nexuses count with COMPARE AND WRITE", "[scsi][SBC-4 5.3][property]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Target target;
  std::vector<std::unique_ptr<Extra>> nexuses;
  for (unsigned index = 0; index < 4; ++index) {
    nexuses.push_back(std::make_unique<Extra>(target, index % 2 == 0 ? target.worker : target.other,
                                              "iqn.2026-01.io.example:n" + std::to_string(index)));
  }
  const auto block_of = [](std::uint32_t value) {
    Bytes block(512);
    scsi::store32(block, 508, value);
    return block;
  };
  std::uint32_t known = 0;
  unsigned counted = 0;
  for (unsigned round = 0; round < 200; ++round) {
    // All of them believe the same; exactly one may be right. Reads wait so that they really meet.
    target.disk.script->reads_wait = random() % 2 == 0;
    std::vector<std::unique_ptr<Running>> running;
    for (const auto& each : nexuses) {
      running.push_back(
          target.start(each->worker, *each->nexus, caw_cdb(3, 1), 0, block_of(known) + block_of(known + 1)));
      if (random() % 2 == 0) target.worker.step();
      if (random() % 2 == 0) target.other.step();
    }
    target.step();
    target.disk.script->release();
    target.step();
    unsigned won = 0;
    for (const auto& each : running) {
      REQUIRE(each->ended);
      if (each->is_good())
        ++won;
      else
        REQUIRE(each->failed_with(SenseKey::miscompare, miscompare_during_verify_operation));
    }
    REQUIRE(won == 1);
    ++counted;
    ++known;
  }
  CHECK(scsi::load32(medium(target, 3 * 512, 512), 508) == counted);
}

TEST_CASE("READ DEFECT DATA lists no defects in the format asked for", "[scsi][SBC-4 5.20]") {
  Target target;
  for (const std::uint8_t asked : Bytes{0x00, 0x08, 0x10, 0x1d}) {
    CHECK(target.run({0x37, 0, asked, 0, 0, 0, 0, 0, 255, 0}, 255)->mover.data_in == Bytes{0, asked, 0, 0});
    CHECK(target.run({0xb7, asked, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0}, 255)->mover.data_in ==
          Bytes{0, asked, 0, 0, 0, 0, 0, 0});
  }
}
