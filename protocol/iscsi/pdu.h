// One plain struct per PDU of RFC 7143 section 11, both directions. Made by the codec from a received header, or filled
// in by the sender and encoded. Field names are the standard's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

#include "protocol/iscsi/opcodes.h"
#include "protocol/iscsi/serial_number.h"

namespace lunaris::iscsi {

/// Basic Header Segment (RFC 7143 11.2.1).
inline constexpr std::size_t bhs_bytes = 48;
/// TotalAHSLength counts 255 words at most.
inline constexpr std::size_t ahs_bytes_max = std::size_t{255} * 4;
inline constexpr std::size_t digest_bytes = 4;
/// DataSegmentLength is a 24-bit field.
inline constexpr std::uint32_t data_segment_bytes_max = (1u << 24) - 1;
/// "No tag": Initiator Task Tag and Target Transfer Tag (RFC 7143 11.2.1.8, 11.7.4).
inline constexpr std::uint32_t reserved_tag = 0xffffffff;

/// Initiator Session ID, 48 bits (RFC 7143 11.12.5). Kept as a number; compared as a whole.
using Isid = std::uint64_t;

/// Bytes to pad a data segment of `length` to a multiple of four (RFC 7143 11.2.3).
[[nodiscard]] constexpr std::uint32_t padding_bytes(std::uint32_t length) noexcept {
  return (4 - length % 4) % 4;
}

// ---- requests: initiator to target --------------------------------------------------------------------------------
// data_segment_length: bytes of data segment that follow the header, without padding. For a request it is what the
// header said; PduWriter sets it on the wire from the payload it is given.

/// RFC 7143 11.18.
struct NopOut {
  bool immediate = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag;  // reserved_tag: no answer wanted
  std::uint32_t target_transfer_tag = reserved_tag;
  SerialNumber cmd_sn{}, exp_stat_sn{};
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.3. The CDB is 16 bytes here; what an extended-CDB AHS adds (11.2.2.3) is in `cdb_extension`, which lies
/// in the reader's header memory: copy_cdb() before the reader goes on to the next PDU.
struct ScsiCommand {
  bool immediate = false;
  bool final_bit = true;  // F: no unsolicited Data-Out follows
  bool read = false;      // R
  bool write = false;     // W
  TaskAttribute attribute = TaskAttribute::simple;
  std::uint8_t priority = 0;  // RFC 7144 command priority, 0 to 15; only where iSCSIProtocolLevel is at least 2
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t expected_data_transfer_length = 0;
  SerialNumber cmd_sn{}, exp_stat_sn{};
  std::array<std::uint8_t, 16> cdb{};
  std::span<const std::byte> cdb_extension{};
  /// Bidirectional commands name their read length in an AHS (11.2.2.4); without one it is 0.
  std::uint32_t bidirectional_read_length = 0;
  std::uint32_t data_segment_length = 0;  // immediate data

