// DataMover: how a command moves its data, whatever the transport. The SCSI side calls it, a transport implements it.
#pragma once

#include <cstdint>

#include "backends/block_device.h"
#include "server/runtime/task.h"

namespace lunaris {

enum class MoveOutcome : std::uint8_t {
  moved,
  aborted,  // the task was aborted or its connection is gone: finish without touching the medium any further
  failed,   // the transport gave up on this task (a digest error, too little data): the transport has set the status
};

/// One per command, on the session's worker; one call at a time.
class DataMover {
 public:
  virtual ~DataMover() = default;

  /// Data-In: bytes [offset, offset + payload) of the command's data, in increasing order. Waits while the
  /// connection's send queue is full. Bytes beyond what the initiator expects are dropped (and counted as residual).
  virtual runtime::Task<MoveOutcome> send(std::uint64_t offset, backends::Payload payload) = 0;

  struct Received {
    MoveOutcome outcome = MoveOutcome::moved;
    backends::Payload payload;  // exactly the length asked for when moved
    int registered_index = -1;  // see BlockChannel::write
  };
  /// Data-Out: bytes [offset, offset + length), in increasing order, length at most BlockChannel::transfer_bytes_max
  /// and within what the initiator offers. Claims memory, then asks the initiator for what has not come unasked.
  virtual runtime::Task<Received> receive(std::uint64_t offset, std::uint32_t length) = 0;

  /// The SCSI side has aborted the command (another nexus reset the unit): a `send` or `receive` that waits returns
  /// `aborted` soon, never inside this call. Without it such a command ends when its initiator or connection does.
  virtual void give_up() noexcept {}
};

}  // namespace lunaris
