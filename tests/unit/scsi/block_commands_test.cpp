// READ, WRITE, VERIFY, WRITE SAME, UNMAP, SYNCHRONIZE CACHE through a whole target.
#include "protocol/scsi/cdb.h"
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

struct Form {
  std::uint8_t read, write, verify, write_and_verify;
  Bytes (*cdb)(std::uint8_t opcode, std::uint64_t lba, std::uint32_t count, std::uint8_t flags);
};

const Form forms[] = {
    {0x28, 0x2a, 0x2f, 0x2e,
     [](std::uint8_t opcode, std::uint64_t lba, std::uint32_t count, std::uint8_t flags) {
       return cdb10(opcode, static_cast<std::uint32_t>(lba), static_cast<std::uint16_t>(count), flags);
     }},
    {0xa8, 0xaa, 0xaf, 0xae,
     [](std::uint8_t opcode, std::uint64_t lba, std::uint32_t count, std::uint8_t flags) {
       return cdb12(opcode, static_cast<std::uint32_t>(lba), count, flags);
     }},
    {0x88, 0x8a, 0x8f, 0x8e,
     [](std::uint8_t opcode, std::uint64_t lba, std::uint32_t count, std::uint8_t flags) {
       return cdb16(opcode, lba, count, flags);
     }},
};

Bytes medium(const Target& target, std::size_t offset, std::size_t size) {
  Bytes bytes(size);
  std::memcpy(bytes.data(), target.disk.script->memory.data() + offset, size);
  return bytes;
}

Bytes cdb6(std::uint8_t opcode, std::uint32_t lba, std::uint8_t count) {
  return {opcode,
          static_cast<std::uint8_t>(lba >> 16),
          static_cast<std::uint8_t>(lba >> 8),
          static_cast<std::uint8_t>(lba),
          count,
          0};
}

}  // namespace

TEST_CASE("what every form of WRITE writes every form of READ reads", "[scsi][SBC-4 5.16]") {
  Target target;
  for (const Form& writer : forms) {
    const Bytes data = pattern(8 * 512, writer.write);
    const auto write = target.run(writer.cdb(writer.write, 5, 8, 0), 0, data);
    CHECK(write->is_good());
    CHECK(write->command.data_out_length == data.size());
    CHECK(medium(target, 5 * 512, data.size()) == data);
    for (const Form& reader : forms) {
      const auto read = target.run(reader.cdb(reader.read, 5, 8, 0), 8 * 512);
      CHECK(read->is_good());
      CHECK(read->mover.data_in == data);
      CHECK(read->command.data_in_length == data.size());
    }
  }
}

TEST_CASE("READ (6) and WRITE (6) take a transfer length of zero for 256 blocks", "[scsi][SBC-4 5.16]") {
  Target target;
  const Bytes data = pattern(256 * 512);
  CHECK(target.run(cdb6(0x0a, 3, 0), 0, data)->is_good());
  CHECK(medium(target, 3 * 512, data.size()) == data);
  const auto read = target.run(cdb6(0x08, 3, 0), 256 * 512);
  CHECK(read->is_good());
  CHECK(read->mover.data_in == data);
}

TEST_CASE("transfers longer than a chunk go in several", "[scsi][data path]") {
  Target target;
  const std::size_t size = 3 * backends::BlockChannel::transfer_bytes_max - 512;
  const Bytes data = pattern(size);
  const auto write = target.run(cdb16(0x8a, 1, static_cast<std::uint32_t>(size / 512)), 0, data);
  CHECK(write->is_good());
  CHECK(target.disk.script->writes == 3);
  const auto read =
      target.run(cdb16(0x88, 1, static_cast<std::uint32_t>(size / 512)), static_cast<std::uint32_t>(size));
  CHECK(read->mover.data_in == data);
  CHECK(read->mover.calls == 3);
}

