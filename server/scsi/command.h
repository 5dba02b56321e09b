// Command: one SCSI command as a transport hands it over and takes it back.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "protocol/scsi/sense.h"
#include "protocol/scsi/status.h"
#include "server/data_mover.h"

namespace lunaris::scsi_server {

/// SAM-5 8.9.
enum class TaskAttribute : std::uint8_t { simple = 0, ordered = 1, head_of_queue = 2, aca = 3 };

/// Filled by the transport field by field; lives on the session's worker until `Nexus::execute` has returned.
struct Command {
  static constexpr std::size_t cdb_bytes_max = 260;

  // --- in ---
  std::span<const std::uint8_t> cdb;  // 6 to cdb_bytes_max bytes, zero-padded to at least 16
  std::uint64_t lun = 0;              // the eight bytes of the LUN field, big-endian (SAM-5 4.7)
  TaskAttribute attribute = TaskAttribute::simple;
  std::uint32_t data_in_max = 0;   // bytes the initiator expects to read at most (0: none)
  std::uint32_t data_out_max = 0;  // bytes the initiator offers to write (0: none)
  DataMover* data = nullptr;
  bool aborted = false;  // set by the transport or a task management function; no answer will be sent

  // --- out ---
  scsi::Status status = scsi::Status::good;
  scsi::Sense sense;                  // meaningful with CHECK CONDITION
  std::uint64_t data_in_length = 0;   // bytes the command had to give, sent or not: the residual follows from it
  std::uint64_t data_out_length = 0;  // bytes the command wanted to take
};

}  // namespace lunaris::scsi_server
