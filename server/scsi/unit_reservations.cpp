// The permission check, and the way of a change: owner, every worker, and back.
#include "server/scsi/unit_reservations.h"

#include <optional>
#include <utility>

#include "server/runtime/assert.h"
#include "server/volume/turnstile.h"

namespace lunaris::scsi_server {
namespace {

using runtime::Task;
using volume::ReservationOutcome;
using volume::ReservationRequest;
using volume::ReservationVerdict;

/// The commands whose CDB decides (SBC-4 table 13): starting and allowing removal disturb nobody.
bool is_harmless_form(std::span<const std::uint8_t> cdb) noexcept {
  constexpr std::uint8_t start_stop_unit = 0x1b, prevent_allow_medium_removal = 0x1e;
  if (cdb[0] == start_stop_unit) return (cdb[4] & 0xf1) == 0x01;  // START, POWER CONDITION 0h
  if (cdb[0] == prevent_allow_medium_removal) return (cdb[4] & 0x03) == 0;
  return false;
}

/// Keeps `unit` alive while one of its parts waits on another worker.
Task<bool> ended_there(std::shared_ptr<UnitState> unit, UnitOnWorker& part, std::vector<std::uint64_t> tasks) {
  co_await part.ended(tasks);
  static_cast<void>(unit);
  co_return true;
}

/// A part with the tasks that were aborted there.
struct Aborted {
  UnitOnWorker* part;
  std::vector<std::uint64_t> tasks;
};

/// Every worker has the new view, raises what is to be told and aborts, before anybody is waited for.
Task<std::vector<Aborted>> tell_workers(std::shared_ptr<UnitState> unit, const ReservationOutcome& outcome) {
  std::vector<Aborted> aborted;
  for (UnitOnWorker* part : unit->parts()) {
    // A worker that has stopped has no tasks and no nexus to tell.
    std::optional<std::vector<std::uint64_t>> tasks =
        co_await part->worker().ask([unit, part, &outcome] { return part->apply(unit->volume(), outcome); });
    if (tasks && !tasks->empty()) aborted.push_back({part, std::move(*tasks)});
  }
  co_return aborted;
}

/// On the volume's owner.
Task<ReservationOutcome> change_there(std::shared_ptr<UnitState> unit, ReservationRequest request) {
  volume::Volume& volume = unit->volume();
  co_await volume.reservation_turn().enter();
  const std::shared_ptr<const volume::ReservationTable> before = volume.reservations();
  ReservationOutcome outcome = volume.change_reservations(request);
  std::vector<Aborted> aborted;
  if (volume.reservations() != before || !outcome.aborted.empty()) aborted = co_await tell_workers(unit, outcome);
  volume.reservation_turn().leave();
  // Outside of the turn: a device that hangs keeps this command from ending, not the next one from fencing.
  for (const Aborted& each : aborted) {
    static_cast<void>(
        co_await each.part->worker().ask_task([unit, &each] { return ended_there(unit, *each.part, each.tasks); }));
  }
  co_return outcome;
}

}  // namespace

volume::NexusName name_of(const NexusIdentity& identity) {
  return {identity.initiator_port, identity.target_port, identity.relative_target_port};
}

bool conflicts(const CommandRow& row, std::span<const std::uint8_t> cdb, const volume::ReservationTable& table,
               volume::ReservationRole role, const void* session) noexcept {
  using namespace command_flags;
  if (row.has(past_reservations | asks_reservations) || is_harmless_form(cdb)) return false;
  if (table.session != nullptr) return table.session != session;
  if (!table.reservation || role == volume::ReservationRole::holder) return false;
  const volume::ReservationType type = table.reservation->type;
  if (role == volume::ReservationRole::registrant && volume::is_for_registrants(type)) return false;
  if (row.has(past_persistent)) return false;
  return !(row.has(past_write_exclusive) && volume::is_write_exclusive(type));
}

Task<ReservationOutcome> change_reservations(std::shared_ptr<UnitState> unit, ReservationRequest request) {
  runtime::Worker& owner = unit->volume().management();
  std::optional<ReservationOutcome> outcome =
      co_await owner.ask_task([unit, request = std::move(request)] { return change_there(unit, request); });
  // The owner has stopped: so will this worker, and nothing can be changed any more.
  if (!outcome) co_return ReservationOutcome{.verdict = ReservationVerdict::not_kept, .told = {}, .aborted = {}};
  co_return std::move(*outcome);
}

Task<> release_session(std::shared_ptr<UnitState> unit, const void* session) {
  const void* reserved_by = unit->volume().reservations()->session;
  if (reserved_by == nullptr || (session != nullptr && reserved_by != session)) co_return;
  ReservationRequest request;
  request.action = volume::ReservationAction::release_session;
  request.session = session;
  static_cast<void>(co_await change_reservations(std::move(unit), std::move(request)));
}

Task<std::vector<std::string>> initiator_ports(std::shared_ptr<UnitState> unit, std::string name) {
  std::vector<std::string> ports;
  for (UnitOnWorker* part : unit->parts()) {
    const std::optional<std::vector<std::string>> there =
        co_await part->worker().ask([unit, part, &name] { return part->initiator_ports(name); });
    if (there) ports.insert(ports.end(), there->begin(), there->end());
  }
  co_return ports;
}

}  // namespace lunaris::scsi_server
