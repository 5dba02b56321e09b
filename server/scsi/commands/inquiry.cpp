// INQUIRY (SPC-5 6.7): standard data and vital product data, all derived from the volume and the nexus.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "protocol/scsi/fields.h"
#include "protocol/scsi/inquiry.h"
#include "protocol/scsi/opcodes.h"
#include "server/scsi/command_table.h"
#include "server/scsi/commands/commands.h"
#include "server/scsi/identification.h"
#include "server/scsi/limits.h"
#include "server/scsi/transfer.h"

namespace lunaris::scsi_server {
namespace {

constexpr const char* revision = "0001";

scsi::ReplyBytes device_identification(const Execution& execution) {
  return scsi::encode_device_identification(device_identity(execution.volume().identity(), execution.nexus.identity()));
}

/// The copy commands there are, from their rows.
scsi::ReplyBytes third_party_copy(const Execution& /*execution*/) {
  std::vector<scsi::CopyCommand> commands;
  for (const scsi::Opcode opcode : {scsi::Opcode::extended_copy, scsi::Opcode::receive_copy_results}) {
    scsi::CopyCommand& command = commands.emplace_back(scsi::CopyCommand{static_cast<std::uint8_t>(opcode), {}});
    for (const CommandRow& row : command_rows(command.opcode)) {
      command.service_actions.push_back(static_cast<std::uint8_t>(row.service_action));
    }
  }
  return scsi::encode_third_party_copy_page(copy_limits, commands);
}

/// `bytes` in blocks, 0 or what fits the field.
std::uint32_t blocks_of(std::uint64_t bytes, std::uint32_t block_bytes) noexcept {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(bytes / block_bytes, std::numeric_limits<std::uint32_t>::max()));
}

scsi::ReplyBytes block_limits(const Execution& execution) {
  const backends::Geometry& geometry = execution.geometry();
  const std::uint32_t block_bytes = execution.view().block_bytes;
  const std::uint32_t physical_bytes = execution.view().physical_block_bytes;
  scsi::BlockLimits limits;
  limits.optimal_transfer_granularity = static_cast<std::uint16_t>(std::max(physical_bytes / block_bytes, 1U));
  limits.optimal_transfer =
      blocks_of(geometry.optimal_io_bytes != 0 ? geometry.optimal_io_bytes : optimal_transfer_bytes, block_bytes);
  if (geometry.discard_granularity != 0) {
    limits.maximum_unmap_blocks = unmap_blocks_max;
    limits.maximum_unmap_descriptors = unmap_descriptors_max;
    limits.optimal_unmap_granularity = std::max(geometry.discard_granularity / block_bytes, 1U);
  }
  limits.maximum_transfer = blocks_of(transfer_length_bytes_max, block_bytes);
  limits.maximum_compare_and_write = std::min(compare_and_write_bytes_max / block_bytes, compare_and_write_blocks_max);
  limits.maximum_atomic_transfer = atomic_bytes_max / block_bytes;
  limits.atomic_granularity = atomic_granularity_blocks(execution.view());
  return scsi::encode_block_limits(limits);
}

scsi::ReplyBytes provisioning(const Execution& execution) {
  const backends::Geometry& geometry = execution.geometry();
  return scsi::encode_logical_block_provisioning(
      {.unmap = geometry.discard_granularity != 0, .reads_zeros = geometry.discard_reads_zero, .thin = geometry.thin});
}

struct VpdRow {
  scsi::VpdPage page;
  scsi::ReplyBytes (*encode)(const Execution& execution);
};

scsi::ReplyBytes supported_pages(const Execution& execution);

constexpr std::array<VpdRow, 8> vpd_rows{{
    {scsi::VpdPage::supported_pages, supported_pages},
    {scsi::VpdPage::unit_serial_number,
     [](const Execution& execution) {
       return scsi::encode_unit_serial_number(serial_of(execution.volume().identity()));
     }},
    {scsi::VpdPage::device_identification, device_identification},
    {scsi::VpdPage::extended_inquiry, [](const Execution& /*execution*/) { return scsi::encode_extended_inquiry(); }},
    {scsi::VpdPage::third_party_copy, third_party_copy},
    {scsi::VpdPage::block_limits, block_limits},
    {scsi::VpdPage::block_device_characteristics,
     [](const Execution& execution) {
       return scsi::encode_block_device_characteristics(execution.geometry().discard_granularity != 0);
     }},
    {scsi::VpdPage::logical_block_provisioning, provisioning},
}};

scsi::ReplyBytes supported_pages(const Execution& /*execution*/) {
  std::vector<std::uint8_t> codes;
  for (const VpdRow& row : vpd_rows) codes.push_back(static_cast<std::uint8_t>(row.page));
  return scsi::encode_supported_pages(scsi::peripheral_disk, codes);
}

/// What INQUIRY says for a LUN without a unit: qualifier 011b, and no pages but the list of pages.
std::optional<scsi::ReplyBytes> inquiry_of_nothing(bool vital_product_data, std::uint8_t page) {
  if (!vital_product_data) {
    return scsi::encode_standard_inquiry({.peripheral = scsi::peripheral_not_there,
                                          .vendor = volume::Identity{}.vendor,
                                          .product = "",
                                          .revision = revision});
  }
  if (page != 0) return std::nullopt;
  return scsi::encode_supported_pages(scsi::peripheral_not_there, {0x00});
}

std::optional<scsi::ReplyBytes> inquiry_data(const Execution& execution, bool vital_product_data, std::uint8_t page) {
  if (execution.unit == nullptr) return inquiry_of_nothing(vital_product_data, page);
  if (!vital_product_data) {
    const volume::Identity& identity = execution.volume().identity();
    return scsi::encode_standard_inquiry({.peripheral = scsi::peripheral_disk,
                                          .removable = execution.view().removable,
                                          .vendor = identity.vendor,
                                          .product = identity.product.empty() ? "VOLUME" : identity.product,
                                          .revision = revision});
  }
  const auto row = std::find_if(vpd_rows.begin(), vpd_rows.end(), [&](const VpdRow& candidate) {
    return static_cast<std::uint8_t>(candidate.page) == page;
  });
  if (row == vpd_rows.end()) return std::nullopt;
  return row->encode(execution);
}

}  // namespace

std::string serial_of(const volume::Identity& identity) {
  if (!identity.serial.empty()) return identity.serial;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : identity.uuid) {
    text += digits[byte >> 4];
    text += digits[byte & 0x0f];
  }
  return text;
}

runtime::Task<> inquiry(Execution& execution) {
  const std::span<const std::uint8_t> cdb = execution.command.cdb;
  const bool vital_product_data = (cdb[1] & 0x01) != 0;
  if (!vital_product_data && cdb[2] != 0) {  // SPC-5 6.7.1
    execution.invalid_field(2);
    co_return;
  }
  const std::optional<scsi::ReplyBytes> data = inquiry_data(execution, vital_product_data, cdb[2]);
  if (!data) {
    execution.invalid_field(2);
    co_return;
  }
  co_await reply(execution, *data, scsi::load16(cdb, 3));
}

}  // namespace lunaris::scsi_server
