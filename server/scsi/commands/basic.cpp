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

// SBC-4 5.31. The medium cannot be removed and never stops: stopping means that nothing stays in a volatile cache.
runtime::Task<> start_stop_unit(Execution& execution) {
  const bool start = (execution.command.cdb[4] & 0x01) != 0;
  const bool no_flush = (execution.command.cdb[4] & 0x04) != 0;
  if (!start && !no_flush) static_cast<void>(co_await flush(execution));
}

// SPC-5 6.18: there is no removal to prevent.
runtime::Task<> prevent_allow_medium_removal(Execution& /*execution*/) {
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
