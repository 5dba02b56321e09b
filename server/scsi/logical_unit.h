// LogicalUnit: a volume seen as a SCSI direct-access device (SBC-4). One per exported volume, shared by every target
// that maps it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/runtime/task.h"
#include "server/runtime/worker.h"
#include "server/volume/volume.h"

namespace lunaris::scsi_server {

/// Created and closed on the management worker. Each worker that serves it has a Port of its own with the list of the
/// nexuses there; nothing a command touches is shared between workers.
class LogicalUnit {
 public:
  LogicalUnit(runtime::Worker& management, std::shared_ptr<volume::Volume> volume);
  ~LogicalUnit();
  LogicalUnit(const LogicalUnit&) = delete;
  LogicalUnit& operator=(const LogicalUnit&) = delete;

  [[nodiscard]] volume::Volume& volume() noexcept;

  /// Any worker: tells every nexus on every worker, but for `except` (may be null), a unit attention (SPC-5 table F.2).
  void announce(std::uint8_t asc, std::uint8_t ascq, const void* except_nexus);

  class Implementation;
  [[nodiscard]] Implementation& implementation() noexcept { return *implementation_; }

 private:
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace lunaris::scsi_server
