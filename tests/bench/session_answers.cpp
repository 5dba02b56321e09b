// The half of Session that judges what the target says: numbering, offsets, lengths, status.
#include <algorithm>
#include <string>

#include "tests/bench/session.h"

namespace lunaris::bench {
namespace {

constexpr std::uint8_t status_good = 0x00;
constexpr std::uint8_t status_busy = 0x08;
constexpr std::uint8_t status_task_set_full = 0x28;
constexpr std::uint8_t sense_unit_attention = 0x06;

std::uint8_t sense_key_of(std::span<const std::byte> sense) {
  if (sense.size() < 3) return 0;
  const bool descriptor_format = (get8(sense.data()) & 0x7fU) >= 0x72;
  return get8(sense.data() + (descriptor_format ? 1 : 2)) & 0x0fU;
}

}  // namespace

// StatSN advances by one with each status (RFC 7143 section 4.2.2.2); the window never moves backwards.
void Session::note_sequence(bool carries_status) {
  const std::uint32_t max_cmd_sn = get<std::uint32_t>(current_.data() + 32);
  if (serial_less(sequence_.max_cmd_sn, max_cmd_sn)) sequence_.max_cmd_sn = max_cmd_sn;
  if (!carries_status) return;
  const std::uint32_t stat_sn = get<std::uint32_t>(current_.data() + 24);
  if (stat_sn != sequence_.exp_stat_sn)
    throw ProtocolError("StatSN " + std::to_string(stat_sn) + " where " + std::to_string(sequence_.exp_stat_sn) +
                        " is due");
  ++sequence_.exp_stat_sn;
}

void Session::dispatch(const std::byte* data, std::uint32_t length) {
  switch (opcode_of(current_)) {
    case Opcode::data_in:
      note_sequence((get8(current_.data() + 1) & 1U) != 0);
      return on_data_in(data, length);
    case Opcode::scsi_response:
      note_sequence(true);
      return on_response(data, length);
    case Opcode::r2t:
      note_sequence(false);
      return on_r2t();
    case Opcode::nop_in:
      note_sequence(task_tag_of(current_) != no_tag);
      return on_nop_in(data, length);
    case Opcode::async_message:
      throw ProtocolError("asynchronous message, event " + std::to_string(get8(current_.data() + 36)));
    case Opcode::reject:
      throw ProtocolError("Reject, reason " + std::to_string(get8(current_.data() + 2)));
    case Opcode::nop_out:
    case Opcode::scsi_command:
    case Opcode::login_request:
    case Opcode::text_request:
    case Opcode::data_out:
    case Opcode::logout_request:
    case Opcode::login_response:
    case Opcode::logout_response:
      break;
  }
  throw ProtocolError("unexpected opcode " + std::to_string(get8(current_.data()) & 0x3fU));
}

Slot& Session::slot_of(std::uint32_t tag) {
  const std::size_t index = tag & 0xffffU;
  if (index >= slots_.size() || !slots_[index].busy || tag_of(slots_[index]) != tag)
    throw ProtocolError("answer to a task that is not open, tag " + std::to_string(tag));
  return slots_[index];
}

void Session::on_data_in(const std::byte* data, std::uint32_t length) {
  Slot& slot = slot_of(task_tag_of(current_));
  const std::uint32_t offset = get<std::uint32_t>(current_.data() + 40);
  const std::uint32_t data_sn = get<std::uint32_t>(current_.data() + 36);
  if (slot.io.write) throw ProtocolError("Data-In for a write");
  if (data_sn != slot.data_sn) throw ProtocolError("DataSN out of order");
  if (offset != slot.received_bytes) throw ProtocolError("Data-In out of order");
  if (length > block_bytes_ - slot.received_bytes) throw ProtocolError("Data-In beyond the transfer length");
  if (data != nullptr && keep_data_ && length != 0) std::copy_n(data, length, slot.buffer + offset);
  ++slot.data_sn;
  slot.received_bytes += length;
  if ((get8(current_.data() + 1) & 1U) != 0) finish(slot, get8(current_.data() + 3), {});
}

void Session::on_response(const std::byte* data, std::uint32_t length) {
  Slot& slot = slot_of(task_tag_of(current_));
  if (get8(current_.data() + 2) != 0) {  // iSCSI response code, not SCSI status
    note_error(slot, "iSCSI response " + std::to_string(get8(current_.data() + 2)));
    return finish(slot, 0xff, {});
  }
  std::span<const std::byte> sense;
  if (length >= 2) sense = {data + 2, std::min<std::uint32_t>(get<std::uint16_t>(data), length - 2)};
  finish(slot, get8(current_.data() + 3), sense);
}

void Session::on_r2t() {
  Slot& slot = slot_of(task_tag_of(current_));
  const std::uint32_t transfer_tag = get<std::uint32_t>(current_.data() + 20);
  const std::uint32_t r2t_sn = get<std::uint32_t>(current_.data() + 36);
  const std::uint32_t offset = get<std::uint32_t>(current_.data() + 40);
  const std::uint32_t length = get<std::uint32_t>(current_.data() + 44);
  if (!slot.io.write || transfer_tag == no_tag) throw ProtocolError("R2T for a read, or without a tag");
  if (r2t_sn != slot.r2t_sn) throw ProtocolError("R2TSN out of order");
  if (length == 0 || length > parameters_.max_burst_bytes) throw ProtocolError("R2T length against MaxBurstLength");
  if (offset != slot.requested_bytes || length > block_bytes_ - offset) throw ProtocolError("R2T range out of order");
  ++slot.r2t_sn;
  slot.requested_bytes += length;
  send_data(slot, offset, length, transfer_tag);
}

void Session::on_nop_in(const std::byte* data, std::uint32_t length) {
  const std::uint32_t transfer_tag = get<std::uint32_t>(current_.data() + 20);
  if (transfer_tag == no_tag) return;
  const std::uint32_t echoed = std::min(length, static_cast<std::uint32_t>(pong_.size()));
  std::copy_n(data, echoed, pong_.begin());
  TxPdu& pdu = queue(pong_.data(), echoed);
  Header header{};
  auto* h = header.data();
  h[0] = static_cast<std::byte>(static_cast<unsigned>(Opcode::nop_out) | 0x40U);
  h[1] = std::byte{0x80};
  set_data_length(header, echoed);
  std::copy_n(current_.data() + 8, 8, h + 8);
  put<std::uint32_t>(h + 16, no_tag);
  put<std::uint32_t>(h + 20, transfer_tag);
  put<std::uint32_t>(h + 24, sequence_.cmd_sn);
  put<std::uint32_t>(h + 28, sequence_.exp_stat_sn);
  std::copy(header.begin(), header.end(), pdu.header.begin());
  seal(pdu);
}

void Session::finish(Slot& slot, std::uint8_t status, std::span<const std::byte> sense) {
  Verdict verdict = Verdict::good;
  if (status == status_busy || status == status_task_set_full || sense_key_of(sense) == sense_unit_attention) {
    ++(status == status_busy            ? troubles_.busy
       : status == status_task_set_full ? troubles_.task_set_full
                                        : troubles_.unit_attention);
    verdict = Verdict::again;
  } else if (status != status_good) {
    note_error(slot, "SCSI status " + std::to_string(status) + ", sense key " + std::to_string(sense_key_of(sense)));
    verdict = Verdict::failed;
  } else if ((get8(current_.data() + 1) & 0x06U) != 0 ||
             (slot.io.write ? slot.requested_bytes : slot.received_bytes) != block_bytes_) {
    note_error(slot, "short transfer or residual with status GOOD");
    verdict = Verdict::failed;
  }
  observer_.ended(*this, slot, verdict);
  if (verdict == Verdict::again) {
    delayed_.push_back(slot.index);
    return;
  }
  ++ended_count_;
  --in_flight_;
  slot.busy = false;
  free_.push_back(slot.index);
}

void Session::note_error(const Slot& slot, const std::string& what) {
  if (troubles_.errors++ != 0) return;
  troubles_.first_error =
      std::string(slot.io.write ? "write" : "read") + " of unit " + std::to_string(slot.io.unit) + ": " + what;
}

}  // namespace lunaris::bench
