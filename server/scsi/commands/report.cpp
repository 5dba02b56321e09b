// The REPORT commands: LUNS, TARGET PORT GROUPS, SUPPORTED OPERATION CODES, SUPPORTED TASK MANAGEMENT FUNCTIONS
// (SPC-5 6.31 to 6.36).
#include <array>
#include <vector>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/report_opcodes.h"
#include "server/scsi/command_table.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/limits.h"
#include "server/scsi/lun.h"
#include "server/scsi/nexus_state.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {

// SPC-5 6.33 table 291: SELECT REPORT. There are no well known, administrative or subsidiary logical units.
runtime::Task<> report_luns(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  if (execution.unit == nullptr && decode_lun(execution.command.lun) != 0) {
    execution.illegal_request(scsi::additional_sense::logical_unit_not_supported);
    co_return;
  }
  const std::shared_ptr<const LunMap> luns = execution.nexus_state.luns;
  const std::uint8_t select = cdb[2];
  const bool lists_units = select == 0x00 || select == 0x02 || select == 0x11;
  if (!lists_units && select != 0x01 && select != 0x10) {
    execution.invalid_field(2);
    co_return;
  }
  std::vector<std::uint8_t> data(8);
  if (lists_units) {
    data.reserve(8 + 8 * luns->entries.size());
    for (const auto& [lun, entry] : luns->entries) {
      data.resize(data.size() + 8);
      scsi::store64(data, data.size() - 8, encode_lun(lun));
    }
  }
  scsi::store32(data, 0, data.size() - 8);
  clear_attention_everywhere(execution.nexus_state, scsi::additional_sense::reported_luns_data_has_changed);
  co_await reply(execution, data, scsi::load32(cdb, 6));
}

// SPC-5 6.36: one group, active/optimized, implicit.
runtime::Task<> report_target_port_groups(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool extended_header = (cdb[1] & 0x20) != 0;
  std::vector<std::uint8_t> data(extended_header ? 8 : 4);
  if (extended_header) scsi::store8(data, 4, 0x10);  // RETURN DATA FORMAT 001b
  std::array<std::uint8_t, 12> group{};
  scsi::store8(group, 1, 0x01);  // AO_SUP
  scsi::store16(group, 2, target_port_group);
  scsi::store8(group, 7, 1);  // TARGET PORT COUNT
  scsi::store16(group, 10, execution.nexus.identity().relative_target_port);
  data.insert(data.end(), group.begin(), group.end());
  scsi::store32(data, 0, data.size() - 4);
  co_await reply(execution, data, scsi::load32(cdb, 6));
}

namespace {

/// Whether the addressed unit has the command of `row`.
bool is_there(const Execution& execution, const CommandRow& row) {
  return !row.has(command_flags::needs_discard) || execution.geometry().discard_granularity != 0;
}

scsi::SupportedCommand describe(const CommandRow& row) {
  scsi::SupportedCommand command;
  command.opcode = row.opcode;
  if (row.has_service_action()) command.service_action = static_cast<std::uint16_t>(row.service_action);
  command.usage = std::span(row.usage).first(row.cdb_bytes);
  command.nominal_s = row.nominal_s;
  command.recommended_s = row.recommended_s;
  return command;
}

std::vector<std::uint8_t> all_commands(const Execution& execution, bool with_timeouts) {
  std::vector<std::uint8_t> data(4);
  for (const CommandRow& row : command_rows()) {
    if (is_there(execution, row)) scsi::append_command_descriptor(data, describe(row), with_timeouts);
  }
  scsi::store32(data, 0, data.size() - 4);
  return data;
}

/// The row that REQUESTED OPERATION CODE and REQUESTED SERVICE ACTION name.
const CommandRow* requested_row(const Execution& execution, bool by_service_action) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const std::uint16_t service_action = scsi::load16(cdb, 4);
  for (const CommandRow& row : command_rows(cdb[3])) {
    const bool named = by_service_action && row.has_service_action() ? row.service_action == service_action : true;
    if (named && is_there(execution, row)) return &row;
  }
  return nullptr;
}

}  // namespace

// SPC-5 6.34 table 296.
runtime::Task<> report_supported_operation_codes(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool with_timeouts = (cdb[2] & 0x80) != 0;
  const std::uint8_t option = cdb[2] & 0x07;
  const std::uint32_t allocation_length = scsi::load32(cdb, 6);
  if (option > 3) {
    execution.invalid_field(2, std::uint8_t{2});
    co_return;
  }
  if (option == 0) {
    const std::vector<std::uint8_t> data = all_commands(execution, with_timeouts);
    co_await reply(execution, data, allocation_length);
    co_return;
  }
  const std::span<const CommandRow> candidates = command_rows(cdb[3]);
  const bool has_service_actions = !candidates.empty() && candidates.front().has_service_action();
  if (option == 1 && has_service_actions) {
    execution.invalid_field(2, std::uint8_t{2});
    co_return;
  }
  if (option == 2 && !candidates.empty() && !has_service_actions) {
    execution.invalid_field(2, std::uint8_t{2});
    co_return;
  }
  const CommandRow* row = requested_row(execution, option != 1);
  // Option 3 never refuses: a service action asked of a command that has none is just not supported.
  if (option == 3 && !has_service_actions && scsi::load16(cdb, 4) != 0) row = nullptr;
  std::vector<std::uint8_t> data;
  if (row == nullptr) {
    data = scsi::encode_command_not_supported();
  } else {
    data = scsi::encode_one_command(describe(*row), with_timeouts);
  }
  co_await reply(execution, data, allocation_length);
}

// SPC-5 6.35: ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET.
runtime::Task<> report_supported_task_management_functions(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool extended = (cdb[2] & 0x80) != 0;
  std::array<std::uint8_t, 16> data{};
  scsi::store8(data, 0, 0x80 | 0x40 | 0x10 | 0x08);
  if (extended) scsi::store8(data, 3, 0x0c);
  co_await reply(execution, std::span(data).first(extended ? 16 : 4), scsi::load32(cdb, 6));
}

}  // namespace lunaris::scsi_server
