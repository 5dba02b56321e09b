// The mode page table and its two directions: MODE SENSE encodes it, MODE SELECT is checked against it.
#include "protocol/scsi/mode_pages.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

// SBC-4 6.5.8 Read-Write Error Recovery: AWRE and ARRE, as for a device that repairs itself.
constexpr std::array<std::uint8_t, 12> error_recovery{0x01, 0x0a, 0xc0};
// SPC-5 7.5.10 Disconnect-Reconnect: nothing that iSCSI would use.
constexpr std::array<std::uint8_t, 16> disconnect_reconnect{0x02, 0x0e};
// SBC-4 6.5.6 Caching: WCE by setting.
constexpr std::array<std::uint8_t, 20> caching{0x08, 0x12};
// SPC-5 7.5.9 Control: TST 001b (a task set per nexus), QUEUE ALGORITHM MODIFIER 1 (unrestricted reordering).
constexpr std::array<std::uint8_t, 12> control{0x0a, 0x0a, 0x20, 0x10, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff};
// SPC-5 7.5.10 Control Extension: MAXIMUM SENSE DATA LENGTH is what Sense can hold.
constexpr std::array<std::uint8_t, 32> control_extension{0x4a, 0x01, 0x00, 0x1c, 0x00, 0x00, Sense::bytes_max};
// SPC-5 7.5.15 Power Condition: no timers.
constexpr std::array<std::uint8_t, 40> power_condition{0x1a, 0x26};
// SBC-4 6.5.7 Informational Exceptions Control: DEXCPT, nothing is reported on its own.
constexpr std::array<std::uint8_t, 12> informational_exceptions{0x1c, 0x0a, 0x08};

constexpr std::array<ModePageRow, 7> rows{{
    {0x01, 0x00, "Read-Write Error Recovery", error_recovery},
    {0x02, 0x00, "Disconnect-Reconnect", disconnect_reconnect},
    {0x08, 0x00, "Caching", caching},
    {0x0a, 0x00, "Control", control},
    {0x0a, 0x01, "Control Extension", control_extension},
    {0x1a, 0x00, "Power Condition", power_condition},
    {0x1c, 0x00, "Informational Exceptions Control", informational_exceptions},
}};

/// Where each setting lies. The changeable mask is made of these.
struct SettingBit {
  std::uint8_t page, subpage, byte, mask;
  bool ModeSettings::* member;
};
constexpr std::array<SettingBit, 3> setting_bits{{
    {0x08, 0x00, 2, 0x04, &ModeSettings::write_cache_enabled},
    {0x0a, 0x00, 2, 0x04, &ModeSettings::descriptor_sense},
    {0x0a, 0x00, 4, 0x08, &ModeSettings::software_write_protect},
}};

void append_page(ReplyBytes& to, const ModePageRow& row, PageControl control_field, const ModeSettings& settings) {
  const std::size_t start = to.size();
  to.insert(to.end(), row.bytes.begin(), row.bytes.end());
  const bool mask_only = control_field == PageControl::changeable;
  const std::size_t header_bytes = row.subpage == 0 ? 2 : 4;
  if (mask_only) std::fill(to.begin() + static_cast<std::ptrdiff_t>(start + header_bytes), to.end(), std::uint8_t{0});
  for (const SettingBit& bit : setting_bits) {
    if (bit.page != row.page || bit.subpage != row.subpage) continue;
    std::uint8_t& byte = to[start + bit.byte];
    if (mask_only || settings.*bit.member) byte = static_cast<std::uint8_t>(byte | bit.mask);
  }
}

bool names(const ModePageRow& row, std::uint8_t page, std::uint8_t subpage) noexcept {
  if (page != all_mode_pages && page != row.page) return false;
  return subpage == all_mode_subpages || subpage == row.subpage;
}

SenseData refuse(AdditionalSense additional, std::optional<std::size_t> byte = std::nullopt) {
  SenseData data{.key = SenseKey::illegal_request, .additional = additional, .information = {}, .field = {}};
  if (byte) data.field = FieldPointer{.in_cdb = false, .byte = static_cast<std::uint16_t>(*byte), .bit = std::nullopt};
  return data;
}

/// One page of a parameter list at `offset`; moves `offset` past it and `settings` to what it asks for.
std::optional<SenseData> take_page(std::span<const std::uint8_t> list, std::size_t& offset, ModeSettings& settings) {
  using namespace additional_sense;
  const std::span<const std::uint8_t> rest = list.subspan(offset);
  if (rest.size() < 2) return refuse(parameter_list_length_error);
  const bool has_subpage = (rest[0] & 0x40) != 0;
  if (has_subpage && rest.size() < 4) return refuse(parameter_list_length_error);
  const std::uint8_t subpage = has_subpage ? rest[1] : std::uint8_t{0};
  const std::size_t size = has_subpage ? std::size_t{4} + load16(rest, 2) : std::size_t{2} + rest[1];
  if ((rest[0] & 0x80) != 0) return refuse(invalid_field_in_parameter_list, offset);  // PS is reserved here
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const ModePageRow& candidate) {
    return candidate.page == (rest[0] & 0x3f) && candidate.subpage == subpage &&
           has_subpage == (candidate.subpage != 0);
  });
  if (row == rows.end()) return refuse(invalid_field_in_parameter_list, offset);
  if (size != row->bytes.size()) return refuse(invalid_field_in_parameter_list, offset + (has_subpage ? 2 : 1));
  if (size > rest.size()) return refuse(parameter_list_length_error);

  ReplyBytes now, mask;
  append_page(now, *row, PageControl::current, settings);
  append_page(mask, *row, PageControl::changeable, settings);
  for (std::size_t index = has_subpage ? 4 : 2; index < size; ++index) {
    if (((rest[index] ^ now[index]) & ~mask[index] & 0xff) != 0) {
      return refuse(invalid_field_in_parameter_list, offset + index);
    }
  }
  for (const SettingBit& bit : setting_bits) {
    if (bit.page == row->page && bit.subpage == row->subpage) settings.*bit.member = (rest[bit.byte] & bit.mask) != 0;
  }
  offset += size;
  return std::nullopt;
}

