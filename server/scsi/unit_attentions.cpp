// Precedence of unit attentions (SAM-5 5.14.3 table 44): power on, resets, nexus loss, then everything else.
#include "server/scsi/unit_attentions.h"

#include <algorithm>

namespace lunaris::scsi_server {
namespace {

/// Lower is reported earlier; equal ranks keep the order in which they were raised.
unsigned rank(scsi::AdditionalSense condition) noexcept {
  if (condition.asc == 0x29) return condition.ascq;
  if (condition == scsi::additional_sense::commands_cleared_by_another_initiator) return 0x100;
  return 0x200;
}

}  // namespace

void UnitAttentions::raise(scsi::AdditionalSense condition) noexcept {
  const auto end = pending_.begin() + count_;
  if (std::find(pending_.begin(), end, condition) != end) return;
  const auto place =
      std::find_if(pending_.begin(), end, [&](scsi::AdditionalSense other) { return rank(other) > rank(condition); });
  if (place == pending_.end()) return;
  if (count_ < pending_max) ++count_;
  std::copy_backward(place, pending_.begin() + count_ - 1, pending_.begin() + count_);
  *place = condition;
}

void UnitAttentions::clear(scsi::AdditionalSense condition) noexcept {
  const auto end = pending_.begin() + count_;
  count_ = static_cast<std::uint8_t>(std::remove(pending_.begin(), end, condition) - pending_.begin());
}

std::optional<scsi::AdditionalSense> UnitAttentions::take() noexcept {
  if (count_ == 0) return std::nullopt;
  const scsi::AdditionalSense first = pending_.front();
  clear(first);
  return first;
}

}  // namespace lunaris::scsi_server
