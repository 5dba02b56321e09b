// Parameter data of REPORT SUPPORTED OPERATION CODES (SPC-5 6.34) from descriptions of commands.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "protocol/scsi/inquiry.h"

namespace lunaris::scsi {

struct SupportedCommand {
  std::uint8_t opcode = 0;
  std::optional<std::uint16_t> service_action;
  std::span<const std::uint8_t> usage;  // CDB USAGE DATA; its size is the CDB's length
  std::uint32_t nominal_s = 0;          // NOMINAL COMMAND PROCESSING TIMEOUT
  std::uint32_t recommended_s = 0;      // RECOMMENDED COMMAND TIMEOUT
};

/// Appends a command descriptor of the all_commands format (6.34.2).
void append_command_descriptor(ReplyBytes& to, const SupportedCommand& command, bool with_timeouts);
/// The one_command format (6.34.3): SUPPORT 011b.
[[nodiscard]] ReplyBytes encode_one_command(const SupportedCommand& command, bool with_timeouts);
/// The one_command format for what is not there: SUPPORT 001b.
[[nodiscard]] ReplyBytes encode_command_not_supported();

}  // namespace lunaris::scsi
