// Sense data: why a command ended with CHECK CONDITION, as a value (SenseData) and as the bytes that travel (Sense).
// Used by server/scsi to build it and by every transport to send it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace lunaris::scsi {

/// SPC-5 4.4.7 table 49.
enum class SenseKey : std::uint8_t {
  no_sense = 0x0,
  recovered_error = 0x1,
  not_ready = 0x2,
  medium_error = 0x3,
  hardware_error = 0x4,
  illegal_request = 0x5,
  unit_attention = 0x6,
  data_protect = 0x7,
  blank_check = 0x8,
  vendor_specific = 0x9,
  copy_aborted = 0xa,
  aborted_command = 0xb,
  volume_overflow = 0xd,
  miscompare = 0xe,
  completed = 0xf,
};

/// ADDITIONAL SENSE CODE and its QUALIFIER.
struct AdditionalSense {
  std::uint8_t asc = 0;
  std::uint8_t ascq = 0;
  bool operator==(const AdditionalSense&) const = default;
};

/// SPC-5 annex F.2, by the names there.
namespace additional_sense {
inline constexpr AdditionalSense no_additional_sense_information{0x00, 0x00};
inline constexpr AdditionalSense logical_unit_not_ready_cause_not_reportable{0x04, 0x00};
inline constexpr AdditionalSense logical_unit_not_ready_initializing_command_required{0x04, 0x02};
inline constexpr AdditionalSense logical_unit_not_ready_manual_intervention_required{0x04, 0x03};
inline constexpr AdditionalSense logical_unit_not_ready_format_in_progress{0x04, 0x04};
inline constexpr AdditionalSense logical_unit_not_ready_offline{0x04, 0x12};
inline constexpr AdditionalSense logical_unit_not_ready_sanitize_in_progress{0x04, 0x1b};
inline constexpr AdditionalSense logical_unit_communication_time_out{0x08, 0x01};
inline constexpr AdditionalSense unreachable_copy_target{0x08, 0x04};
inline constexpr AdditionalSense write_error{0x0c, 0x00};
inline constexpr AdditionalSense third_party_device_failure{0x0d, 0x01};
inline constexpr AdditionalSense copy_target_device_not_reachable{0x0d, 0x02};
inline constexpr AdditionalSense invalid_field_in_command_information_unit{0x0e, 0x03};
inline constexpr AdditionalSense unrecovered_read_error{0x11, 0x00};
inline constexpr AdditionalSense parameter_list_length_error{0x1a, 0x00};
inline constexpr AdditionalSense miscompare_during_verify_operation{0x1d, 0x00};
inline constexpr AdditionalSense invalid_command_operation_code{0x20, 0x00};
inline constexpr AdditionalSense logical_block_address_out_of_range{0x21, 0x00};
inline constexpr AdditionalSense invalid_field_in_cdb{0x24, 0x00};
inline constexpr AdditionalSense logical_unit_not_supported{0x25, 0x00};
inline constexpr AdditionalSense invalid_field_in_parameter_list{0x26, 0x00};
inline constexpr AdditionalSense invalid_release_of_persistent_reservation{0x26, 0x04};
inline constexpr AdditionalSense too_many_target_descriptors{0x26, 0x06};
inline constexpr AdditionalSense unsupported_target_descriptor_type_code{0x26, 0x07};
inline constexpr AdditionalSense too_many_segment_descriptors{0x26, 0x08};
inline constexpr AdditionalSense unsupported_segment_descriptor_type_code{0x26, 0x09};
inline constexpr AdditionalSense unexpected_inexact_segment{0x26, 0x0a};
inline constexpr AdditionalSense write_protected{0x27, 0x00};
inline constexpr AdditionalSense software_write_protected{0x27, 0x02};
inline constexpr AdditionalSense space_allocation_failed_write_protect{0x27, 0x07};
inline constexpr AdditionalSense not_ready_to_ready_change{0x28, 0x00};
inline constexpr AdditionalSense power_on_reset_or_bus_device_reset_occurred{0x29, 0x00};
inline constexpr AdditionalSense power_on_occurred{0x29, 0x01};
inline constexpr AdditionalSense bus_device_reset_function_occurred{0x29, 0x03};
inline constexpr AdditionalSense i_t_nexus_loss_occurred{0x29, 0x07};
inline constexpr AdditionalSense mode_parameters_changed{0x2a, 0x01};
inline constexpr AdditionalSense reservations_preempted{0x2a, 0x03};
inline constexpr AdditionalSense reservations_released{0x2a, 0x04};
inline constexpr AdditionalSense registrations_preempted{0x2a, 0x05};
inline constexpr AdditionalSense asymmetric_access_state_changed{0x2a, 0x06};
inline constexpr AdditionalSense capacity_data_has_changed{0x2a, 0x09};
inline constexpr AdditionalSense commands_cleared_by_another_initiator{0x2f, 0x00};
inline constexpr AdditionalSense format_command_failed{0x31, 0x01};
inline constexpr AdditionalSense sanitize_command_failed{0x31, 0x03};
inline constexpr AdditionalSense saving_parameters_not_supported{0x39, 0x00};
inline constexpr AdditionalSense medium_not_present{0x3a, 0x00};
inline constexpr AdditionalSense inquiry_data_has_changed{0x3f, 0x03};
inline constexpr AdditionalSense reported_luns_data_has_changed{0x3f, 0x0e};
inline constexpr AdditionalSense internal_target_failure{0x44, 0x00};
inline constexpr AdditionalSense persistent_reservation_information_lost{0x44, 0x01};
inline constexpr AdditionalSense invalid_message_error{0x49, 0x00};
inline constexpr AdditionalSense medium_removal_prevented{0x53, 0x02};
inline constexpr AdditionalSense insufficient_reservation_resources{0x55, 0x02};
inline constexpr AdditionalSense insufficient_resources{0x55, 0x03};
inline constexpr AdditionalSense insufficient_registration_resources{0x55, 0x04};
}  // namespace additional_sense

