// THE command table: everything Lunaris knows about a SCSI command is its row. The checks before a handler runs and
// REPORT SUPPORTED OPERATION CODES follow from it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "server/runtime/task.h"

namespace lunaris::scsi_server {

struct Execution;

/// Runs the command whose checks have passed and sets its outcome; GOOD is set already.
using Handler = runtime::Task<> (*)(Execution&);

enum class Direction : std::uint8_t { none, in, out };

/// Bits of CommandRow::flags.
namespace command_flags {
inline constexpr std::uint16_t writes = 0x01;          // refused where the medium is write protected
inline constexpr std::uint16_t names_blocks = 0x02;    // Execution::blocks is decoded and checked against the capacity
inline constexpr std::uint16_t with_attention = 0x04;  // runs in spite of a pending unit attention (SAM-5 5.14.1)
inline constexpr std::uint16_t without_unit = 0x08;    // answers for LUNs with no unit behind them too
inline constexpr std::uint16_t without_medium = 0x10;  // runs whatever the volume's health
inline constexpr std::uint16_t needs_discard = 0x20;   // there only where the device can give space back
inline constexpr std::uint16_t with_failed_medium = 0x40;  // runs although SANITIZE or FORMAT UNIT has failed
inline constexpr std::uint16_t moves_medium = 0x80;        // runs although the medium has been ejected
// The permission column (SPC-5 table 58, SBC-4 table 13): who may run it while somebody else has reserved the unit. A
// row with none of them is for the holder and, with the registrants types, for registrants.
inline constexpr std::uint16_t past_write_exclusive = 0x1000;  // everybody, under a write exclusive reservation
inline constexpr std::uint16_t past_persistent = 0x2000;       // everybody, unless RESERVE has the unit
inline constexpr std::uint16_t past_reservations = 0x4000;     // everybody, always
inline constexpr std::uint16_t asks_reservations = 0x8000;     // its handler asks the owner of the reservations
}  // namespace command_flags

struct CommandRow {
  static constexpr std::int16_t no_service_action = -1;
  static constexpr std::size_t cdb_bytes_max = 16;

  std::uint8_t opcode;
  std::int16_t service_action;
  std::string_view name;
  Handler handler;
  Direction direction;
  std::uint16_t flags;
  std::uint8_t cdb_bytes;
  /// CDB USAGE DATA (SPC-5 6.35.3): the opcode, then the bits that are looked at; the service action's own bits hold
  /// its value. Any other bit must be zero in what a peer sends.
  std::array<std::uint8_t, cdb_bytes_max> usage;
  std::uint16_t nominal_s;      // COMMAND TIMEOUTS DESCRIPTOR: how long it takes, and
  std::uint16_t recommended_s;  // how long an initiator should wait

  [[nodiscard]] constexpr bool has(std::uint16_t flag) const noexcept { return (flags & flag) != 0; }
  [[nodiscard]] constexpr bool has_service_action() const noexcept { return service_action != no_service_action; }
};

/// Sorted by opcode and service action.
[[nodiscard]] std::span<const CommandRow> command_rows() noexcept;
/// The rows of one opcode: none, one, or one per service action.
[[nodiscard]] std::span<const CommandRow> command_rows(std::uint8_t opcode) noexcept;
/// The row of a CDB, null when there is none. `cdb` has at least two bytes.
[[nodiscard]] const CommandRow* find_command(std::span<const std::uint8_t> cdb) noexcept;

/// Finds the first byte with a bit set that the row does not know; 0 when there is none.
[[nodiscard]] std::uint16_t first_wrong_byte(const CommandRow& row, std::span<const std::uint8_t> cdb) noexcept;

}  // namespace lunaris::scsi_server
