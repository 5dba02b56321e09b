// The codec's half for responses, target to initiator: encoding, and decoding for our own initiators.
#include <algorithm>

#include "protocol/bytes/ensure.h"
#include "protocol/bytes/reader.h"
#include "protocol/bytes/writer.h"
#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {

namespace {

using bytes::Reader;
using bytes::Writer;

constexpr std::uint8_t final_flag = 0x80;
constexpr std::uint8_t continue_flag = 0x40;
constexpr std::uint8_t overflow_flag = 0x04;
constexpr std::uint8_t underflow_flag = 0x02;
constexpr std::uint8_t bidirectional_overflow_flag = 0x10;
constexpr std::uint8_t bidirectional_underflow_flag = 0x08;

constexpr std::uint8_t flag_if(bool condition, std::uint8_t flag) noexcept {
  return condition ? flag : std::uint8_t{0};
}

std::uint8_t residual_flags(const Residual& residual, std::uint8_t overflow, std::uint8_t underflow) noexcept {
  switch (residual.kind) {
    case Residual::Kind::none:
      return 0;
    case Residual::Kind::underflow:
      return underflow;
    case Residual::Kind::overflow:
      return overflow;
  }
  return 0;
}

/// Byte 0 to 7. Responses have no AHS.
Writer write_start(BhsSpan bhs, Opcode opcode, std::uint8_t flags, std::uint8_t byte2, std::uint8_t byte3,
                   std::uint32_t data_segment_length) noexcept {
  bytes::ensure(data_segment_length <= data_segment_bytes_max);
  Writer writer(bhs);
  writer.u8(static_cast<std::uint8_t>(opcode)).u8(flags).u8(byte2).u8(byte3).u8(0).u24(data_segment_length);
  return writer;
}

void write_sn(Writer& writer, const SequenceNumbers& sn) noexcept {
  writer.u32(sn.stat_sn.value()).u32(sn.exp_cmd_sn.value()).u32(sn.max_cmd_sn.value());
}

void finish(Writer& writer) noexcept {
  writer.zeros(writer.remaining());
}

struct Start {
  std::uint8_t flags;
  std::uint8_t byte2, byte3;
  std::uint32_t data_segment_length;
};

Start read_start(Reader& reader) noexcept {
  Start start{};
  reader.skip(1);
  start.flags = reader.u8();
  start.byte2 = reader.u8();
  start.byte3 = reader.u8();
  reader.skip(1);
  start.data_segment_length = reader.u24();
  return start;
}

SequenceNumbers read_sn(Reader& reader) noexcept {
  SequenceNumbers sn;
  sn.stat_sn = SerialNumber(reader.u32());
  sn.exp_cmd_sn = SerialNumber(reader.u32());
  sn.max_cmd_sn = SerialNumber(reader.u32());
  return sn;
}

Residual read_residual(std::uint8_t flags, std::uint8_t overflow, std::uint8_t underflow,
                       std::uint32_t count) noexcept {
  if ((flags & overflow) != 0) return {Residual::Kind::overflow, count};
  if ((flags & underflow) != 0) return {Residual::Kind::underflow, count};
  return {};
}

ResponsePdu protocol_error(std::string_view what) noexcept {
  return Malformed{RejectReason::protocol_error, what};
}

ResponsePdu decode_nop_in(Reader reader) noexcept {
  NopIn pdu;
  pdu.data_segment_length = read_start(reader).data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.sn = read_sn(reader);
  return pdu;
}

ResponsePdu decode_scsi_response(Reader reader) noexcept {
  const Start start = read_start(reader);
  ScsiResponse pdu;
  pdu.response = static_cast<ScsiServiceResponse>(start.byte2);
  pdu.status = start.byte3;
  pdu.data_segment_length = start.data_segment_length;
  pdu.status_qualifier = reader.u16();
  reader.skip(6);
  pdu.initiator_task_tag = reader.u32();
  pdu.snack_tag = reader.u32();
  pdu.sn = read_sn(reader);
  pdu.exp_data_sn = SerialNumber(reader.u32());
  pdu.bidirectional_residual =
      read_residual(start.flags, bidirectional_overflow_flag, bidirectional_underflow_flag, reader.u32());
  pdu.residual = read_residual(start.flags, overflow_flag, underflow_flag, reader.u32());
  if ((start.flags & overflow_flag) != 0 && (start.flags & underflow_flag) != 0)
    return protocol_error("SCSI Response with both O and U");
  return pdu;
}

ResponsePdu decode_task_management(Reader reader) noexcept {
  const Start start = read_start(reader);
  TaskManagementResponse pdu;
  pdu.response = static_cast<TaskManagementResponseCode>(start.byte2);
  reader.skip(8);
  pdu.initiator_task_tag = reader.u32();
  reader.skip(4);
  pdu.sn = read_sn(reader);
  return pdu;
}

ResponsePdu decode_data_in(Reader reader) noexcept {
  const Start start = read_start(reader);
  DataIn pdu;
  pdu.final_bit = (start.flags & final_flag) != 0;
  pdu.acknowledge = (start.flags & 0x40) != 0;
  pdu.has_status = (start.flags & 0x01) != 0;
  pdu.status = start.byte3;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.sn = read_sn(reader);
  pdu.data_sn = SerialNumber(reader.u32());
  pdu.buffer_offset = reader.u32();
  pdu.residual = read_residual(start.flags, overflow_flag, underflow_flag, reader.u32());
  // RFC 7143 11.7.1: S only together with F.
  if (pdu.has_status && !pdu.final_bit) return protocol_error("Data-In with S and without F");
  return pdu;
}

ResponsePdu decode_r2t(Reader reader) noexcept {
  const Start start = read_start(reader);
  R2t pdu;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.sn = read_sn(reader);
  pdu.r2t_sn = SerialNumber(reader.u32());
  pdu.buffer_offset = reader.u32();
  pdu.desired_data_transfer_length = reader.u32();
  // RFC 7143 11.8
  if (start.data_segment_length > 0) return protocol_error("R2T with data");
  if (pdu.desired_data_transfer_length == 0) return protocol_error("R2T for nothing");
  if (pdu.target_transfer_tag == reserved_tag) return protocol_error("R2T with the reserved transfer tag");
  return pdu;
}

ResponsePdu decode_text(Reader reader) noexcept {
  const Start start = read_start(reader);
  TextResponse pdu;
  pdu.final_bit = (start.flags & final_flag) != 0;
  pdu.continues = (start.flags & continue_flag) != 0;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.sn = read_sn(reader);
  // RFC 7143 11.11.1, 11.11.2
  if (pdu.final_bit && pdu.continues) return protocol_error("text response with both F and C");
  return pdu;
}

ResponsePdu decode_login(Reader reader) noexcept {
  const Start start = read_start(reader);
  LoginResponse pdu;
  pdu.transit = (start.flags & final_flag) != 0;
  pdu.continues = (start.flags & continue_flag) != 0;
  pdu.current_stage = start.flags >> 2 & 0x03;
  pdu.next_stage = start.flags & 0x03;
  pdu.version_max = start.byte2;
  pdu.version_active = start.byte3;
  pdu.data_segment_length = start.data_segment_length;
  pdu.isid = reader.u48();
  pdu.tsih = reader.u16();
  pdu.initiator_task_tag = reader.u32();
  reader.skip(4);
  pdu.sn = read_sn(reader);
  pdu.status = static_cast<LoginStatus>(reader.u16());
  return pdu;
}

ResponsePdu decode_logout(Reader reader) noexcept {
  LogoutResponse pdu;
  pdu.response = static_cast<LogoutResponseCode>(read_start(reader).byte2);
  reader.skip(8);
  pdu.initiator_task_tag = reader.u32();
  reader.skip(4);
  pdu.sn = read_sn(reader);
  reader.skip(4);
  pdu.time2wait_s = reader.u16();
  pdu.time2retain_s = reader.u16();
  return pdu;
}

ResponsePdu decode_async(Reader reader) noexcept {
  AsyncMessage pdu;
  pdu.data_segment_length = read_start(reader).data_segment_length;
  pdu.lun = reader.u64();
  reader.skip(8);
  pdu.sn = read_sn(reader);
  pdu.event = static_cast<AsyncEvent>(reader.u8());
  pdu.vendor_code = reader.u8();
  pdu.parameter1 = reader.u16();
  pdu.parameter2 = reader.u16();
  pdu.parameter3 = reader.u16();
  return pdu;
}

ResponsePdu decode_reject(Reader reader) noexcept {
  const Start start = read_start(reader);
  Reject pdu;
  pdu.reason = static_cast<RejectReason>(start.byte2);
  pdu.data_segment_length = start.data_segment_length;
  reader.skip(16);
  pdu.sn = read_sn(reader);
  pdu.data_sn = SerialNumber(reader.u32());
  return pdu;
}

}  // namespace