/// A block descriptor may say what is already so, or 0 for "all blocks" (SPC-5 7.5.6).
bool agrees(std::span<const std::uint8_t> bytes, const ModeBlockDescriptor& medium) noexcept {
  const bool is_long = bytes.size() == 16;
  const std::uint64_t all = is_long ? ~std::uint64_t{0} : 0xffffffffU;
  const std::uint64_t count = is_long ? load64(bytes, 0) : load32(bytes, 0);
  const std::uint64_t block_bytes = is_long ? load32(bytes, 12) : load(bytes, 5, 3);
  const std::uint64_t shown = std::min(medium.block_count, all);
  return (count == 0 || count == all || count == shown) && block_bytes == medium.block_bytes;
}

}  // namespace

std::span<const ModePageRow> mode_page_rows() noexcept {
  return rows;
}

std::optional<ReplyBytes> encode_mode_pages(std::uint8_t page, std::uint8_t subpage, PageControl control_field,
                                            const ModeSettings& current, const ModeSettings& defaults) {
  ReplyBytes bytes;
  bool found = false;
  for (const ModePageRow& row : rows) {
    if (!names(row, page, subpage)) continue;
    found = true;
    append_page(bytes, row, control_field, control_field == PageControl::defaults ? defaults : current);
  }
  if (!found) return std::nullopt;
  return bytes;
}

ReplyBytes encode_mode_block_descriptor(const ModeBlockDescriptor& descriptor) {
  ReplyBytes bytes(descriptor.long_lba ? 16 : 8);
  if (descriptor.long_lba) {
    store64(bytes, 0, descriptor.block_count);
    store32(bytes, 12, descriptor.block_bytes);
  } else {
    store32(bytes, 0, std::min<std::uint64_t>(descriptor.block_count, 0xffffffffU));
    store(bytes, 5, 3, descriptor.block_bytes);
  }
  return bytes;
}

ReplyBytes encode_mode_reply(bool ten, bool write_protected, const std::optional<ModeBlockDescriptor>& block,
                             std::span<const std::uint8_t> pages) {
  const std::size_t header_bytes = ten ? 8 : 4;
  ReplyBytes bytes(header_bytes);
  const unsigned device_specific = 0x10U | (write_protected ? 0x80U : 0U);  // DPOFUA, WP (SBC-4 6.5.1)
  std::size_t descriptor_bytes = 0;
  if (block) {
    const ReplyBytes descriptor = encode_mode_block_descriptor(*block);
    descriptor_bytes = descriptor.size();
    bytes.insert(bytes.end(), descriptor.begin(), descriptor.end());
  }
  bytes.insert(bytes.end(), pages.begin(), pages.end());
  if (ten) {
    store16(bytes, 0, bytes.size() - 2);
    store8(bytes, 3, device_specific);
    store8(bytes, 4, block && block->long_lba ? 1 : 0);
    store16(bytes, 6, descriptor_bytes);
  } else {
    store8(bytes, 0, bytes.size() - 1);
    store8(bytes, 2, device_specific);
    store8(bytes, 3, descriptor_bytes);
  }
  return bytes;
}

ModeSelectVerdict decode_mode_select(bool ten, std::span<const std::uint8_t> list, const ModeSettings& current,
                                     const ModeBlockDescriptor& medium) {
  using namespace additional_sense;
  ModeSelectVerdict verdict{.settings = current, .refused = std::nullopt};
  if (list.empty()) return verdict;  // not an error (SPC-5 6.12)
  const std::size_t header_bytes = ten ? 8 : 4;
  if (list.size() < header_bytes) {
    verdict.refused = refuse(parameter_list_length_error);
    return verdict;
  }
  const std::size_t descriptor_bytes = ten ? load16(list, 6) : load8(list, 3);
  const bool is_long = ten && (load8(list, 4) & 1) != 0;
  const std::size_t descriptor_wanted = is_long ? 16 : 8;
  std::size_t offset = header_bytes;
  if (descriptor_bytes != 0) {
    if (descriptor_bytes != descriptor_wanted) {
      verdict.refused = refuse(invalid_field_in_parameter_list, ten ? 6 : 3);
      return verdict;
    }
    if (list.size() - offset < descriptor_bytes) {
      verdict.refused = refuse(parameter_list_length_error);
      return verdict;
    }
    if (!agrees(list.subspan(offset, descriptor_bytes), medium)) {
      verdict.refused = refuse(invalid_field_in_parameter_list, offset);
      return verdict;
    }
    offset += descriptor_bytes;
  }
  ModeSettings wanted = current;
  while (!verdict.refused && offset < list.size()) verdict.refused = take_page(list, offset, wanted);
  if (!verdict.refused) verdict.settings = wanted;
  return verdict;
}

}  // namespace lunaris::scsi
