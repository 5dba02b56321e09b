// The handlers that rows of the command table name, by family. Each is a coroutine that sets the command's outcome; see
// server/scsi/README.md for how to add one.
#pragma once

#include "server/runtime/task.h"

namespace lunaris::scsi_server {

struct Execution;

// basic.cpp
runtime::Task<> test_unit_ready(Execution& execution);
runtime::Task<> request_sense(Execution& execution);
runtime::Task<> start_stop_unit(Execution& execution);
runtime::Task<> prevent_allow_medium_removal(Execution& execution);
runtime::Task<> send_diagnostic(Execution& execution);
runtime::Task<> receive_diagnostic_results(Execution& execution);
runtime::Task<> log_sense(Execution& execution);
// inquiry.cpp
runtime::Task<> inquiry(Execution& execution);
// report.cpp
runtime::Task<> report_luns(Execution& execution);
runtime::Task<> report_target_port_groups(Execution& execution);
runtime::Task<> report_supported_operation_codes(Execution& execution);
runtime::Task<> report_supported_task_management_functions(Execution& execution);
// mode.cpp
runtime::Task<> mode_sense(Execution& execution);
runtime::Task<> mode_select(Execution& execution);
// capacity.cpp
runtime::Task<> read_capacity_10(Execution& execution);
runtime::Task<> read_capacity_16(Execution& execution);
runtime::Task<> get_lba_status(Execution& execution);
// read_write.cpp
runtime::Task<> read(Execution& execution);
runtime::Task<> write(Execution& execution);
runtime::Task<> write_and_verify(Execution& execution);
runtime::Task<> verify(Execution& execution);
runtime::Task<> pre_fetch(Execution& execution);
runtime::Task<> synchronize_cache(Execution& execution);
// reservations.cpp
runtime::Task<> persistent_reserve_in(Execution& execution);
runtime::Task<> persistent_reserve_out(Execution& execution);
runtime::Task<> reserve_unit(Execution& execution);
runtime::Task<> release_unit(Execution& execution);
// atomic.cpp
runtime::Task<> compare_and_write(Execution& execution);
runtime::Task<> orwrite(Execution& execution);
runtime::Task<> write_atomic(Execution& execution);
// copy.cpp
runtime::Task<> extended_copy(Execution& execution);
runtime::Task<> receive_copy_status(Execution& execution);
runtime::Task<> receive_copy_data(Execution& execution);
runtime::Task<> receive_copy_operating_parameters(Execution& execution);
runtime::Task<> receive_copy_failed_segment_details(Execution& execution);
// defects.cpp
runtime::Task<> read_defect_data_10(Execution& execution);
runtime::Task<> read_defect_data_12(Execution& execution);
// sanitize.cpp
runtime::Task<> sanitize_overwrite(Execution& execution);
runtime::Task<> sanitize_block_erase(Execution& execution);
runtime::Task<> sanitize_exit_failure_mode(Execution& execution);
runtime::Task<> format_unit(Execution& execution);
// provisioning.cpp
runtime::Task<> unmap(Execution& execution);
runtime::Task<> write_same(Execution& execution);

}  // namespace lunaris::scsi_server
