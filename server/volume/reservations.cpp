// Every change to a table of reservations: SPC-5 5.13 for the persistent ones, SPC-2 5.5 for those of a session.
#include "server/volume/reservations.h"

#include <algorithm>

namespace lunaris::volume {
namespace {

/// One change on its way: the table, what has been asked, and what is to be told.
class Change {
 public:
  Change(ReservationTable& table, const ReservationRequest& request) : table_(table), request_(request) {}

  ReservationOutcome run() {
    outcome_.verdict = verdict();
    if (outcome_.verdict == ReservationVerdict::done) return std::move(outcome_);
    return ReservationOutcome{.verdict = outcome_.verdict, .told = {}, .aborted = {}};
  }

 private:
  using Verdict = ReservationVerdict;

  Verdict verdict();
  Verdict register_it();
  Verdict move();
  Verdict reserve();
  Verdict release();
  Verdict clear();
  Verdict preempt();
  Verdict replace_lost();
  Verdict reserve_session();
  Verdict release_session();

  Registrant* find(const NexusName& nexus) noexcept {
    const auto found = std::ranges::find(table_.registrants, nexus, &Registrant::nexus);
    return found == table_.registrants.end() ? nullptr : &*found;
  }
  /// The asking nexus is registered with the key it gives.
  bool is_authentic() noexcept {
    const Registrant* own = find(request_.nexus);
    return own != nullptr && own->key == request_.key;
  }
  bool holds(const NexusName& nexus) const noexcept {
    return table_.role_of(nexus.initiator_port, nexus.target_port) == ReservationRole::holder;
  }
  std::optional<ReservationType> wanted_type() const noexcept {
    return request_.scope == 0 ? reservation_type(request_.type) : std::nullopt;
  }
  bool registers_under(const NexusName& nexus) noexcept;
  void set_key(const NexusName& nexus);
  void unregister(const NexusName& nexus);
  /// Every registrant but the one that asks.
  void tell_others(ReservationNotice notice);
  template <class Chosen>
  bool evict(Chosen chosen);
  bool replaces_reservation(bool all_registrants) noexcept;
  bool keeps_session_commands_quiet() const noexcept;

