// Reservations on a unit: whether a command may run beside the one there is (SPC-5 5.13.1), and how a change reaches
// every nexus on every worker. The table itself is the volume's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/scsi/command_table.h"
#include "server/scsi/unit_state.h"
#include "server/volume/reservations.h"

namespace lunaris::scsi_server {

[[nodiscard]] volume::NexusName name_of(const NexusIdentity& identity);

/// Whether a reservation that is there forbids the command to who has `role`; `session` is who asks, for RESERVE's.
[[nodiscard]] bool conflicts(const CommandRow& row, std::span<const std::uint8_t> cdb,
                             const volume::ReservationTable& table, volume::ReservationRole role,
                             const void* session) noexcept;

/// From any worker's coroutine, which holds no Port::Pass: makes the change on the volume's owner and returns when
/// every worker has it and all unit attentions are raised; for PREEMPT AND ABORT, when the tasks of the preempted
/// nexuses have ended as well.
runtime::Task<volume::ReservationOutcome> change_reservations(std::shared_ptr<UnitState> unit,
                                                              volume::ReservationRequest request);

/// Gives back what RESERVE has taken: for `session`, or with null for whoever it is.
runtime::Task<> release_session(std::shared_ptr<UnitState> unit, const void* session);

/// The initiator ports of the initiator `name` that are logged in to the unit now.
runtime::Task<std::vector<std::string>> initiator_ports(std::shared_ptr<UnitState> unit, std::string name);

}  // namespace lunaris::scsi_server
