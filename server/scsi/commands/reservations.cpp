// PERSISTENT RESERVE IN and OUT (SPC-5 6.15, 6.16), RESERVE and RELEASE (SPC-2 7.15, 7.21). What they mean is decided
// by server/volume/reservations.cpp; here they are read, carried to the owner and answered.
#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/opcodes.h"
#include "protocol/scsi/reservation_data.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/nexus_state.h"
#include "server/scsi/transfer.h"
#include "server/scsi/unit_reservations.h"

namespace lunaris::scsi_server {
namespace {

using runtime::Task;
using volume::ReservationAction;
using volume::ReservationRequest;
using volume::ReservationTable;
using volume::ReservationVerdict;

/// A TransportID has 260 bytes at most: more than a hundred ports in one REGISTER.
constexpr std::uint32_t list_bytes_max = 32768;

scsi::PersistentReserveOut action_of(std::span<const std::uint8_t> cdb) noexcept {
  return static_cast<scsi::PersistentReserveOut>(cdb[1] & 0x1f);
}

ReservationAction translate(scsi::PersistentReserveOut action) noexcept {
  switch (action) {
    case scsi::PersistentReserveOut::register_key:
      return ReservationAction::register_key;
    case scsi::PersistentReserveOut::reserve:
      return ReservationAction::reserve;
    case scsi::PersistentReserveOut::release:
      return ReservationAction::release;
    case scsi::PersistentReserveOut::clear:
      return ReservationAction::clear;
    case scsi::PersistentReserveOut::preempt:
      return ReservationAction::preempt;
    case scsi::PersistentReserveOut::preempt_and_abort:
      return ReservationAction::preempt_and_abort;
    case scsi::PersistentReserveOut::register_and_ignore_existing_key:
      return ReservationAction::register_and_ignore;
    case scsi::PersistentReserveOut::register_and_move:
      return ReservationAction::register_and_move;
    case scsi::PersistentReserveOut::replace_lost_reservation:
      return ReservationAction::replace_lost;
  }
  return ReservationAction::register_key;  // the table has no row for anything else
}

void invalid_parameter(Execution& execution, std::uint16_t byte) {
  execution.check_condition(scsi::SenseData{.key = scsi::SenseKey::illegal_request,
                                            .additional = scsi::additional_sense::invalid_field_in_parameter_list,
                                            .information = {},
                                            .field = scsi::FieldPointer{.in_cdb = false, .byte = byte, .bit = {}}});
}

/// The command's outcome from the owner's verdict.
void answer(Execution& execution, ReservationVerdict verdict) {
  using namespace scsi::additional_sense;
  switch (verdict) {
    case ReservationVerdict::done:
      return;
    case ReservationVerdict::conflict:
      execution.command.status = scsi::Status::reservation_conflict;
      return;
    case ReservationVerdict::invalid_type:
      return execution.invalid_field(2, (execution.command.cdb[2] & 0xf0) != 0 ? std::uint8_t{7} : std::uint8_t{3});
    case ReservationVerdict::invalid_action:
      return execution.invalid_field(1, std::uint8_t{4});
    case ReservationVerdict::invalid_parameters:
      return execution.illegal_request(invalid_field_in_parameter_list);
    case ReservationVerdict::invalid_release:
      return execution.illegal_request(invalid_release_of_persistent_reservation);
    case ReservationVerdict::too_many:
      return execution.illegal_request(insufficient_registration_resources);
    case ReservationVerdict::lost:
      return execution.check_condition(scsi::SenseKey::hardware_error, persistent_reservation_information_lost);
    case ReservationVerdict::not_kept:
      return execution.illegal_request(insufficient_reservation_resources);
  }
}

/// The name of another port of our own target device (RFC 7143 4.4.3: the portal group tag).
volume::NexusName at_port(const NexusIdentity& identity, std::string initiator_port, std::uint16_t port) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (port == identity.relative_target_port) return {std::move(initiator_port), identity.target_port, port};
  std::string name = identity.target_device + ",t,0x";
  for (int shift = 12; shift >= 0; shift -= 4) name += digits[static_cast<unsigned>(port) >> shift & 0xf];
  return {std::move(initiator_port), std::move(name), port};
}

/// The parameter list, checked as such. Nothing: the outcome is set, or the command has been aborted.
Task<std::optional<scsi::ReserveOutList>> receive_list(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const std::uint32_t length = scsi::load32(cdb, 5);
  if (length < scsi::reserve_out_bytes_min || length > list_bytes_max) {
    execution.illegal_request(scsi::additional_sense::parameter_list_length_error);
    co_return std::nullopt;
  }
  if (execution.command.data_out_max < length) {
    execution.illegal_request(scsi::additional_sense::invalid_field_in_command_information_unit);
    co_return std::nullopt;
  }
  const std::optional<std::vector<std::uint8_t>> bytes = co_await receive_parameters(execution, length);
  if (!bytes) co_return std::nullopt;
  const scsi::PersistentReserveOut action = action_of(cdb);
  scsi::DecodedReserveOut decoded =
      action == scsi::PersistentReserveOut::register_and_move
          ? scsi::decode_register_and_move(*bytes)
          : scsi::decode_reserve_out(*bytes, action == scsi::PersistentReserveOut::register_key);
  switch (decoded.fault) {
    case scsi::ReserveOutFault::none:
      co_return std::move(decoded.list);
    case scsi::ReserveOutFault::length:
      execution.illegal_request(scsi::additional_sense::parameter_list_length_error);
      break;
    case scsi::ReserveOutFault::field:
      invalid_parameter(execution, decoded.byte);
      break;
  }
  co_return std::nullopt;
}

/// The target ports the request is about: our own, or all of the target device (ALL_TG_PT).
std::vector<std::uint16_t> ports_of(const Execution& execution, bool all) {
  const std::uint16_t own = execution.nexus.identity().relative_target_port;
  std::vector<std::uint16_t> ports{own};
  if (!all) return ports;
  for (const std::uint16_t port : execution.nexus_state.luns->target_ports) {
    if (port != own) ports.push_back(port);
  }
  return ports;
}

/// SPEC_I_PT: every port that the TransportIDs name, at every target port the request is about. False: the outcome is
/// set.
Task<bool> name_others(Execution& execution, const scsi::ReserveOutList& list, ReservationRequest& request) {
  const NexusIdentity& identity = execution.nexus.identity();
  const std::shared_ptr<UnitState> unit = execution.unit->state().shared_from_this();
  for (const scsi::TransportId& id : list.transport_ids) {
    std::vector<std::string> names{id.name};
    if (id.is_device) names = co_await initiator_ports(unit, id.name);
    if (names.empty()) {  // an initiator none of whose ports is known
      invalid_parameter(execution, 28);
      co_return false;
    }
    for (const std::string& name : names) {
      for (const std::uint16_t port : ports_of(execution, list.all_target_ports)) {
        request.others.push_back(at_port(identity, name, port));
      }
    }
  }
  co_return true;
}

/// REGISTER AND MOVE: the nexus that receives the reservation. False: the outcome is set.
bool name_receiver(Execution& execution, const scsi::ReserveOutList& list, ReservationRequest& request) {
  const std::vector<std::uint16_t> ports = ports_of(execution, true);
  if (std::ranges::find(ports, list.relative_target_port) == ports.end()) {
    invalid_parameter(execution, 18);
    return false;
  }
  request.others.push_back(
      at_port(execution.nexus.identity(), list.transport_ids.front().name, list.relative_target_port));
  return true;
}

ReservationRequest request_of(const Execution& execution, const scsi::ReserveOutList& list) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  ReservationRequest request;
  request.action = translate(action_of(cdb));
  request.nexus = name_of(execution.nexus.identity());
  request.session = &execution.nexus;
  request.key = list.key;
  request.action_key = list.action_key;
  request.scope = cdb[2] >> 4;
  request.type = cdb[2] & 0x0f;
  request.survives_power_loss = list.aptpl;
  request.unregister = list.unregister;
  request.names_others = list.specifies_ports;
  return request;
}

