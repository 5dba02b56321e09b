// What lies behind a Nexus: its units and the gate of everything it runs. Used by nexus.cpp and REPORT LUNS.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "server/scsi/nexus.h"
#include "server/scsi/unit_state.h"

namespace lunaris::scsi_server {

class Nexus::Implementation {
 public:
  Implementation(runtime::Worker& the_worker, NexusIdentity the_identity, std::shared_ptr<const LunMap> the_luns)
      : worker(the_worker), identity(std::move(the_identity)), luns(std::move(the_luns)) {}

  /// Null where no unit is. `field` as in Command::lun.
  [[nodiscard]] UnitNexus* find(std::uint64_t field) const noexcept;

  runtime::Worker& worker;
  NexusIdentity identity;
  std::shared_ptr<const LunMap> luns;
  std::vector<std::unique_ptr<UnitNexus>> units;  // by LUN, ascending
  runtime::Gate gate;
  bool closed = false;
};

/// Clears a condition that concerns the target as a whole, on every unit of the nexus.
void clear_attention_everywhere(Nexus::Implementation& nexus, scsi::AdditionalSense condition) noexcept;

}  // namespace lunaris::scsi_server
