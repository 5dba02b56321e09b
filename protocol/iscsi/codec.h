// Header <-> struct. Decoding checks every reserved bit and length that RFC 7143 section 11 fixes; what depends on the
// session (sequence numbers, tags, negotiated limits) is checked by the machines that keep that state.
#pragma once

#include <cstddef>
#include <span>

#include "protocol/iscsi/pdu.h"

namespace lunaris::iscsi {

using BhsView = std::span<const std::byte, bhs_bytes>;
using BhsSpan = std::span<std::byte, bhs_bytes>;

/// A PDU from an initiator. `ahs` is TotalAHSLength words long; a ScsiCommand refers to it. Never allocates or throws.
/// Malformed: command_not_supported for an unknown opcode, invalid_pdu_field for a bit or length that is wrong,
/// protocol_error for an AHS where none may be.
[[nodiscard]] RequestPdu decode_request(BhsView bhs, std::span<const std::byte> ahs) noexcept;
/// A PDU from a target (for our initiator in the tests). R2T and Data-In included; the same checks.
[[nodiscard]] ResponsePdu decode_response(BhsView bhs) noexcept;

// Fields every header has at the same place, for what must be known before (or without) decoding.
[[nodiscard]] std::uint8_t peek_opcode(BhsView bhs) noexcept;  // 6 bits, maybe unknown
[[nodiscard]] bool peek_immediate(BhsView bhs) noexcept;
[[nodiscard]] std::uint32_t peek_ahs_length(BhsView bhs) noexcept;           // bytes, 0 to ahs_bytes_max
[[nodiscard]] std::uint32_t peek_data_segment_length(BhsView bhs) noexcept;  // bytes without padding
[[nodiscard]] std::uint32_t peek_initiator_task_tag(BhsView bhs) noexcept;
[[nodiscard]] SerialNumber peek_cmd_sn(BhsView bhs) noexcept;
void set_data_segment_length(BhsSpan bhs, std::uint32_t length) noexcept;

// Encoders fill all 48 bytes; reserved fields are zero. A ScsiCommand's AHS is encode_ahs's.
void encode(const NopOut& pdu, BhsSpan bhs) noexcept;
void encode(const ScsiCommand& pdu, BhsSpan bhs) noexcept;
void encode(const TaskManagementRequest& pdu, BhsSpan bhs) noexcept;
void encode(const DataOut& pdu, BhsSpan bhs) noexcept;
void encode(const TextRequest& pdu, BhsSpan bhs) noexcept;
void encode(const LoginRequest& pdu, BhsSpan bhs) noexcept;
void encode(const LogoutRequest& pdu, BhsSpan bhs) noexcept;
void encode(const SnackRequest& pdu, BhsSpan bhs) noexcept;
void encode(const NopIn& pdu, BhsSpan bhs) noexcept;
void encode(const ScsiResponse& pdu, BhsSpan bhs) noexcept;
void encode(const TaskManagementResponse& pdu, BhsSpan bhs) noexcept;
void encode(const DataIn& pdu, BhsSpan bhs) noexcept;
void encode(const R2t& pdu, BhsSpan bhs) noexcept;
void encode(const TextResponse& pdu, BhsSpan bhs) noexcept;
void encode(const LoginResponse& pdu, BhsSpan bhs) noexcept;
void encode(const LogoutResponse& pdu, BhsSpan bhs) noexcept;
void encode(const AsyncMessage& pdu, BhsSpan bhs) noexcept;
void encode(const Reject& pdu, BhsSpan bhs) noexcept;

/// The AHS a command needs (extended CDB, bidirectional length), to the front of `memory` (ahs_bytes_max holds all);
/// its length in bytes, which encode(ScsiCommand) has put into TotalAHSLength.
[[nodiscard]] std::size_t encode_ahs(const ScsiCommand& pdu, std::span<std::byte> memory) noexcept;

/// A command's residual (RFC 7143 11.4.5) when `expected` bytes were offered and `actual` existed.
[[nodiscard]] Residual residual_of(std::uint32_t expected, std::uint64_t actual) noexcept;

}  // namespace lunaris::iscsi
