// Operation codes and service actions of the commands Lunaris knows, by their names in SPC-5 and SBC-4.
#pragma once

#include <cstdint>

namespace lunaris::scsi {

/// OPERATION CODE, byte 0 of every CDB (SPC-5 4.2.5.1).
enum class Opcode : std::uint8_t {
  test_unit_ready = 0x00,
  request_sense = 0x03,
  format_unit = 0x04,
  read_6 = 0x08,
  write_6 = 0x0a,
  inquiry = 0x12,
  mode_select_6 = 0x15,
  reserve_6 = 0x16,
  release_6 = 0x17,
  mode_sense_6 = 0x1a,
  start_stop_unit = 0x1b,
  receive_diagnostic_results = 0x1c,
  send_diagnostic = 0x1d,
  prevent_allow_medium_removal = 0x1e,
  read_capacity_10 = 0x25,
  read_10 = 0x28,
  write_10 = 0x2a,
  write_and_verify_10 = 0x2e,
  verify_10 = 0x2f,
  pre_fetch_10 = 0x34,
  synchronize_cache_10 = 0x35,
  read_defect_data_10 = 0x37,
  write_same_10 = 0x41,
  unmap = 0x42,
  sanitize = 0x48,
  log_sense = 0x4d,
  mode_select_10 = 0x55,
  reserve_10 = 0x56,
  release_10 = 0x57,
  mode_sense_10 = 0x5a,
  persistent_reserve_in = 0x5e,
  persistent_reserve_out = 0x5f,
  extended_copy = 0x83,
  receive_copy_results = 0x84,
  read_16 = 0x88,
  compare_and_write = 0x89,
  write_16 = 0x8a,
  orwrite_16 = 0x8b,
  write_and_verify_16 = 0x8e,
  verify_16 = 0x8f,
  pre_fetch_16 = 0x90,
  synchronize_cache_16 = 0x91,
  write_same_16 = 0x93,
  write_atomic_16 = 0x9c,
  service_action_in_16 = 0x9e,
  report_luns = 0xa0,
  maintenance_in = 0xa3,
  read_12 = 0xa8,
  write_12 = 0xaa,
  write_and_verify_12 = 0xae,
  verify_12 = 0xaf,
  read_defect_data_12 = 0xb7,
};

/// SERVICE ACTION, bits 4 to 0 of byte 1. Numbers are per operation code.
enum class ServiceActionIn16 : std::uint8_t { read_capacity_16 = 0x10, get_lba_status = 0x12 };
enum class MaintenanceIn : std::uint8_t {
  report_target_port_groups = 0x0a,
  report_supported_operation_codes = 0x0c,
  report_supported_task_management_functions = 0x0d,
};

enum class PersistentReserveIn : std::uint8_t {
  read_keys = 0,
  read_reservation = 1,
  report_capabilities = 2,
  read_full_status = 3
};
enum class PersistentReserveOut : std::uint8_t {
  register_key = 0,
  reserve = 1,
  release = 2,
  clear = 3,
  preempt = 4,
  preempt_and_abort = 5,
  register_and_ignore_existing_key = 6,
  register_and_move = 7,
  replace_lost_reservation = 8,
};

/// Bytes of a CDB by its group code (SPC-5 4.2.5.1 table 26); 0 where the group says nothing.
[[nodiscard]] constexpr std::uint8_t cdb_length_of_group(std::uint8_t opcode) noexcept {
  switch (opcode >> 5) {
    case 0:
      return 6;
    case 1:
    case 2:
      return 10;
    case 4:
      return 16;
    case 5:
      return 12;
    default:
      return 0;
  }
}

}  // namespace lunaris::scsi
