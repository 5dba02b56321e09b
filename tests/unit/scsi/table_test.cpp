// Properties of the command table, and REPORT SUPPORTED OPERATION CODES against it.
#include "server/scsi/command_table.h"

#include "protocol/scsi/opcodes.h"
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi_server::command_rows;
using scsi_server::CommandRow;
using scsi_server::find_command;

namespace {

Bytes smallest_cdb(const CommandRow& row) {
  Bytes cdb(CommandRow::cdb_bytes_max);
  cdb[0] = row.opcode;
  if (row.has_service_action()) cdb[1] = static_cast<std::uint8_t>(row.service_action);
  return cdb;
}

Bytes report_cdb(std::uint8_t option, std::uint8_t opcode = 0, std::uint16_t service_action = 0,
                 std::uint32_t allocation_length = 0xffff) {
  Bytes cdb(12);
  cdb[0] = 0xa3;
  cdb[1] = 0x0c;
  cdb[2] = option;
  cdb[3] = opcode;
  scsi::store16(cdb, 4, service_action);
  scsi::store32(cdb, 6, allocation_length);
  return cdb;
}

}  // namespace

TEST_CASE("the command table is sorted and names nothing twice", "[scsi][table]") {
  const auto rows = command_rows();
  REQUIRE_FALSE(rows.empty());
  for (std::size_t index = 1; index < rows.size(); ++index) {
    const auto key = [](const CommandRow& row) { return std::pair(row.opcode, row.service_action); };
    CHECK(key(rows[index - 1]) < key(rows[index]));
  }
}

TEST_CASE("every row is found by its own CDB", "[scsi][table]") {
  for (const CommandRow& row : command_rows()) {
    CAPTURE(row.name);
    CHECK(find_command(smallest_cdb(row)) == &row);
    CHECK(row.handler != nullptr);
    CHECK_FALSE(row.name.empty());
    CHECK(row.recommended_s >= row.nominal_s);
  }
}

TEST_CASE("every usage mask begins with the opcode and fits the CDB", "[scsi][table][SPC-5 6.34]") {
  for (const CommandRow& row : command_rows()) {
    CAPTURE(row.name);
    CHECK(row.usage[0] == row.opcode);
    CHECK(row.cdb_bytes == scsi::cdb_length_of_group(row.opcode));
    CHECK(row.usage[row.cdb_bytes - 1u] == 0);  // CONTROL: no NACA
    for (std::size_t byte = row.cdb_bytes; byte < row.usage.size(); ++byte) CHECK(row.usage[byte] == 0);
    if (row.has_service_action()) CHECK((row.usage[1] & 0x1f) == row.service_action);
  }
}

TEST_CASE("an opcode without a row is an invalid operation code", "[scsi][table]") {
  Target target;
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    if (!command_rows(static_cast<std::uint8_t>(opcode)).empty()) continue;
    CAPTURE(opcode);
    REQUIRE(
        target.run({static_cast<std::uint8_t>(opcode)}, 512, Bytes(512))->refused_with(invalid_command_operation_code));
  }
  for (const std::uint8_t opcode : Bytes{0x9e, 0xa3}) {
    const auto run = target.run({opcode, 0x1f}, 512);
    CHECK(run->refused_with(invalid_field_in_cdb));
    CHECK(run->sense().field == scsi::FieldPointer{.in_cdb = true, .byte = 1, .bit = 4});
  }
}

TEST_CASE("every reserved bit of every command is refused with a pointer to it", "[scsi][table][SPC-5 4.2.5]") {
  Target target;
  for (const CommandRow& row : command_rows()) {
    CAPTURE(row.name);
    for (std::uint16_t byte = 1; byte < row.cdb_bytes; ++byte) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1u << bit);
        if ((row.usage[byte] & mask) != 0) continue;
        if (row.has_service_action() && byte == 1 && bit < 5) continue;  // another service action
        Bytes cdb = smallest_cdb(row);
        cdb[byte] = static_cast<std::uint8_t>(cdb[byte] | mask);
        const auto run = target.run(cdb, 4096, Bytes(4096));
        CAPTURE(byte, bit);
        REQUIRE(run->refused_with(invalid_field_in_cdb));
        REQUIRE(run->sense().field ==
                scsi::FieldPointer{.in_cdb = true, .byte = byte, .bit = static_cast<std::uint8_t>(bit)});
        REQUIRE(run->mover.calls == 0);
      }
    }
  }
}

TEST_CASE("every command ends with a status whatever it is offered", "[scsi][table]") {
  Target target;
  for (const CommandRow& row : command_rows()) {
    CAPTURE(row.name);
    for (const std::uint32_t data_in : {0u, 1u, 7u, 8u, 300u, 100000u}) {
      for (const std::size_t data_out : {std::size_t{0}, std::size_t{3}, std::size_t{512}, std::size_t{4096}}) {
        const auto run = target.run(smallest_cdb(row), data_in, Bytes(data_out));
        CHECK(run->ended);
        CHECK(run->mover.data_in.size() <= data_in);
      }
    }
  }
}

