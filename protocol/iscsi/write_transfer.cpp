// Admission of a write's data, in order, and its R2Ts.
#include "protocol/iscsi/write_transfer.h"

#include <algorithm>

#include "protocol/bytes/ensure.h"

namespace lunaris::iscsi {

WriteRules WriteRules::of(const Parameters& parameters) noexcept {
  return {parameters.initial_r2t, parameters.immediate_data, parameters.max_burst_length, parameters.first_burst_length,
          parameters.max_outstanding_r2t};
}

WriteFault WriteTransfer::fail(WriteFault fault) noexcept {
  has_failed_ = true;
  return fault;
}

WriteFault WriteTransfer::start(const WriteRules& rules, const ScsiCommand& command) noexcept {
  *this = WriteTransfer();
  rules_ = rules;
  expected_length_ = command.expected_data_transfer_length;
  const std::uint32_t unsolicited_max = std::min(rules.first_burst_length, expected_length_);
  const std::uint32_t immediate = command.data_segment_length;
  if (immediate > 0 && !rules.immediate_data) return fail(WriteFault::unexpected_unsolicited_data);
  if (!command.final_bit && rules.initial_r2t) return fail(WriteFault::unexpected_unsolicited_data);
  if (immediate > unsolicited_max) return fail(WriteFault::incorrect_amount_of_data);
  received_ = immediate;
  // F = 0 promises unsolicited Data-Out up to FirstBurstLength or the end of the data (RFC 7143 11.3.4).
  unsolicited_open_ = !command.final_bit;
  unsolicited_end_ = unsolicited_open_ ? unsolicited_max : immediate;
  asked_ = unsolicited_end_;
  // A promise of nothing: an empty sequence would be needed to close it; initiators send F = 1 instead.
  if (unsolicited_open_ && received_ == unsolicited_end_) return fail(WriteFault::incorrect_amount_of_data);
  return WriteFault::none;
}

WriteFault WriteTransfer::data_out(const DataOut& data) noexcept {
  if (has_failed_) return WriteFault::protocol_error;
  return data.target_transfer_tag == reserved_tag ? unsolicited(data) : solicited(data);
}

WriteFault WriteTransfer::unsolicited(const DataOut& data) noexcept {
  if (!unsolicited_open_) return fail(WriteFault::unexpected_unsolicited_data);
  if (data.data_sn != next_data_sn_ || data.buffer_offset != received_) return fail(WriteFault::protocol_error);
  if (data.data_segment_length > unsolicited_end_ - received_) return fail(WriteFault::incorrect_amount_of_data);
  received_ += data.data_segment_length;
  ++next_data_sn_;
  const bool all = received_ == unsolicited_end_;
  // The sequence ends with F exactly where the promised data ends.
  if (data.final_bit && !all) return fail(WriteFault::incorrect_amount_of_data);
  if (all && !data.final_bit) return fail(WriteFault::protocol_error);
  if (all) {
    unsolicited_open_ = false;
    next_data_sn_ = SerialNumber();
  }
  return WriteFault::none;
}

WriteFault WriteTransfer::solicited(const DataOut& data) noexcept {
  if (outstanding_ == 0) return fail(WriteFault::invalid_field);
  const Burst& burst = bursts_[first_burst_index_];
  // R2Ts are fulfilled in the order in which they were sent (DataSequenceInOrder=Yes, RFC 7143 13.19).
  if (data.target_transfer_tag != burst.target_transfer_tag) return fail(WriteFault::invalid_field);
  if (data.data_sn != next_data_sn_ || data.buffer_offset != received_) return fail(WriteFault::protocol_error);
  if (data.data_segment_length > burst.end - received_) return fail(WriteFault::protocol_error);
  received_ += data.data_segment_length;
  ++next_data_sn_;
  const bool all = received_ == burst.end;
  if (data.final_bit != all) return fail(WriteFault::protocol_error);
  if (all) {
    next_data_sn_ = SerialNumber();
    first_burst_index_ = (first_burst_index_ + 1) % outstanding_r2t_max;
    --outstanding_;
  }
  return WriteFault::none;
}

void WriteTransfer::authorize(std::uint32_t end) noexcept {
  authorized_ = std::max(authorized_, std::min(end, expected_length_));
}

std::optional<R2t> WriteTransfer::next_r2t(std::uint32_t target_transfer_tag) noexcept {
  bytes::ensure(target_transfer_tag != reserved_tag);
  const std::uint32_t outstanding_max = std::min(rules_.max_outstanding_r2t, outstanding_r2t_max);
  if (has_failed_ || unsolicited_open_ || asked_ >= authorized_ || outstanding_ >= outstanding_max) return std::nullopt;
  R2t r2t;
  r2t.target_transfer_tag = target_transfer_tag;
  r2t.r2t_sn = next_r2t_sn_;
  r2t.buffer_offset = asked_;
  r2t.desired_data_transfer_length = std::min(authorized_ - asked_, rules_.max_burst_length);
  asked_ += r2t.desired_data_transfer_length;
  bursts_[(first_burst_index_ + outstanding_) % outstanding_r2t_max] = {target_transfer_tag, asked_};
  ++outstanding_;
  ++next_r2t_sn_;
  return r2t;
}

}  // namespace lunaris::iscsi
