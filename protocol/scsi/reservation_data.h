// Parameter data of PERSISTENT RESERVE IN and OUT (SPC-5 6.15, 6.16) and the iSCSI TransportIDs in it (7.6.4.6).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/scsi/inquiry.h"

namespace lunaris::scsi {

// --- TransportID -----------------------------------------------------------------------------------------------------

/// What a TransportID names: an initiator port ("iqn...,i,0x00023d000001", format 01b), or with `is_device` all ports
/// of an initiator (format 00b). Names are in lower case.
struct TransportId {
  std::string name;
  bool is_device = false;
  bool operator==(const TransportId&) const = default;
};

/// Format 01b, or 00b for a name without an ISID: null-terminated, padded to a multiple of four.
void append_transport_id(ReplyBytes& to, std::string_view initiator_port);

/// The TransportID at the front of `bytes` and its size; nothing when it is not one of iSCSI's or not well-formed.
struct FoundTransportId {
  TransportId id;
  std::size_t size_bytes = 0;
};
[[nodiscard]] std::optional<FoundTransportId> find_transport_id(std::span<const std::uint8_t> bytes);

// --- PERSISTENT RESERVE IN -------------------------------------------------------------------------------------------

/// One registration as the reports show it.
struct RegistrationReport {
  std::uint64_t key = 0;
  std::string initiator_port;
  std::uint16_t relative_target_port = 1;
  bool is_holder = false;
};

[[nodiscard]] ReplyBytes encode_reservation_keys(std::uint32_t generation, std::span<const std::uint64_t> keys);

struct ReservationReport {
  std::uint64_t key = 0;  // 0 for the all registrants types
  std::uint8_t type = 0;
};
[[nodiscard]] ReplyBytes encode_reservation(std::uint32_t generation, const std::optional<ReservationReport>& held);

struct ReservationCapabilities {
  bool can_persist = false;  // PTPL_C
  bool persists = false;     // PTPL_A
};
[[nodiscard]] ReplyBytes encode_reservation_capabilities(const ReservationCapabilities& capabilities);

/// `type`: of the reservation, for the holders' descriptors.
[[nodiscard]] ReplyBytes encode_full_status(std::uint32_t generation, std::uint8_t type,
                                            std::span<const RegistrationReport> registrations);

// --- PERSISTENT RESERVE OUT ------------------------------------------------------------------------------------------

inline constexpr std::size_t reserve_out_bytes_min = 24;

struct ReserveOutList {
  std::uint64_t key = 0;
  std::uint64_t action_key = 0;
  bool aptpl = false;
  bool all_target_ports = false;           // basic list
  bool specifies_ports = false;            // SPEC_I_PT; basic list
  bool unregister = false;                 // REGISTER AND MOVE
  std::uint16_t relative_target_port = 0;  // REGISTER AND MOVE
  std::vector<TransportId> transport_ids;  // REGISTER AND MOVE: exactly one
};

/// What is wrong with a parameter list.
enum class ReserveOutFault : std::uint8_t { none, length, field };
struct DecodedReserveOut {
  ReserveOutList list;
  ReserveOutFault fault = ReserveOutFault::none;
  std::uint16_t byte = 0;  // of a wrong field
};
/// The basic list of all service actions but REGISTER AND MOVE (SPC-5 6.16.3). SPEC_I_PT is a fault unless
/// `is_register`.
[[nodiscard]] DecodedReserveOut decode_reserve_out(std::span<const std::uint8_t> bytes, bool is_register);
/// SPC-5 6.16.4.
[[nodiscard]] DecodedReserveOut decode_register_and_move(std::span<const std::uint8_t> bytes);

}  // namespace lunaris::scsi
