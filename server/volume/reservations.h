// Reservations: who may use a volume. The table of registrants with the reservation among them (SPC-5 5.13), and every
// change to it as a pure function of the table and a request. A Volume owns one; transports ask it for changes and tell
// those whom a change concerns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lunaris::volume {

/// TYPE (SPC-5 table 66). Other transports translate to these.
enum class ReservationType : std::uint8_t {
  write_exclusive = 0x1,
  exclusive_access = 0x3,
  write_exclusive_registrants_only = 0x5,
  exclusive_access_registrants_only = 0x6,
  write_exclusive_all_registrants = 0x7,
  exclusive_access_all_registrants = 0x8,
};
[[nodiscard]] std::optional<ReservationType> reservation_type(std::uint8_t code) noexcept;
/// Others may read.
[[nodiscard]] bool is_write_exclusive(ReservationType type) noexcept;
/// Every registrant is the holder.
[[nodiscard]] bool is_for_all_registrants(ReservationType type) noexcept;
/// Every registrant may do what the holder may.
[[nodiscard]] bool is_for_registrants(ReservationType type) noexcept;

/// An I_T nexus by its names (SAM-5 4.5.3): what a registration belongs to, logged in or not.
struct NexusName {
  std::string initiator_port;
  std::string target_port;
  std::uint16_t relative_target_port = 1;  // of target_port, for reports
  /// The two port names are the identity.
  bool operator==(const NexusName& other) const noexcept {
    return initiator_port == other.initiator_port && target_port == other.target_port;
  }
};

struct Registrant {
  NexusName nexus;
  std::uint64_t key = 0;  // never 0
  bool operator==(const Registrant&) const = default;
};

struct PersistentReservation {
  ReservationType type = ReservationType::write_exclusive;
  NexusName holder;  // who made it; with the all registrants types everybody holds it
  bool operator==(const PersistentReservation&) const = default;
};

enum class ReservationRole : std::uint8_t { holder, registrant, other };

/// A value. Once published by a volume it does not change any more.
struct ReservationTable {
  /// A registrant costs up to half a kilobyte in each copy of the table and in its file; the largest clusters have a
  /// few hundred paths.
  static constexpr std::size_t registrants_max = 1000;

  std::vector<Registrant> registrants;  // in the order of registration
  std::optional<PersistentReservation> reservation;
  std::uint32_t generation = 0;      // PRGENERATION
  bool survives_power_loss = false;  // APTPL, as the last registration asked
  /// What was kept over a power loss cannot be read: nobody may use the volume until the reservation is replaced.
  bool is_lost = false;
  /// The session that has reserved the volume by RESERVE (SPC-2), by an address that is its own; null: none has.
  const void* session = nullptr;

  [[nodiscard]] const Registrant* find(std::string_view initiator_port, std::string_view target_port) const noexcept;
  [[nodiscard]] ReservationRole role_of(std::string_view initiator_port, std::string_view target_port) const noexcept;
  /// Whether commands have to ask at all.
  [[nodiscard]] bool concerns_commands() const noexcept {
    return reservation.has_value() || session != nullptr || is_lost;
  }
  bool operator==(const ReservationTable&) const = default;
};

enum class ReservationAction : std::uint8_t {
  register_key,
  register_and_ignore,
  register_and_move,
  reserve,
  release,
  clear,
  preempt,
  preempt_and_abort,
  replace_lost,
  reserve_session,  // RESERVE (6) and (10)
  release_session,  // RELEASE (6) and (10); the end of a session, a reset
};

struct ReservationRequest {
  ReservationAction action = ReservationAction::register_key;
  NexusName nexus;                // who asks
  const void* session = nullptr;  // ..._session: on whose behalf; null with release_session: whoever has it
  std::uint64_t key = 0;          // RESERVATION KEY
  std::uint64_t action_key = 0;   // SERVICE ACTION RESERVATION KEY
  std::uint8_t scope = 0, type = 0;
  bool survives_power_loss = false;  // APTPL
  bool unregister = false;           // UNREG of register_and_move
  bool names_others = false;         // SPEC_I_PT
  std::vector<NexusName> others;     // SPEC_I_PT: they are registered too; register_and_move: the one that receives
  std::vector<NexusName> siblings;   // ALL_TG_PT: the same initiator port at the other target ports
};

enum class ReservationVerdict : std::uint8_t {
  done,
  conflict,
  invalid_type,        // TYPE or SCOPE
  invalid_action,      // not now
  invalid_parameters,  // a key, a nexus or a flag
  invalid_release,     // TYPE or SCOPE are not those of the reservation
  too_many,            // registrants_max
  lost,                // ReservationTable::is_lost
  not_kept,            // it could not be stored, so nothing has changed
};

/// What a nexus is to be told (SPC-5 table 65).
enum class ReservationNotice : std::uint8_t { reservations_preempted, reservations_released, registrations_preempted };

struct ReservationOutcome {
  ReservationVerdict verdict = ReservationVerdict::done;
  struct Told {
    NexusName nexus;
    ReservationNotice notice;
    bool operator==(const Told&) const = default;
  };
  std::vector<Told> told;
  std::vector<NexusName> aborted;  // preempt_and_abort: whose tasks end
  bool operator==(const ReservationOutcome&) const = default;
};

/// Makes the change. Unless the verdict is `done` the table is worthless afterwards: callers work on a copy.
[[nodiscard]] ReservationOutcome change(ReservationTable& table, const ReservationRequest& request);

/// The text of a table as it survives a power loss: registrants, reservation, APTPL.
[[nodiscard]] std::string encode_reservations(const ReservationTable& table);
/// Nothing when the text is not, to the last character, what `encode_reservations` has written.
[[nodiscard]] std::optional<ReservationTable> decode_reservations(std::string_view text);

}  // namespace lunaris::volume