TEST_CASE("a range that does not fit the medium is refused", "[scsi][SCSI-1]") {
  Target target;
  const std::uint32_t blocks = 2048;
  const std::uint8_t opcodes[] = {0x88, 0x8a, 0x8e, 0x8f, 0x90, 0x91, 0x93};
  for (const std::uint8_t opcode : opcodes) {
    CAPTURE(opcode);
    CHECK(target.run(cdb16(opcode, blocks, 1), 512, Bytes(512))->refused_with(logical_block_address_out_of_range));
    CHECK(
        target.run(cdb16(opcode, blocks - 1, 2), 1024, Bytes(1024))->refused_with(logical_block_address_out_of_range));
    CHECK(target.run(cdb16(opcode, ~0ULL, 1), 512, Bytes(512))->refused_with(logical_block_address_out_of_range));
    CHECK(target.run(cdb16(opcode, ~0ULL, 0xffffffff), 512, Bytes(512))
              ->refused_with(logical_block_address_out_of_range));
    CHECK(target.run(cdb16(opcode, 0x8000000000000000ULL, 0xffffffff), 512, Bytes(512))
              ->refused_with(logical_block_address_out_of_range));
  }
  CHECK(target.disk.script->reads == 0);
  CHECK(target.disk.script->writes == 0);
}

TEST_CASE("a transfer length of zero is no error and moves nothing", "[scsi][SCSI-1]") {
  Target target;
  for (const int opcode : {0x88, 0x8a, 0x8e, 0x8f}) {
    const auto run = target.run(cdb16(static_cast<std::uint8_t>(opcode), 7, 0), 512, Bytes(512));
    CHECK(run->is_good());
    CHECK(run->mover.calls == 0);
    CHECK(run->command.data_in_length + run->command.data_out_length == 0);
  }
  CHECK(target.run(cdb16(0x88, 2049, 0))->refused_with(logical_block_address_out_of_range));
}

TEST_CASE("a read moves no more than the initiator expects and says how much there was", "[scsi][RFC 7143 11.4.5]") {
  Target target;
  const auto shorter = target.run(cdb10(0x28, 0, 4), 700);
  CHECK(shorter->is_good());
  CHECK(shorter->mover.data_in.size() == 700);
  CHECK(shorter->command.data_in_length == 2048);
  const auto longer = target.run(cdb10(0x28, 0, 4), 10000);
  CHECK(longer->mover.data_in.size() == 2048);
  CHECK(longer->command.data_in_length == 2048);
  const auto none = target.run(cdb10(0x28, 0, 4), 0);
  CHECK(none->is_good());
  CHECK(none->mover.calls == 0);
}

TEST_CASE("a write takes whole blocks of what is offered and never more", "[scsi][RFC 7143 11.4.5]") {
  Target target;
  const Bytes data = pattern(1300);
  const auto write = target.run(cdb10(0x2a, 0, 4), 0, data);
  CHECK(write->is_good());
  CHECK(write->mover.taken == 1024);
  CHECK(write->command.data_out_length == 2048);
  CHECK(medium(target, 0, 1024) == Bytes(data.begin(), data.begin() + 1024));
  CHECK(medium(target, 1024, 1024) == Bytes(1024));
  const auto more = target.run(cdb10(0x2a, 8, 1), 0, pattern(4096));
  CHECK(more->is_good());
  CHECK(more->mover.taken == 512);
  CHECK(more->command.data_out_length == 512);
  CHECK(medium(target, 9 * 512, 512) == Bytes(512));
}

TEST_CASE("FUA reaches the device and so does a write cache that is switched off", "[scsi][SBC-4 4.15]") {
  Target target;
  CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->is_good());
  CHECK(target.disk.script->forced_writes == 0);
  CHECK(target.run(cdb10(0x2a, 0, 1, 0x08), 0, Bytes(512))->is_good());
  CHECK(target.disk.script->forced_writes == 1);
  CHECK(target.run(cdb10(0x28, 0, 1, 0x18), 512)->is_good());

  Bytes list(4 + 20);  // MODE SELECT (6), caching page, WCE = 0
  list[4] = 0x08;
  list[5] = 0x12;
  CHECK(target.run({0x15, 0x10, 0, 0, static_cast<std::uint8_t>(list.size()), 0}, 0, list)->is_good());
  CHECK(target.disk.script->flushes == 1);
  CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->is_good());
  CHECK(target.disk.script->forced_writes == 2);
  CHECK(target.run(cdb16(0x93, 0, 1, 0x01))->is_good());
  CHECK(target.disk.script->flushes == 2);
}

