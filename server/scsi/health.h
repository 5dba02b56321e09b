// What a volume's health means for commands that need the medium.
#pragma once

#include <optional>

#include "server/scsi/execution.h"

namespace lunaris::scsi_server {

/// Why the medium cannot be used now; nothing when it can. `execution.unit` is there.
[[nodiscard]] inline std::optional<scsi::SenseData> health_problem(const Execution& execution) {
  using namespace scsi::additional_sense;
  const auto say = [](scsi::SenseKey key, scsi::AdditionalSense additional) {
    return scsi::SenseData{.key = key, .additional = additional, .information = {}, .field = {}};
  };
  if (execution.unit->state().is_ejected()) return say(scsi::SenseKey::not_ready, medium_not_present);
  if (!execution.pass) return say(scsi::SenseKey::not_ready, logical_unit_not_ready_cause_not_reportable);
  switch (execution.view().health) {
    case volume::Health::online:
      return std::nullopt;
    case volume::Health::failed:
      return say(scsi::SenseKey::hardware_error, internal_target_failure);
    case volume::Health::offline:
      return say(scsi::SenseKey::not_ready, logical_unit_not_ready_offline);
  }
  return std::nullopt;
}

}  // namespace lunaris::scsi_server
