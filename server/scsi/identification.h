// Who a logical unit is: the designators INQUIRY shows and EXTENDED COPY finds units by.
#pragma once

#include <string>

#include "protocol/scsi/inquiry.h"
#include "server/scsi/limits.h"
#include "server/scsi/nexus.h"
#include "server/volume/volume.h"

namespace lunaris::scsi_server {

[[nodiscard]] std::string serial_of(const volume::Identity& identity);

[[nodiscard]] inline scsi::DeviceIdentity device_identity(const volume::Identity& identity,
                                                          const NexusIdentity& nexus) {
  scsi::DeviceIdentity device;
  device.uuid = identity.uuid;
  device.vendor = identity.vendor;
  device.serial = serial_of(identity);
  device.target_port = nexus.target_port;
  device.target_device = nexus.target_device;
  device.relative_target_port = nexus.relative_target_port;
  device.target_port_group = target_port_group;
  return device;
}

}  // namespace lunaris::scsi_server