TEST_CASE("protection information is refused where there is none", "[scsi][SBC-4 4.22]") {
  Target target;
  for (unsigned protect = 1; protect < 8; ++protect) {
    for (const Form& form : forms) {
      for (const std::uint8_t opcode : {form.read, form.write, form.verify, form.write_and_verify}) {
        const auto run = target.run(form.cdb(opcode, 0, 1, static_cast<std::uint8_t>(protect << 5)), 512, Bytes(512));
        REQUIRE(run->refused_with(invalid_field_in_cdb));
        const std::optional<scsi::FieldPointer> field = run->sense().field;
        REQUIRE(field.has_value());
        CHECK(field->in_cdb);
        CHECK(field->byte == 1);
      }
    }
  }
}

TEST_CASE("NACA is refused with a pointer to it", "[scsi][SAM-5 5.2]") {
  Target target;
  Bytes cdb = cdb10(0x28, 0, 1);
  cdb[9] = 0x04;
  const auto run = target.run(cdb, 512);
  CHECK(run->refused_with(invalid_field_in_cdb));
  CHECK(run->sense().field == scsi::FieldPointer{.in_cdb = true, .byte = 9, .bit = 2});
}

TEST_CASE("VERIFY compares as BYTCHK says", "[scsi][SBC-4 5.33]") {
  Target target;
  const Bytes data = pattern(4 * 512);
  REQUIRE(target.run(cdb10(0x2a, 2, 4), 0, data)->is_good());
  for (const Form& form : forms) {
    const auto medium_only = target.run(form.cdb(form.verify, 2, 4, 0));
    CHECK(medium_only->is_good());
    CHECK(medium_only->mover.calls == 0);
    CHECK(target.run(form.cdb(form.verify, 2, 4, 0x02), 0, data)->is_good());
    Bytes wrong = data;
    wrong.back() ^= 1;
    CHECK(target.run(form.cdb(form.verify, 2, 4, 0x02), 0, wrong)
              ->failed_with(SenseKey::miscompare, miscompare_during_verify_operation));
    CHECK(target.run(form.cdb(form.verify, 2, 4, 0x04), 0, data)->refused_with(invalid_field_in_cdb));
    CHECK(target.run(form.cdb(form.verify, 100, 600, 0x06), 0, Bytes(512))->is_good());
    CHECK(target.run(form.cdb(form.verify, 2, 2, 0x06), 0, Bytes(data.begin(), data.begin() + 512))
              ->failed_with(SenseKey::miscompare, miscompare_during_verify_operation));
    CHECK(target.run(form.cdb(form.verify, 100, 600, 0x06), 0, Bytes(511))
              ->refused_with(invalid_field_in_command_information_unit));
  }
}

TEST_CASE("WRITE AND VERIFY writes and reads back", "[scsi][SBC-4 5.44]") {
  Target target;
  unsigned seed = 0;
  for (const Form& form : forms) {
    for (const std::uint8_t byte_check : Bytes{0x00, 0x02}) {
      const Bytes data = pattern(3 * 512, ++seed);
      const auto run = target.run(form.cdb(form.write_and_verify, 9, 3, byte_check), 0, data);
      CHECK(run->is_good());
      CHECK(medium(target, 9 * 512, data.size()) == data);
    }
    CHECK(
        target.run(form.cdb(form.write_and_verify, 9, 3, 0x04), 0, Bytes(3 * 512))->refused_with(invalid_field_in_cdb));
  }
  CHECK(target.disk.script->reads == 6);
  target.disk.script->read_error = backends::BackendError::read_failed;
  CHECK(target.run(cdb10(0x2e, 0, 1), 0, Bytes(512))->failed_with(SenseKey::medium_error, unrecovered_read_error));
}

TEST_CASE("SYNCHRONIZE CACHE flushes and PRE-FETCH moves nothing", "[scsi][SBC-4 5.32]") {
  Target target;
  CHECK(target.run(cdb10(0x35, 0, 0))->is_good());
  CHECK(target.run(cdb16(0x91, 3, 9, 0x02))->is_good());
  CHECK(target.disk.script->flushes == 2);
  CHECK(target.run(cdb10(0x34, 0, 9))->is_good());
  CHECK(target.run(cdb16(0x90, 0, 9, 0x02))->is_good());
  CHECK(target.disk.script->reads == 0);
}

