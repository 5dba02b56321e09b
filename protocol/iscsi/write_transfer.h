// WriteTransfer: how the data of one write command arrives: immediate, unsolicited Data-Out, and Data-Out asked for by
// R2T (RFC 7143 4.2.5, 11.7, 11.8). The session asks it before it places a payload, and which R2T to send next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocol/iscsi/parameters.h"
#include "protocol/iscsi/pdu.h"

namespace lunaris::iscsi {

/// What of the negotiated parameters a write depends on. Sizes in bytes.
struct WriteRules {
  bool initial_r2t = true;
  bool immediate_data = true;
  std::uint32_t max_burst_length = 262144;
  std::uint32_t first_burst_length = 65536;
  std::uint32_t max_outstanding_r2t = 1;

  [[nodiscard]] static WriteRules of(const Parameters& parameters) noexcept;
};

/// Why data is not accepted, and the answer to it.
enum class WriteFault : std::uint8_t {
  none,
  unexpected_unsolicited_data,  // CHECK CONDITION 0B/0C/0C (RFC 7143 11.4.7.2)
  incorrect_amount_of_data,     // CHECK CONDITION 0B/0C/0D
  protocol_error,               // Reject protocol_error: DataSN, BufferOffset, F bit or burst broken
  invalid_field,                // Reject invalid_pdu_field: unknown Target Transfer Tag
};

/// One per write command. Data arrives strictly in order (DataPDUInOrder and DataSequenceInOrder are Yes), so what has
/// come is always one prefix [0, received()). All checks are made before a byte is placed; after a fault the transfer
/// accepts nothing more (the session fails the task).
///
///   start():    immediate data of the command PDU
///   data_out(): header of each Data-Out, before its payload is placed at [buffer_offset, + length)
///   authorize(end): memory up to `end` is claimed; next_r2t() asks for what is not covered yet
///
/// R2Ts go out as soon as the unsolicited data is over, at most max_outstanding_r2t at a time, each at most
/// max_burst_length, in increasing order. Never allocates.
class WriteTransfer {
 public:
  static constexpr std::uint32_t outstanding_r2t_max = 16;

  WriteTransfer() = default;
  /// Checks the command against the rules and accepts its immediate data (data_segment_length bytes).
  [[nodiscard]] WriteFault start(const WriteRules& rules, const ScsiCommand& command) noexcept;

  /// A Data-Out for this task. On `none` its data belongs to [data.buffer_offset, + data_segment_length) and counts as
  /// received; the caller learns of its arrival from PduReader.
  [[nodiscard]] WriteFault data_out(const DataOut& data) noexcept;

  /// Raises the end of what may be asked for; never lowers it, never beyond expected_length().
  void authorize(std::uint32_t end) noexcept;
  /// The R2T to send now, if any. Its lun, initiator_task_tag, sequence numbers and target_transfer_tag are the
  /// caller's to fill in; `target_transfer_tag` is also recorded here, so that Data-Out is checked against it.
  [[nodiscard]] std::optional<R2t> next_r2t(std::uint32_t target_transfer_tag) noexcept;

  [[nodiscard]] std::uint32_t expected_length() const noexcept { return expected_length_; }
  /// Bytes accepted so far: the prefix [0, received()).
  [[nodiscard]] std::uint32_t received() const noexcept { return received_; }
  /// Bytes that come without (further) R2T: where authorised memory must reach at least. Immediate data at first, then
  /// the end of the unsolicited sequence.
  [[nodiscard]] std::uint32_t unsolicited_end() const noexcept { return unsolicited_end_; }
  [[nodiscard]] bool is_unsolicited_open() const noexcept { return unsolicited_open_; }
  [[nodiscard]] bool is_complete() const noexcept { return received_ == expected_length_ && !has_failed_; }
  [[nodiscard]] bool has_failed() const noexcept { return has_failed_; }
  /// Data has been asked for and not all of it has come (TMF and residual handling ask).
  [[nodiscard]] bool is_awaiting_data() const noexcept { return unsolicited_open_ || outstanding_ > 0; }
  /// R2Ts sent: the command's ExpDataSN in its response, when no Data-In was sent (RFC 7143 11.4.8).
  [[nodiscard]] SerialNumber next_r2t_sn() const noexcept { return next_r2t_sn_; }

 private:
  struct Burst {
    std::uint32_t target_transfer_tag = reserved_tag;
    std::uint32_t end = 0;
  };
  [[nodiscard]] WriteFault fail(WriteFault fault) noexcept;
  [[nodiscard]] WriteFault unsolicited(const DataOut& data) noexcept;
  [[nodiscard]] WriteFault solicited(const DataOut& data) noexcept;

  WriteRules rules_;
  std::uint32_t expected_length_ = 0;
  std::uint32_t received_ = 0;
  std::uint32_t unsolicited_end_ = 0;  // where unsolicited data stops at the latest
  bool unsolicited_open_ = false;      // unsolicited Data-Out is still to come
  bool has_failed_ = false;
  SerialNumber next_data_sn_;  // of the current sequence
  SerialNumber next_r2t_sn_;
  std::uint32_t asked_ = 0;                          // end of what R2Ts have asked for
  std::uint32_t authorized_ = 0;                     // end of claimed memory
  std::array<Burst, outstanding_r2t_max> bursts_{};  // ring, oldest first
  std::uint32_t first_burst_index_ = 0;
  std::uint32_t outstanding_ = 0;
};

}  // namespace lunaris::iscsi
