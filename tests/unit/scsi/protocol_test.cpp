// The pure half: sense data, CDBs, fields, mode pages.
#include <limits>

#include "protocol/scsi/cdb.h"
#include "protocol/scsi/fields.h"
#include "protocol/scsi/inquiry.h"
#include "protocol/scsi/mode_pages.h"
#include "protocol/scsi/sense.h"

#include <catch2/catch.hpp>

using namespace lunaris::scsi;
using Bytes = std::vector<std::uint8_t>;

TEST_CASE("fixed format sense data has its fields where SPC puts them", "[scsi][SPC-5 4.4.3]") {
  Sense sense;
  sense.encode({.key = SenseKey::illegal_request,
                .additional = additional_sense::invalid_field_in_cdb,
                .information = 0x01020304,
                .field = FieldPointer{.in_cdb = true, .byte = 0x0102, .bit = 5}},
               SenseFormat::fixed);
  const auto bytes = sense.bytes();
  CHECK(Bytes(bytes.begin(), bytes.end()) ==
        Bytes{0xf0, 0, 0x05, 1, 2, 3, 4, 10, 0, 0, 0, 0, 0x24, 0x00, 0, 0xcd, 0x01, 0x02});
}

TEST_CASE("descriptor format sense data carries its descriptors", "[scsi][SPC-5 4.4.2]") {
  Sense sense;
  sense.encode({.key = SenseKey::illegal_request,
                .additional = additional_sense::invalid_field_in_parameter_list,
                .information = 0x0102030405060708,
                .field = FieldPointer{.in_cdb = false, .byte = 7, .bit = std::nullopt}},
               SenseFormat::descriptor);
  const auto bytes = sense.bytes();
  CHECK(Bytes(bytes.begin(), bytes.end()) == Bytes{0x72, 5, 0x26, 0, 0, 0, 0,    20, 0x00, 0x0a, 0x80, 0, 1, 2,
                                                   3,    4, 5,    6, 7, 8, 0x02, 6,  0,    0,    0x80, 0, 7, 0});
}

TEST_CASE("sense data survives both formats", "[scsi][SPC-5 4.4]") {
  const SenseData samples[] = {
      {},
      {.key = SenseKey::not_ready,
       .additional = additional_sense::logical_unit_not_ready_offline,
       .information = {},
       .field = {}},
      {.key = SenseKey::medium_error,
       .additional = additional_sense::unrecovered_read_error,
       .information = 77,
       .field = {}},
      {.key = SenseKey::illegal_request,
       .additional = additional_sense::invalid_field_in_cdb,
       .information = {},
       .field = FieldPointer{.in_cdb = true, .byte = 9, .bit = 0}},
      {.key = SenseKey::illegal_request,
       .additional = additional_sense::invalid_field_in_parameter_list,
       .information = 0xffffffff,
       .field = FieldPointer{.in_cdb = false, .byte = 65535, .bit = 7}},
  };
  for (const SenseFormat format : {SenseFormat::fixed, SenseFormat::descriptor}) {
    for (const SenseData& sample : samples) {
      Sense sense;
      CHECK(sense.empty());
      sense.encode(sample, format);
      CHECK(sense.bytes().size() <= Sense::bytes_max);
      CHECK(decode_sense(sense.bytes()) == sample);
      sense.clear();
      CHECK(sense.empty());
    }
  }
}

TEST_CASE("fixed format leaves out an information that does not fit", "[scsi][SPC-5 4.4.3]") {
  Sense sense;
  sense.encode({.key = SenseKey::medium_error, .additional = {}, .information = 1ULL << 32, .field = {}},
               SenseFormat::fixed);
  CHECK(sense.bytes()[0] == 0x70);
  CHECK_FALSE(decode_sense(sense.bytes())->information.has_value());
}

TEST_CASE("what is no sense data is not taken for it", "[scsi][SPC-5 4.4]") {
  CHECK_FALSE(decode_sense({}));
  CHECK_FALSE(decode_sense(Bytes(17)));
  CHECK_FALSE(decode_sense(Bytes{0x70, 0, 5, 0, 0, 0, 0, 10}));
  CHECK_FALSE(decode_sense(Bytes{0x72, 5, 0x24, 0, 0, 0, 0, 12, 0x00, 0x0a}));
}

