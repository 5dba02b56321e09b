// Data in both directions: every combination of InitialR2T and ImmediateData, digests, residuals, faults of Data-Out.
#include <catch2/catch.hpp>

#include "tests/unit/iscsi/fixture.h"

namespace lunaris::sim {
namespace {

TEST_CASE("writes of every size arrive in every combination of InitialR2T and ImmediateData",
          "[iscsi][RFC7143-4.2.5]") {
  const bool initial_r2t = GENERATE(true, false);
  const bool immediate_data = GENERATE(true, false);
  const bool digests = GENERATE(true, false);
  const bool pieces = GENERATE(true, false);
  CAPTURE(initial_r2t, immediate_data, digests, pieces);
  LoginOptions options;
  options.initial_r2t = initial_r2t;
  options.immediate_data = immediate_data;
  options.header_digest = options.data_digest = digests;
  options.max_outstanding_r2t = 4;
  options.max_burst_length = 131072;
  SimLink link;
  link.random_pieces = pieces;
  link.piece_bytes_max = pieces ? 9000 : 1 << 20;
  Fixture fixture(options, link);
  std::uint32_t seed = 1;
  for (const std::uint16_t blocks : std::initializer_list<std::uint16_t>{1, 8, 128, 129, 512, 1000, 2048}) {
    const auto data = pattern(std::size_t{blocks} * block_bytes, ++seed);
    CAPTURE(blocks, seed);
    const CommandResult written = fixture.initiator.write(seed * 3, data);
    REQUIRE(written.ended);
    REQUIRE(written.status == 0);
    REQUIRE(written.residual == iscsi::Residual{});
    REQUIRE(fixture.on_medium(seed * 3, data.size()) == data);
    const CommandResult read = fixture.initiator.read(seed * 3, blocks);
    REQUIRE(read.ended);
    REQUIRE(read.status == 0);
    REQUIRE(read.data == data);
  }
  if (!initial_r2t || !immediate_data) REQUIRE(fixture.initiator.r2ts_seen() > 0);
  fixture.check_clean_logout();
}

TEST_CASE("many commands received at once are answered in one write", "[iscsi][send-queue]") {
  Fixture fixture;
  // One segment with 32 commands: the target reads them in one turn.
  const std::uint64_t writes_before = fixture.initiator.peer().pipe().server_writes;
  std::vector<std::uint32_t> tags;
  for (std::uint32_t i = 0; i < 32; ++i) tags.push_back(fixture.initiator.start_read(i * 8, 8));
  for (const std::uint32_t tag : tags) REQUIRE(fixture.initiator.finish(tag).status == 0);
  REQUIRE(fixture.initiator.peer().pipe().server_writes - writes_before <= 2);
}

TEST_CASE("status rides on the last Data-In of a read that succeeds", "[iscsi][RFC7143-11.7.3]") {
  Fixture fixture;
  const std::size_t before = fixture.initiator.responses_seen();
  REQUIRE(fixture.initiator.read(0, 8).status == 0);
  REQUIRE(fixture.initiator.responses_seen() - before == 1);
}

TEST_CASE("a small read does not wait behind a large one", "[iscsi][send-queue]") {
  LoginOptions options;
  options.max_recv_data_segment_length = 262144;
  options.max_burst_length = 1048576;
  SimLink link;
  link.piece_bytes_max = 65536;
  Fixture fixture(options, link);
  const std::uint32_t large = fixture.initiator.start_read(0, 2048);
  const std::uint32_t small = fixture.initiator.start_read(4096, 8);
  const CommandResult result = fixture.initiator.finish(small);
  REQUIRE(result.status == 0);
  REQUIRE_FALSE(fixture.initiator.has_ended(large));
  REQUIRE(fixture.initiator.finish(large).data.size() == 2048 * block_bytes);
}

TEST_CASE("a read of less than the initiator expects is an underflow", "[iscsi][RFC7143-11.4.5]") {
  Fixture fixture;
  iscsi::ScsiCommand pdu = fixture.initiator.command(read_10(0, 1));
  pdu.read = true;
  pdu.expected_data_transfer_length = 1536;
  const CommandResult result = fixture.initiator.finish(fixture.initiator.start(pdu));
  REQUIRE(result.status == 0);
  REQUIRE(result.data.size() == 512);
  REQUIRE(result.residual == iscsi::Residual{iscsi::Residual::Kind::underflow, 1024});
}

TEST_CASE("a read of more than the initiator expects is cut and an overflow", "[iscsi][RFC7143-11.4.5]") {
  Fixture fixture;
  iscsi::ScsiCommand pdu = fixture.initiator.command(read_10(0, 4));
  pdu.read = true;
  pdu.expected_data_transfer_length = 512;
  const CommandResult result = fixture.initiator.finish(fixture.initiator.start(pdu));
  REQUIRE(result.ended);
  REQUIRE(result.data.size() == 512);
  REQUIRE(result.residual == iscsi::Residual{iscsi::Residual::Kind::overflow, 1536});
}

TEST_CASE("a write of less than the initiator offers is an underflow", "[iscsi][RFC7143-11.4.5]") {
  LoginOptions options;
  options.immediate_data = false;
  Fixture fixture(options);
  iscsi::ScsiCommand pdu = fixture.initiator.command(write_10(5, 1));
  pdu.write = true;
  pdu.expected_data_transfer_length = 1024;
  const auto data = pattern(1024, 3);
  const CommandResult result = fixture.initiator.finish(fixture.initiator.start(pdu, data));
  REQUIRE(result.status == 0);
  REQUIRE(result.residual == iscsi::Residual{iscsi::Residual::Kind::underflow, 512});
  REQUIRE(fixture.on_medium(5, 512) == std::vector<std::byte>(data.begin(), data.begin() + 512));
}

TEST_CASE("a command that fails carries sense data and the whole length as underflow", "[iscsi][RFC7143-11.4.7]") {
  Fixture fixture;
  const CommandResult result = fixture.initiator.read(0x7fffffff, 8);
  REQUIRE(result.ended);
  REQUIRE(result.status == check_condition);
  REQUIRE(result.sense.size() >= 14);
  REQUIRE((result.sense[2] & std::byte{0xf}) == std::byte{5});
  REQUIRE(result.sense[12] == std::byte{0x21});
  REQUIRE(result.residual == iscsi::Residual{iscsi::Residual::Kind::underflow, 4096});
}

TEST_CASE("a bidirectional command is refused with sense data", "[iscsi][RFC7143-11.3]") {
  Fixture fixture;
  iscsi::ScsiCommand pdu = fixture.initiator.command({0x53, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  pdu.read = pdu.write = true;
  pdu.expected_data_transfer_length = 512;
  pdu.bidirectional_read_length = 512;
  const CommandResult result = fixture.initiator.finish(fixture.initiator.start(pdu, pattern(512, 1)));
  REQUIRE(result.ended);
  REQUIRE(result.status == check_condition);
  REQUIRE((result.sense[2] & std::byte{0xf}) == std::byte{5});
  fixture.check_clean_logout();
}

// ---- SN-2, SN-3, DIG-1 --------------------------------------------------------------------------------------------

// A write without immediate data, up to its first R2T.
struct WaitingWrite {
  explicit WaitingWrite(Fixture& fixture, std::uint32_t bytes = 4096) : data(pattern(bytes, 99)) {
    Initiator& initiator = fixture.initiator;
    initiator.ignore_r2ts();
    iscsi::ScsiCommand pdu = initiator.command(write_10(100, static_cast<std::uint16_t>(bytes / block_bytes)));
    pdu.write = true;
    pdu.expected_data_transfer_length = bytes;
    tag = initiator.start(pdu, data);
    fixture.world.run_until([&] { return initiator.poll() || initiator.r2ts_seen() > 0; }, 1'000'000'000);
    REQUIRE(initiator.r2ts_seen() == 1);
    data_out.initiator_task_tag = tag;
    data_out.target_transfer_tag = 1;  // the session's first
    data_out.exp_stat_sn = initiator.exp_stat_sn();
    data_out.final_bit = true;
  }
  std::vector<std::byte> data;
  std::uint32_t tag = 0;
  iscsi::DataOut data_out;
};

TEST_CASE("SN-2 Data-Out that breaks the rules fails its task and nothing is written", "[iscsi][SN-2]") {
  Fixture fixture(no_immediate_data());
  const auto before = fixture.on_medium(100, 4096);
  WaitingWrite write(fixture);
  std::span<const std::byte> data = write.data;
  const int wrong = GENERATE(0, 1, 2, 3, 4, 5);
  CAPTURE(wrong);
  switch (wrong) {
    case 0:
      write.data_out.data_sn = iscsi::SerialNumber(1);
      break;
    case 1:
      write.data_out.data_sn = iscsi::SerialNumber(0xffffffff);
      break;
    case 2:
      write.data_out.buffer_offset = 512;
      data = data.first(3584);
      break;
    case 3:
      write.data_out.target_transfer_tag = 0x12345;
      break;
    case 4:
      write.data_out.buffer_offset = 0xfffffe00;
      data = data.first(512);
      break;
    default:
      data = data.first(512);  // F, but too little
      break;
  }
  fixture.initiator.send(write.data_out, data);
  const CommandResult result = fixture.initiator.finish(write.tag);
  REQUIRE(result.ended);
  REQUIRE(result.status == check_condition);
  REQUIRE((result.sense[2] & std::byte{0xf}) == std::byte{0xb});
  REQUIRE(fixture.on_medium(100, 4096) == before);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SN-2 more data than the R2T asked for fails the task and stays inside the buffer", "[iscsi][SN-2]") {
  Fixture fixture(no_immediate_data());
  const auto before = fixture.on_medium(100, 8192);
  WaitingWrite write(fixture);
  fixture.initiator.send(write.data_out, pattern(8192, 5));
  const CommandResult result = fixture.initiator.finish(write.tag);
  REQUIRE(result.status == check_condition);
  REQUIRE(fixture.on_medium(100, 8192) == before);
}

TEST_CASE("SN-2 Data-Out for no task is rejected with its header", "[iscsi][SN-2][RFC7143-11.17]") {
  Fixture fixture;
  iscsi::DataOut pdu;
  pdu.initiator_task_tag = 0x7777;
  pdu.target_transfer_tag = 3;
  pdu.final_bit = true;
  pdu.exp_stat_sn = fixture.initiator.exp_stat_sn();
  fixture.initiator.send(pdu, pattern(512, 1));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  const auto* reject = answer->as<iscsi::Reject>();
  REQUIRE(reject != nullptr);
  REQUIRE(reject->reason == iscsi::RejectReason::invalid_pdu_field);
  REQUIRE(answer->data.size() == iscsi::bhs_bytes);
  REQUIRE(iscsi::peek_initiator_task_tag(iscsi::BhsView{answer->data.data(), iscsi::bhs_bytes}) == 0x7777);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SN-2 Data-Out for a read fails the read only", "[iscsi][SN-2]") {
  Fixture fixture;
  fixture.target.medium().delay_ns_max = 50'000'000;
  const std::uint32_t tag = fixture.initiator.start_read(0, 8);
  iscsi::DataOut pdu;
  pdu.initiator_task_tag = tag;
  pdu.target_transfer_tag = 1;
  pdu.final_bit = true;
  pdu.exp_stat_sn = fixture.initiator.exp_stat_sn();
  fixture.initiator.send(pdu, pattern(512, 1));
  const CommandResult result = fixture.initiator.finish(tag);
  REQUIRE(result.ended);
  REQUIRE(result.status == check_condition);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
}

TEST_CASE("SN-3 immediate data where none was agreed fails the command", "[iscsi][SN-3][RFC7143-11.4.7.2]") {
  Fixture fixture(no_immediate_data());
  const auto before = fixture.on_medium(9, 512);
  iscsi::ScsiCommand pdu = fixture.initiator.command(write_10(9, 1));
  pdu.write = true;
  pdu.expected_data_transfer_length = 512;
  fixture.initiator.send(pdu, pattern(512, 1));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  const auto* response = answer->as<iscsi::ScsiResponse>();
  REQUIRE(response != nullptr);
  REQUIRE(response->status == check_condition);
  REQUIRE(answer->data.at(2 + 12) == std::byte{0x0c});
  REQUIRE(answer->data.at(2 + 13) == std::byte{0x0c});
  REQUIRE(fixture.on_medium(9, 512) == before);
}

TEST_CASE("SN-3 no more R2Ts are outstanding than agreed", "[iscsi][SN-3]") {
  LoginOptions options = no_immediate_data();
  options.max_burst_length = 4096;
  options.max_outstanding_r2t = 2;
  Fixture fixture(options);
  fixture.initiator.ignore_r2ts();
  fixture.initiator.start_write(0, pattern(65536, 1));
  fixture.world.run_until([&] { return fixture.initiator.poll(); }, 1'000'000'000);
  REQUIRE(fixture.initiator.r2ts_seen() == 2);
}

TEST_CASE("DIG-1 a data digest error in Data-Out is rejected and nothing is written", "[iscsi][DIG-1][RFC7143-7.9]") {
  LoginOptions options = no_immediate_data();
  options.data_digest = true;
  Fixture fixture(options);
  const auto before = fixture.on_medium(100, 4096);
  WaitingWrite write(fixture);
  fixture.initiator.corrupt_next(48 + 100);
  fixture.initiator.send(write.data_out, write.data);
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  const auto* reject = answer->as<iscsi::Reject>();
  REQUIRE(reject != nullptr);
  REQUIRE(reject->reason == iscsi::RejectReason::data_digest_error);
  const CommandResult result = fixture.initiator.finish(write.tag);
  REQUIRE(result.status == check_condition);
  REQUIRE(result.sense.at(12) == std::byte{0x47});
  REQUIRE(result.sense.at(13) == std::byte{0x05});
  REQUIRE(fixture.on_medium(100, 4096) == before);
}

TEST_CASE("DIG-1 a data digest error in immediate data is rejected and the command never runs", "[iscsi][DIG-1]") {
  LoginOptions options;
  options.data_digest = true;
  Fixture fixture(options);
  const auto before = fixture.on_medium(100, 4096);
  fixture.initiator.corrupt_next(48 + 100);
  const std::uint32_t tag = fixture.initiator.start_write(100, pattern(4096, 1));
  const auto answer = fixture.initiator.receive();
  REQUIRE(answer);
  REQUIRE(answer->as<iscsi::Reject>() != nullptr);
  fixture.initiator.forget(tag);
  REQUIRE(fixture.initiator.read(0, 1).status == 0);
  REQUIRE(fixture.on_medium(100, 4096) == before);
}

TEST_CASE("DIG-1 a header digest error ends the connection", "[iscsi][DIG-1][RFC7143-7.7]") {
  LoginOptions options;
  options.header_digest = true;
  Fixture fixture(options);
  fixture.initiator.corrupt_next(20);
  fixture.initiator.start_read(0, 1);
  REQUIRE(fixture.initiator.wait_closed(1'000'000'000));
  fixture.world.run_for(1'000'000'000);
  REQUIRE(fixture.target.sessions().empty());
  REQUIRE(fixture.target.bytes_in_use() == 0);
}

}  // namespace
}  // namespace lunaris::sim
