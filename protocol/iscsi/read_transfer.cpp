// The cutting of a read's data.
#include "protocol/iscsi/read_transfer.h"

#include <algorithm>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {

ReadRules ReadRules::of(const Parameters& parameters) noexcept {
  return {parameters.initiator_max_recv_data_segment_length, parameters.max_burst_length};
}

std::optional<DataIn> ReadTransfer::next(std::uint64_t available_end, ReadEnding ending) noexcept {
  bytes::ensure(available_end >= sent_);
  const auto end = static_cast<std::uint32_t>(std::min<std::uint64_t>(available_end, expected_length_));
  if (sent_ >= end) return std::nullopt;
  const std::uint32_t left_of_burst = rules_.max_burst_length - sent_ % rules_.max_burst_length;
  DataIn data_in;
  data_in.buffer_offset = sent_;
  data_in.data_segment_length = std::min({end - sent_, rules_.max_data_segment_length, left_of_burst});
  data_in.data_sn = next_data_sn_;
  sent_ += data_in.data_segment_length;
  ++next_data_sn_;
  // Nothing more can follow once the initiator has all it expects, whatever the command still produces.
  const bool last = sent_ == end && (ending != ReadEnding::more_follows || sent_ == expected_length_);
  data_in.final_bit = last || data_in.data_segment_length == left_of_burst;
  if (sent_ == end && ending == ReadEnding::last_with_good) {
    data_in.has_status = true;
    data_in.residual = residual_of(expected_length_, available_end);
    status_sent_ = true;
  }
  return data_in;
}

}  // namespace lunaris::iscsi