/// FIELD POINTER of the sense key specific bytes (SPC-5 4.4.2.4.2): which field of the CDB or of the parameter list is
/// wrong.
struct FieldPointer {
  bool in_cdb = true;
  std::uint16_t byte = 0;
  std::optional<std::uint8_t> bit;  // the field's leftmost wrong bit, 0 to 7
  bool operator==(const FieldPointer&) const = default;
};

struct SenseData {
  SenseKey key = SenseKey::no_sense;
  AdditionalSense additional;
  std::optional<std::uint64_t> information;  // what it is depends on the command: an LBA, an offset (SBC-4 4.18)
  std::optional<FieldPointer> field;
  std::optional<std::uint16_t> progress = std::nullopt;  // PROGRESS INDICATION, of 65,536; instead of a field pointer
  bool operator==(const SenseData&) const = default;
};

/// DESC / D_SENSE.
enum class SenseFormat : bool { fixed = false, descriptor = true };

/// Encoded sense data in fixed storage. Empty until `encode`.
class Sense {
 public:
  /// Fixed format is 18 bytes; descriptor format 8 and descriptors of 12 (information) and 8 (field pointer).
  static constexpr std::size_t bytes_max = 32;

  /// Storage stays as it is until `encode`: a command that succeeds pays for the size only.
  Sense() noexcept {}  // NOLINT(modernize-use-equals-default): leaves bytes_ uninitialised

  /// Current sense data (response code 70h or 72h). Fixed format keeps an information of more than 32 bits out by
  /// leaving VALID zero (SPC-5 4.4.3).
  void encode(const SenseData& data, SenseFormat format) noexcept;
  void clear() noexcept { size_ = 0; }

  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

 private:
  std::array<std::uint8_t, bytes_max> bytes_;
  std::uint8_t size_ = 0;
};

/// The inverse of `Sense::encode`, for tests and tools; nothing when the bytes are not current sense data.
[[nodiscard]] std::optional<SenseData> decode_sense(std::span<const std::uint8_t> bytes) noexcept;

}  // namespace lunaris::scsi