bool registers(ReservationAction action) noexcept {
  return action == ReservationAction::register_key || action == ReservationAction::register_and_ignore;
}

/// Hands `request` to the owner. The view is let go of first: a publish must not wait for this command, which may wait
/// for others.
Task<> carry_out(Execution& execution, ReservationRequest request) {
  execution.pass.reset();
  const volume::ReservationOutcome outcome =
      co_await change_reservations(execution.unit->state().shared_from_this(), std::move(request));
  answer(execution, outcome.verdict);
}

Task<> session_command(Execution& execution, ReservationAction action) {
  ReservationRequest request;
  request.action = action;
  request.nexus = name_of(execution.nexus.identity());
  request.session = &execution.nexus;
  co_await carry_out(execution, std::move(request));
}

scsi::ReplyBytes report_keys(const ReservationTable& table) {
  std::vector<std::uint64_t> keys;
  for (const volume::Registrant& each : table.registrants) keys.push_back(each.key);
  return scsi::encode_reservation_keys(table.generation, keys);
}

scsi::ReplyBytes report_reservation(const ReservationTable& table) {
  if (!table.reservation) return scsi::encode_reservation(table.generation, std::nullopt);
  scsi::ReservationReport report;
  report.type = static_cast<std::uint8_t>(table.reservation->type);
  if (!volume::is_for_all_registrants(table.reservation->type)) {
    const volume::NexusName& holder = table.reservation->holder;
    report.key = table.find(holder.initiator_port, holder.target_port)->key;
  }
  return scsi::encode_reservation(table.generation, report);
}

