// MODE SENSE and MODE SELECT, 6 and 10 (SPC-5 6.12 to 6.15). The pages are in protocol/scsi/mode_pages.
#include "protocol/scsi/mode_pages.h"

#include "protocol/scsi/fields.h"
#include "protocol/scsi/opcodes.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

scsi::ModeBlockDescriptor medium_of(const Execution& execution, bool long_lba) {
  const volume::View& view = execution.view();
  return {.block_count = view.block_count(), .block_bytes = view.block_bytes, .long_lba = long_lba};
}

}  // namespace

runtime::Task<> mode_sense(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool ten = cdb[0] == static_cast<std::uint8_t>(scsi::Opcode::mode_sense_10);
  const auto control = static_cast<scsi::PageControl>(cdb[2] >> 6);
  if (control == scsi::PageControl::saved) {
    execution.illegal_request(scsi::additional_sense::saving_parameters_not_supported);
    co_return;
  }
  const std::optional<scsi::ReplyBytes> pages = scsi::encode_mode_pages(
      cdb[2] & 0x3f, cdb[3], control, execution.settings, execution.unit->state().default_settings());
  if (!pages) {
    execution.invalid_field(2, std::uint8_t{5});
    co_return;
  }
  std::optional<scsi::ModeBlockDescriptor> block;
  const bool disable_block_descriptors = (cdb[1] & 0x08) != 0;
  if (!disable_block_descriptors) block = medium_of(execution, ten && (cdb[1] & 0x10) != 0);
  const scsi::ReplyBytes data = scsi::encode_mode_reply(ten, execution.is_write_protected(), block, *pages);
  co_await reply(execution, data, ten ? scsi::load16(cdb, 7) : cdb[4]);
}

runtime::Task<> mode_select(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool ten = cdb[0] == static_cast<std::uint8_t>(scsi::Opcode::mode_select_10);
  const std::uint32_t length = ten ? scsi::load16(cdb, 7) : cdb[4];
  const bool page_format = (cdb[1] & 0x10) != 0;
  if (!page_format && length != 0) {
    execution.invalid_field(1, std::uint8_t{4});
    co_return;
  }
  const std::optional<std::vector<std::uint8_t>> list = co_await receive_parameters(execution, length);
  if (!list) co_return;
  if (list->size() < length) {
    execution.illegal_request(scsi::additional_sense::parameter_list_length_error);
    co_return;
  }
  const scsi::ModeSettings before = execution.unit->state().settings();
  const scsi::ModeSelectVerdict verdict = scsi::decode_mode_select(ten, *list, before, medium_of(execution, false));
  if (verdict.refused) {
    execution.check_condition(*verdict.refused);
    co_return;
  }
  if (verdict.settings == before) co_return;
  execution.unit->state().set_settings(verdict.settings);
  execution.unit->state().announce(scsi::additional_sense::mode_parameters_changed, &execution.nexus);
  // What was acknowledged under the write cache must not stay behind when it is switched off (SBC-4 6.5.6).
  if (before.write_cache_enabled && !verdict.settings.write_cache_enabled && execution.pass) {
    static_cast<void>(co_await flush(execution));
  }
}

}  // namespace lunaris::scsi_server
