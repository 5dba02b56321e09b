// The codes of RFC 7143 as they are on the wire: opcodes, reasons, statuses. Used by everything that handles PDUs.
#pragma once

#include <cstdint>
#include <string_view>

namespace lunaris::iscsi {

/// RFC 7143 11.2.1.2. Requests (from the initiator) are below 0x20.
enum class Opcode : std::uint8_t {
  nop_out = 0x00,
  scsi_command = 0x01,
  task_management_request = 0x02,
  login_request = 0x03,
  text_request = 0x04,
  data_out = 0x05,
  logout_request = 0x06,
  snack_request = 0x10,
  nop_in = 0x20,
  scsi_response = 0x21,
  task_management_response = 0x22,
  login_response = 0x23,
  text_response = 0x24,
  data_in = 0x25,
  logout_response = 0x26,
  r2t = 0x31,
  async_message = 0x32,
  reject = 0x3f,
};

/// RFC 7143 11.17.1.
enum class RejectReason : std::uint8_t {
  data_digest_error = 0x02,
  snack_reject = 0x03,
  protocol_error = 0x04,
  command_not_supported = 0x05,
  immediate_command_reject = 0x06,
  task_in_progress = 0x07,
  invalid_data_ack = 0x08,
  invalid_pdu_field = 0x09,
  long_operation_reject = 0x0a,
  waiting_for_logout = 0x0c,
};

/// Task attribute of a SCSI Command (RFC 7143 11.3.1).
enum class TaskAttribute : std::uint8_t { untagged = 0, simple = 1, ordered = 2, head_of_queue = 3, aca = 4 };

/// RFC 7143 11.4.3.
enum class ScsiServiceResponse : std::uint8_t { completed_at_target = 0x00, target_failure = 0x01 };

/// RFC 7143 11.5.1 and RFC 7144 (9 to 12, only where iSCSIProtocolLevel is at least 2).
enum class TaskManagementFunction : std::uint8_t {
  abort_task = 1,
  abort_task_set = 2,
  clear_aca = 3,
  clear_task_set = 4,
  logical_unit_reset = 5,
  target_warm_reset = 6,
  target_cold_reset = 7,
  task_reassign = 8,
  query_task = 9,
  query_task_set = 10,
  i_t_nexus_reset = 11,
  query_async_event = 12,
};

/// RFC 7143 11.6.1 and RFC 7144 (7).
enum class TaskManagementResponseCode : std::uint8_t {
  function_complete = 0,
  task_does_not_exist = 1,
  lun_does_not_exist = 2,
  task_still_allegiant = 3,
  reassignment_not_supported = 4,
  function_not_supported = 5,
  authorization_failed = 6,
  function_succeeded = 7,
  function_rejected = 255,
};

/// Login stage (RFC 7143 11.12.3).
enum class Stage : std::uint8_t { security = 0, operational = 1, full_feature = 3 };

/// Status-Class and Status-Detail as one number (RFC 7143 11.13.5).
enum class LoginStatus : std::uint16_t {
  success = 0x0000,
  target_moved_temporarily = 0x0101,
  target_moved_permanently = 0x0102,
  initiator_error = 0x0200,
  authentication_failure = 0x0201,
  authorization_failure = 0x0202,
  not_found = 0x0203,
  target_removed = 0x0204,
  unsupported_version = 0x0205,
  too_many_connections = 0x0206,
  missing_parameter = 0x0207,
  cannot_include_in_session = 0x0208,
  session_type_not_supported = 0x0209,
  session_does_not_exist = 0x020a,
  invalid_during_login = 0x020b,
  target_error = 0x0300,
  service_unavailable = 0x0301,
  out_of_resources = 0x0302,
};

/// RFC 7143 11.14.1.
enum class LogoutReason : std::uint8_t { close_session = 0, close_connection = 1, remove_for_recovery = 2 };

/// RFC 7143 11.15.1.
enum class LogoutResponseCode : std::uint8_t {
  success = 0,
  cid_not_found = 1,
  recovery_not_supported = 2,
  cleanup_failed = 3,
};

/// RFC 7143 11.16.1.
enum class SnackType : std::uint8_t { data_or_r2t = 0, status = 1, data_ack = 2, r_data = 3 };

/// RFC 7143 11.9.1.
enum class AsyncEvent : std::uint8_t {
  scsi_event = 0,
  logout_request = 1,
  drop_connection = 2,
  drop_session = 3,
  renegotiate = 4,
  all_tasks_terminated = 5,
};

/// Words for logs; "?" is never answered for a value of the enum.
[[nodiscard]] std::string_view to_string(Opcode opcode) noexcept;
[[nodiscard]] std::string_view to_string(RejectReason reason) noexcept;
[[nodiscard]] std::string_view to_string(LoginStatus status) noexcept;

}  // namespace lunaris::iscsi