TEST_CASE("a failed flush fails the volume for everybody", "[scsi][BE-1]") {
  Target target;
  target.disk.script->flush_error = backends::BackendError::flush_failed;
  CHECK(target.run(cdb10(0x35, 0, 0))->failed_with(SenseKey::medium_error, write_error));
  target.disk.script->flush_error.reset();
  target.step();
  CHECK(target.run(cdb10(0x28, 0, 1), 512)->failed_with(SenseKey::hardware_error, internal_target_failure));
  CHECK(target.run({0x00})->failed_with(SenseKey::hardware_error, internal_target_failure));
  CHECK(target.run({0x12, 0, 0, 0, 36, 0}, 36)->is_good());
  CHECK(target.disk.script->reads == 0);
}

TEST_CASE("a device's errors become the sense data that make initiators do the right thing", "[scsi][BE-1]") {
  using backends::BackendError;
  struct Expected {
    BackendError error;
    SenseKey key;
    scsi::AdditionalSense additional;
  };
  const Expected expectations[] = {
      {BackendError::read_failed, SenseKey::medium_error, unrecovered_read_error},
      {BackendError::write_failed, SenseKey::medium_error, write_error},
      {BackendError::out_of_space, SenseKey::data_protect, space_allocation_failed_write_protect},
      {BackendError::out_of_memory, SenseKey::aborted_command, insufficient_resources},
      {BackendError::timed_out, SenseKey::aborted_command, logical_unit_communication_time_out},
      {BackendError::read_only, SenseKey::data_protect, write_protected},
      {BackendError::gone, SenseKey::hardware_error, internal_target_failure},
  };
  for (const Expected& expected : expectations) {
    Target target;
    target.disk.script->write_error = expected.error;
    CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->failed_with(expected.key, expected.additional));
    target.step();
  }
  for (const Expected& expected : expectations) {
    Target target;
    target.disk.script->read_error = expected.error;
    const auto run = target.run(cdb10(0x28, 0, 1), 512);
    CHECK(run->failed_with(expected.key, expected.additional));
    CHECK(run->command.data_in_length == 0);
    target.step();
  }
}

TEST_CASE("a mover that gives up ends the command where it is", "[scsi][data path]") {
  for (const MoveOutcome outcome : {MoveOutcome::aborted, MoveOutcome::failed}) {
    Target target;
    auto write = target.start(cdb10(0x2a, 0, 1024), 0, Bytes(1024 * 512));
    CHECK(write->ended);
    target.disk.script->writes = 0;
    auto failing = std::make_unique<Running>(*target.worker, cdb10(0x2a, 0, 1024), 0, Bytes(1024 * 512));
    failing->mover.outcome = outcome;
    failing->mover.outcome_from = 1;
    target.worker.start(run_to_its_end(*target.nexus, *failing));
    target.step();
    CHECK(failing->ended);
    CHECK(target.disk.script->writes == 1);
  }
}

TEST_CASE("a read-only volume or mapping refuses every write", "[scsi][SBC-4 4.12]") {
  volume::View view = view_of(1 << 20);
  view.read_only = true;
  Target by_volume(thin_geometry(), view);
  Target by_map(thin_geometry(), std::nullopt, true);
  for (Target* const target : {&by_volume, &by_map}) {
    for (const int opcode : {0x8a, 0x8e, 0x93}) {
      CHECK(target->run(cdb16(static_cast<std::uint8_t>(opcode), 0, 1), 0, Bytes(512))
                ->failed_with(SenseKey::data_protect, write_protected));
    }
    CHECK(target->run({0x42, 0, 0, 0, 0, 0, 0, 0, 8, 0}, 0, Bytes(8))
              ->failed_with(SenseKey::data_protect, write_protected));
    CHECK(target->run(cdb16(0x88, 0, 1), 512)->is_good());
    CHECK(target->run(cdb16(0x8f, 0, 1))->is_good());
    const auto sense = target->run({0x1a, 0x08, 0x3f, 0, 255, 0}, 255);
    REQUIRE(sense->mover.data_in.size() > 4);
    CHECK((sense->mover.data_in[2] & 0x80) != 0);
    CHECK(target->disk.script->writes == 0);
  }
}

