// SANITIZE and FORMAT UNIT (SBC-4 5.35, 5.4): both start the unit's MediumJob and, without IMMED, wait for it. An abort
// ends the waiting, never the job (SBC-4 4.11.2).
#include <algorithm>

#include "protocol/scsi/fields.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

runtime::Task<> start(Execution& execution, MediumWork work, bool immediate) {
  MediumJob& job = execution.unit->state().medium_job();
  if (!job.start(execution.unit->state().shared_from_this(), execution.worker, std::move(work))) {
    execution.check_condition(*job.problem());
    co_return;
  }
  // The job has passes of its own, and a changed view must not wait for this command.
  execution.pass.reset();
  if (immediate) co_return;
  TaskSet& tasks = execution.unit->tasks();
  job.wake_at_end(tasks, execution.entry);
  co_await tasks.pause(*execution.entry);
  if (execution.aborted()) {
    // Running still, on this worker: otherwise the job has ended and forgotten the command.
    if (job.is_waited_for_by(*execution.entry)) job.wake_at_end(tasks, nullptr);
    co_return;
  }
  if (job.state() == MediumJob::State::failed) execution.check_condition(*job.problem());
}

MediumWork work_of(const Execution& execution, MediumWork::Kind kind) {
  MediumWork work;
  work.kind = kind;
  work.allow_unrestricted_exit = (execution.command.cdb[1] & 0x20) != 0;
  return work;
}

bool is_immediate(const Execution& execution) noexcept {
  return (execution.command.cdb[1] & 0x80) != 0;
}

void invalid_parameter(Execution& execution, std::uint16_t byte) {
  execution.check_condition({.key = scsi::SenseKey::illegal_request,
                             .additional = scsi::additional_sense::invalid_field_in_parameter_list,
                             .information = {},
                             .field = scsi::FieldPointer{.in_cdb = false, .byte = byte, .bit = std::nullopt}});
}

}  // namespace

// SBC-4 table 104: OVERWRITE service action parameter list.
runtime::Task<> sanitize_overwrite(Execution& execution) {
  constexpr std::uint32_t header_bytes = 4;
  const std::uint32_t block_bytes = execution.view().block_bytes;
  const std::uint32_t length = scsi::load16(execution.command.cdb, 7);
  if (length <= header_bytes || length > header_bytes + block_bytes) {
    execution.invalid_field(7);
    co_return;
  }
  const std::optional<std::vector<std::uint8_t>> list = co_await receive_parameters(execution, length);
  if (!list) co_return;
  if (list->size() < length) {
    execution.illegal_request(scsi::additional_sense::parameter_list_length_error);
    co_return;
  }
  const std::uint32_t pattern_bytes = scsi::load16(*list, 2);
  MediumWork work = work_of(execution, MediumWork::Kind::overwrite);
  work.passes = (*list)[0] & 0x1f;
  work.invert = ((*list)[0] & 0x80) != 0;
  if (work.passes == 0 || ((*list)[0] & 0x60) != 0) {  // TEST: nothing of ours
    invalid_parameter(execution, 0);
    co_return;
  }
  if (pattern_bytes == 0 || pattern_bytes > block_bytes || header_bytes + pattern_bytes > length) {
    invalid_parameter(execution, 2);
    co_return;
  }
  work.block.resize(block_bytes);
  for (std::uint32_t index = 0; index < block_bytes; ++index) {
    work.block[index] = static_cast<std::byte>((*list)[header_bytes + index % pattern_bytes]);
  }
  co_await start(execution, std::move(work), is_immediate(execution));
}

runtime::Task<> sanitize_block_erase(Execution& execution) {
  co_await start(execution, work_of(execution, MediumWork::Kind::block_erase), is_immediate(execution));
}

runtime::Task<> sanitize_exit_failure_mode(Execution& execution) {
  if (!execution.unit->state().medium_job().exit_failure_mode()) execution.invalid_field(1, std::uint8_t{4});
  co_return;
}

// Without protection information and defects there are two things in the parameter list: IMMED, and no more.
runtime::Task<> format_unit(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool has_data = (cdb[1] & 0x10) != 0;
  const std::uint32_t header_bytes = (cdb[1] & 0x20) != 0 ? 8 : 4;  // LONGLIST
  bool immediate = false;
  if (has_data) {
    const std::optional<std::vector<std::uint8_t>> list = co_await receive_parameters(execution, header_bytes);
    if (!list) co_return;
    if (list->size() < header_bytes) {
      execution.illegal_request(scsi::additional_sense::parameter_list_length_error);
      co_return;
    }
    // PROTECTION FIELDS USAGE; initialization pattern; a defect list.
    const bool protects = ((*list)[0] & 0x07) != 0;
    const bool has_pattern = ((*list)[1] & 0x08) != 0;
    if (protects || has_pattern || scsi::load(*list, header_bytes - 2, 2) != 0) {
      invalid_parameter(execution, protects ? 0 : 1);
      co_return;
    }
    immediate = ((*list)[1] & 0x02) != 0;
  }
  MediumWork work;
  work.kind = MediumWork::Kind::format;
  co_await start(execution, std::move(work), immediate);
}

}  // namespace lunaris::scsi_server
