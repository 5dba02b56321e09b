// The bounds of the iSCSI target: what one connection may take, how long it may take, and how many there may be. Every
// queue of server/iscsi ends at one of these, and each says what happens there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lunaris::iscsi_server::limits {

inline constexpr std::uint64_t second_ns = 1'000'000'000;

/// Non-immediate commands in flight per session: the distance MaxCmdSN keeps from ExpCmdSN. open-iscsi's cmds_max is
/// 128 by default. A command beyond it is outside the window and ignored (RFC 7143 4.2.2.1).
inline constexpr std::uint32_t command_window = 128;
/// Immediate SCSI commands, task management requests and such beside the window; more are rejected with "immediate
/// command reject" (RFC 7143 11.17.1).
inline constexpr std::uint32_t immediate_commands_max = 16;
/// Command objects a session makes at most: what the window and the immediate commands can fill.
inline constexpr std::uint32_t command_slots = command_window + immediate_commands_max;

/// PDUs that are not a command's (NOP-In, Text, Logout, Reject, ...) waiting to be sent; a connection that has this
/// many stops receiving until its peer reads.
inline constexpr std::uint32_t control_pdus_max = 48;

/// Data-In a command sends before the next one has its turn.
inline constexpr std::uint32_t burst_bytes = 128 * 1024;
/// What one gathered write carries at most; more waits for the next turn.
inline constexpr std::uint32_t write_bytes_max = 512 * 1024;
/// Data-In that may wait in the send queue before DataMover::send holds its caller back.
inline constexpr std::uint32_t send_queue_bytes = 1024 * 1024;
/// Data of commands that may run at once per connection, each counted with at most one buffer (256 KiB): later commands
/// wait their turn. Bounds the memory that a peer which stops reading (or sending) can hold.
inline constexpr std::uint32_t data_in_motion_bytes = 8 * 1024 * 1024;

/// Receive memory: the smallest piece is the connection's own, larger ones come from the worker's pool while the
/// connection is busy.
inline constexpr std::uint32_t receive_bytes_min = 4 * 1024;
inline constexpr std::uint32_t receive_bytes_max = 64 * 1024;

/// A login is over after this time, whatever it is doing (RELIABILITY.md CON-1).
inline constexpr std::uint64_t login_ns = 15 * second_ns;
/// Failed authentications of one address or user that are answered at once: a slip of the operator's.
inline constexpr std::uint32_t login_failures_free = 2;
/// How long the next one's answer is held back; doubles up to the maximum, which leaves a login time to end in order
/// and a stop time to pass. With the bound on connections that have not logged in, guessing is hopeless.
inline constexpr std::uint64_t login_delay_ns = second_ns / 4;
inline constexpr std::uint64_t login_delay_max_ns = 4 * second_ns;
/// A failure is forgotten after this time without another.
inline constexpr std::uint64_t login_forget_ns = 60 * second_ns;
/// A PDU that began to arrive is complete after this time, asked-for data has come, and a write has moved something.
inline constexpr std::uint64_t progress_ns = 30 * second_ns;
/// A silent connection is asked for a sign of life (NOP-In), and has as long to give it.
inline constexpr std::uint64_t keepalive_ns = 15 * second_ns;
inline constexpr std::uint64_t keepalive_answer_ns = 15 * second_ns;
/// After a logout or a fatal verdict the last PDUs have this long to leave.
inline constexpr std::uint64_t linger_ns = 2 * second_ns;
/// How often a connection looks at its clocks.
inline constexpr std::uint64_t housekeeping_ns = second_ns;

/// Text of one login or text exchange, and of a SendTargets answer, in bytes.
inline constexpr std::size_t text_bytes_max = std::size_t{64} * 1024;

/// Warnings a connection may log before it is only counted.
inline constexpr std::uint32_t warnings_max = 8;

}  // namespace lunaris::iscsi_server::limits