TEST_CASE("REPORT SUPPORTED OPERATION CODES lists the table", "[scsi][SPC-5 6.34]") {
  Target target;
  for (const bool with_timeouts : {false, true}) {
    const auto run = target.run(report_cdb(with_timeouts ? 0x80 : 0x00), 0xffff);
    REQUIRE(run->is_good());
    const Bytes& data = run->mover.data_in;
    const std::size_t step = with_timeouts ? 20 : 8;
    REQUIRE(data.size() == 4 + step * command_rows().size());
    CHECK(scsi::load32(data, 0) == data.size() - 4);
    std::size_t offset = 4;
    for (const CommandRow& row : command_rows()) {
      CAPTURE(row.name);
      CHECK(data[offset] == row.opcode);
      CHECK(scsi::load16(data, offset + 2) == (row.has_service_action() ? row.service_action : 0));
      CHECK(data[offset + 5] == ((with_timeouts ? 2 : 0) | (row.has_service_action() ? 1 : 0)));
      CHECK(scsi::load16(data, offset + 6) == row.cdb_bytes);
      if (with_timeouts) {
        CHECK(scsi::load16(data, offset + 8) == 0x0a);
        CHECK(scsi::load32(data, offset + 16) == row.recommended_s);
      }
      offset += step;
    }
  }
}

TEST_CASE("REPORT SUPPORTED OPERATION CODES answers for one command", "[scsi][SPC-5 6.34]") {
  Target target;
  for (const CommandRow& row : command_rows()) {
    CAPTURE(row.name);
    const auto service_action = static_cast<std::uint16_t>(row.has_service_action() ? row.service_action : 0);
    const std::uint8_t option = row.has_service_action() ? 2 : 1;
    for (const std::uint8_t asked : Bytes{option, 3}) {
      const auto run = target.run(report_cdb(asked, row.opcode, service_action), 100);
      REQUIRE(run->is_good());
      const Bytes& data = run->mover.data_in;
      REQUIRE(data.size() == 4u + row.cdb_bytes);
      CHECK(data[1] == 0x03);
      CHECK(scsi::load16(data, 2) == row.cdb_bytes);
      CHECK(std::equal(data.begin() + 4, data.end(), row.usage.begin()));
    }
    CHECK(target.run(report_cdb(row.has_service_action() ? 1 : 2, row.opcode, service_action), 100)
              ->refused_with(invalid_field_in_cdb));
    const auto timed = target.run(report_cdb(0x83, row.opcode, service_action), 100);
    REQUIRE(timed->mover.data_in.size() == 16u + row.cdb_bytes);
    CHECK(timed->mover.data_in[1] == 0x83);
  }
  for (const std::uint8_t option : Bytes{1, 2, 3}) {
    const auto run = target.run(report_cdb(option, 0xff), 100);
    REQUIRE(run->is_good());
    CHECK(run->mover.data_in == Bytes{0, 1, 0, 0});
  }
  CHECK(target.run(report_cdb(3, 0x28, 1), 100)->mover.data_in == Bytes{0, 1, 0, 0});
  CHECK(target.run(report_cdb(2, 0x9e, 0x1f), 100)->mover.data_in == Bytes{0, 1, 0, 0});
  CHECK(target.run(report_cdb(4), 100)->refused_with(invalid_field_in_cdb));
}

TEST_CASE("a command that the device cannot do is not reported", "[scsi][SPC-5 6.34]") {
  backends::Geometry geometry = thin_geometry();
  geometry.discard_granularity = 0;
  Target target(geometry);
  CHECK(target.run(report_cdb(1, 0x42), 100)->mover.data_in == Bytes{0, 1, 0, 0});
  const auto all = target.run(report_cdb(0), 0xffff);
  const auto rows = command_rows();
  const auto without = std::count_if(rows.begin(), rows.end(), [](const CommandRow& row) {
    return row.has(scsi_server::command_flags::needs_discard);
  });
  CHECK(without == 2);  // UNMAP, SANITIZE BLOCK ERASE
  CHECK(all->mover.data_in.size() == 4 + 8 * (rows.size() - static_cast<std::size_t>(without)));
}

TEST_CASE("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS says what there is", "[scsi][SPC-5 6.35]") {
  Target target;
  CHECK(target.run({0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256)->mover.data_in == Bytes{0xd8, 0, 0, 0});
  const auto extended = target.run({0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
  REQUIRE(extended->mover.data_in.size() == 16);
  CHECK(extended->mover.data_in[3] == 0x0c);
}
