// Encoding and decoding of persistent reservation data.
#include "protocol/scsi/reservation_data.h"

#include <algorithm>
#include <array>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

constexpr std::uint8_t protocol_iscsi = 0x05;
constexpr std::uint8_t format_mask = 0xc0;
constexpr std::uint8_t format_device = 0x00;
constexpr std::uint8_t format_port = 0x40;
constexpr std::size_t transport_id_header_bytes = 4;
constexpr std::size_t iscsi_name_bytes_max = 223;  // RFC 7143 4.2.7.1
constexpr std::string_view port_separator = ",i,0x";
constexpr std::size_t isid_digits = 12;
constexpr std::size_t in_header_bytes = 8;

char lower(char character) noexcept {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

bool is_iscsi_name(std::string_view name) noexcept {
  if (name.size() > iscsi_name_bytes_max) return false;
  if (!name.starts_with("iqn.") && !name.starts_with("eui.") && !name.starts_with("naa.")) return false;
  return std::ranges::all_of(name, [](char character) {
    return static_cast<unsigned char>(character) > 0x20 && character != ',' && character != 0x7f;
  });
}

bool is_hexadecimal(std::string_view text) noexcept {
  return std::ranges::all_of(
      text, [](char digit) { return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'); });
}

/// SPC-5 tables 508 and 509.
std::optional<TransportId> name_of(std::uint8_t format, std::string text) {
  std::ranges::transform(text, text.begin(), lower);
  const std::size_t separator = text.find(port_separator);
  if (format == format_device) {
    if (!is_iscsi_name(text)) return std::nullopt;
    return TransportId{std::move(text), true};
  }
  if (separator == std::string::npos || !is_iscsi_name(std::string_view(text).substr(0, separator)))
    return std::nullopt;
  const std::string_view isid = std::string_view(text).substr(separator + port_separator.size());
  if (isid.size() != isid_digits || !is_hexadecimal(isid)) return std::nullopt;
  return TransportId{std::move(text), false};
}

ReplyBytes header(std::uint32_t generation, std::size_t size) {
  ReplyBytes bytes(size);
  store32(bytes, 0, generation);
  store32(bytes, 4, size - in_header_bytes);
  return bytes;
}

DecodedReserveOut faulty(ReserveOutFault fault, std::size_t byte = 0) {
  return {.list = {}, .fault = fault, .byte = static_cast<std::uint16_t>(byte)};
}

}  // namespace

void append_transport_id(ReplyBytes& to, std::string_view initiator_port) {
  const bool is_port = initiator_port.find(port_separator) != std::string_view::npos;
  const std::size_t name_bytes = std::max<std::size_t>((initiator_port.size() / 4 + 1) * 4, 20);  // ADDITIONAL LENGTH
  const std::size_t start = to.size();
  to.resize(start + transport_id_header_bytes + name_bytes);
  store8(to, start, (is_port ? format_port : format_device) | protocol_iscsi);
  store16(to, start + 2, name_bytes);
  std::ranges::copy(initiator_port, to.begin() + static_cast<std::ptrdiff_t>(start + transport_id_header_bytes));
}

std::optional<FoundTransportId> find_transport_id(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < transport_id_header_bytes) return std::nullopt;
  const std::uint8_t format = bytes[0] & format_mask;
  if ((bytes[0] & ~format_mask) != protocol_iscsi || (format != format_device && format != format_port)) {
    return std::nullopt;
  }
  const std::size_t length = load16(bytes, 2);
  if (length < 20 || length % 4 != 0 || length > bytes.size() - transport_id_header_bytes) return std::nullopt;
  const std::span<const std::uint8_t> field = bytes.subspan(transport_id_header_bytes, length);
  const auto end = std::ranges::find(field, std::uint8_t{0});
  if (end == field.end()) return std::nullopt;
  std::optional<TransportId> id = name_of(format, std::string(field.begin(), end));
  if (!id) return std::nullopt;
  return FoundTransportId{std::move(*id), transport_id_header_bytes + length};
}

// SPC-5 6.15.2.
ReplyBytes encode_reservation_keys(std::uint32_t generation, std::span<const std::uint64_t> keys) {
  ReplyBytes bytes = header(generation, in_header_bytes + 8 * keys.size());
  for (std::size_t index = 0; index < keys.size(); ++index) store64(bytes, in_header_bytes + 8 * index, keys[index]);
  return bytes;
}

// SPC-5 6.15.3.
ReplyBytes encode_reservation(std::uint32_t generation, const std::optional<ReservationReport>& held) {
  ReplyBytes bytes = header(generation, held ? 24 : in_header_bytes);
  if (held) {
    store64(bytes, 8, held->key);
    store8(bytes, 21, held->type);  // SCOPE 0h: the logical unit
  }
  return bytes;
}

// SPC-5 6.15.4.
ReplyBytes encode_reservation_capabilities(const ReservationCapabilities& capabilities) {
  ReplyBytes bytes(8);
  store16(bytes, 0, bytes.size());
  const unsigned replaces_lost = capabilities.can_persist ? 0x80U : 0U;  // RLR_C: what is not kept is never lost
  const unsigned persists = capabilities.can_persist ? 0x01U : 0U;       // PTPL_C
  store8(bytes, 2, replaces_lost | 0x10U | 0x08U | 0x04U | persists);    // CRH, SIP_C, ATP_C
  // TMV; ALLOW COMMANDS 011b: TEST UNIT READY past every type, the listed reads past Write Exclusive.
  store8(bytes, 3, 0x80U | 0x30U | (capabilities.persists ? 0x01U : 0U));
  store8(bytes, 4, 0xea);  // WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX
  store8(bytes, 5, 0x01);  // EX_AC_AR
  return bytes;
}

// SPC-5 6.15.5.
ReplyBytes encode_full_status(std::uint32_t generation, std::uint8_t type,
                              std::span<const RegistrationReport> registrations) {
  constexpr std::size_t descriptor_bytes = 24;
  ReplyBytes bytes = header(generation, in_header_bytes);
  for (const RegistrationReport& each : registrations) {
    const std::size_t start = bytes.size();
    bytes.resize(start + descriptor_bytes);
    store64(bytes, start, each.key);
    store8(bytes, start + 12, each.is_holder ? 0x01 : 0x00);  // R_HOLDER
    store8(bytes, start + 13, each.is_holder ? type : 0);
    store16(bytes, start + 18, each.relative_target_port);
    append_transport_id(bytes, each.initiator_port);
    store32(bytes, start + 20, bytes.size() - start - descriptor_bytes);
  }
  store32(bytes, 4, bytes.size() - in_header_bytes);
  return bytes;
}

DecodedReserveOut decode_reserve_out(std::span<const std::uint8_t> bytes, bool is_register) {
  if (bytes.size() < reserve_out_bytes_min) return faulty(ReserveOutFault::length);
  ReserveOutList list;
  list.key = load64(bytes, 0);
  list.action_key = load64(bytes, 8);
  list.specifies_ports = (bytes[20] & 0x08) != 0;
  list.all_target_ports = (bytes[20] & 0x04) != 0;
  list.aptpl = (bytes[20] & 0x01) != 0;
  if (!list.specifies_ports) {
    if (bytes.size() != reserve_out_bytes_min) return faulty(ReserveOutFault::length);
    return {.list = std::move(list), .fault = ReserveOutFault::none, .byte = 0};
  }
  if (!is_register) return faulty(ReserveOutFault::field, 20);
  constexpr std::size_t list_start = 28;
  if (bytes.size() < list_start) return faulty(ReserveOutFault::length);
  const std::uint32_t length = load32(bytes, 24);
  if (length > bytes.size() - list_start) return faulty(ReserveOutFault::length);
  std::span<const std::uint8_t> rest = bytes.subspan(list_start, length);
  while (!rest.empty()) {
    std::optional<FoundTransportId> found = find_transport_id(rest);
    if (!found) return faulty(ReserveOutFault::field, bytes.size() - rest.size());
    list.transport_ids.push_back(std::move(found->id));
    rest = rest.subspan(found->size_bytes);
  }
  return {.list = std::move(list), .fault = ReserveOutFault::none, .byte = 0};
}

DecodedReserveOut decode_register_and_move(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < reserve_out_bytes_min) return faulty(ReserveOutFault::length);
  ReserveOutList list;
  list.key = load64(bytes, 0);
  list.action_key = load64(bytes, 8);
  list.unregister = (bytes[17] & 0x02) != 0;
  list.aptpl = (bytes[17] & 0x01) != 0;
  list.relative_target_port = load16(bytes, 18);
  const std::uint32_t length = load32(bytes, 20);
  if (length != bytes.size() - reserve_out_bytes_min) return faulty(ReserveOutFault::length);
  std::optional<FoundTransportId> found = find_transport_id(bytes.subspan(reserve_out_bytes_min));
  // Format 00b names no single port to move to (SPC-5 7.6.4.6).
  if (!found || found->size_bytes != length || found->id.is_device) return faulty(ReserveOutFault::field, 24);
  if (list.relative_target_port == 0) return faulty(ReserveOutFault::field, 18);
  list.transport_ids.push_back(std::move(found->id));
  return {.list = std::move(list), .fault = ReserveOutFault::none, .byte = 0};
}

}  // namespace lunaris::scsi
