// The codec's half for requests, initiator to target: decoding with every check of a value that the standard defines,
// and encoding for our own initiators. RFC 7143 section 11: undefined bits and reserved fields of a received header are
// ignored, reserved codes in defined fields are protocol errors.
#include <algorithm>
#include <optional>

#include "protocol/bytes/ensure.h"
#include "protocol/bytes/reader.h"
#include "protocol/bytes/writer.h"
#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {

namespace {

using bytes::Reader;
using bytes::Writer;

constexpr std::uint8_t immediate_bit = 0x40;
constexpr std::uint8_t opcode_mask = 0x3f;
constexpr std::uint8_t final_flag = 0x80;
constexpr std::uint8_t continue_flag = 0x40;

/// What every request header begins with (RFC 7143 11.2.1).
struct Start {
  bool immediate;
  std::uint8_t flags;
  std::uint8_t byte2, byte3;
  std::uint32_t data_segment_length;
};

Start read_start(Reader& reader) noexcept {
  Start start{};
  start.immediate = (reader.u8() & immediate_bit) != 0;
  start.flags = reader.u8();
  start.byte2 = reader.u8();
  start.byte3 = reader.u8();
  reader.skip(1);  // TotalAHSLength: the reader of the stream has acted on it
  start.data_segment_length = reader.u24();
  return start;
}

SerialNumber read_sn(Reader& reader) noexcept {
  return SerialNumber(reader.u32());
}

RequestPdu invalid_field(std::string_view what) noexcept {
  return Malformed{RejectReason::invalid_pdu_field, what};
}
RequestPdu protocol_error(std::string_view what) noexcept {
  return Malformed{RejectReason::protocol_error, what};
}

RequestPdu decode_nop_out(Reader reader) noexcept {
  const Start start = read_start(reader);
  NopOut pdu;
  pdu.immediate = start.immediate;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  // RFC 7143 11.18.1
  if (pdu.initiator_task_tag == reserved_tag && !pdu.immediate)
    return protocol_error("NOP-Out without a task tag is not immediate");
  return pdu;
}

/// The AHS of a SCSI Command (RFC 7143 11.2.2) into `pdu`; what is wrong with it, or nothing.
std::optional<Malformed> read_ahs(std::span<const std::byte> ahs, ScsiCommand& pdu) noexcept {
  enum class AhsType : std::uint8_t { extended_cdb = 1, bidirectional_read_length = 2 };
  bool has_cdb = false;
  bool has_length = false;
  Reader reader(ahs);
  while (reader.remaining() > 0) {
    const std::uint16_t length = reader.u16();
    const std::uint8_t type = reader.u8() & opcode_mask;
    const auto content = reader.bytes(length);
    reader.skip((4 - (3u + length) % 4) % 4);
    if (!reader.ok()) return Malformed{RejectReason::invalid_pdu_field, "AHS longer than TotalAHSLength"};
    switch (static_cast<AhsType>(type)) {
      case AhsType::extended_cdb:
        // One reserved byte, then at least one byte of CDB.
        if (has_cdb || length < 2 || length - 1u > ScsiCommand::cdb_bytes_max - pdu.cdb.size())
          return Malformed{RejectReason::invalid_pdu_field, "extended CDB of a wrong length"};
        has_cdb = true;
        pdu.cdb_extension = content.subspan(1);
        continue;
      case AhsType::bidirectional_read_length: {
        if (has_length || length != 5)
          return Malformed{RejectReason::invalid_pdu_field, "bidirectional read length of a wrong length"};
        has_length = true;
        Reader value(content.subspan(1));
        pdu.bidirectional_read_length = value.u32();
        continue;
      }
    }
    return Malformed{RejectReason::protocol_error, "AHS of a reserved type"};
  }
  return std::nullopt;
}

/// Combinations that RFC 7143 11.3.1 to 11.3.4 forbid.
std::string_view command_problem(const ScsiCommand& pdu) noexcept {
  if (pdu.initiator_task_tag == reserved_tag) return "command with the reserved task tag";
  if (!pdu.write && !pdu.final_bit) return "command with neither W nor F";
  if (!pdu.write && pdu.data_segment_length > 0) return "immediate data for a command that does not write";
  if (!pdu.read && !pdu.write && pdu.expected_data_transfer_length > 0) return "data length without a direction";
  if (pdu.bidirectional_read_length > 0 && !(pdu.read && pdu.write)) return "read length without both directions";
  return {};
}

RequestPdu decode_scsi_command(Reader reader, std::span<const std::byte> ahs) noexcept {
  constexpr std::uint8_t read_flag = 0x40;
  constexpr std::uint8_t write_flag = 0x20;
  constexpr std::uint8_t attribute_mask = 0x07;
  const Start start = read_start(reader);
  ScsiCommand pdu;
  pdu.immediate = start.immediate;
  pdu.final_bit = (start.flags & final_flag) != 0;
  pdu.read = (start.flags & read_flag) != 0;
  pdu.write = (start.flags & write_flag) != 0;
  const std::uint8_t attribute = start.flags & attribute_mask;
  pdu.priority = start.byte2 & 0x0f;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.expected_data_transfer_length = reader.u32();
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  for (std::uint8_t& byte : pdu.cdb) byte = reader.u8();
  if (attribute > static_cast<std::uint8_t>(TaskAttribute::aca)) return protocol_error("reserved task attribute");
  pdu.attribute = static_cast<TaskAttribute>(attribute);
  if (const auto malformed = read_ahs(ahs, pdu)) return *malformed;
  if (const auto problem = command_problem(pdu); !problem.empty()) return invalid_field(problem);
  return pdu;
}

RequestPdu decode_task_management(Reader reader) noexcept {
  const Start start = read_start(reader);
  TaskManagementRequest pdu;
  pdu.immediate = start.immediate;
  pdu.function = start.flags & 0x7f;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.referenced_task_tag = reader.u32();
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  pdu.ref_cmd_sn = read_sn(reader);
  pdu.exp_data_sn = read_sn(reader);
  if (pdu.initiator_task_tag == reserved_tag) return invalid_field("task management with the reserved task tag");
  if (start.data_segment_length > 0) return invalid_field("task management with data");
  return pdu;
}

RequestPdu decode_data_out(Reader reader) noexcept {
  const Start start = read_start(reader);
  DataOut pdu;
  pdu.final_bit = (start.flags & final_flag) != 0;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  reader.skip(4);
  pdu.exp_stat_sn = read_sn(reader);
  reader.skip(4);
  pdu.data_sn = read_sn(reader);
  pdu.buffer_offset = reader.u32();
  if (pdu.initiator_task_tag == reserved_tag) return invalid_field("Data-Out with the reserved task tag");
  return pdu;
}

RequestPdu decode_text(Reader reader) noexcept {
  const Start start = read_start(reader);
  TextRequest pdu;
  pdu.immediate = start.immediate;
  pdu.final_bit = (start.flags & final_flag) != 0;
  pdu.continues = (start.flags & continue_flag) != 0;
  pdu.data_segment_length = start.data_segment_length;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  if (pdu.initiator_task_tag == reserved_tag) return invalid_field("text request with the reserved task tag");
  // RFC 7143 11.10.2
  if (pdu.final_bit && pdu.continues) return protocol_error("text request with both F and C");
  return pdu;
}

RequestPdu decode_login(Reader reader) noexcept {
  const Start start = read_start(reader);
  LoginRequest pdu;
  pdu.transit = (start.flags & final_flag) != 0;
  pdu.continues = (start.flags & continue_flag) != 0;
  pdu.current_stage = start.flags >> 2 & 0x03;
  pdu.next_stage = start.flags & 0x03;
  pdu.version_max = start.byte2;
  pdu.version_min = start.byte3;
  pdu.data_segment_length = start.data_segment_length;
  pdu.isid = reader.u48();
  pdu.tsih = reader.u16();
  pdu.initiator_task_tag = reader.u32();
  pdu.cid = reader.u16();
  reader.skip(2);
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  return pdu;
}

RequestPdu decode_logout(Reader reader) noexcept {
  const Start start = read_start(reader);
  LogoutRequest pdu;
  pdu.immediate = start.immediate;
  pdu.reason = start.flags & 0x7f;
  reader.skip(8);
  pdu.initiator_task_tag = reader.u32();
  pdu.cid = reader.u16();
  reader.skip(2);
  pdu.cmd_sn = read_sn(reader);
  pdu.exp_stat_sn = read_sn(reader);
  if (pdu.initiator_task_tag == reserved_tag) return invalid_field("logout with the reserved task tag");
  if (start.data_segment_length > 0) return invalid_field("logout with data");
  return pdu;
}

RequestPdu decode_snack(Reader reader) noexcept {
  const Start start = read_start(reader);
  const std::uint8_t type = start.flags & 0x0f;
  SnackRequest pdu;
  pdu.lun = reader.u64();
  pdu.initiator_task_tag = reader.u32();
  pdu.target_transfer_tag = reader.u32();
  reader.skip(4);
  pdu.exp_stat_sn = read_sn(reader);
  reader.skip(8);
  pdu.begin_run = reader.u32();
  pdu.run_length = reader.u32();
  if (type > static_cast<std::uint8_t>(SnackType::r_data)) return protocol_error("SNACK of a reserved type");
  pdu.type = static_cast<SnackType>(type);
  if (start.data_segment_length > 0) return invalid_field("SNACK with data");
  return pdu;
}

Writer write_start(BhsSpan bhs, Opcode opcode, bool immediate, std::uint8_t flags, std::uint8_t byte2,
                   std::uint8_t byte3, std::size_t ahs_length, std::uint32_t data_segment_length) noexcept {
  bytes::ensure(data_segment_length <= data_segment_bytes_max && ahs_length <= ahs_bytes_max && ahs_length % 4 == 0);
  Writer writer(bhs);
  writer.u8(static_cast<std::uint8_t>(static_cast<std::uint8_t>(opcode) | (immediate ? immediate_bit : 0)));
  writer.u8(flags).u8(byte2).u8(byte3).u8(static_cast<std::uint8_t>(ahs_length / 4)).u24(data_segment_length);
  return writer;
}

void finish(Writer& writer) noexcept {
  writer.zeros(writer.remaining());
}

constexpr std::uint8_t flag_if(bool condition, std::uint8_t flag) noexcept {
  return condition ? flag : std::uint8_t{0};
}

constexpr std::size_t padded(std::size_t length) noexcept {
  return (length + 3) / 4 * 4;
}

std::size_t ahs_length_of(const ScsiCommand& pdu) noexcept {
  const std::size_t cdb = pdu.cdb_extension.empty() ? 0 : padded(4 + pdu.cdb_extension.size());
  return cdb + (pdu.bidirectional_read_length > 0 ? 8 : 0);
}

}  // namespace

