#include "server/iscsi/connection.h"

#include <algorithm>
#include <array>
#include <string>

#include "protocol/iscsi/codec.h"
#include "server/iscsi/command_task.h"
#include "server/iscsi/log.h"
#include "server/iscsi/session.h"
#include "server/iscsi/session_host.h"

namespace lunaris::iscsi_server {

using iscsi::CommandWindow;
using iscsi::RejectReason;

namespace {

iscsi::ReaderLimits limits_of(const iscsi::Offer& offer, const iscsi::Parameters& parameters) noexcept {
  iscsi::ReaderLimits limits;
  limits.max_recv_data_segment_length = offer.max_recv_data_segment_length;
  limits.header_digest = parameters.header_digest;
  limits.data_digest = parameters.data_digest;
  return limits;
}

}  // namespace

Connection::Connection(Session& session, Handover handover)
    : session_(session),
      worker_(session.worker()),
      stream_(std::move(handover.stream)),
      cid_(handover.cid),
      offer_(std::move(handover.offer)),
      text_(*this, offer_, handover.parameters),
      reader_(limits_of(offer_, handover.parameters)),
      buffer_(worker_.buffers()),
      out_(worker_),
      carried_over_(std::move(handover.unread)) {
  out_.set_digests({handover.parameters.header_digest, handover.parameters.data_digest});
  now_ns_ = received_ns_ = worker_.clock().now_ns();
  worker_.arm(*this, limits::housekeeping_ns);
}

Connection::~Connection() {
  worker_.cancel(*this);
  LUN_ASSERT(!stream_->has_pending());
}

// ---- waiting ------------------------------------------------------------------------------------------------------

runtime::Task<> Connection::receive() {
  reader_.feed(carried_over_);
  while (!is_ending()) {
    if (control_queued_ >= limits::control_pdus_max) {
      co_await control_room_.wait();
      continue;
    }
    handle_events();
    if (is_ending() || control_queued_ >= limits::control_pdus_max) continue;
    std::array<iovec, iscsi::PduReader::destinations_max + 1> vectors;
    std::size_t count = 0;
    for (const std::span<std::byte> piece : reader_.missing()) vectors[count++] = {piece.data(), piece.size()};
    const std::span<std::byte> room = buffer_.room();
    vectors[count++] = {room.data(), room.size()};
    const std::int32_t received = co_await stream_->read({vectors.data(), count});
    if (received <= 0) {
      if (received == 0) {
        end(EndReason::peer_closed,
            reader_.is_at_boundary() ? "peer closed the connection" : "peer closed inside a PDU");
      } else {
        end(EndReason::connection_error, "connection lost");
      }
      break;
    }
    apply_received(static_cast<std::size_t>(received), room);
  }
  stop_filling();
}

runtime::Task<> Connection::send() {
  co_await out_.run(*stream_);
  if (out_.has_failed()) end(EndReason::connection_error, "connection lost while sending");
  stream_->shutdown();
}

void Connection::end(EndReason reason, std::string_view what, bool drain) {
  if (is_ending()) return;
  end_reason_ = reason;
  log_session_end(session_.spec(), stream_->peer(), reason, what);
  control_room_.set();
  // A logout is answered when the tasks have ended: finish_sending.
  if (reason == EndReason::logout) return;
  if (drain) ending_ns_ = now_ns_;
  out_.close(drain);
  if (!drain) stream_->shutdown();
}

void Connection::finish_sending() {
  if (logout_) {
    send_control(*logout_);
    ending_ns_ = now_ns_ = worker_.clock().now_ns();
    out_.close(true);
  }
}

void Connection::discard_queued() {
  for (const auto& pdu : control_made_) out_.remove(*pdu);
}

// ---- applying -----------------------------------------------------------------------------------------------------

void Connection::apply_received(std::size_t count, std::span<std::byte> room) {
  now_ns_ = received_ns_ = worker_.clock().now_ns();
  asked_ns_ = 0;
  const std::size_t direct = std::min(count, reader_.missing_bytes());
  reader_.direct_filled(direct);
  buffer_.filled(count - direct);
  reader_.feed(room.first(count - direct));
}

void Connection::handle_events() {
  using Event = iscsi::PduReader::Event;
  while (!is_ending() && control_queued_ < limits::control_pdus_max) {
    switch (reader_.next()) {
      case Event::need_input:
        if (reader_.is_at_boundary()) {
          partial_since_ns_ = 0;
        } else if (partial_since_ns_ == 0) {
          partial_since_ns_ = now_ns_;
        }
        return;
      case Event::header:
        on_header();
        break;
      case Event::complete:
        partial_since_ns_ = 0;
        if (accepted_) on_complete();
        break;
      case Event::data_digest_error:
        partial_since_ns_ = 0;
        on_digest_error();
        break;
      case Event::header_digest_error:
        return end(EndReason::digest_error, "header digest error");
      case Event::data_too_long:
        reject(RejectReason::protocol_error, "data segment longer than MaxRecvDataSegmentLength");
        return end(EndReason::protocol_violation, "data segment longer than MaxRecvDataSegmentLength", true);
      case Event::ahs_too_long:
        return end(EndReason::protocol_violation, "additional header segment too long");
    }
  }
}

void Connection::on_header() {
  current_ = iscsi::decode_request(reader_.header(), reader_.ahs());
  sink_ = Sink::none;
  accepted_ = false;
  task_ = nullptr;
  in_place_bytes_ = 0;
  data_ = {};
  data_lease_.reset();
  data_chunk_.reset();
  std::visit([this](const auto& pdu) { header_of(pdu); }, current_);
  if (reader_.data_length() > 0 && sink_ == Sink::none) reader_.discard();
}

void Connection::on_complete() {
  std::visit(
      [this](const auto& pdu) {
        if constexpr (requires { complete(pdu); }) complete(pdu);
      },
      current_);
}

void Connection::on_digest_error() {
  warn("data digest error");
  reject(RejectReason::data_digest_error, "data digest error");
  if (task_ == nullptr) return;
  CommandTask& task = *std::exchange(task_, nullptr);
  switch (sink_) {
    case Sink::data_out:
      return task.filled(false);
    case Sink::command:
      // The command itself is void; the Reject is all the initiator hears of it (RFC 7143 7.9).
      if (in_place_bytes_ == 0) task.filled(false);
      return session_.abort_task(task);
    case Sink::none:
    case Sink::buffer:
      return;
  }
}

void Connection::stop_filling() {
  if (task_ == nullptr) return;
  CommandTask& task = *std::exchange(task_, nullptr);
  if (sink_ == Sink::data_out || (sink_ == Sink::command && in_place_bytes_ == 0)) task.filled(false);
}

// Counts the request; false when it is a duplicate or outside the window and must be ignored.
bool Connection::accept_request(iscsi::SerialNumber cmd_sn, bool immediate, iscsi::SerialNumber exp_stat_sn) {
  if (!session_.acknowledge(exp_stat_sn)) warn("ExpStatSN beyond what was sent");
  admission_ = session_.admit(cmd_sn, immediate);
  return admission_ != CommandWindow::Admission::ignore;
}

// ---- SCSI Command and Data-Out ------------------------------------------------------------------------------------

void Connection::header_of(const iscsi::ScsiCommand& pdu) {
  if (!accept_request(pdu.cmd_sn, pdu.immediate, pdu.exp_stat_sn)) return;
  if (session_.is_discovery()) {
    reject(RejectReason::protocol_error, "SCSI command in a discovery session");
  } else if (pdu.initiator_task_tag == iscsi::reserved_tag) {
    reject(RejectReason::invalid_pdu_field, "SCSI command with the reserved task tag");
  } else if (session_.find_task(pdu.initiator_task_tag) != nullptr) {
    reject(RejectReason::task_in_progress, "task tag in use");
  } else if (task_ = session_.make_task(pdu); task_ == nullptr) {
    reject(RejectReason::immediate_command_reject, "too many immediate commands");
  } else {
    accepted_ = true;
    place_immediate_data(pdu);
    return;
  }
  session_.release_held();
}

void Connection::place_immediate_data(const iscsi::ScsiCommand& pdu) {
  task_->prepare_for_unsolicited();
  const std::uint32_t length = pdu.data_segment_length;
  if (length == 0) return;
  if (!task_->has_failed() && !task_->has_landing() && reader_.is_whole()) {
    if (ChunkRef chunk = buffer_.share()) {
      sink_ = Sink::command;
      in_place_bytes_ = length;
      task_->take_immediate_in_place(reader_.use_in_place(), std::move(chunk));
      return;
    }
  }
  const std::span<std::byte> destination = task_->immediate_destination(length);
  if (destination.empty()) return;
  sink_ = Sink::command;
  reader_.place(destination);
}

void Connection::complete(const iscsi::ScsiCommand& /*pdu*/) {
  CommandTask& task = *std::exchange(task_, nullptr);
  if (in_place_bytes_ > 0) {
    task.immediate_arrived(in_place_bytes_);
  } else if (sink_ == Sink::command) {
    task.filled(true);
  }
  session_.submit(task, admission_);
  session_.release_held();
}

void Connection::header_of(const iscsi::DataOut& pdu) {
  if (!session_.acknowledge(pdu.exp_stat_sn)) warn("ExpStatSN beyond what was sent");
  CommandTask* task = session_.find_task(pdu.initiator_task_tag);
  if (task == nullptr) {
    if (!session_.was_task(pdu.initiator_task_tag)) reject(RejectReason::invalid_pdu_field, "Data-Out for no task");
    return;
  }
  const std::span<std::byte> destination = task->data_out(pdu);
  task_ = task;
  accepted_ = true;
  if (destination.empty()) return;
  sink_ = Sink::data_out;
  reader_.place(destination);
}

void Connection::complete(const iscsi::DataOut& pdu) {
  CommandTask& task = *std::exchange(task_, nullptr);
  if (sink_ != Sink::data_out) return;
  session_.count_written(pdu.data_segment_length);
  task.filled(true);
}

// ---- everything else ----------------------------------------------------------------------------------------------

void Connection::header_of(const iscsi::Malformed& pdu) {
  // A rejected request has used up its CmdSN; without this the initiator's next one would wait for it for ever.
  const std::uint8_t opcode = iscsi::peek_opcode(reader_.header());
  const bool has_cmd_sn = opcode <= static_cast<std::uint8_t>(iscsi::Opcode::logout_request) &&
                          opcode != static_cast<std::uint8_t>(iscsi::Opcode::data_out);
  if (has_cmd_sn && !iscsi::peek_immediate(reader_.header())) {
    static_cast<void>(session_.admit(iscsi::peek_cmd_sn(reader_.header()), false));
  }
  reject(pdu.reason, pdu.what);
  session_.release_held();
}

void Connection::header_of(const iscsi::NopOut& pdu) {
  if (!accept_request(pdu.cmd_sn, pdu.immediate, pdu.exp_stat_sn)) return;
  accepted_ = true;
  // The answer to our own NOP-In says nothing more than that the peer lives.
  if (pdu.initiator_task_tag == iscsi::reserved_tag || pdu.data_segment_length == 0) return;
  static_cast<void>(place_in_buffer(pdu.data_segment_length));
}

void Connection::complete(const iscsi::NopOut& pdu) {
  session_.release_held();
  if (pdu.initiator_task_tag == iscsi::reserved_tag) return;
  ControlPdu& answer = take_control();
  iscsi::NopIn nop_in;
  nop_in.lun = pdu.lun;
  nop_in.initiator_task_tag = pdu.initiator_task_tag;
  answer.pdu = nop_in;
  const std::size_t most = text_.parameters().initiator_max_recv_data_segment_length;
  answer.data = data_.first(std::min(data_.size(), most));
  answer.lease = std::move(data_lease_);
  answer.chunk = std::move(data_chunk_);
  out_.push_urgent(answer);
}

void Connection::header_of(const iscsi::TextRequest& pdu) {
  if (!accept_request(pdu.cmd_sn, pdu.immediate, pdu.exp_stat_sn)) return;
  accepted_ = true;
  if (pdu.data_segment_length > 0 && !place_in_buffer(pdu.data_segment_length))
    end(EndReason::out_of_memory, "no memory for a Text Request");
}

void Connection::complete(const iscsi::TextRequest& pdu) {
  session_.release_held();
  const iscsi::TextStep step = text_.on_request(pdu, data_);
  if (step.action == iscsi::TextStep::Action::reject) return reject(step.reason, step.what);
  ControlPdu& answer = take_control();
  answer.pdu = step.response;
  if (!step.text.empty()) {
    auto lease = worker_.buffers().try_acquire(static_cast<std::uint32_t>(step.text.size()));
    if (!lease) {
      recycle(answer);
      return end(EndReason::out_of_memory, "no memory for a Text Response");
    }
    std::ranges::copy(std::as_bytes(std::span(step.text)), lease->bytes().begin());
    answer.data = lease->bytes().first(step.text.size());
    answer.lease = std::move(*lease);
  }
  out_.push_urgent(answer);
  session_.set_initiator_data_segment_length(text_.parameters().initiator_max_recv_data_segment_length);
}

void Connection::header_of(const iscsi::TaskManagementRequest& pdu) {
  if (!accept_request(pdu.cmd_sn, pdu.immediate, pdu.exp_stat_sn)) return;
  accepted_ = !session_.is_discovery();
  if (!accepted_) reject(RejectReason::protocol_error, "task management in a discovery session");
}

void Connection::complete(const iscsi::TaskManagementRequest& pdu) {
  session_.release_held();
  session_.manage(pdu);
}

void Connection::header_of(const iscsi::LogoutRequest& pdu) {
  accepted_ = accept_request(pdu.cmd_sn, pdu.immediate, pdu.exp_stat_sn);
}

void Connection::complete(const iscsi::LogoutRequest& pdu) {
  session_.release_held();
  iscsi::LogoutResponse response;
  response.initiator_task_tag = pdu.initiator_task_tag;
  const auto reason = static_cast<iscsi::LogoutReason>(pdu.reason);
  if (reason == iscsi::LogoutReason::remove_for_recovery) {
    response.response = iscsi::LogoutResponseCode::recovery_not_supported;
  } else if (reason == iscsi::LogoutReason::close_connection && pdu.cid != cid_) {
    response.response = iscsi::LogoutResponseCode::cid_not_found;
  } else if (reason == iscsi::LogoutReason::close_session || reason == iscsi::LogoutReason::close_connection) {
    logout_ = response;
    return end(EndReason::logout, "logout");
  } else {
    return reject(RejectReason::invalid_pdu_field, "unknown logout reason");
  }
  send_control(response);
}

void Connection::header_of(const iscsi::SnackRequest& /*pdu*/) {
  reject(RejectReason::snack_reject, "SNACK at ErrorRecoveryLevel 0");
}

void Connection::header_of(const iscsi::LoginRequest& /*pdu*/) {
  reject(RejectReason::protocol_error, "Login Request in full feature phase");
  end(EndReason::protocol_violation, "Login Request in full feature phase", true);
}

// Where the data of a NOP-Out or Text Request goes. False when there is no memory for it; it is thrown away then.
bool Connection::place_in_buffer(std::uint32_t length) {
  if (reader_.is_whole()) {
    if (ChunkRef chunk = buffer_.share()) {
      sink_ = Sink::buffer;
      data_ = reader_.use_in_place();
      data_chunk_ = std::move(chunk);
      return true;
    }
  }
  auto lease = session_.claim_arrival_memory(length);
  if (!lease) return false;
  sink_ = Sink::buffer;
  data_lease_ = std::move(*lease);
  data_ = data_lease_.bytes().first(length);
  reader_.place(data_lease_.bytes().first(length));
  return true;
}

std::vector<iscsi::DiscoveredTarget> Connection::discover(std::string_view name) {
  return session_.host().discover(session_.spec(), stream_->local(), name);
}

// ---- control PDUs -------------------------------------------------------------------------------------------------

ControlPdu& Connection::take_control() {
  ++control_queued_;
  if (control_free_.empty()) {
    control_made_.push_back(std::make_unique<ControlPdu>(*this));
    control_free_.reserve(control_made_.size());
    return *control_made_.back();
  }
  ControlPdu& pdu = *control_free_.back();
  control_free_.pop_back();
  return pdu;
}

void Connection::recycle(ControlPdu& pdu) noexcept {
  pdu.lease.reset();
  pdu.chunk.reset();
  pdu.data = {};
  control_free_.push_back(&pdu);
  if (--control_queued_ == limits::control_pdus_max / 2) control_room_.set();
}

void Connection::send_control(const ControlPdu::Pdu& pdu) {
  ControlPdu& control = take_control();
  control.pdu = pdu;
  out_.push_urgent(control);
}

void Connection::reject(RejectReason reason, std::string_view what) {
  // A peer that does little else is not worth keeping.
  constexpr std::uint32_t rejects_max = 1000;
  if (is_ending()) return;
  warn(what);
  if (warnings_ > rejects_max) return end(EndReason::protocol_violation, "too many rejected PDUs");
  ControlPdu& control = take_control();
  iscsi::Reject pdu;
  pdu.reason = reason;
  control.pdu = pdu;
  std::ranges::copy(reader_.header(), control.header.begin());
  control.data = control.header;
  out_.push_urgent(control);
}

void Connection::send_async(iscsi::AsyncEvent event, std::uint16_t parameter3) {
  iscsi::AsyncMessage pdu;
  pdu.event = event;
  pdu.parameter3 = parameter3;
  if (!is_ending()) send_control(pdu);
}

PduSource::Next ControlPdu::produce(Batch& batch) {
  if (!batch.has_room(1)) return Next::again;
  iovec segment{const_cast<std::byte*>(data.data()), data.size()};
  if (data.data() == header.data() && !data.empty()) {
    const auto copy = batch.scratch(data.size());
    std::ranges::copy(data, copy.begin());
    segment.iov_base = copy.data();
  }
  std::visit(
      [&](auto& response) {
        bool takes_stat_sn = true;
        if constexpr (std::is_same_v<std::remove_reference_t<decltype(response)>, iscsi::NopIn>)
          takes_stat_sn = response.initiator_task_tag != iscsi::reserved_tag;
        response.sn = connection_.session().numbers(takes_stat_sn);
        batch.add(response, std::span(&segment, data.empty() ? 0 : 1));
      },
      pdu);
  if (lease) batch.hold(backends::Payload(std::move(lease), data.size()));
  if (chunk) batch.hold(std::move(chunk));
  connection_.recycle(*this);
  return Next::done;
}

// ---- time ---------------------------------------------------------------------------------------------------------

void Connection::fire() {
  worker_.arm(*this, limits::housekeeping_ns);
  now_ns_ = worker_.clock().now_ns();
  const std::uint64_t oldest_wait = session_.inspect_tasks();
  if (ending_ns_ != 0 && now_ns_ - ending_ns_ > limits::linger_ns) stream_->abort();
  if (is_ending()) return;
  const auto is_late = [this](std::uint64_t since) { return since != 0 && now_ns_ - since > limits::progress_ns; };
  if (is_late(out_.stalled_since_ns())) return end(EndReason::timed_out, "peer does not read");
  if (is_late(partial_since_ns_)) return end(EndReason::timed_out, "PDU not complete in time");
  if (is_late(oldest_wait)) return end(EndReason::timed_out, "data that was asked for did not come");
  keep_alive();
}

void Connection::keep_alive() {
  if (asked_ns_ != 0) {
    if (now_ns_ - asked_ns_ > limits::keepalive_answer_ns) end(EndReason::timed_out, "no answer to NOP-In");
    return;
  }
  // A connection that is sending is alive, or will fail by itself.
  if (now_ns_ - received_ns_ < limits::keepalive_ns || !out_.is_idle()) return;
  iscsi::NopIn ping;
  ping.target_transfer_tag = nop_tag_;
  nop_tag_ = nop_tag_ == 0xffff'fffe ? 1 : nop_tag_ + 1;
  asked_ns_ = now_ns_;
  send_control(ping);
}

void Connection::warn(std::string_view what) {
  if (++warnings_ <= limits::warnings_max) log_peer_mistake(session_.spec(), stream_->peer(), what);
}

}  // namespace lunaris::iscsi_server
