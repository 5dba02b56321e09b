// Words for the wire codes.
#include "protocol/iscsi/opcodes.h"

namespace lunaris::iscsi {

std::string_view to_string(Opcode opcode) noexcept {
  switch (opcode) {
    case Opcode::nop_out:
      return "NOP-Out";
    case Opcode::scsi_command:
      return "SCSI Command";
    case Opcode::task_management_request:
      return "Task Management Function Request";
    case Opcode::login_request:
      return "Login Request";
    case Opcode::text_request:
      return "Text Request";
    case Opcode::data_out:
      return "SCSI Data-Out";
    case Opcode::logout_request:
      return "Logout Request";
    case Opcode::snack_request:
      return "SNACK Request";
    case Opcode::nop_in:
      return "NOP-In";
    case Opcode::scsi_response:
      return "SCSI Response";
    case Opcode::task_management_response:
      return "Task Management Function Response";
    case Opcode::login_response:
      return "Login Response";
    case Opcode::text_response:
      return "Text Response";
    case Opcode::data_in:
      return "SCSI Data-In";
    case Opcode::logout_response:
      return "Logout Response";
    case Opcode::r2t:
      return "R2T";
    case Opcode::async_message:
      return "Asynchronous Message";
    case Opcode::reject:
      return "Reject";
  }
  return "?";
}

std::string_view to_string(RejectReason reason) noexcept {
  switch (reason) {
    case RejectReason::data_digest_error:
      return "data digest error";
    case RejectReason::snack_reject:
      return "SNACK reject";
    case RejectReason::protocol_error:
      return "protocol error";
    case RejectReason::command_not_supported:
      return "command not supported";
    case RejectReason::immediate_command_reject:
      return "immediate command reject";
    case RejectReason::task_in_progress:
      return "task in progress";
    case RejectReason::invalid_data_ack:
      return "invalid data ACK";
    case RejectReason::invalid_pdu_field:
      return "invalid PDU field";
    case RejectReason::long_operation_reject:
      return "long operation reject";
    case RejectReason::waiting_for_logout:
      return "waiting for logout";
  }
  return "?";
}

std::string_view to_string(LoginStatus status) noexcept {
  switch (status) {
    case LoginStatus::success:
      return "success";
    case LoginStatus::target_moved_temporarily:
      return "target moved temporarily";
    case LoginStatus::target_moved_permanently:
      return "target moved permanently";
    case LoginStatus::initiator_error:
      return "initiator error";
    case LoginStatus::authentication_failure:
      return "authentication failure";
    case LoginStatus::authorization_failure:
      return "authorization failure";
    case LoginStatus::not_found:
      return "target not found";
    case LoginStatus::target_removed:
      return "target removed";
    case LoginStatus::unsupported_version:
      return "unsupported version";
    case LoginStatus::too_many_connections:
      return "too many connections";
    case LoginStatus::missing_parameter:
      return "missing parameter";
    case LoginStatus::cannot_include_in_session:
      return "cannot include in session";
    case LoginStatus::session_type_not_supported:
      return "session type not supported";
    case LoginStatus::session_does_not_exist:
      return "session does not exist";
    case LoginStatus::invalid_during_login:
      return "invalid during login";
    case LoginStatus::target_error:
      return "target error";
    case LoginStatus::service_unavailable:
      return "service unavailable";
    case LoginStatus::out_of_resources:
      return "out of resources";
  }
  return "?";
}

}  // namespace lunaris::iscsi