RequestPdu decode_request(BhsView bhs, std::span<const std::byte> ahs) noexcept {
  const auto opcode = static_cast<Opcode>(peek_opcode(bhs));
  const Reader reader(bhs);
  if (!ahs.empty() && opcode != Opcode::scsi_command) return protocol_error("AHS on a PDU that has none");
  switch (opcode) {
    case Opcode::nop_out:
      return decode_nop_out(reader);
    case Opcode::scsi_command:
      return decode_scsi_command(reader, ahs);
    case Opcode::task_management_request:
      return decode_task_management(reader);
    case Opcode::login_request:
      return decode_login(reader);
    case Opcode::text_request:
      return decode_text(reader);
    case Opcode::data_out:
      return decode_data_out(reader);
    case Opcode::logout_request:
      return decode_logout(reader);
    case Opcode::snack_request:
      return decode_snack(reader);
    case Opcode::nop_in:
    case Opcode::scsi_response:
    case Opcode::task_management_response:
    case Opcode::login_response:
    case Opcode::text_response:
    case Opcode::data_in:
    case Opcode::logout_response:
    case Opcode::r2t:
    case Opcode::async_message:
    case Opcode::reject:
      return Malformed{RejectReason::command_not_supported, "opcode of a target"};
  }
  return Malformed{RejectReason::command_not_supported, "unknown opcode"};
}

