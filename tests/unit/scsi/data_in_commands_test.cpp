// INQUIRY, MODE SENSE and SELECT, READ CAPACITY, the REPORT commands, LOG SENSE: what they say and how it is cut.
#include "protocol/scsi/inquiry.h"
#include "protocol/scsi/mode_pages.h"
#include "tests/unit/scsi/target.h"

using namespace lunaris;
using namespace lunaris::test;
using namespace lunaris::scsi::additional_sense;
using scsi::SenseKey;

namespace {

Bytes inquiry_cdb(std::uint16_t allocation_length, int page = -1) {
  Bytes cdb{0x12, 0, 0, 0, 0, 0};
  if (page >= 0) {
    cdb[1] = 1;
    cdb[2] = static_cast<std::uint8_t>(page);
  }
  scsi::store16(cdb, 3, allocation_length);
  return cdb;
}

std::string text(const Bytes& data, std::size_t offset, std::size_t size) {
  return std::string(data.begin() + static_cast<std::ptrdiff_t>(offset),
                     data.begin() + static_cast<std::ptrdiff_t>(offset + size));
}

/// A data-in command whose allocation length is `size` bytes at `offset` of the CDB.
struct DataIn {
  const char* name;
  Bytes cdb;
  std::size_t offset, size;
};

const DataIn data_in_commands[] = {
    {"REQUEST SENSE", {0x03, 0, 0, 0, 0, 0}, 4, 1},
    {"INQUIRY", {0x12, 0, 0, 0, 0, 0}, 3, 2},
    {"INQUIRY 00", {0x12, 1, 0x00, 0, 0, 0}, 3, 2},
    {"INQUIRY 80", {0x12, 1, 0x80, 0, 0, 0}, 3, 2},
    {"INQUIRY 83", {0x12, 1, 0x83, 0, 0, 0}, 3, 2},
    {"INQUIRY 86", {0x12, 1, 0x86, 0, 0, 0}, 3, 2},
    {"INQUIRY 8F", {0x12, 1, 0x8f, 0, 0, 0}, 3, 2},
    {"RECEIVE COPY OPERATING PARAMETERS", {0x84, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 10, 4},
    {"INQUIRY B0", {0x12, 1, 0xb0, 0, 0, 0}, 3, 2},
    {"INQUIRY B1", {0x12, 1, 0xb1, 0, 0, 0}, 3, 2},
    {"INQUIRY B2", {0x12, 1, 0xb2, 0, 0, 0}, 3, 2},
    {"MODE SENSE (6)", {0x1a, 0, 0x3f, 0xff, 0, 0}, 4, 1},
    {"MODE SENSE (10)", {0x5a, 0x10, 0x3f, 0xff, 0, 0, 0, 0, 0, 0}, 7, 2},
    {"RECEIVE DIAGNOSTIC RESULTS", {0x1c, 1, 0, 0, 0, 0}, 3, 2},
    {"LOG SENSE 00", {0x4d, 0, 0x40, 0, 0, 0, 0, 0, 0, 0}, 7, 2},
    {"LOG SENSE 0D", {0x4d, 0, 0x4d, 0, 0, 0, 0, 0, 0, 0}, 7, 2},
    {"LOG SENSE 2F", {0x4d, 0, 0x6f, 0, 0, 0, 0, 0, 0, 0}, 7, 2},
    {"READ CAPACITY (16)", {0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 10, 4},
    {"READ DEFECT DATA (10)", {0x37, 0, 0x18, 0, 0, 0, 0, 0, 0, 0}, 7, 2},
    {"READ DEFECT DATA (12)", {0xb7, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 6, 4},
    {"GET LBA STATUS", {0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 10, 4},
    {"REPORT LUNS", {0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 6, 4},
    {"REPORT TARGET PORT GROUPS", {0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 6, 4},
    {"REPORT SUPPORTED OPERATION CODES", {0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 6, 4},
    {"REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", {0xa3, 0x0d, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 6, 4},
};

}  // namespace

TEST_CASE("every data-in command gives exactly as much as its allocation length allows",
          "[scsi][SCSI-1][SPC-5 4.2.5.6]") {
  Target target;
  for (const DataIn& command : data_in_commands) {
    CAPTURE(command.name);
    Bytes cdb = command.cdb;
    scsi::store(cdb, command.offset, command.size, command.size == 1 ? 0xff : 0xffff);
    const auto whole = target.run(cdb, 0x10000);
    REQUIRE(whole->is_good());
    const Bytes all = whole->mover.data_in;
    REQUIRE_FALSE(all.empty());
    CHECK(whole->command.data_in_length == all.size());
    for (std::size_t length = 0; length <= std::min<std::size_t>(all.size() + 3, 255); ++length) {
      scsi::store(cdb, command.offset, command.size, length);
      const auto cut = target.run(cdb, 0x10000);
      const std::size_t expected = std::min(length, all.size());
      REQUIRE(cut->is_good());
      if (std::string(command.name) == "GET LBA STATUS") continue;  // its length decides how many descriptors there are
      REQUIRE(cut->mover.data_in == Bytes(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(expected)));
      REQUIRE(cut->command.data_in_length == expected);
    }
  }
}

TEST_CASE("standard INQUIRY data describes a disk with tagged commands", "[scsi][SPC-5 6.7.2]") {
  Target target;
  const auto run = target.run(inquiry_cdb(255), 255);
  REQUIRE(run->is_good());
  const Bytes& data = run->mover.data_in;
  REQUIRE(data.size() >= 66);
  CHECK(data[0] == 0x00);
  CHECK(data[2] == 0x06);
  CHECK((data[3] & 0x0f) == 2);
  CHECK(data[4] == data.size() - 5);
  CHECK((data[5] & 0x30) == 0x10);
  CHECK((data[7] & 0x02) == 0x02);
  CHECK(text(data, 8, 8) == "LUNARIS ");
  CHECK(text(data, 16, 16) == "VOLUME          ");
  CHECK(scsi::load16(data, 60) == 0x0960);
}

TEST_CASE("INQUIRY refuses a page code without EVPD and pages there are not", "[scsi][SPC-5 6.7.1]") {
  Target target;
  CHECK(target.run({0x12, 0, 0x80, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
  const auto run = target.run(inquiry_cdb(255, 0xb5), 255);
  CHECK(run->refused_with(invalid_field_in_cdb));
  CHECK(run->sense().field == scsi::FieldPointer{.in_cdb = true, .byte = 2, .bit = std::nullopt});
}

TEST_CASE("the page of supported VPD pages lists what answers", "[scsi][SPC-5 7.7.16]") {
  Target target;
  const auto list = target.run(inquiry_cdb(255, 0x00), 255);
  REQUIRE(list->is_good());
  CHECK(list->mover.data_in == Bytes{0x00, 0x00, 0x00, 0x08, 0x00, 0x80, 0x83, 0x86, 0x8f, 0xb0, 0xb1, 0xb2});
  for (std::size_t index = 4; index < list->mover.data_in.size(); ++index) {
    const std::uint8_t page = list->mover.data_in[index];
    const auto run = target.run(inquiry_cdb(0xffff, page), 0xffff);
    REQUIRE(run->is_good());
    CHECK(run->mover.data_in[1] == page);
    CHECK(scsi::load16(run->mover.data_in, 2) == run->mover.data_in.size() - 4);
  }
}

TEST_CASE("device identification names unit and port by designators that hold together", "[scsi][SPC-5 7.7.6]") {
  Target target;
  const auto run = target.run(inquiry_cdb(0xffff, 0x83), 0xffff);
  REQUIRE(run->is_good());
  const Bytes& data = run->mover.data_in;
  std::vector<unsigned> types;
  for (std::size_t offset = 4; offset < data.size();) {
    REQUIRE(offset + 4 <= data.size());
    const unsigned type = data[offset + 1] & 0x0fU;
    const unsigned association = data[offset + 1] >> 4 & 3U;
    const std::size_t size = data[offset + 3];
    REQUIRE(offset + 4 + size <= data.size());
    types.push_back(type);
    if (type == 3) {
      CHECK(association == 0);
      REQUIRE(size == 16);
      CHECK(data[offset + 4] >> 4 == 6);
      CHECK((data[offset + 5] & 0x30) == 0x20);  // locally administered, not a group
    }
    if (type == 8) {
      CHECK(size % 4 == 0);
      CHECK(data[offset + 3 + size] == 0);
      CHECK((data[offset + 1] & 0x80) != 0);
      CHECK(data[offset] >> 4 == 5);
      const std::string name = association == 1 ? "iqn.2026-01.io.example:db1,t,0x0001" : "iqn.2026-01.io.example:db1";
      CHECK(text(data, offset + 4, name.size()) == name);
    }
    if (type == 4 || type == 5) CHECK(scsi::load16(data, offset + 6) == 1);
    offset += 4 + size;
  }
  CHECK(types == std::vector<unsigned>{3, 1, 10, 4, 5, 8, 8});
}

TEST_CASE("a serial number that is not set is the UUID", "[scsi][SPC-5 7.7.19]") {
  Target target;
  const auto run = target.run(inquiry_cdb(255, 0x80), 255);
  CHECK(text(run->mover.data_in, 4, 32) == "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
}

TEST_CASE("provisioning is reported as the device has it", "[scsi][SBC-4 6.6.7]") {
  for (const bool zeros : {false, true}) {
    for (const std::uint32_t granularity : {0u, 4096u}) {
      backends::Geometry geometry = thin_geometry();
      geometry.discard_granularity = granularity;
      geometry.discard_reads_zero = zeros;
      Target target(geometry);
      const bool unmaps = granularity != 0;
      const auto page = target.run(inquiry_cdb(255, 0xb2), 255);
      CHECK((page->mover.data_in[5] & 0xe0) == (unmaps ? 0xe0 : 0));
      CHECK((page->mover.data_in[5] & 0x04) == (unmaps && zeros ? 0x04 : 0));
      const auto capacity = target.run({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32);
      REQUIRE(capacity->mover.data_in.size() == 32);
      CHECK((capacity->mover.data_in[14] & 0x80) == (unmaps ? 0x80 : 0));
      CHECK((capacity->mover.data_in[14] & 0x40) == (unmaps && zeros ? 0x40 : 0));
      const auto limits = target.run(inquiry_cdb(255, 0xb0), 255);
      REQUIRE(limits->mover.data_in.size() == 64);
      CHECK((scsi::load32(limits->mover.data_in, 20) != 0) == unmaps);
      CHECK(scsi::load32(limits->mover.data_in, 28) == granularity / 512);
      CHECK(scsi::load32(limits->mover.data_in, 20) <= 1024 * 1024);
      CHECK(limits->mover.data_in[4] == 0);
      CHECK(scsi::load64(limits->mover.data_in, 36) == 0);
      CHECK(scsi::load16(target.run(inquiry_cdb(255, 0xb1), 255)->mover.data_in, 4) == 1);
    }
  }
}

TEST_CASE("READ CAPACITY tells the last block and the sizes", "[scsi][SBC-4 5.18]") {
  Target target;
  const auto ten = target.run({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8);
  CHECK(ten->mover.data_in == Bytes{0, 0, 0x07, 0xff, 0, 0, 2, 0});
  const auto sixteen = target.run({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32);
  REQUIRE(sixteen->mover.data_in.size() == 32);
  CHECK(scsi::load64(sixteen->mover.data_in, 0) == 2047);
  CHECK(scsi::load32(sixteen->mover.data_in, 8) == 512);
  CHECK((sixteen->mover.data_in[13] & 0x0f) == 3);  // eight logical blocks in a physical one
}

TEST_CASE("READ CAPACITY (10) of more than 32 bits says so", "[scsi][SBC-4 5.18]") {
  backends::Geometry geometry = thin_geometry(4096);
  Target target(geometry, view_of(std::uint64_t{1} << 42));
  const auto ten = target.run({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8);
  CHECK(scsi::load32(ten->mover.data_in, 0) == 0xffffffff);
  const auto sixteen = target.run({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32);
  CHECK(scsi::load64(sixteen->mover.data_in, 0) == (std::uint64_t{1} << 33) - 1);
}

TEST_CASE("GET LBA STATUS tells extents in blocks and joins neighbours", "[scsi][SBC-4 5.6]") {
  using backends::ExtentState;
  Target target;
  target.disk.script->extents = {{{0, 4096}, ExtentState::mapped},
                                 {{4096, 4096}, ExtentState::mapped},
                                 {{8192, 8192}, ExtentState::deallocated},
                                 {{16384, (1 << 20) - 16384}, ExtentState::mapped}};
  const auto ask = [&](std::uint64_t lba, std::uint32_t length) {
    Bytes cdb = cdb16(0x9e, lba, length);
    cdb[1] = 0x12;
    return target.run(cdb, length);
  };
  const auto all = ask(0, 1000);
  REQUIRE(all->is_good());
  const Bytes& data = all->mover.data_in;
  REQUIRE(data.size() == 8 + 3 * 16);
  CHECK(scsi::load32(data, 0) == data.size() - 4);
  CHECK(scsi::load64(data, 8) == 0);
  CHECK(scsi::load32(data, 16) == 16);
  CHECK(data[20] == 0);
  CHECK(scsi::load64(data, 24) == 16);
  CHECK(scsi::load32(data, 32) == 16);
  CHECK(data[36] == 1);
  CHECK(scsi::load64(data, 40) == 32);
  CHECK(scsi::load32(data, 48) == 2048 - 32);
  const auto one = ask(20, 24);
  REQUIRE(one->mover.data_in.size() == 24);
  CHECK(scsi::load64(one->mover.data_in, 8) == 20);
  CHECK(scsi::load32(one->mover.data_in, 16) == 12);
  CHECK(one->mover.data_in[20] == 1);
  CHECK(ask(2047, 24)->is_good());
  CHECK(ask(2048, 24)->refused_with(logical_block_address_out_of_range));
  CHECK(ask(~0ULL, 24)->refused_with(logical_block_address_out_of_range));
}

TEST_CASE("a block counts as deallocated only when all of it is", "[scsi][SBC-4 5.6]") {
  using backends::ExtentState;
  Target target(thin_geometry(), view_of(1 << 20, 4096));
  target.disk.script->extents = {{{0, 512}, ExtentState::deallocated},
                                 {{512, 1024}, ExtentState::mapped},
                                 {{1536, (1 << 20) - 1536}, ExtentState::deallocated}};
  Bytes cdb = cdb16(0x9e, 0, 1000);
  cdb[1] = 0x12;
  const auto run = target.run(cdb, 1000);
  REQUIRE(run->mover.data_in.size() == 8 + 2 * 16);
  CHECK(scsi::load32(run->mover.data_in, 16) == 1);
  CHECK(run->mover.data_in[20] == 0);
  CHECK(scsi::load32(run->mover.data_in, 32) == 255);
  CHECK(run->mover.data_in[36] == 1);
}

TEST_CASE("MODE SENSE shows pages by code and subcode", "[scsi][SPC-5 6.14]") {
  Target target;
  const auto pages_of = [&](std::uint8_t page, std::uint8_t subpage) {
    const auto run = target.run({0x5a, 0x08, page, subpage, 0, 0, 0, 0xff, 0xff, 0}, 0xffff);
    std::vector<unsigned> codes;
    if (!run->is_good()) return codes;
    const Bytes& data = run->mover.data_in;
    CHECK(scsi::load16(data, 0) == data.size() - 2);
    for (std::size_t offset = 8; offset < data.size();) {
      const bool has_subpage = (data[offset] & 0x40) != 0;
      codes.push_back((data[offset] & 0x3fU) << 8 | (has_subpage ? data[offset + 1] : 0U));
      offset += has_subpage ? 4u + scsi::load16(data, offset + 2) : 2u + data[offset + 1];
      CHECK(offset <= data.size());
    }
    return codes;
  };
  CHECK(pages_of(0x3f, 0x00) == std::vector<unsigned>{0x0100, 0x0200, 0x0800, 0x0a00, 0x1a00, 0x1c00});
  CHECK(pages_of(0x3f, 0xff) == std::vector<unsigned>{0x0100, 0x0200, 0x0800, 0x0a00, 0x0a01, 0x1a00, 0x1c00});
  CHECK(pages_of(0x0a, 0xff) == std::vector<unsigned>{0x0a00, 0x0a01});
  for (const scsi::ModePageRow& row : scsi::mode_page_rows()) {
    CHECK(pages_of(row.page, row.subpage) == std::vector<unsigned>{row.page * 256u + row.subpage});
  }
  CHECK(target.run({0x1a, 0x08, 0x09, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
  CHECK(target.run({0x1a, 0x08, 0xc8, 0, 255, 0}, 255)->refused_with(saving_parameters_not_supported));
}

TEST_CASE("MODE SENSE shows the block descriptor in its three forms", "[scsi][SPC-5 7.5.6]") {
  Target target;
  const auto none = target.run({0x1a, 0x08, 0x08, 0, 255, 0}, 255);
  CHECK(none->mover.data_in[3] == 0);
  CHECK(none->mover.data_in.size() == 4 + 20);
  const auto six = target.run({0x1a, 0, 0x08, 0, 255, 0}, 255);
  CHECK(six->mover.data_in[3] == 8);
  CHECK(scsi::load32(six->mover.data_in, 4) == 2048);
  CHECK(scsi::load(six->mover.data_in, 9, 3) == 512);
  const auto ten = target.run({0x5a, 0x10, 0x08, 0, 0, 0, 0, 1, 0, 0}, 256);
  CHECK(scsi::load16(ten->mover.data_in, 6) == 16);
  CHECK((ten->mover.data_in[4] & 1) == 1);
  CHECK(scsi::load64(ten->mover.data_in, 8) == 2048);
  CHECK(scsi::load32(ten->mover.data_in, 20) == 512);
}

TEST_CASE("MODE SELECT changes what is changeable and MODE SENSE shows it", "[scsi][SPC-5 6.12]") {
  Target target;
  const auto control = [&](std::uint8_t page_control) {
    return target.run({0x1a, 0x08, static_cast<std::uint8_t>(page_control << 6 | 0x0a), 0, 255, 0}, 255)->mover.data_in;
  };
  const Bytes mask = control(1);
  REQUIRE(mask.size() == 16);
  CHECK(mask == Bytes{15, 0, 0x10, 0, 0x0a, 0x0a, 0x04, 0, 0x08, 0, 0, 0, 0, 0, 0, 0});
  Bytes list = control(0);
  CHECK((list[6] & 0xe0) == 0x20);  // TST 001b
  list[0] = 0;
  list[2] = 0;
  list[6] |= 0x04;  // D_SENSE
  list[8] |= 0x08;  // SWP
  REQUIRE(target.run({0x15, 0x10, 0, 0, 16, 0}, 0, list)->is_good());
  CHECK(control(0)[6] == list[6]);
  CHECK(control(0)[8] == list[8]);
  CHECK((control(2)[6] & 0x04) == 0);
  const auto refused = target.run(cdb10(0x2a, 0, 1), 0, Bytes(512));
  CHECK(refused->failed_with(SenseKey::data_protect, software_write_protected));
  CHECK(refused->command.sense.bytes()[0] == 0x72);
  list[6] = static_cast<std::uint8_t>(list[6] & ~0x04);
  list[8] = static_cast<std::uint8_t>(list[8] & ~0x08);
  REQUIRE(target
              .run({0x55, 0x10, 0, 0, 0, 0, 0, 0, 20, 0}, 0,
                   [&] {
                     Bytes ten(4);
                     ten.insert(ten.end(), list.begin(), list.end());
                     return ten;
                   }())
              ->is_good());
  CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->is_good());
}

TEST_CASE("MODE SELECT refuses a list that is wrong anywhere and changes nothing", "[scsi][SPC-5 6.12]") {
  Target target;
  Bytes list = target.run({0x1a, 0x08, 0x0a, 0, 255, 0}, 255)->mover.data_in;
  list[0] = list[2] = 0;
  list[8] |= 0x08;
  const auto select = [&](const Bytes& bytes, std::uint8_t flags = 0x10) {
    return target.run({0x15, flags, 0, 0, static_cast<std::uint8_t>(bytes.size()), 0}, 0, bytes);
  };
  for (std::size_t size = 1; size < list.size(); ++size) {
    if (size == 4) continue;  // a header alone asks for nothing
    Bytes cut = list;
    cut.resize(size);
    CHECK(select(cut)->refused_with(parameter_list_length_error));
  }
  for (std::size_t byte = 6; byte < list.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      if ((byte == 6 && bit == 2) || (byte == 8 && bit == 3)) continue;
      Bytes wrong = list;
      wrong[byte] = static_cast<std::uint8_t>(wrong[byte] ^ (1u << bit));
      const auto run = select(wrong);
      REQUIRE(run->refused_with(invalid_field_in_parameter_list));
      REQUIRE(run->sense().field ==
              scsi::FieldPointer{.in_cdb = false, .byte = static_cast<std::uint16_t>(byte), .bit = std::nullopt});
    }
  }
  Bytes unknown = list;
  unknown[4] = 0x09;
  CHECK(select(unknown)->refused_with(invalid_field_in_parameter_list));
  Bytes length = list;
  length[5] = 0x0b;
  CHECK(select(length)->refused_with(invalid_field_in_parameter_list));
  CHECK(select(list, 0x00)->refused_with(invalid_field_in_cdb));  // PF
  CHECK(select(list, 0x11)->refused_with(invalid_field_in_cdb));  // SP
  CHECK(target.run({0x15, 0x10, 0, 0, 16, 0}, 0, Bytes(list.begin(), list.begin() + 10))
            ->refused_with(parameter_list_length_error));
  Bytes resized(8 + 4);
  resized[3] = 8;
  scsi::store(resized, 9, 3, 4096);
  CHECK(select(resized)->refused_with(invalid_field_in_parameter_list));
  CHECK(target.run(cdb10(0x2a, 0, 1), 0, Bytes(512))->is_good());
}

TEST_CASE("REPORT LUNS lists the map for every SELECT REPORT", "[scsi][SPC-5 6.33]") {
  Target target;
  const auto report = [&](std::uint8_t select) {
    return target.run({0xa0, 0, select, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
  };
  for (const std::uint8_t select : Bytes{0x00, 0x02, 0x11}) {
    CHECK(report(select)->mover.data_in == Bytes{0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  }
  for (const std::uint8_t select : Bytes{0x01, 0x10}) CHECK(report(select)->mover.data_in == Bytes(8));
  for (const std::uint8_t select : Bytes{0x03, 0x12, 0xff}) CHECK(report(select)->refused_with(invalid_field_in_cdb));
}

TEST_CASE("REPORT TARGET PORT GROUPS tells one optimized group", "[scsi][SPC-5 6.36]") {
  Target target;
  CHECK(target.run({0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256)->mover.data_in ==
        Bytes{0, 0, 0, 12, 0, 0x01, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1});
  const auto extended = target.run({0xa3, 0x2a, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
  REQUIRE(extended->mover.data_in.size() == 20);
  CHECK(extended->mover.data_in[4] == 0x10);
}

TEST_CASE("LOG SENSE refuses pages there are not", "[scsi][SPC-5 6.7]") {
  Target target;
  CHECK(target.run({0x4d, 0, 0x55, 0, 0, 0, 0, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
  CHECK(target.run({0x4d, 0, 0x4d, 1, 0, 0, 0, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
  CHECK(target.run({0x4d, 0, 0x0d, 0, 0, 0, 0, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
  const auto pages = target.run({0x4d, 0, 0x40, 0, 0, 0, 0, 0, 255, 0}, 255);
  CHECK(pages->mover.data_in == Bytes{0, 0, 0, 3, 0x00, 0x0d, 0x2f});
}

TEST_CASE("the small commands do what little they have to", "[scsi]") {
  Target target;
  CHECK(target.run({0x1b, 0, 0, 0, 0x01, 0})->is_good());
  CHECK(target.disk.script->flushes == 0);
  CHECK(target.run({0x1b, 0, 0, 0, 0x00, 0})->is_good());
  CHECK(target.disk.script->flushes == 1);
  CHECK(target.run({0x1b, 0, 0, 0, 0x02, 0})->refused_with(invalid_field_in_cdb));  // LOEJ
  CHECK(target.run({0x1e, 0, 0, 0, 1, 0})->is_good());
  CHECK(target.run({0x1d, 0x04, 0, 0, 0, 0})->is_good());
  CHECK(target.run({0x1c, 0x01, 0x80, 0, 255, 0}, 255)->refused_with(invalid_field_in_cdb));
}
