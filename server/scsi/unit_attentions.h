// UnitAttentions: what one nexus has not been told yet about one logical unit (SAM-5 5.14).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "protocol/scsi/sense.h"

namespace lunaris::scsi_server {

/// A small set, the one that takes precedence first. Owner's worker only; never allocates.
class UnitAttentions {
 public:
  /// More kinds than Lunaris can raise at once; beyond it the least important is forgotten.
  static constexpr std::size_t pending_max = 8;

  /// Raising what is pending already changes nothing.
  void raise(scsi::AdditionalSense condition) noexcept;
  void clear(scsi::AdditionalSense condition) noexcept;
  [[nodiscard]] bool is_pending() const noexcept { return count_ != 0; }
  /// The condition to report now; it is pending no longer.
  [[nodiscard]] std::optional<scsi::AdditionalSense> take() noexcept;

 private:
  std::array<scsi::AdditionalSense, pending_max> pending_{};
  std::uint8_t count_ = 0;
};

}  // namespace lunaris::scsi_server