ResponsePdu decode_response(BhsView bhs) noexcept {
  const Reader reader(bhs);
  if (peek_ahs_length(bhs) > 0) return protocol_error("response with an AHS");
  switch (static_cast<Opcode>(peek_opcode(bhs))) {
    case Opcode::nop_in:
      return decode_nop_in(reader);
    case Opcode::scsi_response:
      return decode_scsi_response(reader);
    case Opcode::task_management_response:
      return decode_task_management(reader);
    case Opcode::login_response:
      return decode_login(reader);
    case Opcode::text_response:
      return decode_text(reader);
    case Opcode::data_in:
      return decode_data_in(reader);
    case Opcode::logout_response:
      return decode_logout(reader);
    case Opcode::r2t:
      return decode_r2t(reader);
    case Opcode::async_message:
      return decode_async(reader);
    case Opcode::reject:
      return decode_reject(reader);
    case Opcode::nop_out:
    case Opcode::scsi_command:
    case Opcode::task_management_request:
    case Opcode::login_request:
    case Opcode::text_request:
    case Opcode::data_out:
    case Opcode::logout_request:
    case Opcode::snack_request:
      return Malformed{RejectReason::command_not_supported, "opcode of an initiator"};
  }
  return Malformed{RejectReason::command_not_supported, "unknown opcode"};
}