scsi::ReplyBytes report_full_status(const ReservationTable& table) {
  std::vector<scsi::RegistrationReport> reports;
  for (const volume::Registrant& each : table.registrants) {
    const bool is_holder =
        table.role_of(each.nexus.initiator_port, each.nexus.target_port) == volume::ReservationRole::holder;
    reports.push_back({each.key, each.nexus.initiator_port, each.nexus.relative_target_port, is_holder});
  }
  const std::uint8_t type = table.reservation ? static_cast<std::uint8_t>(table.reservation->type) : std::uint8_t{0};
  return scsi::encode_full_status(table.generation, type, reports);
}

scsi::ReplyBytes report(const Execution& execution, const ReservationTable& table) {
  switch (static_cast<scsi::PersistentReserveIn>(execution.command.cdb[1] & 0x1f)) {
    case scsi::PersistentReserveIn::read_keys:
      return report_keys(table);
    case scsi::PersistentReserveIn::read_reservation:
      return report_reservation(table);
    case scsi::PersistentReserveIn::report_capabilities:
      return scsi::encode_reservation_capabilities(
          {.can_persist = execution.volume().keeps_reservations(), .persists = table.survives_power_loss});
    case scsi::PersistentReserveIn::read_full_status:
      return report_full_status(table);
  }
  return {};  // the table has no row for anything else
}

}  // namespace

Task<> persistent_reserve_in(Execution& execution) {
  const std::shared_ptr<const ReservationTable> table = execution.volume().reservations();
  if (table->session != nullptr) {  // SPC-2 5.5.1
    answer(execution, ReservationVerdict::conflict);
    co_return;
  }
  if (table->is_lost) {
    answer(execution, ReservationVerdict::lost);
    co_return;
  }
  const scsi::ReplyBytes data = report(execution, *table);
  co_await reply(execution, data, scsi::load16(execution.command.cdb, 7));
}

Task<> persistent_reserve_out(Execution& execution) {
  const std::optional<scsi::ReserveOutList> list = co_await receive_list(execution);
  if (!list) co_return;
  ReservationRequest request = request_of(execution, *list);
  const bool is_move = request.action == ReservationAction::register_and_move;
  if (is_move && !name_receiver(execution, *list, request)) co_return;
  if (request.names_others && !co_await name_others(execution, *list, request)) co_return;
  if (registers(request.action)) {
    for (const std::uint16_t port : ports_of(execution, list->all_target_ports)) {
      if (port == request.nexus.relative_target_port) continue;
      request.siblings.push_back(at_port(execution.nexus.identity(), request.nexus.initiator_port, port));
    }
  }
  const bool may_persist = registers(request.action) || is_move || request.action == ReservationAction::replace_lost;
  if (may_persist && list->aptpl && !execution.volume().keeps_reservations()) {
    invalid_parameter(execution, is_move ? 17 : 20);
    co_return;
  }
  co_await carry_out(execution, std::move(request));
}

Task<> reserve_unit(Execution& execution) {
  co_await session_command(execution, ReservationAction::reserve_session);
}

Task<> release_unit(Execution& execution) {
  co_await session_command(execution, ReservationAction::release_session);
}

}  // namespace lunaris::scsi_server
