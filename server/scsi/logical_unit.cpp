// LogicalUnit: the handle on a UnitState that LUN maps share.
#include "server/scsi/logical_unit.h"

#include "server/scsi/unit_state.h"

namespace lunaris::scsi_server {

LogicalUnit::LogicalUnit(runtime::Worker& /*management*/, std::shared_ptr<volume::Volume> volume)
    : implementation_(std::make_unique<Implementation>(std::move(volume))) {}

LogicalUnit::~LogicalUnit() = default;

volume::Volume& LogicalUnit::volume() noexcept {
  return implementation_->state->volume();
}

void LogicalUnit::announce(std::uint8_t asc, std::uint8_t ascq, const void* except_nexus) {
  implementation_->state->announce({asc, ascq}, except_nexus);
}

}  // namespace lunaris::scsi_server
