// Transfer: how handlers move data and end. Small replies, parameter lists, back-end errors and the device calls with
// their counters; the block loops themselves are in commands/read_write.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/block_device.h"
#include "server/scsi/execution.h"

namespace lunaris::scsi_server {

/// Sends parameter data, cut to `allocation_length` and to what the initiator expects. `data` outlives the call.
runtime::Task<> reply(Execution& execution, std::span<const std::uint8_t> data, std::uint64_t allocation_length);

/// Takes a parameter list of `length` bytes (65,535 at most), or as much of it as the initiator offers. Nothing when
/// the command has ended meanwhile. For rare commands: it allocates.
runtime::Task<std::optional<std::vector<std::uint8_t>>> receive_parameters(Execution& execution, std::uint32_t length);

/// Bytes [offset, offset + size) of Data-Out, which the initiator offers, in memory of their own: whoever waits for a
/// range lock must not hold buffers that those before it may need. Nothing when the command has ended meanwhile.
runtime::Task<std::optional<std::vector<std::byte>>> receive_all(Execution& execution, std::uint64_t offset,
                                                                 std::uint64_t size);

/// A buffer full of copies of the one block that Data-Out holds, at least one block and about `bytes_wanted`. Data-Out
/// of any other length is refused. Empty when the command has ended.
runtime::Task<runtime::BufferLease> receive_pattern(Execution& execution, std::uint64_t bytes_wanted);

/// Turns a device's failure into the command's outcome; fails the volume where that is due.
void report_error(Execution& execution, const runtime::Error& error);

/// How many bytes of whole blocks a command that wants `blocks` of Data-Out can have.
[[nodiscard]] std::uint64_t offered_bytes(const Execution& execution, std::uint64_t blocks) noexcept;

/// WriteFlags of a write with or without FUA: stable storage when asked for or when the write cache is switched off.
[[nodiscard]] backends::WriteFlags write_flags(const Execution& execution, bool force_unit_access) noexcept;

/// With the write cache switched off, what has been done is on stable storage when this returns. False: the outcome is
/// set.
runtime::Task<bool> settle(Execution& execution);
/// Flushes. False: the outcome is set.
runtime::Task<bool> flush(Execution& execution);

/// The device calls, counted; the outcome is set when they fail. They wait while the range is another command's alone
/// and end without an outcome when the command was aborted meanwhile.
runtime::Task<std::optional<backends::Payload>> read_range(Execution& execution, backends::ByteRange range);
runtime::Task<bool> write_range(Execution& execution, std::uint64_t offset, std::span<const iovec> data,
                                backends::WriteFlags flags, int registered_index);

/// Offset of the first byte in which two payloads of one length differ; nothing when they are equal.
[[nodiscard]] std::optional<std::size_t> first_difference(const backends::Payload& left,
                                                          const backends::Payload& right) noexcept;

}  // namespace lunaris::scsi_server
