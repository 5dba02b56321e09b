// Nexus: what a transport sees of the SCSI side. One initiator's login to one target: its LUN map, its task sets and
// its unit attentions, all on the session's worker.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/runtime/gate.h"
#include "server/runtime/worker.h"
#include "server/scsi/command.h"

namespace lunaris::scsi_server {

class LogicalUnit;

/// Which logical units a target shows, by LUN (0 to 16383). Immutable once published; shared by all workers.
struct LunMap {
  struct Entry {
    std::shared_ptr<LogicalUnit> unit;
    bool read_only = false;
  };
  std::map<std::uint16_t, Entry> entries;
  /// The relative identifiers of all ports of the target device; empty: only that of the nexus is known.
  std::vector<std::uint16_t> target_ports;
};

/// SAM-5 3.1.40 with the names that end up in designators and reservations.
struct NexusIdentity {
  std::string initiator_port;  // "iqn.1994-05.com.redhat:node1,i,0x00023d000001" (SPC-5 7.6.4.6)
  std::string target_port;     // "iqn.2026-01.io.example:db1,t,0x0001"
  std::string target_device;   // "iqn.2026-01.io.example:db1"
  std::uint16_t relative_target_port = 1;
};

/// SAM-5 clause 7 answers, numbered as iSCSI's responses (RFC 7143 11.6.1).
enum class TaskManagementResult : std::uint8_t {
  complete = 0,
  no_such_task = 1,
  no_such_lun = 2,
  not_supported = 5,
  rejected = 255
};

/// Belongs to the session's worker. Task sets are per nexus (TST = 001b in the control mode page), so ordering never
/// crosses workers.
class Nexus {
 public:
  Nexus(runtime::Worker& worker, NexusIdentity identity, std::shared_ptr<const LunMap> luns);
  ~Nexus();  // asserts that `close` has returned
  Nexus(const Nexus&) = delete;
  Nexus& operator=(const Nexus&) = delete;

  [[nodiscard]] const NexusIdentity& identity() const noexcept;

  /// Runs the command to its end and sets its outcome. Call order is task set order. Never fails; many run at once.
  /// Returns early (without an outcome) when `command.aborted` is seen.
  runtime::Task<> execute(Command& command);

  /// Wakes `command` if it waits (for its turn, for a lock), so that it sees `aborted`. The caller waits for its end.
  void abort(Command& command);
  /// LOGICAL UNIT RESET (SAM-5 7.7): aborts every task of every nexus on the unit, returns when they have ended; unit
  /// attention 29/03 for all nexuses. `lun` as in Command.
  runtime::Task<TaskManagementResult> reset_logical_unit(std::uint64_t lun);
  /// Whether `lun` names a mapped unit.
  [[nodiscard]] bool has(std::uint64_t lun) const;

  /// A changed map: units that are gone end their tasks first; unit attention 3F/0E on the others (SPC-5).
  runtime::Task<> remap(std::shared_ptr<const LunMap> luns);

  /// I_T nexus loss: aborts every task and waits for their ends. The transport has made its data movers give up.
  runtime::Task<> close();

  class Implementation;

 private:
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace lunaris::scsi_server