  ReservationTable& table_;
  const ReservationRequest& request_;
  ReservationOutcome outcome_;
};

ReservationVerdict Change::verdict() {
  if (request_.action == ReservationAction::release_session) return release_session();
  if (table_.is_lost && request_.action != ReservationAction::replace_lost) return Verdict::lost;
  if (request_.action == ReservationAction::reserve_session) return reserve_session();
  // SPC-2 5.5.1: while RESERVE has the unit, every PERSISTENT RESERVE command conflicts, the owner's as well.
  if (table_.session != nullptr) return Verdict::conflict;
  switch (request_.action) {
    case ReservationAction::register_key:
    case ReservationAction::register_and_ignore:
      return register_it();
    case ReservationAction::register_and_move:
      return move();
    case ReservationAction::reserve:
      return reserve();
    case ReservationAction::release:
      return release();
    case ReservationAction::clear:
      return clear();
    case ReservationAction::preempt:
    case ReservationAction::preempt_and_abort:
      return preempt();
    case ReservationAction::replace_lost:
      return replace_lost();
    case ReservationAction::reserve_session:
    case ReservationAction::release_session:
      break;
  }
  return Verdict::invalid_action;
}

/// Whether a REGISTER with the request's key would do for this nexus (SPC-5 table 61).
bool Change::registers_under(const NexusName& nexus) noexcept {
  if (request_.action == ReservationAction::register_and_ignore) return true;
  const Registrant* known = find(nexus);
  return request_.key == (known == nullptr ? 0 : known->key);
}

// SPC-5 5.13.7.
ReservationVerdict Change::register_it() {
  if (!registers_under(request_.nexus)) return Verdict::conflict;
  if (request_.names_others && find(request_.nexus) != nullptr) return Verdict::invalid_parameters;
  // ALL_TG_PT is as if the command had come through each target port: all of it is done or nothing.
  for (const NexusName& sibling : request_.siblings) {
    if (!registers_under(sibling)) return Verdict::conflict;
  }
  set_key(request_.nexus);
  for (const NexusName& sibling : request_.siblings) set_key(sibling);
  for (const NexusName& other : request_.others) {
    if (find(other) == nullptr) set_key(other);
  }
  if (table_.registrants.size() > ReservationTable::registrants_max) return Verdict::too_many;
  table_.survives_power_loss = request_.survives_power_loss;
  ++table_.generation;
  return Verdict::done;
}

void Change::set_key(const NexusName& nexus) {
  Registrant* known = find(nexus);
  if (request_.action_key == 0) {
    if (known != nullptr) unregister(nexus);
  } else if (known != nullptr) {
    known->key = request_.action_key;
  } else {
    table_.registrants.push_back({nexus, request_.action_key});
  }
}

// SPC-5 5.13.11.3: a holder that leaves takes its reservation along, unless all registrants have it.
void Change::unregister(const NexusName& nexus) {
  std::erase_if(table_.registrants, [&](const Registrant& each) { return each.nexus == nexus; });
  if (!table_.reservation) return;
  const ReservationType type = table_.reservation->type;
  if (is_for_all_registrants(type)) {
    if (table_.registrants.empty()) table_.reservation.reset();
    return;
  }
  if (table_.reservation->holder != nexus) return;
  table_.reservation.reset();
  if (is_for_registrants(type)) tell_others(ReservationNotice::reservations_released);
}

void Change::tell_others(ReservationNotice notice) {
  for (const Registrant& each : table_.registrants) {
    if (each.nexus != request_.nexus) outcome_.told.push_back({each.nexus, notice});
  }
}

// SPC-5 5.13.8.
ReservationVerdict Change::move() {
  if (!is_authentic()) return Verdict::conflict;
  if (!table_.reservation) return Verdict::invalid_action;
  if (!holds(request_.nexus) || is_for_all_registrants(table_.reservation->type)) return Verdict::conflict;
  if (request_.action_key == 0 || request_.others.size() != 1) return Verdict::invalid_parameters;
  const NexusName& receiver = request_.others.front();
  if (receiver == request_.nexus) return Verdict::invalid_parameters;
  set_key(receiver);
  table_.reservation->holder = receiver;
  if (request_.unregister) unregister(request_.nexus);
  if (table_.registrants.size() > ReservationTable::registrants_max) return Verdict::too_many;
  table_.survives_power_loss = request_.survives_power_loss;
  ++table_.generation;
  return Verdict::done;
}

// SPC-5 5.13.9.
ReservationVerdict Change::reserve() {
  if (!is_authentic()) return Verdict::conflict;
  const std::optional<ReservationType> type = wanted_type();
  if (!type) return Verdict::invalid_type;
  if (!table_.reservation) {
    table_.reservation = PersistentReservation{*type, request_.nexus};
    return Verdict::done;
  }
  return holds(request_.nexus) && table_.reservation->type == *type ? Verdict::done : Verdict::conflict;
}

// SPC-5 5.13.11.2.
ReservationVerdict Change::release() {
  if (!is_authentic()) return Verdict::conflict;
  if (!table_.reservation || !holds(request_.nexus)) return Verdict::done;
  if (wanted_type() != table_.reservation->type) return Verdict::invalid_release;
  const bool concerns_others = is_for_registrants(table_.reservation->type);
  table_.reservation.reset();
  if (concerns_others) tell_others(ReservationNotice::reservations_released);
  return Verdict::done;
}

// SPC-5 5.13.11.6.
ReservationVerdict Change::clear() {
  if (!is_authentic()) return Verdict::conflict;
  tell_others(ReservationNotice::reservations_preempted);
  table_.registrants.clear();
  table_.reservation.reset();
  ++table_.generation;
  return Verdict::done;
}

/// Takes the registrations `chosen` picks away; false when there are none.
template <class Chosen>
bool Change::evict(Chosen chosen) {
  const std::size_t before = table_.registrants.size();
  for (const Registrant& each : table_.registrants) {
    if (!chosen(each)) continue;
    outcome_.aborted.push_back(each.nexus);
    if (each.nexus != request_.nexus) {
      outcome_.told.push_back({each.nexus, ReservationNotice::registrations_preempted});
    }
  }
  std::erase_if(table_.registrants, chosen);
  return table_.registrants.size() != before;
}

/// Whether PREEMPT takes the reservation over or only registrations away (SPC-5 5.13.11.4).
bool Change::replaces_reservation(bool all_registrants) noexcept {
  if (!table_.reservation) return false;
  if (all_registrants) return request_.action_key == 0;
  const Registrant* holder = find(table_.reservation->holder);
  return holder != nullptr && holder->key == request_.action_key;
}

// SPC-5 5.13.11.4, 5.13.11.5.
ReservationVerdict Change::preempt() {
  if (!is_authentic()) return Verdict::conflict;
  const bool all_registrants = table_.reservation && is_for_all_registrants(table_.reservation->type);
  if (replaces_reservation(all_registrants)) {
    const std::optional<ReservationType> type = wanted_type();
    if (!type) return Verdict::invalid_type;
    const bool includes_self = request_.key == request_.action_key;
    static_cast<void>(evict([&](const Registrant& each) {
      return each.nexus != request_.nexus && (all_registrants || each.key == request_.action_key);
    }));
    // Who preempts itself stays registered, yet its tasks are among the preempted ones.
    if (includes_self) outcome_.aborted.push_back(request_.nexus);
    const bool is_other_type = table_.reservation->type != *type;
    table_.reservation = PersistentReservation{*type, request_.nexus};
    if (is_other_type) tell_others(ReservationNotice::reservations_released);
  } else {
    if (request_.action_key == 0) return Verdict::invalid_parameters;
    if (!evict([&](const Registrant& each) { return each.key == request_.action_key; })) return Verdict::conflict;
    if (all_registrants && table_.registrants.empty()) table_.reservation.reset();
  }
  if (request_.action == ReservationAction::preempt) outcome_.aborted.clear();
  ++table_.generation;
  return Verdict::done;
}

// SPC-5 5.13.11.7.
ReservationVerdict Change::replace_lost() {
  if (!table_.is_lost) return Verdict::invalid_action;
  if (request_.key != 0 || request_.action_key == 0) return Verdict::invalid_parameters;
  const std::optional<ReservationType> type = wanted_type();
  if (!type) return Verdict::invalid_type;
  table_ = ReservationTable{};
  table_.registrants.push_back({request_.nexus, request_.action_key});
  table_.reservation = PersistentReservation{*type, request_.nexus};
  table_.survives_power_loss = request_.survives_power_loss;
  return Verdict::done;
}

/// SPC-5 5.13.3: with CRH, RESERVE and RELEASE of who has access anyway succeed and change nothing.
bool Change::keeps_session_commands_quiet() const noexcept {
  if (!table_.reservation) return false;
  switch (table_.role_of(request_.nexus.initiator_port, request_.nexus.target_port)) {
    case ReservationRole::holder:
      return true;
    case ReservationRole::registrant:
      return is_for_registrants(table_.reservation->type);
    case ReservationRole::other:
      return false;
  }
  return false;
}

// SPC-2 7.21; SPC-5 5.13.3.
ReservationVerdict Change::reserve_session() {
  if (!table_.registrants.empty()) return keeps_session_commands_quiet() ? Verdict::done : Verdict::conflict;
  if (table_.session != nullptr && table_.session != request_.session) return Verdict::conflict;
  table_.session = request_.session;
  return Verdict::done;
}

// SPC-2 7.15: releasing what somebody else has does nothing and is no error.
ReservationVerdict Change::release_session() {
  if (request_.session == nullptr || table_.session == request_.session) {
    table_.session = nullptr;
    return Verdict::done;
  }
  if (table_.registrants.empty() || keeps_session_commands_quiet()) return Verdict::done;
  return Verdict::conflict;
}

}  // namespace

std::optional<ReservationType> reservation_type(std::uint8_t code) noexcept {
  switch (code) {
    case 0x1:
    case 0x3:
    case 0x5:
    case 0x6:
    case 0x7:
    case 0x8:
      return static_cast<ReservationType>(code);
    default:
      return std::nullopt;
  }
}

bool is_write_exclusive(ReservationType type) noexcept {
  return type == ReservationType::write_exclusive || type == ReservationType::write_exclusive_registrants_only ||
         type == ReservationType::write_exclusive_all_registrants;
}

bool is_for_all_registrants(ReservationType type) noexcept {
  return type == ReservationType::write_exclusive_all_registrants ||
         type == ReservationType::exclusive_access_all_registrants;
}

bool is_for_registrants(ReservationType type) noexcept {
  return type != ReservationType::write_exclusive && type != ReservationType::exclusive_access;
}

const Registrant* ReservationTable::find(std::string_view initiator_port, std::string_view target_port) const noexcept {
  const auto found = std::ranges::find_if(registrants, [&](const Registrant& each) {
    return each.nexus.initiator_port == initiator_port && each.nexus.target_port == target_port;
  });
  return found == registrants.end() ? nullptr : &*found;
}

ReservationRole ReservationTable::role_of(std::string_view initiator_port,
                                          std::string_view target_port) const noexcept {
  const Registrant* known = find(initiator_port, target_port);
  if (known == nullptr) return ReservationRole::other;
  if (!reservation) return ReservationRole::registrant;
  const bool is_holder = is_for_all_registrants(reservation->type) || reservation->holder == known->nexus;
  return is_holder ? ReservationRole::holder : ReservationRole::registrant;
}

ReservationOutcome change(ReservationTable& table, const ReservationRequest& request) {
  return Change(table, request).run();
}

}  // namespace lunaris::volume
