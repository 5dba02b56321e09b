// Decoding of EXTENDED COPY parameter lists and encoding of what is said about copies.
#include "protocol/scsi/third_party_copy.h"

#include <algorithm>
#include <limits>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

using namespace additional_sense;

constexpr std::size_t header_bytes = 16;
constexpr std::size_t target_bytes = 32;
constexpr std::size_t segment_header_bytes = 4;
constexpr std::size_t block_to_block_bytes = 28;
constexpr std::uint8_t identification_target = 0xe4;
constexpr std::uint8_t block_to_block_segment = 0x02;
constexpr std::size_t designator_bytes_max = 20;

SenseData refuse(AdditionalSense additional) {
  return {.key = SenseKey::illegal_request, .additional = additional, .information = {}, .field = {}};
}

SenseData refuse_field(std::size_t byte) {
  return {.key = SenseKey::illegal_request,
          .additional = invalid_field_in_parameter_list,
          .information = {},
          .field = FieldPointer{.in_cdb = false, .byte = static_cast<std::uint16_t>(byte), .bit = std::nullopt}};
}

std::optional<SenseData> decode_target(std::span<const std::uint8_t> list, std::size_t offset, CopyList& to) {
  const std::span<const std::uint8_t> from = list.subspan(offset, target_bytes);
  if (from[0] != identification_target) return refuse(unsupported_target_descriptor_type_code);
  // The type must be that of a disk; LU ID TYPE and NUL are SPC-3's and ignored.
  if ((from[1] & 0x1f) != 0) return refuse_field(offset + 1);
  if (from[7] > designator_bytes_max) return refuse_field(offset + 7);
  CopyTarget target;
  target.designator = {.code_set = static_cast<std::uint8_t>(from[4] & 0x0f),
                       .association = static_cast<std::uint8_t>(from[5] >> 4 & 0x03),
                       .type = static_cast<std::uint8_t>(from[5] & 0x0f),
                       .bytes = from.subspan(8, from[7])};
  target.pad = (from[28] & 0x04) != 0;
  target.block_bytes = static_cast<std::uint32_t>(load(from, 29, 3));
  to.targets.push_back(target);
  return std::nullopt;
}

/// Moves `offset` behind the descriptor.
std::optional<SenseData> decode_segment(std::span<const std::uint8_t> list, std::size_t& offset, std::size_t end,
                                        CopyList& to) {
  if (end - offset < segment_header_bytes) return refuse(parameter_list_length_error);
  const std::span<const std::uint8_t> from = list.subspan(offset, end - offset);
  if (from[0] != block_to_block_segment) return refuse(unsupported_segment_descriptor_type_code);
  if (load16(from, 2) != block_to_block_bytes - segment_header_bytes) return refuse_field(offset + 2);
  if (from.size() < block_to_block_bytes) return refuse(parameter_list_length_error);
  if ((from[1] & 0x01) != 0) return refuse_field(offset + 1);  // CAT: what is left over is not kept
  to.segments.push_back({.source = load16(from, 4),
                         .destination = load16(from, 6),
                         .block_count = load16(from, 10),
                         .source_lba = load64(from, 12),
                         .destination_lba = load64(from, 20),
                         .counts_destination_blocks = (from[1] & 0x02) != 0});
  offset += block_to_block_bytes;
  return std::nullopt;
}

void append_descriptor(ReplyBytes& page, std::uint16_t type, ReplyBytes body) {
  body.resize((body.size() + 3) / 4 * 4);
  const std::size_t offset = page.size();
  page.resize(offset + 4);
  store16(page, offset, type);
  store16(page, offset + 2, body.size());
  page.insert(page.end(), body.begin(), body.end());
}

}  // namespace

