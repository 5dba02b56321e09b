// Nexus: the way of every command from its transport to its handler and back, and the ends of them all.
#include "server/scsi/nexus.h"

#include <algorithm>
#include <bit>

#include "server/runtime/assert.h"
#include "server/scsi/command_table.h"
#include "server/scsi/execution.h"
#include "server/scsi/health.h"
#include "server/scsi/lun.h"
#include "server/scsi/nexus_state.h"
#include "server/scsi/unit_reservations.h"

namespace lunaris::scsi_server {
namespace {

/// The usage mask of the row. False: the outcome is set.
bool check_cdb(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const std::uint16_t byte = first_wrong_byte(*execution.row, cdb);
  if (byte == 0) return true;
  const unsigned wrong = cdb[byte] & ~unsigned{execution.row->usage[byte]} & 0xffU;
  execution.invalid_field(byte, static_cast<std::uint8_t>(std::bit_width(wrong) - 1));
  return false;
}

/// What is checked as a command arrives (SAM-5 5.14: unit attentions come before everything else). False: outcome set.
bool admit(Execution& execution) {
  UnitNexus& unit = *execution.unit;
  execution.enter_volume();
  if (execution.pass) unit.notice(execution.view());
  const CommandRow* const row = execution.row;
  if (unit.attentions().is_pending() && (row == nullptr || !row->has(command_flags::with_attention))) {
    const scsi::AdditionalSense condition = *unit.attentions().take();
    // It concerns the target as a whole and has been told now (LUICLR, SPC-5 7.7.5).
    if (condition == scsi::additional_sense::reported_luns_data_has_changed) {
      clear_attention_everywhere(execution.nexus_state, condition);
    }
    execution.check_condition(scsi::SenseKey::unit_attention, condition);
    return false;
  }
  if (row == nullptr) {
    // An opcode that is there with other service actions only has a wrong field, not a wrong opcode (SPC-5 4.2.5.2).
    if (command_rows(execution.command.cdb[0]).empty()) {
      execution.illegal_request(scsi::additional_sense::invalid_command_operation_code);
    } else {
      execution.invalid_field(1, std::uint8_t{4});
    }
    return false;
  }
  if (row->has(command_flags::needs_discard) && execution.geometry().discard_granularity == 0) {
    execution.illegal_request(scsi::additional_sense::invalid_command_operation_code);
    return false;
  }
  if (execution.command.attribute == TaskAttribute::aca) {  // no ACA is ever in effect (SAM-5 8.8.4)
    execution.illegal_request(scsi::additional_sense::invalid_message_error);
    return false;
  }
  return true;
}

/// RESERVATION CONFLICT, or the loss of what would say whether there is one. False: the outcome is set.
bool check_reservation(Execution& execution) {
  const volume::View& view = execution.pass->view();
  const volume::ReservationTable& table = *view.reservation;
  if (table.is_lost && !execution.row->has(command_flags::past_reservations | command_flags::asks_reservations)) {
    execution.check_condition(scsi::SenseKey::hardware_error,
                              scsi::additional_sense::persistent_reservation_information_lost);
    return false;
  }
  const volume::ReservationRole role = execution.unit->role(view);
  if (!conflicts(*execution.row, execution.command.cdb, table, role, &execution.nexus)) return true;
  execution.command.status = scsi::Status::reservation_conflict;
  return false;
}

/// What is checked when the command's turn has come, in the view it will run under. False: the outcome is set.
bool prepare(Execution& execution) {
  const CommandRow& row = *execution.row;
  execution.settings = execution.unit->state().settings();
  if (execution.pass && execution.pass->view().reservation != nullptr && !check_reservation(execution)) return false;
  if (!row.has(command_flags::without_medium)) {
    const bool loads = row.has(command_flags::moves_medium) && execution.unit->state().is_ejected() && execution.pass;
    if (const std::optional<scsi::SenseData> problem = health_problem(execution); problem && !loads) {
      execution.check_condition(*problem);
      return false;
    }
    const MediumJob& job = execution.unit->state().medium_job();
    const bool concerned = job.state() == MediumJob::State::running || !row.has(command_flags::with_failed_medium);
    if (const std::optional<scsi::SenseData> problem = job.problem(); problem && concerned) {
      execution.check_condition(*problem);
      return false;
    }
  }
  if (!check_cdb(execution)) return false;
  if (row.has(command_flags::names_blocks)) {
    execution.blocks = scsi::decode_block_cdb(execution.command.cdb);
    if (!execution.blocks.range.fits(execution.view().block_count())) {
      execution.illegal_request(scsi::additional_sense::logical_block_address_out_of_range);
      return false;
    }
  }
  if (row.has(command_flags::writes) && execution.is_write_protected()) {
    const bool by_software = !execution.view().read_only && !execution.unit->is_read_only();
    execution.check_condition(scsi::SenseKey::data_protect, by_software
                                                                ? scsi::additional_sense::software_write_protected
                                                                : scsi::additional_sense::write_protected);
    return false;
  }
  return true;
}

/// SPC-5 6.7.2, 6.33, 6.39: what answers where no unit is.
bool admit_without_unit(Execution& execution) {
  if (execution.row == nullptr || !execution.row->has(command_flags::without_unit)) {
    execution.illegal_request(scsi::additional_sense::logical_unit_not_supported);
    return false;
  }
  return check_cdb(execution);
}

}  // namespace

UnitNexus* Nexus::Implementation::find(std::uint64_t field) const noexcept {
  const std::optional<std::uint16_t> lun = decode_lun(field);
  if (!lun) return nullptr;
  const auto found = std::lower_bound(units.begin(), units.end(), *lun,
                                      [](const auto& unit, std::uint16_t wanted) { return unit->lun() < wanted; });
  return found != units.end() && (*found)->lun() == *lun ? found->get() : nullptr;
}

void clear_attention_everywhere(Nexus::Implementation& nexus, scsi::AdditionalSense condition) noexcept {
  for (const std::unique_ptr<UnitNexus>& unit : nexus.units) unit->attentions().clear(condition);
}

Nexus::Nexus(runtime::Worker& worker, NexusIdentity identity, std::shared_ptr<const LunMap> luns)
    : implementation_(std::make_unique<Implementation>(worker, std::move(identity), std::move(luns))) {
  for (const auto& [lun, entry] : implementation_->luns->entries) {
    implementation_->units.push_back(std::make_unique<UnitNexus>(*this, worker, lun, entry));
  }
}

Nexus::~Nexus() {
  LUN_ASSERT(implementation_->closed);
}

const NexusIdentity& Nexus::identity() const noexcept {
  return implementation_->identity;
}

// The gate's passes are the first locals, destroyed last: when a gate opens, nothing of the command is left.
runtime::Task<> Nexus::execute(Command& command) {
  Implementation& self = *implementation_;
  const std::optional<runtime::Gate::Pass> pass = self.gate.try_enter();
  if (!pass) {
    command.aborted = true;
    co_return;
  }
  LUN_ASSERT(command.cdb.size() >= CommandRow::cdb_bytes_max);
  command.status = scsi::Status::good;
  command.sense.clear();
  command.data_in_length = 0;
  command.data_out_length = 0;

  UnitNexus* unit = self.find(command.lun);
  const std::optional<runtime::Gate::Pass> unit_pass = unit == nullptr ? std::nullopt : unit->gate().try_enter();
  Execution execution(command, *this, self);
  execution.row = find_command(command.cdb);
  if (!unit_pass) {
    if (admit_without_unit(execution)) co_await execution.row->handler(execution);
    co_return;
  }
  execution.unit = unit;
  execution.settings = unit->state().settings();
  if (!admit(execution)) co_return;

  TaskEntry entry(command);
  unit->join(entry);
  execution.entry = &entry;
  if (!entry.is_enabled()) {
    // What it agreed with may be history when its turn comes, and `publish` must not wait for it.
    execution.pass.reset();
    co_await unit->tasks().turn(entry);
    if (!command.aborted) execution.enter_volume();
  }
  if (!command.aborted && prepare(execution)) co_await execution.row->handler(execution);
  execution.pass.reset();
  unit->leave(entry);
}

void Nexus::abort(Command& command) {
  command.aborted = true;
  UnitNexus* const unit = implementation_->find(command.lun);
  if (unit == nullptr) return;
  for (TaskEntry* entry = unit->tasks().first(); entry != nullptr; entry = entry->next()) {
    if (&entry->command() == &command) unit->tasks().abort(*entry);
  }
}

runtime::Task<TaskManagementResult> Nexus::reset_logical_unit(std::uint64_t lun) {
  const std::optional<runtime::Gate::Pass> pass = implementation_->gate.try_enter();
  if (!pass) co_return TaskManagementResult::rejected;
  UnitNexus* const unit = implementation_->find(lun);
  if (unit == nullptr) co_return TaskManagementResult::no_such_lun;
  const std::shared_ptr<UnitState> state = unit->state().shared_from_this();
  co_await state->reset();
  co_return TaskManagementResult::complete;
}

bool Nexus::has(std::uint64_t lun) const {
  return implementation_->find(lun) != nullptr;
}

runtime::Task<> Nexus::remap(std::shared_ptr<const LunMap> luns) {
  Implementation& self = *implementation_;
  const std::optional<runtime::Gate::Pass> pass = self.gate.try_enter();
  if (!pass) co_return;
  self.luns = luns;
  const auto is_gone = [&luns](const UnitNexus& unit) {
    const auto entry = luns->entries.find(unit.lun());
    return entry == luns->entries.end() || entry->second.unit != unit.unit();
  };
  bool changed = false;
  for (const std::unique_ptr<UnitNexus>& unit : self.units) {
    if (!is_gone(*unit)) continue;
    changed = true;
    unit->gate().shut();
    unit->abort_tasks();
  }
  for (std::size_t index = 0; index < self.units.size(); ++index) {
    if (!is_gone(*self.units[index])) continue;
    co_await self.units[index]->gate().close();
    co_await release_session(self.units[index]->state().shared_from_this(), this);
  }
  std::erase_if(self.units, [&is_gone](const std::unique_ptr<UnitNexus>& unit) { return is_gone(*unit); });

  for (const auto& [lun, entry] : luns->entries) {
    const auto place = std::lower_bound(self.units.begin(), self.units.end(), lun,
                                        [](const auto& unit, std::uint16_t wanted) { return unit->lun() < wanted; });
    if (place != self.units.end() && (*place)->lun() == lun) {
      (*place)->set_read_only(entry.read_only);
    } else {
      changed = true;
      self.units.insert(place, std::make_unique<UnitNexus>(*this, self.worker, lun, entry));
    }
  }
  if (!changed) co_return;
  for (const std::unique_ptr<UnitNexus>& unit : self.units) {
    unit->attentions().raise(scsi::additional_sense::reported_luns_data_has_changed);
  }
}

runtime::Task<> Nexus::close() {
  Implementation& self = *implementation_;
  self.gate.shut();
  for (const std::unique_ptr<UnitNexus>& unit : self.units) unit->abort_tasks();
  co_await self.gate.close();
  // What RESERVE has taken goes with the nexus (SPC-2 5.5.1).
  for (const std::unique_ptr<UnitNexus>& unit : self.units) {
    co_await release_session(unit->state().shared_from_this(), this);
  }
  self.units.clear();
  self.closed = true;
}

}  // namespace lunaris::scsi_server
