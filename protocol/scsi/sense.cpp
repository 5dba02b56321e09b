// Encoding of sense data (SPC-5 4.4.2 descriptor format, 4.4.3 fixed format).
#include "protocol/scsi/sense.h"

#include <limits>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

constexpr std::uint8_t response_fixed = 0x70;
constexpr std::uint8_t response_descriptor = 0x72;
constexpr std::size_t fixed_bytes = 18;
constexpr std::size_t descriptor_header_bytes = 8;

/// Three sense key specific bytes with a field pointer (SPC-5 4.4.2.4.2).
void store_field_pointer(std::span<std::uint8_t> to, std::size_t offset, const FieldPointer& field) noexcept {
  const unsigned command_data = field.in_cdb ? 0x40U : 0U;
  const unsigned bit = field.bit ? 0x08U | (*field.bit & 0x07U) : 0U;
  store8(to, offset, 0x80U | command_data | bit);
  store16(to, offset + 1, field.byte);
}

/// SPC-5 4.4.2.4.4.
void store_progress(std::span<std::uint8_t> to, std::size_t offset, std::uint16_t progress) noexcept {
  store8(to, offset, 0x80);
  store16(to, offset + 1, progress);
}

std::optional<std::uint16_t> load_progress(std::span<const std::uint8_t> from, std::size_t offset,
                                           SenseKey key) noexcept {
  const bool has_progress = key == SenseKey::not_ready || key == SenseKey::no_sense;
  if ((load8(from, offset) & 0x80) == 0 || !has_progress) return std::nullopt;
  return load16(from, offset + 1);
}

std::optional<FieldPointer> load_field_pointer(std::span<const std::uint8_t> from, std::size_t offset,
                                               SenseKey key) noexcept {
  const std::uint8_t first = load8(from, offset);
  if ((first & 0x80) == 0 || key != SenseKey::illegal_request) return std::nullopt;
  FieldPointer field{.in_cdb = (first & 0x40) != 0, .byte = load16(from, offset + 1), .bit = std::nullopt};
  if ((first & 0x08) != 0) field.bit = static_cast<std::uint8_t>(first & 0x07);
  return field;
}

std::size_t encode_fixed(std::span<std::uint8_t> to, const SenseData& data) noexcept {
  store8(to, 0, response_fixed);
  store8(to, 2, static_cast<std::uint8_t>(data.key));
  if (data.information && *data.information <= std::numeric_limits<std::uint32_t>::max()) {
    store8(to, 0, response_fixed | 0x80U);
    store32(to, 3, *data.information);
  }
  store8(to, 7, fixed_bytes - 8);
  store8(to, 12, data.additional.asc);
  store8(to, 13, data.additional.ascq);
  if (data.field) store_field_pointer(to, 15, *data.field);
  if (data.progress) store_progress(to, 15, *data.progress);
  return fixed_bytes;
}

std::size_t encode_descriptor(std::span<std::uint8_t> to, const SenseData& data) noexcept {
  store8(to, 0, response_descriptor);
  store8(to, 1, static_cast<std::uint8_t>(data.key));
  store8(to, 2, data.additional.asc);
  store8(to, 3, data.additional.ascq);
  std::size_t size = descriptor_header_bytes;
  if (data.information) {  // SPC-5 4.4.2.2
    store8(to, size, 0x00);
    store8(to, size + 1, 0x0a);
    store8(to, size + 2, 0x80);
    store64(to, size + 4, *data.information);
    size += 12;
  }
  if (data.field || data.progress) {  // SPC-5 4.4.2.4
    store8(to, size, 0x02);
    store8(to, size + 1, 0x06);
    if (data.field) store_field_pointer(to, size + 4, *data.field);
    if (data.progress) store_progress(to, size + 4, *data.progress);
    size += 8;
  }
  store8(to, 7, size - descriptor_header_bytes);
  return size;
}

}  // namespace

void Sense::encode(const SenseData& data, SenseFormat format) noexcept {
  bytes_.fill(0);
  size_ = static_cast<std::uint8_t>(format == SenseFormat::fixed ? encode_fixed(bytes_, data)
                                                                 : encode_descriptor(bytes_, data));
}

std::optional<SenseData> decode_sense(std::span<const std::uint8_t> bytes) noexcept {
  if (bytes.size() < descriptor_header_bytes) return std::nullopt;
  SenseData data;
  const unsigned response = bytes[0] & 0x7fU;
  if (response == response_fixed) {
    if (bytes.size() < fixed_bytes) return std::nullopt;
    data.key = static_cast<SenseKey>(bytes[2] & 0x0f);
    data.additional = {bytes[12], bytes[13]};
    if ((bytes[0] & 0x80) != 0) data.information = load32(bytes, 3);
    data.field = load_field_pointer(bytes, 15, data.key);
    data.progress = load_progress(bytes, 15, data.key);
    return data;
  }
  if (response != response_descriptor) return std::nullopt;
  data.key = static_cast<SenseKey>(bytes[1] & 0x0f);
  data.additional = {bytes[2], bytes[3]};
  std::size_t offset = descriptor_header_bytes;
  while (offset + 2 <= bytes.size()) {
    const std::size_t size = std::size_t{2} + bytes[offset + 1];
    if (size > bytes.size() - offset) return std::nullopt;
    if (bytes[offset] == 0x00 && size == 12) data.information = load64(bytes, offset + 4);
    if (bytes[offset] == 0x02 && size == 8) {
      data.field = load_field_pointer(bytes, offset + 4, data.key);
      data.progress = load_progress(bytes, offset + 4, data.key);
    }
    offset += size;
  }
  return data;
}

}  // namespace lunaris::scsi
