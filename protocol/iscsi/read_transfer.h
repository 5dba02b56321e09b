// ReadTransfer: cuts the data of one read command into Data-In PDUs (RFC 7143 4.2.5, 11.7): PDU size, bursts, F and S
// bits, DataSN, residual. The session turns each piece into a DataIn and a gather list.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/iscsi/parameters.h"
#include "protocol/iscsi/pdu.h"

namespace lunaris::iscsi {

struct ReadRules {
  std::uint32_t max_data_segment_length = 8192;  // the initiator's MaxRecvDataSegmentLength
  std::uint32_t max_burst_length = 262144;

  [[nodiscard]] static ReadRules of(const Parameters& parameters) noexcept;
};

/// What follows the bytes that are available now.
enum class ReadEnding : std::uint8_t {
  more_follows,    // of data
  last,            // these are the last; a SCSI Response follows
  last_with_good,  // these are the last; status GOOD rides on the last PDU (S bit)
};

/// One per read command. Data goes out in increasing order without gaps.
///
///   while (auto data_in = transfer.next(available_end, ending)) send(*data_in, payload(offset, length))
///
/// The caller fills in initiator_task_tag and the sequence numbers. Never allocates.
class ReadTransfer {
 public:
  ReadTransfer() = default;
  ReadTransfer(const ReadRules& rules, std::uint32_t expected_length) noexcept
      : rules_(rules), expected_length_(expected_length) {}

  /// The next PDU when the command's data exists up to `available_end`; nothing when all of it is sent. Bytes beyond
  /// what the initiator expects are never sent. With last_with_good the PDU that reaches the end has S set, status GOOD
  /// and the residual. If nothing at all is left for it (no data, or everything went out before), there is no PDU and
  /// status_sent() stays false: the caller sends a SCSI Response.
  [[nodiscard]] std::optional<DataIn> next(std::uint64_t available_end, ReadEnding ending) noexcept;

  [[nodiscard]] std::uint32_t sent() const noexcept { return sent_; }
  [[nodiscard]] std::uint32_t expected_length() const noexcept { return expected_length_; }
  /// Data-In PDUs sent: ExpDataSN of the response (RFC 7143 11.4.8).
  [[nodiscard]] SerialNumber next_data_sn() const noexcept { return next_data_sn_; }
  [[nodiscard]] bool status_sent() const noexcept { return status_sent_; }

 private:
  ReadRules rules_;
  std::uint32_t expected_length_ = 0;
  std::uint32_t sent_ = 0;
  SerialNumber next_data_sn_;
  bool status_sent_ = false;
};

}  // namespace lunaris::iscsi
