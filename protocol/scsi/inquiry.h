// Standard INQUIRY data and vital product data pages (SPC-5 6.7, 7.7; SBC-4 6.6) as bytes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lunaris::scsi {

using ReplyBytes = std::vector<std::uint8_t>;

/// Byte 0 of INQUIRY data: PERIPHERAL QUALIFIER and PERIPHERAL DEVICE TYPE.
inline constexpr std::uint8_t peripheral_disk = 0x00;
inline constexpr std::uint8_t peripheral_not_there = 0x7f;  // 011b and 1Fh: no unit at this LUN (SPC-5 6.7.2)

struct StandardInquiry {
  std::uint8_t peripheral = peripheral_disk;
  bool removable = false;  // RMB
  std::string vendor;      // 8 characters
  std::string product;     // 16
  std::string revision;    // 4
};
[[nodiscard]] ReplyBytes encode_standard_inquiry(const StandardInquiry& inquiry);

/// VPD page codes.
enum class VpdPage : std::uint8_t {
  supported_pages = 0x00,
  unit_serial_number = 0x80,
  device_identification = 0x83,
  extended_inquiry = 0x86,
  third_party_copy = 0x8f,
  block_limits = 0xb0,
  block_device_characteristics = 0xb1,
  logical_block_provisioning = 0xb2,
};

/// What the designators of page 83h are made of (SPC-5 7.7.6).
struct DeviceIdentity {
  std::array<std::uint8_t, 16> uuid{};
  std::string vendor;
  std::string serial;
  std::string target_port;    // SCSI name string of the port; "" leaves it out
  std::string target_device;  // SCSI name string of the device; "" leaves it out
  std::uint16_t relative_target_port = 1;
  std::uint16_t target_port_group = 1;
};

/// Page B0h, in logical blocks (SBC-4 6.6.4). 0 says "no limit" or "not reported", as there.
struct BlockLimits {
  bool write_same_non_zero = false;             // WSNZ
  std::uint32_t maximum_compare_and_write = 0;  // 255 at most; 0: COMPARE AND WRITE is not supported
  std::uint16_t optimal_transfer_granularity = 0;
  std::uint32_t maximum_transfer = 0;
  std::uint32_t optimal_transfer = 0;
  std::uint32_t maximum_unmap_blocks = 0;
  std::uint32_t maximum_unmap_descriptors = 0;
  std::uint32_t optimal_unmap_granularity = 0;
  std::uint32_t unmap_granularity_alignment = 0;
  std::uint64_t maximum_write_same = 0;
  std::uint32_t maximum_atomic_transfer = 0;
  std::uint32_t atomic_granularity = 0;  // and alignment
};

/// Page B2h (SBC-4 6.6.7).
struct Provisioning {
  bool unmap = false;        // LBPU, LBPWS and LBPWS10
  bool reads_zeros = false;  // LBPRZ
  bool thin = false;
};

[[nodiscard]] ReplyBytes encode_supported_pages(std::uint8_t peripheral, const std::vector<std::uint8_t>& codes);
[[nodiscard]] ReplyBytes encode_unit_serial_number(const std::string& serial);
[[nodiscard]] ReplyBytes encode_device_identification(const DeviceIdentity& identity);
/// One designation descriptor without its header's protocol (SPC-5 7.7.6.1). Refers to somebody's bytes.
struct Designator {
  std::uint8_t code_set = 0;
  std::uint8_t association = 0;  // 0: logical unit
  std::uint8_t type = 0;
  std::span<const std::uint8_t> bytes;
};
/// Whether a designator of the logical unit `identity` is `designator`.
[[nodiscard]] bool is_named_by(const DeviceIdentity& identity, const Designator& designator);
[[nodiscard]] ReplyBytes encode_extended_inquiry();
[[nodiscard]] ReplyBytes encode_block_limits(const BlockLimits& limits);
[[nodiscard]] ReplyBytes encode_block_device_characteristics(bool erases_blocks);
[[nodiscard]] ReplyBytes encode_logical_block_provisioning(const Provisioning& provisioning);

/// NAA 6h made of the UUID: its first nibble gives way to the format, and the vendor part is marked as locally
/// administered, so that it never meets a number the IEEE has given out (SPC-5 7.7.6.6.5).
[[nodiscard]] std::array<std::uint8_t, 16> naa_of(const std::array<std::uint8_t, 16>& uuid) noexcept;

}  // namespace lunaris::scsi