void encode(const NopIn& pdu, BhsSpan bhs) noexcept {
  Writer writer = write_start(bhs, Opcode::nop_in, final_flag, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  write_sn(writer, pdu.sn);
  finish(writer);
}

void encode(const ScsiResponse& pdu, BhsSpan bhs) noexcept {
  const auto flags = static_cast<std::uint8_t>(
      final_flag | residual_flags(pdu.residual, overflow_flag, underflow_flag) |
      residual_flags(pdu.bidirectional_residual, bidirectional_overflow_flag, bidirectional_underflow_flag));
  Writer writer = write_start(bhs, Opcode::scsi_response, flags, static_cast<std::uint8_t>(pdu.response), pdu.status,
                              pdu.data_segment_length);
  writer.u16(pdu.status_qualifier).zeros(6).u32(pdu.initiator_task_tag).u32(pdu.snack_tag);
  write_sn(writer, pdu.sn);
  writer.u32(pdu.exp_data_sn.value()).u32(pdu.bidirectional_residual.count).u32(pdu.residual.count);
}

void encode(const TaskManagementResponse& pdu, BhsSpan bhs) noexcept {
  Writer writer =
      write_start(bhs, Opcode::task_management_response, final_flag, static_cast<std::uint8_t>(pdu.response), 0, 0);
  writer.zeros(8).u32(pdu.initiator_task_tag).zeros(4);
  write_sn(writer, pdu.sn);
  finish(writer);
}

void encode(const DataIn& pdu, BhsSpan bhs) noexcept {
  bytes::ensure(pdu.final_bit || !pdu.has_status);
  const Residual residual = pdu.has_status ? pdu.residual : Residual{};
  const auto flags = static_cast<std::uint8_t>(flag_if(pdu.final_bit, final_flag) | flag_if(pdu.acknowledge, 0x40) |
                                               residual_flags(residual, overflow_flag, underflow_flag) |
                                               flag_if(pdu.has_status, 0x01));
  Writer writer = write_start(bhs, Opcode::data_in, flags, 0, pdu.has_status ? pdu.status : std::uint8_t{0},
                              pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  SequenceNumbers sn = pdu.sn;
  if (!pdu.has_status) sn.stat_sn = SerialNumber();  // reserved (RFC 7143 11.7.3)
  write_sn(writer, sn);
  writer.u32(pdu.data_sn.value()).u32(pdu.buffer_offset).u32(residual.count);
}

void encode(const R2t& pdu, BhsSpan bhs) noexcept {
  Writer writer = write_start(bhs, Opcode::r2t, final_flag, 0, 0, 0);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  write_sn(writer, pdu.sn);
  writer.u32(pdu.r2t_sn.value()).u32(pdu.buffer_offset).u32(pdu.desired_data_transfer_length);
}

void encode(const TextResponse& pdu, BhsSpan bhs) noexcept {
  const auto flags =
      static_cast<std::uint8_t>(flag_if(pdu.final_bit, final_flag) | flag_if(pdu.continues, continue_flag));
  Writer writer = write_start(bhs, Opcode::text_response, flags, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  write_sn(writer, pdu.sn);
  finish(writer);
}

void encode(const LoginResponse& pdu, BhsSpan bhs) noexcept {
  const auto flags =
      static_cast<std::uint8_t>(flag_if(pdu.transit, final_flag) | flag_if(pdu.continues, continue_flag) |
                                (pdu.current_stage & 3) << 2 | (pdu.next_stage & 3));
  Writer writer =
      write_start(bhs, Opcode::login_response, flags, pdu.version_max, pdu.version_active, pdu.data_segment_length);
  writer.u48(pdu.isid).u16(pdu.tsih).u32(pdu.initiator_task_tag).zeros(4);
  write_sn(writer, pdu.sn);
  writer.u16(static_cast<std::uint16_t>(pdu.status));
  finish(writer);
}

void encode(const LogoutResponse& pdu, BhsSpan bhs) noexcept {
  Writer writer = write_start(bhs, Opcode::logout_response, final_flag, static_cast<std::uint8_t>(pdu.response), 0, 0);
  writer.zeros(8).u32(pdu.initiator_task_tag).zeros(4);
  write_sn(writer, pdu.sn);
  writer.zeros(4).u16(pdu.time2wait_s).u16(pdu.time2retain_s);
  finish(writer);
}

void encode(const AsyncMessage& pdu, BhsSpan bhs) noexcept {
  Writer writer = write_start(bhs, Opcode::async_message, final_flag, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(reserved_tag).zeros(4);
  write_sn(writer, pdu.sn);
  writer.u8(static_cast<std::uint8_t>(pdu.event)).u8(pdu.vendor_code);
  writer.u16(pdu.parameter1).u16(pdu.parameter2).u16(pdu.parameter3);
  finish(writer);
}

void encode(const Reject& pdu, BhsSpan bhs) noexcept {
  Writer writer =
      write_start(bhs, Opcode::reject, final_flag, static_cast<std::uint8_t>(pdu.reason), 0, pdu.data_segment_length);
  writer.zeros(8).u32(reserved_tag).zeros(4);
  write_sn(writer, pdu.sn);
  writer.u32(pdu.data_sn.value());
  finish(writer);
}

Residual residual_of(std::uint32_t expected, std::uint64_t actual) noexcept {
  constexpr std::uint64_t count_max = 0xffffffff;
  if (actual < expected) return {Residual::Kind::underflow, static_cast<std::uint32_t>(expected - actual)};
  if (actual > expected)
    return {Residual::Kind::overflow, static_cast<std::uint32_t>(std::min(actual - expected, count_max))};
  return {};
}

}  // namespace lunaris::iscsi
