// The only place where a back end's failure becomes what an initiator is told.
#pragma once

#include "backends/block_device.h"
#include "protocol/scsi/sense.h"

namespace lunaris::scsi_server {

[[nodiscard]] scsi::SenseData sense_from_error(const runtime::Error& error) noexcept;

/// Whether the volume must not be used any more: what was acknowledged may be lost, or the device is.
[[nodiscard]] bool fails_the_volume(const runtime::Error& error) noexcept;

}  // namespace lunaris::scsi_server
