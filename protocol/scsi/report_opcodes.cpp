// REPORT SUPPORTED OPERATION CODES encoding.
#include "protocol/scsi/report_opcodes.h"

#include <array>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

/// SPC-5 6.34.4.
void append_timeouts(ReplyBytes& to, const SupportedCommand& command) {
  std::array<std::uint8_t, 12> descriptor{};
  store16(descriptor, 0, descriptor.size() - 2);
  store32(descriptor, 4, command.nominal_s);
  store32(descriptor, 8, command.recommended_s);
  to.insert(to.end(), descriptor.begin(), descriptor.end());
}

}  // namespace

void append_command_descriptor(ReplyBytes& to, const SupportedCommand& command, bool with_timeouts) {
  std::array<std::uint8_t, 8> descriptor{};
  store8(descriptor, 0, command.opcode);
  store16(descriptor, 2, command.service_action.value_or(0));
  const unsigned timeouts = with_timeouts ? 0x02U : 0U;                             // CTDP
  const unsigned service_action = command.service_action.has_value() ? 0x01U : 0U;  // SERVACTV
  store8(descriptor, 5, timeouts | service_action);
  store16(descriptor, 6, command.usage.size());
  to.insert(to.end(), descriptor.begin(), descriptor.end());
  if (with_timeouts) append_timeouts(to, command);
}

ReplyBytes encode_one_command(const SupportedCommand& command, bool with_timeouts) {
  ReplyBytes bytes(4);
  store8(bytes, 1, (with_timeouts ? 0x80U : 0U) | 0x03U);  // CTDP, SUPPORT
  store16(bytes, 2, command.usage.size());
  bytes.insert(bytes.end(), command.usage.begin(), command.usage.end());
  if (with_timeouts) append_timeouts(bytes, command);
  return bytes;
}

ReplyBytes encode_command_not_supported() {
  ReplyBytes bytes(4);
  store8(bytes, 1, 0x01);
  return bytes;
}

}  // namespace lunaris::scsi