std::size_t ScsiCommand::copy_cdb(std::span<std::uint8_t> memory) const noexcept {
  bytes::ensure(memory.size() >= cdb_size());
  std::copy(cdb.begin(), cdb.end(), memory.begin());
  std::transform(cdb_extension.begin(), cdb_extension.end(), memory.begin() + static_cast<std::ptrdiff_t>(cdb.size()),
                 [](std::byte byte) { return std::to_integer<std::uint8_t>(byte); });
  return cdb_size();
}

std::uint8_t peek_opcode(BhsView bhs) noexcept {
  return std::to_integer<std::uint8_t>(bhs[0]) & opcode_mask;
}
bool peek_immediate(BhsView bhs) noexcept {
  return (std::to_integer<std::uint8_t>(bhs[0]) & immediate_bit) != 0;
}
std::uint32_t peek_ahs_length(BhsView bhs) noexcept {
  return std::to_integer<std::uint32_t>(bhs[4]) * 4;
}
std::uint32_t peek_data_segment_length(BhsView bhs) noexcept {
  return Reader(bhs.subspan<5, 3>()).u24();
}
std::uint32_t peek_initiator_task_tag(BhsView bhs) noexcept {
  return Reader(bhs.subspan<16, 4>()).u32();
}
SerialNumber peek_cmd_sn(BhsView bhs) noexcept {
  return SerialNumber(Reader(bhs.subspan<24, 4>()).u32());
}

void set_data_segment_length(BhsSpan bhs, std::uint32_t length) noexcept {
  bytes::ensure(length <= data_segment_bytes_max);
  Writer(bhs.subspan<5, 3>()).u24(length);
}