namespace {

Bytes unmap_list(std::initializer_list<scsi::BlockRange> ranges) {
  Bytes list(8 + 16 * ranges.size());
  scsi::store16(list, 0, list.size() - 2);
  scsi::store16(list, 2, list.size() - 8);
  std::size_t offset = 8;
  for (const scsi::BlockRange& range : ranges) {
    scsi::store64(list, offset, range.lba);
    scsi::store32(list, offset + 8, range.count);
    offset += 16;
  }
  return list;
}

Bytes unmap_cdb(std::size_t length) {
  Bytes cdb(10);
  cdb[0] = 0x42;
  scsi::store16(cdb, 7, length);
  return cdb;
}

}  // namespace

TEST_CASE("UNMAP gives back what its descriptors name", "[scsi][SBC-4 5.34]") {
  Target target;
  REQUIRE(target.run(cdb16(0x8a, 0, 64), 0, pattern(64 * 512))->is_good());
  const Bytes list = unmap_list({{8, 8}, {32, 0}, {40, 16}, {41, 2}});
  CHECK(target.run(unmap_cdb(list.size()), 0, list)->is_good());
  CHECK(target.disk.script->discards == 3);
  CHECK(medium(target, 8 * 512, 8 * 512) == Bytes(8 * 512));
  CHECK(medium(target, 40 * 512, 16 * 512) == Bytes(16 * 512));
  const Bytes before = pattern(64 * 512);
  CHECK(medium(target, 0, 8 * 512) == Bytes(before.begin(), before.begin() + 8 * 512));
  CHECK(target.run(unmap_cdb(0))->is_good());
  CHECK(target.run(unmap_cdb(8), 0, unmap_list({}))->is_good());
}

TEST_CASE("an UNMAP parameter list that lies changes nothing", "[scsi][SCSI-2]") {
  Target target;
  REQUIRE(target.run(cdb16(0x8a, 0, 64), 0, pattern(64 * 512))->is_good());
  const Bytes beyond = unmap_list({{0, 8}, {2040, 9}});
  CHECK(target.run(unmap_cdb(beyond.size()), 0, beyond)->refused_with(logical_block_address_out_of_range));
  const Bytes wrapping = unmap_list({{~0ULL, 2}});
  CHECK(target.run(unmap_cdb(wrapping.size()), 0, wrapping)->refused_with(logical_block_address_out_of_range));
  for (std::size_t size = 1; size < 24; ++size) {
    Bytes cut = unmap_list({{0, 8}});
    cut.resize(size);
    CHECK(target.run(unmap_cdb(size), 0, cut)->refused_with(parameter_list_length_error));
  }
  Bytes lying = unmap_list({{0, 8}});
  scsi::store16(lying, 2, 0xfff0);
  CHECK(target.run(unmap_cdb(lying.size()), 0, lying)->refused_with(parameter_list_length_error));
  const Bytes whole = unmap_list({{0, 8}});
  CHECK(target.run(unmap_cdb(24), 0, Bytes(whole.begin(), whole.begin() + 20))
            ->refused_with(parameter_list_length_error));
  CHECK(target.disk.script->discards == 0);
  CHECK(medium(target, 0, 64 * 512) == pattern(64 * 512));
}

TEST_CASE("a device that cannot discard has no UNMAP", "[scsi][SBC-4 4.7]") {
  backends::Geometry geometry = thin_geometry();
  geometry.discard_granularity = 0;
  Target target(geometry);
  CHECK(target.run(unmap_cdb(0))->refused_with(invalid_command_operation_code));
  CHECK(target.run(cdb16(0x93, 0, 1, 0x08), 0, Bytes(512))->refused_with(invalid_field_in_cdb));
  CHECK(target.run(cdb16(0x93, 0, 1), 0, pattern(512))->is_good());
}