std::variant<CopyList, SenseData> decode_copy_list(std::span<const std::uint8_t> list, const CopyLimits& limits) {
  if (list.size() < header_bytes) return refuse(parameter_list_length_error);
  CopyList copy;
  copy.list_identifier = list[0];
  copy.usage = static_cast<ListIdUsage>(list[1] >> 3 & 0x03);
  if (copy.usage == ListIdUsage::reserved) return refuse_field(1);
  const std::size_t targets_bytes = load16(list, 2);
  const std::size_t segments_bytes = load32(list, 8);
  if (targets_bytes % target_bytes != 0 || targets_bytes + segments_bytes > limits.list_bytes ||
      header_bytes + targets_bytes + segments_bytes > list.size()) {
    return refuse(parameter_list_length_error);
  }
  if (load32(list, 12) != 0) return refuse_field(12);  // INLINE DATA LENGTH: no segment of ours has any
  if (targets_bytes / target_bytes > limits.targets) return refuse(too_many_target_descriptors);
  std::size_t offset = header_bytes;
  for (; offset < header_bytes + targets_bytes; offset += target_bytes) {
    if (const std::optional<SenseData> problem = decode_target(list, offset, copy)) return *problem;
  }
  const std::size_t end = offset + segments_bytes;
  while (offset < end) {
    if (copy.segments.size() == limits.segments) return refuse(too_many_segment_descriptors);
    if (const std::optional<SenseData> problem = decode_segment(list, offset, end, copy)) return *problem;
  }
  return copy;
}

ReplyBytes encode_copy_status(const CopyProgress& progress) {
  ReplyBytes bytes(12);
  store32(bytes, 0, bytes.size() - 4);
  store8(bytes, 4, static_cast<std::uint8_t>(progress.status));
  store16(bytes, 5, progress.segments);
  std::uint64_t count = progress.bytes;
  std::uint8_t units = 0;  // TRANSFER COUNT UNITS: powers of 1024
  for (; count > std::numeric_limits<std::uint32_t>::max(); count >>= 10) ++units;
  store8(bytes, 7, units);
  store32(bytes, 8, count);
  return bytes;
}

ReplyBytes encode_copy_operating_parameters(const CopyLimits& limits) {
  ReplyBytes bytes(44);
  store8(bytes, 4, 0x01);  // SNLID: a list without identifier is fine
  store16(bytes, 8, limits.targets);
  store16(bytes, 10, limits.segments);
  store32(bytes, 12, limits.list_bytes);
  store32(bytes, 16, limits.segment_bytes);
  store16(bytes, 34, limits.concurrent_copies);
  store8(bytes, 36, limits.concurrent_copies);
  store8(bytes, 37, 9);  // DATA SEGMENT GRANULARITY: 512 bytes
  store8(bytes, 43, 2);  // IMPLEMENTED DESCRIPTOR LIST LENGTH
  bytes.push_back(block_to_block_segment);
  bytes.push_back(identification_target);
  store32(bytes, 0, bytes.size() - 4);
  return bytes;
}

ReplyBytes encode_failed_segment_details(std::span<const std::uint8_t> sense) {
  if (sense.empty()) return ReplyBytes(4);
  constexpr std::uint8_t check_condition = 0x02;
  ReplyBytes bytes(60);
  store8(bytes, 56, check_condition);
  store16(bytes, 58, sense.size());
  bytes.insert(bytes.end(), sense.begin(), sense.end());
  store32(bytes, 0, bytes.size() - 4);
  return bytes;
}

ReplyBytes encode_third_party_copy_page(const CopyLimits& limits, const std::vector<CopyCommand>& commands) {
  ReplyBytes page{peripheral_disk, static_cast<std::uint8_t>(VpdPage::third_party_copy), 0, 0};
  ReplyBytes supported(1);  // 0001h, SPC-4 7.8.17.3
  for (const CopyCommand& command : commands) {
    supported.push_back(command.opcode);
    supported.push_back(static_cast<std::uint8_t>(command.service_actions.size()));
    supported.insert(supported.end(), command.service_actions.begin(), command.service_actions.end());
  }
  store8(supported, 0, supported.size() - 1);
  append_descriptor(page, 0x0001, supported);

  ReplyBytes parameters(28);  // 0004h, SPC-4 7.8.17.4
  store16(parameters, 4, limits.targets);
  store16(parameters, 6, limits.segments);
  store32(parameters, 8, limits.list_bytes);
  append_descriptor(page, 0x0004, parameters);

  append_descriptor(page, 0x0008, {2, block_to_block_segment, identification_target});  // SPC-4 7.8.17.5

  ReplyBytes general(32);  // 8001h, SPC-4 7.8.17.12
  store32(general, 0, limits.concurrent_copies);
  store32(general, 4, limits.concurrent_copies);
  store32(general, 8, limits.segment_bytes);
  store8(general, 12, 9);
  append_descriptor(page, 0x8001, general);

  append_descriptor(page, 0xc001, ReplyBytes(28));  // held data: none
  store16(page, 2, page.size() - 4);
  return page;
}

}  // namespace lunaris::scsi
