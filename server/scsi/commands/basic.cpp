// Commands that move little or nothing: readiness, sense, start and stop, diagnostics, log pages (SPC-5 clause 6).
#include <array>
#include <vector>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/log_pages.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/health.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {

// SPC-5 6.47. The checks of every command are all there is to it.
runtime::Task<> test_unit_ready(Execution& /*execution*/) {
  co_return;
}

// SPC-5 6.39: pending unit attentions are reported as parameter data, and so cleared.
runtime::Task<> request_sense(Execution& execution) {
  scsi::SenseData data;
  if (execution.unit == nullptr) {
    data.key = scsi::SenseKey::illegal_request;
    data.additional = scsi::additional_sense::logical_unit_not_supported;
  } else if (const std::optional<scsi::AdditionalSense> condition = execution.unit->attentions().take()) {
    data.key = scsi::SenseKey::unit_attention;
    data.additional = *condition;
  } else if (const std::optional<scsi::SenseData> unhealthy = health_problem(execution)) {
    data = *unhealthy;
  } else if (const std::optional<scsi::SenseData> busy = execution.unit->state().medium_job().problem()) {
    data = *busy;
  }
  const bool descriptor = (execution.command.cdb[1] & 0x01) != 0;
  scsi::Sense sense;
  sense.encode(data, descriptor ? scsi::SenseFormat::descriptor : scsi::SenseFormat::fixed);
  co_await reply(execution, sense.bytes(), execution.command.cdb[4]);
}

namespace {

/// START STOP UNIT with LOEJ: the medium goes, or comes back with a unit attention for everybody else.
runtime::Task<> move_medium(Execution& execution, bool load, bool no_flush) {
  UnitState& state = execution.unit->state();
  if (!execution.view().removable) {
    execution.invalid_field(4, std::uint8_t{1});
    co_return;
  }
  if (state.is_removal_prevented()) {
    execution.illegal_request(scsi::additional_sense::medium_removal_prevented);
    co_return;
  }
  if (state.is_ejected() != load) co_return;
  if (!load && !no_flush && !co_await flush(execution)) co_return;
  state.set_ejected(!load);
  if (load) state.announce(scsi::additional_sense::not_ready_to_ready_change, &execution.nexus);
}

}  // namespace

// SBC-4 5.31. The medium never stops: stopping means that nothing stays in a volatile cache. Power conditions are all
// one.
runtime::Task<> start_stop_unit(Execution& execution) {
  const std::uint8_t flags = execution.command.cdb[4];
  const bool start = (flags & 0x01) != 0;
  const bool no_flush = (flags & 0x04) != 0;
  if (flags >> 4 != 0) co_return;  // POWER CONDITION: LOEJ and START are ignored
  if ((flags & 0x02) != 0) {
    co_await move_medium(execution, start, no_flush);
  } else if (execution.unit->state().is_ejected()) {
    execution.check_condition(scsi::SenseKey::not_ready, scsi::additional_sense::medium_not_present);
  } else if (!start && !no_flush) {
    static_cast<void>(co_await flush(execution));
  }
}

// SPC-5 6.18. What cannot be removed needs no prevention, and it is no error to ask for it.
runtime::Task<> prevent_allow_medium_removal(Execution& execution) {
  if (execution.view().removable) execution.unit->prevent_removal((execution.command.cdb[4] & 0x01) != 0);
  co_return;
}

// SPC-5 6.42: the default self-test; the checks of every command have just looked at the volume's health.
runtime::Task<> send_diagnostic(Execution& /*execution*/) {
  co_return;
}

// SPC-5 6.34, 7.2: the page of supported pages is the only one.
runtime::Task<> receive_diagnostic_results(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  if (cdb[2] != 0) {
    execution.invalid_field(2);
    co_return;
  }
  constexpr std::array<std::uint8_t, 5> supported_pages{0x00, 0x00, 0x00, 0x01, 0x00};
  co_await reply(execution, supported_pages, scsi::load16(cdb, 3));
}

// SPC-5 6.7.
runtime::Task<> log_sense(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  constexpr std::uint8_t cumulative_values = 1;
  if (cdb[2] >> 6 != cumulative_values) {
    execution.invalid_field(2, std::uint8_t{7});
    co_return;
  }
  const std::optional<scsi::ReplyBytes> page = scsi::encode_log_page(cdb[2] & 0x3f, cdb[3]);
  if (!page) {
    execution.invalid_field(2, std::uint8_t{5});
    co_return;
  }
  if (scsi::load16(cdb, 5) != 0) {  // PARAMETER POINTER: whole pages only
    execution.invalid_field(5);
    co_return;
  }
  co_await reply(execution, *page, scsi::load16(cdb, 7));
}

}  // namespace lunaris::scsi_server
