#include "server/iscsi/command_task.h"

#include <algorithm>
#include <cstring>

#include "server/iscsi/session.h"

namespace lunaris::iscsi_server {
namespace {

// RFC 7143 11.4.7.2 and SPC-5 annex F: what goes with ABORTED COMMAND when the transfer of data went wrong.
constexpr scsi::AdditionalSense unexpected_unsolicited_data{0x0c, 0x0c};
constexpr scsi::AdditionalSense incorrect_amount_of_data{0x0c, 0x0d};
constexpr scsi::AdditionalSense data_phase_error{0x4b, 0x00};
constexpr scsi::AdditionalSense invalid_target_port_transfer_tag{0x4b, 0x01};
constexpr scsi::AdditionalSense protocol_service_crc_error{0x47, 0x05};
constexpr scsi::AdditionalSense invalid_field_in_command_information_unit{0x0e, 0x03};

scsi_server::TaskAttribute attribute_of(iscsi::TaskAttribute attribute) noexcept {
  switch (attribute) {
    case iscsi::TaskAttribute::untagged:
    case iscsi::TaskAttribute::simple:
      return scsi_server::TaskAttribute::simple;
    case iscsi::TaskAttribute::ordered:
      return scsi_server::TaskAttribute::ordered;
    case iscsi::TaskAttribute::head_of_queue:
      return scsi_server::TaskAttribute::head_of_queue;
    case iscsi::TaskAttribute::aca:
      return scsi_server::TaskAttribute::aca;
  }
  return scsi_server::TaskAttribute::simple;
}

// The bytes [begin, begin + length) of `segments`, as segments.
std::size_t slice(std::span<const iovec> segments, std::size_t begin, std::size_t length,
                  std::array<iovec, backends::Payload::segments_max>& out) noexcept {
  std::size_t count = 0;
  for (const iovec& segment : segments) {
    if (length == 0) break;
    if (begin >= segment.iov_len) {
      begin -= segment.iov_len;
      continue;
    }
    const std::size_t part = std::min(length, segment.iov_len - begin);
    out[count++] = {static_cast<std::byte*>(segment.iov_base) + begin, part};
    begin = 0;
    length -= part;
  }
  LUN_ASSERT(length == 0);
  return count;
}

}  // namespace

CommandTask::~CommandTask() {
  LUN_ASSERT(phase_ == Phase::free);
}

// ---- arriving -----------------------------------------------------------------------------------------------------

void CommandTask::begin(const iscsi::ScsiCommand& pdu, std::uint64_t now_ns) {
  LUN_ASSERT(phase_ == Phase::free && outgoing_count_ == 0 && !filling_);
  phase_ = Phase::arriving;
  tag_ = pdu.initiator_task_tag;
  expected_length_ = pdu.expected_data_transfer_length;
  cmd_sn_ = pdu.cmd_sn;
  immediate_command_ = pdu.immediate;
  reads_ = pdu.read;
  writes_ = pdu.write;
  finished_ = failed_ = discarding_ = left_window_ = false;
  failure_status_ = scsi::Status::check_condition;
  immediate_ = {};
  arrived_ = 0;
  last_data_ns_ = now_ns;

  if (pdu.cdb_extension.empty()) {
    cdb_ = pdu.cdb;
    command_.cdb = cdb_;
  } else {
    if (!long_cdb_) long_cdb_ = std::make_unique<std::array<std::uint8_t, scsi_server::Command::cdb_bytes_max>>();
    command_.cdb = std::span(*long_cdb_).first(pdu.copy_cdb(*long_cdb_));
  }
  command_.lun = pdu.lun;
  command_.attribute = attribute_of(pdu.attribute);
  command_.data_in_max = reads_ && !writes_ ? expected_length_ : 0;
  command_.data_out_max = writes_ ? expected_length_ : 0;
  command_.data = this;
  command_.aborted = false;
  command_.status = scsi::Status::good;
  command_.sense.clear();
  command_.data_in_length = 0;
  command_.data_out_length = 0;

  read_ = iscsi::ReadTransfer(session_.read_rules(), command_.data_in_max);
  if (writes_ || pdu.data_segment_length > 0 || !pdu.final_bit) {
    set_fault(write_.start(session_.write_rules(), pdu));
  } else {
    write_ = iscsi::WriteTransfer();
  }
  // Two data directions at once are not supported; the write's data is still taken in and thrown away.
  if (reads_ && writes_) fail(invalid_field_in_command_information_unit);
}

void CommandTask::take_immediate_in_place(std::span<const std::byte> data, ChunkRef chunk) noexcept {
  immediate_ = data;
  chunk_ = std::move(chunk);
}

std::span<std::byte> CommandTask::immediate_destination(std::uint32_t length) noexcept {
  if (failed_) return {};
  if (!landing_) {
    auto lease = session_.claim_arrival_memory(length);
    if (!lease) {
      failure_status_ = scsi::Status::busy;
      failed_ = true;
      return {};
    }
    landing_ = std::move(*lease);
    landing_begin_ = 0;
  }
  filling_ = true;
  return landing_.bytes().first(length);
}

void CommandTask::prepare_for_unsolicited() noexcept {
  if (failed_ || !write_.is_unsolicited_open() || landing_) return;
  // One buffer for all of the first piece, so that what is asked for later lands behind what comes unasked.
  const std::uint32_t wanted =
      std::max(write_.unsolicited_end(), std::min(expected_length_, runtime::BufferPool::buffer_bytes_max));
  if (auto lease = session_.claim_arrival_memory(wanted)) {
    landing_ = std::move(*lease);
    landing_begin_ = 0;
  } else {
    failure_status_ = scsi::Status::busy;
    failed_ = true;
  }
}

void CommandTask::set_fault(iscsi::WriteFault fault) noexcept {
  switch (fault) {
    case iscsi::WriteFault::none:
      return;
    case iscsi::WriteFault::unexpected_unsolicited_data:
      return fail(unexpected_unsolicited_data);
    case iscsi::WriteFault::incorrect_amount_of_data:
      return fail(incorrect_amount_of_data);
    case iscsi::WriteFault::protocol_error:
      return fail(data_phase_error);
    case iscsi::WriteFault::invalid_field:
      return fail(invalid_target_port_transfer_tag);
  }
}

void CommandTask::fail(scsi::AdditionalSense additional) noexcept {
  if (!failed_) {
    failed_ = true;
    failure_ = additional;
  }
  wake_.set();
}

std::span<std::byte> CommandTask::data_out(const iscsi::DataOut& pdu) noexcept {
  set_fault(write_.data_out(pdu));
  last_data_ns_ = session_.now_ns();
  if (is_over() || discarding_ || pdu.data_segment_length == 0) {
    // The end of a sequence may be what the task waits for.
    wake_.set();
    return {};
  }
  // The end of a sequence makes room for the next R2T.
  if (pdu.final_bit && phase_ == Phase::running) session_.out().push_urgent(*this);
  const std::uint32_t end = pdu.buffer_offset + pdu.data_segment_length;
  LUN_ASSERT(landing_covers(pdu.buffer_offset, end));
  filling_ = true;
  return landing_.bytes().subspan(pdu.buffer_offset - landing_begin_, pdu.data_segment_length);
}

void CommandTask::filled(bool intact) noexcept {
  filling_ = false;
  if (intact) {
    arrived_ = write_.received();
  } else {
    fail(protocol_service_crc_error);
  }
  wake_.set();
}

// ---- running ------------------------------------------------------------------------------------------------------

bool CommandTask::is_quiet() const noexcept {
  return !filling_ && (command_.aborted || write_.has_failed() || !write_.is_awaiting_data());
}

runtime::Task<> CommandTask::run() {
  LUN_ASSERT(phase_ == Phase::arriving || phase_ == Phase::held);
  phase_ = Phase::running;
  if (!is_over()) co_await session_.execute(command_);
  // No response while data is still expected (RFC 7143 11.4), and no end while the connection reads into our memory.
  discarding_ = true;
  while (!is_quiet()) co_await wake_.wait();
  landing_.reset();
  immediate_ = {};
  chunk_.reset();
  finish();
}

void CommandTask::finish() noexcept {
  if (command_.aborted) {
    session_.out().remove(*this);
    drop_outgoing();
    tell_listeners();
    session_.release(*this);
    return;
  }
  if (failed_) {
    command_.status = failure_status_;
    if (failure_status_ == scsi::Status::check_condition) {
      scsi::SenseData sense;
      sense.key = scsi::SenseKey::aborted_command;
      sense.additional = failure_;
      if (failure_ == invalid_field_in_command_information_unit) sense.key = scsi::SenseKey::illegal_request;
      command_.sense.encode(sense, scsi::SenseFormat::fixed);
    }
  }
  tell_listeners();
  finished_ = true;
  phase_ = Phase::answering;
  if (outgoing_count_ > 0) {
    session_.out().push_bulk(*this);
  } else {
    session_.out().push_urgent(*this);
  }
}

void CommandTask::abort() noexcept {
  if (phase_ == Phase::free) return;
  const bool was_aborted = std::exchange(command_.aborted, true);
  if (phase_ == Phase::running) {
    if (!was_aborted) session_.abort_in_nexus(command_);
    wake_.set();
  } else if (phase_ == Phase::answering) {
    // Its outcome is on its way to the initiator already; only what has not been put into a batch is withheld.
    session_.out().remove(*this);
    drop_outgoing();
    session_.release(*this);
  }
}

void CommandTask::listen(TaskEndListener& listener) noexcept {
  listener.next = listeners_;
  listeners_ = &listener;
}

void CommandTask::tell_listeners() noexcept {
  for (TaskEndListener* listener = std::exchange(listeners_, nullptr); listener != nullptr;) {
    TaskEndListener* following = listener->next;
    listener->ended.set();
    listener = following;
  }
}

std::uint32_t CommandTask::motion_bytes() const noexcept {
  return std::min(expected_length_, runtime::BufferPool::buffer_bytes_max);
}

std::uint64_t CommandTask::waiting_for_data_since_ns() const noexcept {
  const bool due =
      phase_ != Phase::free && phase_ != Phase::answering && write_.is_awaiting_data() && !write_.has_failed();
  return due && !command_.aborted ? last_data_ns_ : 0;
}

// ---- Data-Out -----------------------------------------------------------------------------------------------------

bool CommandTask::landing_covers(std::uint32_t begin, std::uint32_t end) const noexcept {
  return landing_ && begin >= landing_begin_ && end - landing_begin_ <= landing_.size_bytes();
}

// Memory for [begin, end), with what has come of it already. False when the task is over.
runtime::Task<bool> CommandTask::claim(std::uint32_t begin, std::uint32_t end) {
  while (!is_over() && (write_.is_unsolicited_open() || filling_)) co_await wake_.wait();
  if (is_over()) co_return false;
  runtime::BufferLease lease = co_await session_.worker().buffers().acquire(end - begin);
  if (is_over()) co_return false;
  if (arrived_ > begin) {
    const std::uint32_t have = std::min(arrived_, end) - begin;
    const std::byte* source =
        immediate_.empty() ? landing_.bytes().data() + (begin - landing_begin_) : immediate_.data() + begin;
    std::memcpy(lease.bytes().data(), source, have);
  }
  landing_ = std::move(lease);
  landing_begin_ = begin;
  co_return true;
}

runtime::Task<DataMover::Received> CommandTask::receive(std::uint64_t offset, std::uint32_t length) {
  LUN_ASSERT(length > 0 && offset + length <= command_.data_out_max);
  const auto begin = static_cast<std::uint32_t>(offset);
  const std::uint32_t end = begin + length;
  Received received;
  if (!is_over() && end <= immediate_.size()) {
    received.payload.append(immediate_.subspan(begin, length));
    received.registered_index = chunk_.registered_index();
    co_return received;
  }
  if (is_over() || (!landing_covers(begin, end) && !co_await claim(begin, end))) {
    received.outcome = over_outcome();
    co_return received;
  }
  last_data_ns_ = session_.now_ns();
  write_.authorize(end);
  if (arrived_ < end) session_.out().push_urgent(*this);
  while (!is_over() && arrived_ < end) co_await wake_.wait();
  if (is_over()) {
    received.outcome = over_outcome();
    co_return received;
  }
  received.registered_index = landing_.registered_index();
  if (begin == landing_begin_ && write_.received() == end && !write_.is_awaiting_data()) {
    received.payload = backends::Payload(std::move(landing_), length);
  } else {
    received.payload.append(landing_.bytes().subspan(begin - landing_begin_, length));
  }
  co_return received;
}

// ---- Data-In ------------------------------------------------------------------------------------------------------

runtime::Task<MoveOutcome> CommandTask::send(std::uint64_t offset, backends::Payload payload) {
  const std::uint64_t end = offset + payload.size_bytes();
  while (!is_over() && (outgoing_count_ == outgoing_max || !session_.has_send_room())) {
    if (outgoing_count_ < outgoing_max) session_.wait_for_send_room(*this);
    co_await wake_.wait();
  }
  if (is_over()) co_return over_outcome();
  if (offset >= expected_length_ || payload.size_bytes() == 0) co_return MoveOutcome::moved;
  LUN_ASSERT(offset == (outgoing_count_ == 0 ? read_.sent() : outgoing_[outgoing_count_ - 1].end()));
  session_.count_queued(payload.size_bytes());
  outgoing_[outgoing_count_].offset = offset;
  outgoing_[outgoing_count_].payload = std::move(payload);
  ++outgoing_count_;
  // The last PDU waits for the outcome, which may ride on it.
  if (outgoing_count_ > 1 || end - read_.sent() > session_.read_rules().max_data_segment_length)
    session_.out().push_bulk(*this);
  co_return MoveOutcome::moved;
}

void CommandTask::drop_outgoing() noexcept {
  for (std::size_t i = 0; i < outgoing_count_; ++i) {
    session_.uncount_queued(outgoing_[i].payload.size_bytes());
    session_.out().keep(std::move(outgoing_[i].payload));
  }
  outgoing_count_ = 0;
}

iscsi::ReadEnding CommandTask::ending() const noexcept {
  if (!finished_ || outgoing_count_ > 1) return iscsi::ReadEnding::more_follows;
  return command_.status == scsi::Status::good ? iscsi::ReadEnding::last_with_good : iscsi::ReadEnding::last;
}

PduSource::Next CommandTask::produce(Batch& batch) {
  if (!finished_ && !discarding_ && !is_over() && writes_) produce_r2ts(batch);
  std::uint32_t burst = 0;
  while (outgoing_count_ > 0 && burst < limits::burst_bytes) {
    if (!batch.has_room(backends::Payload::segments_max)) return Next::again;
    if (!produce_data(batch, burst)) return Next::done;
  }
  if (outgoing_count_ > 0) return Next::again;
  if (!finished_) return Next::done;
  if (!read_.status_sent()) {
    if (!batch.has_room(1)) return Next::again;
    produce_response(batch);
  }
  session_.release(*this);
  return Next::done;
}

void CommandTask::produce_r2ts(Batch& batch) {
  while (batch.has_room(0)) {
    auto r2t = write_.next_r2t(session_.transfer_tag());
    if (!r2t) return;
    session_.use_transfer_tag();
    r2t->lun = command_.lun;
    r2t->initiator_task_tag = tag_;
    r2t->sn = session_.numbers(false);
    batch.add(*r2t, {});
  }
}

// One Data-In. False when the rest must wait for the outcome (or more data), so that F, S and residual are right.
bool CommandTask::produce_data(Batch& batch, std::uint32_t& burst) {
  Outgoing& first = outgoing_[0];
  const iscsi::ReadEnding how = ending();
  const bool may_be_last = outgoing_count_ == 1 && !finished_;
  const std::uint64_t wanted_end = std::min<std::uint64_t>(first.end(), expected_length_);
  if (may_be_last && wanted_end - read_.sent() <= session_.read_rules().max_data_segment_length) return false;
  const bool ends = how != iscsi::ReadEnding::more_follows;
  const std::uint64_t available =
      ends && first.end() >= expected_length_ ? std::max(first.end(), command_.data_in_length) : first.end();
  const auto data_in = read_.next(available, how);
  if (data_in) {
    iscsi::DataIn pdu = *data_in;
    pdu.initiator_task_tag = tag_;
    if (pdu.has_status) session_.leave_window(*this);
    pdu.sn = session_.numbers(pdu.has_status);
    std::array<iovec, backends::Payload::segments_max> segments;
    const std::size_t count =
        slice(first.payload.segments(), pdu.buffer_offset - first.offset, pdu.data_segment_length, segments);
    batch.add(pdu, {segments.data(), count});
    burst += pdu.data_segment_length;
    session_.count_read(pdu.data_segment_length);
  }
  if (!data_in || read_.sent() >= wanted_end) {
    session_.uncount_queued(first.payload.size_bytes());
    batch.hold(std::move(first.payload));
    for (std::size_t i = 1; i < outgoing_count_; ++i) outgoing_[i - 1] = std::move(outgoing_[i]);
    --outgoing_count_;
    wake_.set();
  }
  return true;
}

void CommandTask::produce_response(Batch& batch) {
  session_.leave_window(*this);
  iscsi::ScsiResponse pdu;
  pdu.initiator_task_tag = tag_;
  pdu.status = static_cast<std::uint8_t>(command_.status);
  pdu.sn = session_.numbers(true);
  pdu.exp_data_sn = reads_ && !writes_ ? read_.next_data_sn() : write_.next_r2t_sn();
  const std::uint64_t actual = reads_ && !writes_ ? command_.data_in_length : command_.data_out_length;
  if (reads_ || writes_) {
    pdu.residual = iscsi::residual_of(expected_length_, actual);
  } else {
    // No data was expected: all there was is overflow.
    pdu.residual = iscsi::residual_of(0, std::max(command_.data_in_length, command_.data_out_length));
  }
  const auto sense = command_.sense.bytes();
  if (command_.status != scsi::Status::check_condition || sense.empty()) {
    batch.add(pdu, {});
    return;
  }
  // SenseLength, then sense data (RFC 7143 11.4.7).
  const auto data = batch.scratch(2 + sense.size());
  data[0] = static_cast<std::byte>(sense.size() >> 8);
  data[1] = static_cast<std::byte>(sense.size());
  std::memcpy(data.data() + 2, sense.data(), sense.size());
  const iovec segment{data.data(), data.size()};
  batch.add(pdu, {&segment, 1});
}

}  // namespace lunaris::iscsi_server
