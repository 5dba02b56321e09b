// INQUIRY data builders. Field positions: SPC-5 table 146 (standard), 7.7 (VPD pages), SBC-4 6.6 (B0h to B2h).
#include "protocol/scsi/inquiry.h"

#include <algorithm>
#include <cstddef>

#include "protocol/scsi/fields.h"

namespace lunaris::scsi {
namespace {

constexpr std::size_t standard_bytes = 74;  // through the eighth version descriptor
constexpr std::size_t vpd_header_bytes = 4;

ReplyBytes vpd_page(VpdPage page, std::size_t size) {
  ReplyBytes bytes(size);
  store8(bytes, 0, peripheral_disk);
  store8(bytes, 1, static_cast<std::uint8_t>(page));
  store16(bytes, 2, size - vpd_header_bytes);
  return bytes;
}

/// SPC-5 table 604 and following.
enum class DesignatorType : std::uint8_t {
  t10_vendor_id = 0x1,
  naa = 0x3,
  relative_target_port = 0x4,
  target_port_group = 0x5,
  scsi_name_string = 0x8,
  uuid = 0xa,
};
enum class Association : std::uint8_t { logical_unit = 0, target_port = 1, target_device = 2 };
enum class CodeSet : std::uint8_t { binary = 1, ascii = 2, utf8 = 3 };

constexpr std::uint8_t protocol_iscsi = 0x5;

void append_designator(ReplyBytes& page, DesignatorType type, Association association, CodeSet code_set,
                       std::span<const std::uint8_t> designator) {
  const bool of_protocol = association != Association::logical_unit;
  const unsigned protocol = of_protocol ? protocol_iscsi << 4 : 0U;
  const unsigned piv = of_protocol ? 0x80U : 0U;
  page.push_back(static_cast<std::uint8_t>(protocol | static_cast<unsigned>(code_set)));
  page.push_back(
      static_cast<std::uint8_t>(piv | static_cast<unsigned>(association) << 4 | static_cast<unsigned>(type)));
  page.push_back(0);
  page.push_back(static_cast<std::uint8_t>(designator.size()));
  page.insert(page.end(), designator.begin(), designator.end());
}

/// SPC-5 7.7.6.11: null-terminated, null-padded to a multiple of four.
void append_scsi_name(ReplyBytes& page, Association association, const std::string& name) {
  if (name.empty()) return;
  constexpr std::size_t name_bytes_max = 251;
  std::vector<std::uint8_t> designator(
      name.begin(), name.begin() + static_cast<std::ptrdiff_t>(std::min(name.size(), name_bytes_max)));
  designator.resize((designator.size() / 4 + 1) * 4);
  append_designator(page, DesignatorType::scsi_name_string, association, CodeSet::utf8, designator);
}

}  // namespace

ReplyBytes encode_standard_inquiry(const StandardInquiry& inquiry) {
  ReplyBytes bytes(standard_bytes);
  store8(bytes, 0, inquiry.peripheral);
  store8(bytes, 1, inquiry.removable ? 0x80 : 0);
  store8(bytes, 2, 0x06);  // VERSION: SPC-4
  store8(bytes, 3, 0x12);  // HISUP, RESPONSE DATA FORMAT 2
  store8(bytes, 4, standard_bytes - 5);
  store8(bytes, 5, 0x18);  // TPGS: implicit; 3PC
  store8(bytes, 7, 0x02);  // CMDQUE
  store_text(bytes, 8, 8, inquiry.vendor);
  store_text(bytes, 16, 16, inquiry.product);
  store_text(bytes, 32, 4, inquiry.revision);
  // Version descriptors (SPC-5 table 149): SAM-5, iSCSI, SPC-4, SBC-3, without a revision claimed.
  store16(bytes, 58, 0x00a0);
  store16(bytes, 60, 0x0960);
  store16(bytes, 62, 0x0460);
  store16(bytes, 64, 0x04c0);
  return bytes;
}

ReplyBytes encode_supported_pages(std::uint8_t peripheral, const std::vector<std::uint8_t>& codes) {
  ReplyBytes bytes = vpd_page(VpdPage::supported_pages, vpd_header_bytes + codes.size());
  store8(bytes, 0, peripheral);
  std::copy(codes.begin(), codes.end(), bytes.begin() + vpd_header_bytes);
  return bytes;
}

ReplyBytes encode_unit_serial_number(const std::string& serial) {
  ReplyBytes bytes = vpd_page(VpdPage::unit_serial_number, vpd_header_bytes + serial.size());
  store_text(bytes, vpd_header_bytes, serial.size(), serial);
  return bytes;
}

std::array<std::uint8_t, 16> naa_of(const std::array<std::uint8_t, 16>& uuid) noexcept {
  std::array<std::uint8_t, 16> naa = uuid;
  naa[0] = static_cast<std::uint8_t>(0x60 | (uuid[0] & 0x0f));
  // The IEEE COMPANY_ID starts in the low nibble of byte 0: its first octet's "local" and "group" bits are bits 5 and 4
  // of byte 1.
  naa[1] = static_cast<std::uint8_t>((uuid[1] & 0xcf) | 0x20);
  return naa;
}

ReplyBytes encode_device_identification(const DeviceIdentity& identity) {
  ReplyBytes page = vpd_page(VpdPage::device_identification, vpd_header_bytes);
  append_designator(page, DesignatorType::naa, Association::logical_unit, CodeSet::binary, naa_of(identity.uuid));

  std::vector<std::uint8_t> t10(8 + identity.serial.size());
  store_text(t10, 0, 8, identity.vendor);
  store_text(t10, 8, identity.serial.size(), identity.serial);
  append_designator(page, DesignatorType::t10_vendor_id, Association::logical_unit, CodeSet::ascii, t10);

  std::array<std::uint8_t, 18> uuid{};
  store8(uuid, 0, 0x10);  // UUID TYPE 1h: an RFC 4122 UUID
  std::copy(identity.uuid.begin(), identity.uuid.end(), uuid.begin() + 2);
  append_designator(page, DesignatorType::uuid, Association::logical_unit, CodeSet::binary, uuid);

  std::array<std::uint8_t, 4> number{};
  store16(number, 2, identity.relative_target_port);
  append_designator(page, DesignatorType::relative_target_port, Association::target_port, CodeSet::binary, number);
  store16(number, 2, identity.target_port_group);
  append_designator(page, DesignatorType::target_port_group, Association::target_port, CodeSet::binary, number);
  append_scsi_name(page, Association::target_port, identity.target_port);
  append_scsi_name(page, Association::target_device, identity.target_device);
  store16(page, 2, page.size() - vpd_header_bytes);
  return page;
}

bool is_named_by(const DeviceIdentity& identity, const Designator& designator) {
  if (designator.association != static_cast<std::uint8_t>(Association::logical_unit)) return false;
  const ReplyBytes page = encode_device_identification(identity);
  for (std::size_t offset = vpd_header_bytes; offset < page.size();) {
    const std::span<const std::uint8_t> mine = std::span(page).subspan(offset + 4, page[offset + 3]);
    if ((page[offset] & 0x0f) == designator.code_set && (page[offset + 1] >> 4 & 0x03) == designator.association &&
        (page[offset + 1] & 0x0f) == designator.type &&
        std::equal(mine.begin(), mine.end(), designator.bytes.begin(), designator.bytes.end())) {
      return true;
    }
    offset += 4 + mine.size();
  }
  return false;
}

ReplyBytes encode_extended_inquiry() {
  ReplyBytes bytes = vpd_page(VpdPage::extended_inquiry, 64);
  store8(bytes, 5, 0x07);  // HEADSUP, ORDSUP, SIMPSUP
  store8(bytes, 6, 0x01);  // V_SUP: a volatile cache may be there
  store8(bytes, 7, 0x01);  // LUICLR: 3F/0E is cleared for all units at once
  return bytes;
}

ReplyBytes encode_block_limits(const BlockLimits& limits) {
  ReplyBytes bytes = vpd_page(VpdPage::block_limits, 64);
  store8(bytes, 4, limits.write_same_non_zero ? 1 : 0);
  store8(bytes, 5, limits.maximum_compare_and_write);
  store16(bytes, 6, limits.optimal_transfer_granularity);
  store32(bytes, 8, limits.maximum_transfer);
  store32(bytes, 12, limits.optimal_transfer);
  store32(bytes, 20, limits.maximum_unmap_blocks);
  store32(bytes, 24, limits.maximum_unmap_descriptors);
  store32(bytes, 28, limits.optimal_unmap_granularity);
  if (limits.optimal_unmap_granularity != 0) {
    store32(bytes, 32, 0x80000000U | limits.unmap_granularity_alignment);  // UGAVALID
  }
  store64(bytes, 36, limits.maximum_write_same);
  store32(bytes, 44, limits.maximum_atomic_transfer);
  store32(bytes, 48, limits.atomic_granularity);
  store32(bytes, 52, limits.atomic_granularity);  // and no atomic boundaries
  return bytes;
}

ReplyBytes encode_block_device_characteristics(bool erases_blocks) {
  ReplyBytes bytes = vpd_page(VpdPage::block_device_characteristics, 64);
  store16(bytes, 4, 1);  // MEDIUM ROTATION RATE: non-rotating
  // WABEREQ: after SANITIZE with BLOCK ERASE reads succeed (SBC-4 6.6.2).
  if (erases_blocks) store8(bytes, 7, 0x40);
  return bytes;
}

ReplyBytes encode_logical_block_provisioning(const Provisioning& provisioning) {
  ReplyBytes bytes = vpd_page(VpdPage::logical_block_provisioning, 8);
  const unsigned unmap = provisioning.unmap ? 0xe0U : 0U;                              // LBPU, LBPWS, LBPWS10
  const unsigned zeros = provisioning.unmap && provisioning.reads_zeros ? 0x04U : 0U;  // LBPRZ 001b
  store8(bytes, 5, unmap | zeros);
  // PROVISIONING TYPE: fully provisioned, resource provisioned, thin provisioned.
  const unsigned resource = !provisioning.unmap ? 0U : provisioning.thin ? 2U : 1U;
  store8(bytes, 6, resource);
  return bytes;
}

}  // namespace lunaris::scsi