void encode(const NopOut& pdu, BhsSpan bhs) noexcept {
  Writer writer = write_start(bhs, Opcode::nop_out, pdu.immediate, final_flag, 0, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value());
  finish(writer);
}

void encode(const ScsiCommand& pdu, BhsSpan bhs) noexcept {
  const auto flags = static_cast<std::uint8_t>(flag_if(pdu.final_bit, final_flag) | flag_if(pdu.read, 0x40) |
                                               flag_if(pdu.write, 0x20) | static_cast<std::uint8_t>(pdu.attribute));
  Writer writer = write_start(bhs, Opcode::scsi_command, pdu.immediate, flags, pdu.priority & 0x0f, 0,
                              ahs_length_of(pdu), pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.expected_data_transfer_length);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value());
  for (const std::uint8_t byte : pdu.cdb) writer.u8(byte);
}

std::size_t encode_ahs(const ScsiCommand& pdu, std::span<std::byte> memory) noexcept {
  bytes::ensure(memory.size() >= ahs_length_of(pdu) && pdu.cdb_size() <= ScsiCommand::cdb_bytes_max);
  Writer writer(memory);
  if (const std::size_t size = pdu.cdb_extension.size(); size > 0) {
    writer.u16(static_cast<std::uint16_t>(size + 1)).u8(1).u8(0).bytes(pdu.cdb_extension);
    writer.zeros(padded(size) - size);
  }
  if (pdu.bidirectional_read_length > 0) writer.u16(5).u8(2).u8(0).u32(pdu.bidirectional_read_length);
  return writer.written();
}

void encode(const TaskManagementRequest& pdu, BhsSpan bhs) noexcept {
  const auto flags = static_cast<std::uint8_t>(final_flag | (pdu.function & 0x7f));
  Writer writer = write_start(bhs, Opcode::task_management_request, pdu.immediate, flags, 0, 0, 0, 0);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.referenced_task_tag);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value()).u32(pdu.ref_cmd_sn.value()).u32(pdu.exp_data_sn.value());
  finish(writer);
}

void encode(const DataOut& pdu, BhsSpan bhs) noexcept {
  const std::uint8_t flags = flag_if(pdu.final_bit, final_flag);
  Writer writer = write_start(bhs, Opcode::data_out, false, flags, 0, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag).zeros(4);
  writer.u32(pdu.exp_stat_sn.value()).zeros(4).u32(pdu.data_sn.value()).u32(pdu.buffer_offset);
  finish(writer);
}

void encode(const TextRequest& pdu, BhsSpan bhs) noexcept {
  const auto flags =
      static_cast<std::uint8_t>(flag_if(pdu.final_bit, final_flag) | flag_if(pdu.continues, continue_flag));
  Writer writer = write_start(bhs, Opcode::text_request, pdu.immediate, flags, 0, 0, 0, pdu.data_segment_length);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value());
  finish(writer);
}

void encode(const LoginRequest& pdu, BhsSpan bhs) noexcept {
  const auto flags =
      static_cast<std::uint8_t>(flag_if(pdu.transit, final_flag) | flag_if(pdu.continues, continue_flag) |
                                (pdu.current_stage & 3) << 2 | (pdu.next_stage & 3));
  Writer writer = write_start(bhs, Opcode::login_request, true, flags, pdu.version_max, pdu.version_min, 0,
                              pdu.data_segment_length);
  writer.u48(pdu.isid).u16(pdu.tsih).u32(pdu.initiator_task_tag).u16(pdu.cid).zeros(2);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value());
  finish(writer);
}

void encode(const LogoutRequest& pdu, BhsSpan bhs) noexcept {
  const auto flags = static_cast<std::uint8_t>(final_flag | (pdu.reason & 0x7f));
  Writer writer = write_start(bhs, Opcode::logout_request, pdu.immediate, flags, 0, 0, 0, 0);
  writer.zeros(8).u32(pdu.initiator_task_tag).u16(pdu.cid).zeros(2);
  writer.u32(pdu.cmd_sn.value()).u32(pdu.exp_stat_sn.value());
  finish(writer);
}

void encode(const SnackRequest& pdu, BhsSpan bhs) noexcept {
  const auto flags = static_cast<std::uint8_t>(final_flag | static_cast<std::uint8_t>(pdu.type));
  Writer writer = write_start(bhs, Opcode::snack_request, false, flags, 0, 0, 0, 0);
  writer.u64(pdu.lun).u32(pdu.initiator_task_tag).u32(pdu.target_transfer_tag).zeros(4);
  writer.u32(pdu.exp_stat_sn.value()).zeros(8).u32(pdu.begin_run).u32(pdu.run_length);
}

}  // namespace lunaris::iscsi