TEST_CASE("block CDBs of every length decode to their blocks", "[scsi][SBC-4 5.16]") {
  CHECK(decode_block_cdb(Bytes{0x08, 0xff, 0x02, 0x03, 9, 0}).range == BlockRange{0x1f0203, 9});
  CHECK(decode_block_cdb(Bytes{0x08, 0, 0, 0, 0, 0}).range == BlockRange{0, 256});
  CHECK(decode_block_cdb(Bytes{0x28, 0, 1, 2, 3, 4, 0, 5, 6, 0}).range == BlockRange{0x01020304, 0x0506});
  CHECK(decode_block_cdb(Bytes{0xa8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0}).range == BlockRange{0x01020304, 0x05060708});
  CHECK(decode_block_cdb(Bytes{0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0}).range ==
        BlockRange{0x0102030405060708, 0x090a0b0c});
  CHECK(decode_block_cdb(Bytes{0x28, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}).force_unit_access());
  CHECK(decode_block_cdb(Bytes{0x2f, 0x06, 0, 0, 0, 0, 0, 0, 0, 0}).byte_check() == ByteCheck::compare_one_block);
}

TEST_CASE("a block range fits or does not however large its numbers are", "[scsi][SCSI-1]") {
  constexpr std::uint64_t top = std::numeric_limits<std::uint64_t>::max();
  CHECK(BlockRange{0, 10}.fits(10));
  CHECK(BlockRange{10, 0}.fits(10));
  CHECK_FALSE(BlockRange{11, 0}.fits(10));
  CHECK_FALSE(BlockRange{0, 11}.fits(10));
  CHECK_FALSE(BlockRange{top, 2}.fits(10));
  CHECK_FALSE(BlockRange{2, top}.fits(10));
  CHECK_FALSE(BlockRange{top, top}.fits(top - 1));
}

TEST_CASE("fields out of range read as zero and write nothing", "[scsi][fields]") {
  Bytes bytes{1, 2, 3, 4};
  CHECK(load32(bytes, 0) == 0x01020304);
  CHECK(load32(bytes, 1) == 0);
  CHECK(load8(bytes, 4) == 0);
  CHECK(load64({}, std::numeric_limits<std::size_t>::max()) == 0);
  store32(bytes, 1, 0xffffffff);
  CHECK(bytes == Bytes{1, 2, 3, 4});
  store16(bytes, 2, 0xabcd);
  CHECK(bytes == Bytes{1, 2, 0xab, 0xcd});
  store_text(bytes, 0, 4, "a\n");
  CHECK(bytes == Bytes{'a', ' ', ' ', ' '});
}

TEST_CASE("mode page headers agree with the pages' sizes", "[scsi][SPC-5 7.5]") {
  for (const ModePageRow& row : mode_page_rows()) {
    CAPTURE(row.name);
    const bool has_subpage = (row.bytes[0] & 0x40) != 0;
    CHECK((row.bytes[0] & 0x3f) == row.page);
    CHECK(has_subpage == (row.subpage != 0));
    if (has_subpage) CHECK(row.bytes[1] == row.subpage);
    CHECK(row.bytes.size() == (has_subpage ? 4u + load16(row.bytes, 2) : 2u + row.bytes[1]));
  }
}

TEST_CASE("what MODE SENSE shows MODE SELECT takes for every setting", "[scsi][SPC-5 6.12]") {
  const ModeBlockDescriptor medium{.block_count = 2048, .block_bytes = 512, .long_lba = false};
  for (unsigned bits = 0; bits < 8; ++bits) {
    const ModeSettings settings{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
    const ReplyBytes pages = *encode_mode_pages(all_mode_pages, all_mode_subpages, PageControl::current, settings, {});
    for (const bool ten : {false, true}) {
      ReplyBytes list = encode_mode_reply(ten, false, medium, pages);
      store(list, 0, ten ? 2 : 1, 0);
      const ModeSelectVerdict verdict = decode_mode_select(ten, list, ModeSettings{}, medium);
      CHECK_FALSE(verdict.refused);
      CHECK(verdict.settings == settings);
    }
  }
}

TEST_CASE("the NAA designator keeps what it can of the UUID", "[scsi][SPC-5 7.7.6]") {
  std::array<std::uint8_t, 16> uuid;
  uuid.fill(0xff);
  const auto naa = naa_of(uuid);
  CHECK(naa[0] == 0x6f);
  CHECK(naa[1] == 0xef);
  for (std::size_t index = 2; index < 16; ++index) CHECK(naa[index] == 0xff);
}