TEST_CASE("WRITE SAME writes one block everywhere", "[scsi][SBC-4 5.50]") {
  Target target;
  const Bytes block = pattern(512, 9);
  const auto run = target.run(cdb16(0x93, 3, 1000), 0, block);
  CHECK(run->is_good());
  CHECK(run->command.data_out_length == 512);
  for (std::size_t index = 3; index < 1003; ++index) REQUIRE(medium(target, index * 512, 512) == block);
  CHECK(medium(target, 2 * 512, 512) == Bytes(512));
  CHECK(medium(target, 1003 * 512, 512) == Bytes(512));

  CHECK(target.run(cdb10(0x41, 3, 10), 0, Bytes(512))->is_good());
  CHECK(target.disk.script->zeroings == 1);
  CHECK_FALSE(target.disk.script->last_may_discard);
  CHECK(target.run(cdb16(0x93, 20, 10, 0x08), 0, Bytes(512))->is_good());
  CHECK(target.disk.script->last_may_discard);
  CHECK(medium(target, 20 * 512, 10 * 512) == Bytes(10 * 512));
  // UNMAP with data that is not zero: the data counts.
  CHECK(target.run(cdb16(0x93, 50, 2, 0x08), 0, pattern(512, 4))->is_good());
  CHECK(medium(target, 51 * 512, 512) == pattern(512, 4));
}

TEST_CASE("WRITE SAME with NDOB takes no data and writes zeros", "[scsi][SBC-4 5.51]") {
  Target target;
  REQUIRE(target.run(cdb16(0x8a, 0, 64), 0, pattern(64 * 512))->is_good());
  const auto run = target.run(cdb16(0x93, 8, 8, 0x01), 0, pattern(512));
  CHECK(run->is_good());
  CHECK(run->mover.taken == 0);
  CHECK(run->command.data_out_length == 0);
  CHECK(medium(target, 8 * 512, 8 * 512) == Bytes(8 * 512));
}

TEST_CASE("WRITE SAME of zero blocks writes to the end of the medium", "[scsi][SBC-4 5.50]") {
  Target target;
  const Bytes block = pattern(512, 3);
  CHECK(target.run(cdb10(0x41, 2040, 0), 0, block)->is_good());
  for (std::size_t index = 2040; index < 2048; ++index) CHECK(medium(target, index * 512, 512) == block);
  CHECK(medium(target, 2039 * 512, 512) == Bytes(512));
}

TEST_CASE("WRITE SAME refuses what it cannot do", "[scsi][SBC-4 5.50]") {
  Target target;
  CHECK(target.run(cdb16(0x93, 0, 1, 0x18), 0, Bytes(512))->refused_with(invalid_field_in_cdb));  // ANCHOR
  CHECK(target.run(cdb10(0x41, 0, 1, 0x01), 0, Bytes(512))->refused_with(invalid_field_in_cdb));  // no NDOB in (10)
  CHECK(target.run(cdb16(0x93, 2048, 0), 0, Bytes(512))->refused_with(logical_block_address_out_of_range));
  for (const std::size_t size : {std::size_t{100}, std::size_t{511}, std::size_t{513}, std::size_t{1024}}) {
    CHECK(target.run(cdb16(0x93, 0, 1), 0, Bytes(size))->refused_with(invalid_field_in_command_information_unit));
  }
  CHECK(target.disk.script->writes + target.disk.script->zeroings == 0);
}

TEST_CASE("4096-byte blocks are counted as such", "[scsi][SBC-4 4.5]") {
  Target target(thin_geometry(), view_of(1 << 20, 4096));
  const Bytes data = pattern(2 * 4096);
  CHECK(target.run(cdb10(0x2a, 3, 2), 0, data)->is_good());
  CHECK(medium(target, 3 * 4096, data.size()) == data);
  CHECK(target.run(cdb10(0x28, 255, 1), 4096)->is_good());
  CHECK(target.run(cdb10(0x28, 256, 1), 4096)->refused_with(logical_block_address_out_of_range));
}

TEST_CASE("reads and writes take their frames from the worker's pool", "[scsi][data path]") {
  Target target;
  const auto round = [&] {
    CHECK(target.run(cdb16(0x8a, 0, 1024), 0, Bytes(1024 * 512))->is_good());
    CHECK(target.run(cdb16(0x88, 0, 1024), 1024 * 512)->is_good());
  };
  round();
  const std::uint64_t before = target.worker->frames().heap_allocations();
  for (int count = 0; count < 20; ++count) round();
  CHECK(target.worker->frames().heap_allocations() == before);
}
