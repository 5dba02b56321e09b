// BackendError -> sense data. Keys are chosen by what a good initiator does next: ABORTED COMMAND is retried, MEDIUM
// and HARDWARE ERROR are reported upwards, DATA PROTECT 27/07 pauses a hypervisor's guest until there is space again.
#include "server/scsi/sense_from_error.h"

namespace lunaris::scsi_server {

scsi::SenseData sense_from_error(const runtime::Error& error) noexcept {
  using scsi::SenseKey;
  using namespace scsi::additional_sense;
  const auto say = [](SenseKey key, scsi::AdditionalSense additional) {
    return scsi::SenseData{.key = key, .additional = additional, .information = {}, .field = {}};
  };
  if (error.category() != backends::backend_category()) return say(SenseKey::hardware_error, internal_target_failure);
  switch (static_cast<backends::BackendError>(error.value())) {
    case backends::BackendError::read_failed:
      return say(SenseKey::medium_error, unrecovered_read_error);
    case backends::BackendError::write_failed:
      return say(SenseKey::medium_error, write_error);
    case backends::BackendError::flush_failed:
      return say(SenseKey::medium_error, write_error);
    case backends::BackendError::out_of_space:
      return say(SenseKey::data_protect, space_allocation_failed_write_protect);
    case backends::BackendError::out_of_memory:
      return say(SenseKey::aborted_command, insufficient_resources);
    case backends::BackendError::not_supported:
      return say(SenseKey::illegal_request, invalid_field_in_cdb);
    case backends::BackendError::gone:
      return say(SenseKey::hardware_error, internal_target_failure);
    case backends::BackendError::timed_out:
      return say(SenseKey::aborted_command, logical_unit_communication_time_out);
    case backends::BackendError::read_only:
      return say(SenseKey::data_protect, write_protected);
    case backends::BackendError::out_of_range:
      return say(SenseKey::illegal_request, logical_block_address_out_of_range);
  }
  return say(SenseKey::hardware_error, internal_target_failure);
}

bool fails_the_volume(const runtime::Error& error) noexcept {
  return error == make_error_code(backends::BackendError::flush_failed) ||
         error == make_error_code(backends::BackendError::gone);
}

}  // namespace lunaris::scsi_server
