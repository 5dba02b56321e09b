// The codec: every PDU there and back, the values on the wire, reserved bits ignored, forbidden values refused.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <vector>

#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {
namespace {

using Header = std::array<std::byte, bhs_bytes>;

template <class Pdu>
Header header_of(const Pdu& pdu) {
  Header bhs;
  bhs.fill(std::byte{0xee});  // an encoder fills every byte
  encode(pdu, BhsSpan{bhs});
  return bhs;
}

NopOut nop_out() {
  return {.immediate = true,
          .lun = 0x0102030405060708,
          .initiator_task_tag = 0x11121314,
          .target_transfer_tag = 0x21222324,
          .cmd_sn = SerialNumber(0x31323334),
          .exp_stat_sn = SerialNumber(0x41424344),
          .data_segment_length = 0x515253};
}

ScsiCommand command() {
  ScsiCommand pdu;
  pdu.immediate = true;
  pdu.final_bit = true;
  pdu.read = false;
  pdu.write = true;
  pdu.attribute = TaskAttribute::ordered;
  pdu.priority = 5;
  pdu.lun = 0x0102030405060708;
  pdu.initiator_task_tag = 0x11121314;
  pdu.expected_data_transfer_length = 0x21222324;
  pdu.cmd_sn = SerialNumber(0x31323334);
  pdu.exp_stat_sn = SerialNumber(0x41424344);
  for (std::size_t index = 0; index < pdu.cdb.size(); ++index) pdu.cdb[index] = static_cast<std::uint8_t>(0xa0 + index);
  pdu.data_segment_length = 0x515253;
  return pdu;
}

SequenceNumbers numbers() {
  return {SerialNumber(0x61626364), SerialNumber(0x71727374), SerialNumber(0x81828384)};
}

std::vector<Header> request_headers() {
  return {
      header_of(nop_out()),
      header_of(command()),
      header_of(TaskManagementRequest{.immediate = true,
                                      .function = 1,
                                      .lun = 3,
                                      .initiator_task_tag = 4,
                                      .referenced_task_tag = 5,
                                      .cmd_sn = SerialNumber(6),
                                      .exp_stat_sn = SerialNumber(7),
                                      .ref_cmd_sn = SerialNumber(8),
                                      .exp_data_sn = SerialNumber(9)}),
      header_of(LoginRequest{.transit = true,
                             .continues = false,
                             .current_stage = 1,
                             .next_stage = 3,
                             .version_max = 2,
                             .version_min = 1,
                             .isid = 0x400001020304,
                             .tsih = 5,
                             .initiator_task_tag = 6,
                             .cid = 7,
                             .cmd_sn = SerialNumber(8),
                             .exp_stat_sn = SerialNumber(9),
                             .data_segment_length = 10}),
      header_of(TextRequest{.immediate = true,
                            .final_bit = false,
                            .continues = true,
                            .lun = 1,
                            .initiator_task_tag = 2,
                            .target_transfer_tag = 3,
                            .cmd_sn = SerialNumber(4),
                            .exp_stat_sn = SerialNumber(5),
                            .data_segment_length = 6}),
      header_of(DataOut{.final_bit = true,
                        .lun = 1,
                        .initiator_task_tag = 2,
                        .target_transfer_tag = 3,
                        .exp_stat_sn = SerialNumber(4),
                        .data_sn = SerialNumber(5),
                        .buffer_offset = 6,
                        .data_segment_length = 7}),
      header_of(LogoutRequest{.immediate = true,
                              .reason = 2,
                              .initiator_task_tag = 3,
                              .cid = 4,
                              .cmd_sn = SerialNumber(5),
                              .exp_stat_sn = SerialNumber(6)}),
      header_of(SnackRequest{.type = SnackType::data_ack,
                             .lun = 1,
                             .initiator_task_tag = 2,
                             .target_transfer_tag = 3,
                             .exp_stat_sn = SerialNumber(4),
                             .begin_run = 5,
                             .run_length = 6}),
  };
}

std::vector<Header> task_response_headers() {
  return {
      header_of(NopIn{
          .lun = 1, .initiator_task_tag = 2, .target_transfer_tag = 3, .sn = numbers(), .data_segment_length = 4}),
      header_of(ScsiResponse{.response = ScsiServiceResponse::target_failure,
                             .status = 2,
                             .initiator_task_tag = 3,
                             .snack_tag = 4,
                             .sn = numbers(),
                             .exp_data_sn = SerialNumber(5),
                             .residual = {Residual::Kind::underflow, 6},
                             .bidirectional_residual = {Residual::Kind::overflow, 7},
                             .status_qualifier = 8,
                             .data_segment_length = 9}),
      header_of(TaskManagementResponse{
          .response = TaskManagementResponseCode::function_rejected, .initiator_task_tag = 1, .sn = numbers()}),
      header_of(DataIn{.final_bit = true,
                       .acknowledge = false,
                       .has_status = true,
                       .status = 2,
                       .lun = 3,
                       .initiator_task_tag = 4,
                       .target_transfer_tag = 5,
                       .sn = numbers(),
                       .data_sn = SerialNumber(6),
                       .buffer_offset = 7,
                       .residual = {Residual::Kind::overflow, 8},
                       .data_segment_length = 9}),
  };
}

std::vector<Header> other_response_headers() {
  return {
      header_of(R2t{.lun = 1,
                    .initiator_task_tag = 2,
                    .target_transfer_tag = 3,
                    .sn = numbers(),
                    .r2t_sn = SerialNumber(4),
                    .buffer_offset = 5,
                    .desired_data_transfer_length = 6}),
      header_of(TextResponse{.final_bit = false,
                             .continues = true,
                             .lun = 1,
                             .initiator_task_tag = 2,
                             .target_transfer_tag = 3,
                             .sn = numbers(),
                             .data_segment_length = 4}),
      header_of(LoginResponse{.transit = true,
                              .continues = false,
                              .current_stage = 1,
                              .next_stage = 3,
                              .version_max = 4,
                              .version_active = 5,
                              .isid = 0x400001020304,
                              .tsih = 6,
                              .initiator_task_tag = 7,
                              .sn = numbers(),
                              .status = LoginStatus::too_many_connections,
                              .data_segment_length = 8}),
      header_of(LogoutResponse{.response = LogoutResponseCode::cleanup_failed,
                               .initiator_task_tag = 1,
                               .sn = numbers(),
                               .time2wait_s = 2,
                               .time2retain_s = 3}),
      header_of(AsyncMessage{.event = AsyncEvent::renegotiate,
                             .vendor_code = 1,
                             .lun = 2,
                             .sn = numbers(),
                             .parameter1 = 3,
                             .parameter2 = 4,
                             .parameter3 = 5,
                             .data_segment_length = 6}),
      header_of(Reject{.reason = RejectReason::task_in_progress,
                       .sn = numbers(),
                       .data_sn = SerialNumber(1),
                       .data_segment_length = 48}),
  };
}

std::vector<Header> response_headers() {
  std::vector<Header> headers = task_response_headers();
  for (const Header& header : other_response_headers()) headers.push_back(header);
  return headers;
}

template <class Variant>
Header encode_again(const Variant& pdu) {
  return std::visit(Overloaded{[](const Malformed& malformed) -> Header {
                                 FAIL("malformed: " << malformed.what);
                                 return {};
                               },
                               [](const auto& decoded) { return header_of(decoded); }},
                    pdu);
}

TEST_CASE("every request decodes to what was encoded", "[codec][RFC7143 11]") {
  for (const Header& header : request_headers()) CHECK(encode_again(decode_request(header, {})) == header);
}

TEST_CASE("every response decodes to what was encoded", "[codec][RFC7143 11]") {
  for (const Header& header : response_headers()) CHECK(encode_again(decode_response(header)) == header);
}

TEST_CASE("fields stand where RFC 7143 puts them", "[codec][RFC7143 11]") {
  const auto at = [](const Header& header, std::size_t index) { return std::to_integer<unsigned>(header[index]); };
  const Header write = header_of(command());
  CHECK(at(write, 0) == 0x41);
  CHECK(at(write, 1) == 0xa2);
  CHECK(at(write, 4) == 0);
  CHECK(at(write, 5) == 0x51);
  CHECK(at(write, 8) == 0x01);
  CHECK(at(write, 16) == 0x11);
  CHECK(at(write, 20) == 0x21);
  CHECK(at(write, 24) == 0x31);
  CHECK(at(write, 28) == 0x41);
  CHECK(at(write, 32) == 0xa0);
  CHECK(at(write, 47) == 0xaf);
  const Header data_in = response_headers()[3];
  CHECK(at(data_in, 0) == 0x25);
  CHECK(at(data_in, 1) == 0x85);
  CHECK(at(data_in, 3) == 2);
  CHECK(at(data_in, 39) == 6);
  CHECK(at(data_in, 43) == 7);
  CHECK(at(data_in, 47) == 8);
  const Header login = response_headers()[6];
  CHECK(at(login, 1) == 0x87);
  CHECK(at(login, 8) == 0x40);
  CHECK(at(login, 15) == 6);
  CHECK(at(login, 36) == 0x02);
  CHECK(at(login, 37) == 0x06);
}

TEST_CASE("Data-In without status carries neither StatSN nor residual", "[codec][RFC7143 11.7.3]") {
  DataIn data_in{.final_bit = true, .status = 2, .sn = numbers(), .residual = {Residual::Kind::overflow, 8}};
  const auto decoded = std::get<DataIn>(decode_response(header_of(data_in)));
  CHECK(decoded.sn.stat_sn == SerialNumber(0));
  CHECK(decoded.sn.max_cmd_sn == numbers().max_cmd_sn);
  CHECK(decoded.residual == Residual{});
  CHECK(decoded.status == 0);
}

/// Bits of each request that RFC 7143 leaves undefined: one mask byte per header byte.
Header undefined_bits(Opcode opcode) {
  Header mask{};
  const auto set = [&](std::size_t first, std::size_t last, unsigned bits = 0xff) {
    for (std::size_t index = first; index <= last; ++index) mask[index] = static_cast<std::byte>(bits);
  };
  set(0, 0, 0x80);
  switch (opcode) {
    case Opcode::nop_out:
      set(1, 1), set(2, 3), set(32, 47);
      break;
    case Opcode::scsi_command:
      set(1, 1, 0x18), set(2, 2, 0xf0);
      break;
    case Opcode::task_management_request:
      set(1, 1, 0x80), set(2, 3), set(40, 47);
      break;
    case Opcode::login_request:
      set(0, 0, 0xc0), set(1, 1, 0x30), set(22, 23), set(32, 47);
      break;
    case Opcode::text_request:
      set(1, 1, 0x3f), set(2, 3), set(32, 47);
      break;
    case Opcode::data_out:
      set(0, 0, 0xc0), set(1, 1, 0x7f), set(2, 3), set(24, 27), set(32, 35), set(44, 47);
      break;
    case Opcode::logout_request:
      set(1, 1, 0x80), set(2, 3), set(8, 15), set(22, 23), set(32, 47);
      break;
    case Opcode::snack_request:
      set(0, 0, 0xc0), set(1, 1, 0xf0), set(2, 3), set(24, 27), set(32, 39);
      break;
    default:
      break;
  }
  return mask;
}

TEST_CASE("undefined bits and reserved fields are ignored", "[codec][RFC7143 11]") {
  for (const Header& header : request_headers()) {
    const Header mask = undefined_bits(static_cast<Opcode>(peek_opcode(header)));
    for (std::size_t bit = 0; bit < 8 * bhs_bytes; ++bit) {
      const auto one = std::byte{1} << (bit % 8);
      if ((mask[bit / 8] & one) == std::byte{0}) continue;
      Header changed = header;
      changed[bit / 8] ^= one;
      INFO("opcode " << unsigned{peek_opcode(header)} << " byte " << bit / 8 << " bit " << bit % 8);
      CHECK(encode_again(decode_request(changed, {})) == header);
    }
  }
}

TEST_CASE("defined bits are all looked at", "[codec][RFC7143 11]") {
  for (const Header& header : request_headers()) {
    const Header mask = undefined_bits(static_cast<Opcode>(peek_opcode(header)));
    for (std::size_t bit = 8; bit < 8 * bhs_bytes; ++bit) {
      const auto one = std::byte{1} << (bit % 8);
      // TotalAHSLength is the stream's to judge, CRN means nothing at ErrorRecoveryLevel 0.
      if ((mask[bit / 8] & one) != std::byte{0} || bit / 8 == 4) continue;
      if (static_cast<Opcode>(peek_opcode(header)) == Opcode::scsi_command && bit / 8 == 3) continue;
      Header changed = header;
      changed[bit / 8] ^= one;
      INFO("opcode " << unsigned{peek_opcode(header)} << " byte " << bit / 8 << " bit " << bit % 8);
      const auto decoded = decode_request(changed, {});
      if (!std::holds_alternative<Malformed>(decoded)) CHECK(encode_again(decoded) == changed);
    }
  }
}

RejectReason reason_of(const RequestPdu& pdu) {
  REQUIRE(std::holds_alternative<Malformed>(pdu));
  CHECK_FALSE(std::get<Malformed>(pdu).what.empty());
  return std::get<Malformed>(pdu).reason;
}

Header changed(Header header, std::size_t index, unsigned value) {
  header[index] = static_cast<std::byte>(value);
  return header;
}

Header with_tag(Header header, std::uint32_t tag) {
  for (std::size_t index = 0; index < 4; ++index)
    header[16 + index] = static_cast<std::byte>(tag >> (8 * (3 - index)) & 0xff);
  return header;
}

TEST_CASE("unknown opcodes and those of a target are not supported", "[codec][RFC7143 11.17.1]") {
  for (unsigned opcode = 0; opcode < 64; ++opcode) {
    const bool known = opcode <= 6 || opcode == 0x10;
    if (known) continue;
    INFO(opcode);
    CHECK(reason_of(decode_request(changed({}, 0, opcode), {})) == RejectReason::command_not_supported);
  }
}

TEST_CASE("forbidden combinations in a SCSI Command are refused", "[codec][RFC7143 11.3]") {
  const auto refused = [](auto change) {
    ScsiCommand pdu = command();
    change(pdu);
    return reason_of(decode_request(header_of(pdu), {}));
  };
  CHECK(refused([](ScsiCommand& pdu) { pdu.write = pdu.final_bit = false; }) == RejectReason::invalid_pdu_field);
  CHECK(refused([](ScsiCommand& pdu) { pdu.write = false, pdu.read = true; }) == RejectReason::invalid_pdu_field);
  CHECK(refused([](ScsiCommand& pdu) { pdu.write = false, pdu.data_segment_length = 0; }) ==
        RejectReason::invalid_pdu_field);
  CHECK(refused([](ScsiCommand& pdu) { pdu.initiator_task_tag = reserved_tag; }) == RejectReason::invalid_pdu_field);
  for (unsigned attribute = 5; attribute < 8; ++attribute)
    CHECK(reason_of(decode_request(changed(header_of(command()), 1, 0xa0 | attribute), {})) ==
          RejectReason::protocol_error);
}

TEST_CASE("PDUs that have no data segment are refused with one", "[codec][RFC7143 11]") {
  const auto headers = request_headers();
  for (const std::size_t index : {2u, 6u, 7u})
    CHECK(reason_of(decode_request(changed(headers[index], 7, 1), {})) == RejectReason::invalid_pdu_field);
}

TEST_CASE("a request that needs a task tag is refused without", "[codec][SN-4]") {
  const auto headers = request_headers();
  for (const std::size_t index : {1u, 2u, 4u, 5u, 6u})
    CHECK(reason_of(decode_request(with_tag(headers[index], reserved_tag), {})) == RejectReason::invalid_pdu_field);
  NopOut silent = nop_out();
  silent.initiator_task_tag = reserved_tag;
  CHECK(std::holds_alternative<NopOut>(decode_request(header_of(silent), {})));
  silent.immediate = false;
  CHECK(reason_of(decode_request(header_of(silent), {})) == RejectReason::protocol_error);
}

TEST_CASE("a text request with F and C is a protocol error", "[codec][RFC7143 11.10.2][PDU-3]") {
  CHECK(reason_of(decode_request(header_of(TextRequest{.final_bit = true, .continues = true, .initiator_task_tag = 1}),
                                 {})) == RejectReason::protocol_error);
}

std::vector<std::byte> ahs_of(std::initializer_list<int> bytes) {
  std::vector<std::byte> ahs;
  for (const int byte : bytes) ahs.push_back(static_cast<std::byte>(byte));
  return ahs;
}

TEST_CASE("an extended CDB of any length comes back whole", "[codec][RFC7143 11.2.2.3]") {
  std::vector<std::byte> extension(ScsiCommand::cdb_bytes_max - 16);
  for (std::size_t index = 0; index < extension.size(); ++index) extension[index] = static_cast<std::byte>(index + 1);
  for (std::size_t size = 1; size <= extension.size(); ++size) {
    ScsiCommand pdu = command();
    pdu.cdb_extension = std::span(extension).first(size);
    pdu.read = true;
    pdu.bidirectional_read_length = size % 2 == 0 ? 4096 : 0;
    std::array<std::byte, ahs_bytes_max> memory{};
    const std::size_t length = encode_ahs(pdu, memory);
    const Header header = header_of(pdu);
    REQUIRE(peek_ahs_length(header) == length);
    const auto decoded = decode_request(header, std::span(memory).first(length));
    REQUIRE(std::holds_alternative<ScsiCommand>(decoded));
    const auto& again = std::get<ScsiCommand>(decoded);
    REQUIRE(std::ranges::equal(again.cdb_extension, pdu.cdb_extension));
    REQUIRE(again.bidirectional_read_length == pdu.bidirectional_read_length);
    std::array<std::uint8_t, ScsiCommand::cdb_bytes_max> cdb{};
    REQUIRE(again.copy_cdb(cdb) == 16 + size);
    REQUIRE(cdb[15 + size] == static_cast<std::uint8_t>(size));
  }
}

TEST_CASE("a malformed AHS is refused", "[codec][PDU-2]") {
  ScsiCommand pdu = command();
  pdu.read = true;
  const Header header = header_of(pdu);
  CHECK(reason_of(decode_request(header, ahs_of({0, 0, 1, 0}))) == RejectReason::invalid_pdu_field);  // length 0
  CHECK(reason_of(decode_request(header, ahs_of({0, 1, 1, 0}))) == RejectReason::invalid_pdu_field);  // no CDB
  CHECK(reason_of(decode_request(header, ahs_of({0, 6, 1, 0}))) == RejectReason::invalid_pdu_field);  // overrun
  CHECK(reason_of(decode_request(header, ahs_of({255, 255, 1, 0}))) == RejectReason::invalid_pdu_field);
  CHECK(reason_of(decode_request(header, ahs_of({0, 1, 3, 0}))) == RejectReason::protocol_error);  // type 3
  CHECK(reason_of(decode_request(header, ahs_of({0, 1, 0, 0}))) == RejectReason::protocol_error);  // type 0
  CHECK(reason_of(decode_request(header, ahs_of({0, 4, 2, 0, 0, 0, 1, 0}))) == RejectReason::invalid_pdu_field);
  CHECK(reason_of(decode_request(header, ahs_of({0, 2, 1, 0, 7, 0, 0, 0, 0, 2, 1, 0, 7, 0, 0, 0}))) ==
        RejectReason::invalid_pdu_field);  // two of them
  std::vector<std::byte> long_cdb(ahs_bytes_max);
  long_cdb[1] = std::byte{246};
  long_cdb[2] = std::byte{1};
  CHECK(reason_of(decode_request(header, long_cdb)) == RejectReason::invalid_pdu_field);
  CHECK(reason_of(decode_request(request_headers()[0], ahs_of({0, 2, 1, 0, 7, 0, 0, 0}))) ==
        RejectReason::protocol_error);
}

TEST_CASE("any header decodes to something without harm", "[codec][PDU-1]") {
  const auto seed = GENERATE(11u, 12u);
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::map<std::size_t, unsigned> outcomes;
  for (int round = 0; round < 20000; ++round) {
    Header header;
    for (std::byte& byte : header) byte = static_cast<std::byte>(random() & 0xff);
    // Half of them without data, which several PDUs must not have.
    if (random() % 2 == 0) std::fill_n(header.begin() + 5, 3, std::byte{0});
    std::vector<std::byte> ahs(random() % 8 == 0 ? peek_ahs_length(header) : 0);
    for (std::byte& byte : ahs) byte = static_cast<std::byte>(random() & 3);
    ++outcomes[decode_request(header, ahs).index()];
    const auto response = decode_response(changed(header, 4, 0));
    if (!std::holds_alternative<Malformed>(response))
      REQUIRE(peek_opcode(encode_again(response)) == peek_opcode(header));
  }
  CHECK(outcomes.size() == std::variant_size_v<RequestPdu>);
}

TEST_CASE("residuals say how much is missing or too much", "[codec][RFC7143 11.4.5]") {
  CHECK(residual_of(512, 512) == Residual{});
  CHECK(residual_of(512, 0) == Residual{Residual::Kind::underflow, 512});
  CHECK(residual_of(512, 4096) == Residual{Residual::Kind::overflow, 3584});
  CHECK(residual_of(0, std::uint64_t{1} << 40) == Residual{Residual::Kind::overflow, 0xffffffff});
}

TEST_CASE("serial numbers compare across the wrap", "[serial][RFC1982]") {
  const SerialNumber top(0xffffffff);
  CHECK(top.is_before(SerialNumber(0)));
  CHECK(SerialNumber(5).is_after(top));
  CHECK(top.plus(1) == SerialNumber(0));
  CHECK(top.distance_to(SerialNumber(3)) == 4);
  CHECK_FALSE(top.is_before(top));
  CHECK_FALSE(SerialNumber(0).is_before(SerialNumber(0x80000000)));
  CHECK_FALSE(SerialNumber(0x80000000).is_before(SerialNumber(0)));
}

}  // namespace
}  // namespace lunaris::iscsi