  static constexpr std::size_t cdb_bytes_max = 260;
  [[nodiscard]] std::size_t cdb_size() const noexcept { return cdb.size() + cdb_extension.size(); }
  /// Writes the whole CDB to the front of `memory` (at least cdb_size()); its length.
  std::size_t copy_cdb(std::span<std::uint8_t> memory) const noexcept;
};

/// RFC 7143 11.5. The function is kept as sent: an unknown one is answered "function not supported", not rejected.
struct TaskManagementRequest {
  bool immediate = false;
  std::uint8_t function = 0;  // TaskManagementFunction, or unknown
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t referenced_task_tag = reserved_tag;
  SerialNumber cmd_sn{}, exp_stat_sn{}, ref_cmd_sn{}, exp_data_sn{};
};

/// RFC 7143 11.7, Data-Out.
struct DataOut {
  bool final_bit = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t target_transfer_tag = reserved_tag;  // reserved_tag: unsolicited
  SerialNumber exp_stat_sn{}, data_sn{};
  std::uint32_t buffer_offset = 0;
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.10.
struct TextRequest {
  bool immediate = false;
  bool final_bit = false;
  bool continues = false;  // C
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t target_transfer_tag = reserved_tag;
  SerialNumber cmd_sn{}, exp_stat_sn{};
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.12. Stages are kept as sent (0 to 3): 2 is refused by the login machine, not by the codec, because
/// the right answer is a Login Response.
struct LoginRequest {
  bool transit = false;            // T
  bool continues = false;          // C
  std::uint8_t current_stage = 0;  // CSG
  std::uint8_t next_stage = 0;     // NSG; meaningful with T
  std::uint8_t version_max = 0;
  std::uint8_t version_min = 0;
  Isid isid = 0;
  std::uint16_t tsih = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint16_t cid = 0;
  SerialNumber cmd_sn{}, exp_stat_sn{};
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.14. The reason is kept as sent.
struct LogoutRequest {
  bool immediate = false;
  std::uint8_t reason = 0;  // LogoutReason, or unknown
  std::uint32_t initiator_task_tag = 0;
  std::uint16_t cid = 0;
  SerialNumber cmd_sn{}, exp_stat_sn{};
};

/// RFC 7143 11.16.
struct SnackRequest {
  SnackType type = SnackType::data_or_r2t;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag;
  std::uint32_t target_transfer_tag = reserved_tag;
  SerialNumber exp_stat_sn{};
  std::uint32_t begin_run = 0;
  std::uint32_t run_length = 0;
};

// ---- responses: target to initiator -------------------------------------------------------------------------------

/// StatSN, ExpCmdSN and MaxCmdSN, which stand at the same place in every response (RFC 7143 4.2.2).
struct SequenceNumbers {
  SerialNumber stat_sn{}, exp_cmd_sn{}, max_cmd_sn{};
  constexpr bool operator==(const SequenceNumbers&) const = default;
};

/// What was not transferred, or what did not fit (RFC 7143 11.4.5).
struct Residual {
  enum class Kind : std::uint8_t { none, underflow, overflow } kind = Kind::none;
  std::uint32_t count = 0;
  constexpr bool operator==(const Residual&) const = default;
};

/// RFC 7143 11.19.
struct NopIn {
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = reserved_tag;   // reserved_tag: not an answer
  std::uint32_t target_transfer_tag = reserved_tag;  // not reserved_tag: an answer is wanted
  SequenceNumbers sn{};
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.4. Sense data goes into the data segment behind its 16-bit SenseLength (11.4.7).
struct ScsiResponse {
  ScsiServiceResponse response = ScsiServiceResponse::completed_at_target;
  std::uint8_t status = 0;  // SAM status code
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t snack_tag = 0;
  SequenceNumbers sn{};
  /// The number of R2T and Data-In PDUs sent for the command (11.4.8).
  SerialNumber exp_data_sn{};
  Residual residual{};
  Residual bidirectional_residual{};
  /// SAM-5 status qualifier (RFC 7144), 0 unless iSCSIProtocolLevel is at least 2.
  std::uint16_t status_qualifier = 0;
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.6.
struct TaskManagementResponse {
  TaskManagementResponseCode response = TaskManagementResponseCode::function_complete;
  std::uint32_t initiator_task_tag = 0;
  SequenceNumbers sn{};
};

/// RFC 7143 11.7, Data-In. With has_status the response is collapsed into it: status, residual and StatSN count.
struct DataIn {
  bool final_bit = false;
  bool acknowledge = false;  // A; never set at ErrorRecoveryLevel 0
  bool has_status = false;   // S
  std::uint8_t status = 0;
  std::uint64_t lun = 0;  // meaningful with a Target Transfer Tag only
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t target_transfer_tag = reserved_tag;
  SequenceNumbers sn{};  // stat_sn meaningful with has_status
  SerialNumber data_sn{};
  std::uint32_t buffer_offset = 0;
  Residual residual{};  // meaningful with has_status
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.8.
struct R2t {
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t target_transfer_tag = 0;
  SequenceNumbers sn{};  // stat_sn is the next one, not advanced
  SerialNumber r2t_sn{};
  std::uint32_t buffer_offset = 0;
  std::uint32_t desired_data_transfer_length = 0;
};

/// RFC 7143 11.11.
struct TextResponse {
  bool final_bit = true;
  bool continues = false;
  std::uint64_t lun = 0;
  std::uint32_t initiator_task_tag = 0;
  std::uint32_t target_transfer_tag = reserved_tag;
  SequenceNumbers sn{};
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.13.
struct LoginResponse {
  bool transit = false;
  bool continues = false;
  std::uint8_t current_stage = 0;
  std::uint8_t next_stage = 0;
  std::uint8_t version_max = 0;
  std::uint8_t version_active = 0;
  Isid isid = 0;
  std::uint16_t tsih = 0;
  std::uint32_t initiator_task_tag = 0;
  SequenceNumbers sn{};
  LoginStatus status = LoginStatus::success;
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.15.
struct LogoutResponse {
  LogoutResponseCode response = LogoutResponseCode::success;
  std::uint32_t initiator_task_tag = 0;
  SequenceNumbers sn{};
  std::uint16_t time2wait_s = 0;
  std::uint16_t time2retain_s = 0;
};

/// RFC 7143 11.9. For scsi_event the data segment carries SenseLength and sense data (11.9.2).
struct AsyncMessage {
  AsyncEvent event = AsyncEvent::scsi_event;
  std::uint8_t vendor_code = 0;
  std::uint64_t lun = 0;
  SequenceNumbers sn{};
  std::uint16_t parameter1 = 0, parameter2 = 0, parameter3 = 0;
  std::uint32_t data_segment_length = 0;
};

/// RFC 7143 11.17. The data segment is the header of the rejected PDU, 48 bytes (and its AHS and digest if wanted).
struct Reject {
  RejectReason reason = RejectReason::protocol_error;
  SequenceNumbers sn{};
  SerialNumber data_sn{};  // or R2TSN; 0 unless a SNACK is rejected
  std::uint32_t data_segment_length = 0;
};

/// Why a header is not a PDU we can act on: the reason for the Reject and words for the log.
struct Malformed {
  RejectReason reason = RejectReason::protocol_error;
  std::string_view what{};  // static text
};

using RequestPdu = std::variant<Malformed, NopOut, ScsiCommand, TaskManagementRequest, LoginRequest, TextRequest,
                                DataOut, LogoutRequest, SnackRequest>;
using ResponsePdu = std::variant<Malformed, NopIn, ScsiResponse, TaskManagementResponse, LoginResponse, TextResponse,
                                 DataIn, LogoutResponse, R2t, AsyncMessage, Reject>;

/// For std::visit: one lambda per alternative, checked to be complete by the compiler.
template <class... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};
template <class... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace lunaris::iscsi
