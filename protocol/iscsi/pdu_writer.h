// PduWriter: struct + payload -> gather list. Headers, padding and digests go into slots of the caller; the payload is
// never copied. Used by the session's send queue and by our test initiator.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>

#include "protocol/iscsi/codec.h"

namespace lunaris::iscsi {

/// Digests of one direction; the session sets them when the login is done.
struct Digests {
  bool header = false;
  bool data = false;
};

/// Everything of a PDU that is not payload. Stays where it is until the PDU has been sent.
struct PduSlot {
  /// BHS, then an AHS (only an initiator sends one, at most 256 bytes here), then the header digest.
  std::array<std::byte, bhs_bytes + 264 + digest_bytes> header;
  std::array<std::byte, 3 + digest_bytes> trailer;  // padding, data digest

  [[nodiscard]] BhsSpan bhs() noexcept { return BhsSpan{header.data(), bhs_bytes}; }
};

/// A slot of the send path: 48 + 4 bytes of header, 3 + 4 of trailer.
struct ResponseSlot {
  std::array<std::byte, bhs_bytes + digest_bytes> header;
  std::array<std::byte, 3 + digest_bytes> trailer;

  [[nodiscard]] BhsSpan bhs() noexcept { return BhsSpan{header.data(), bhs_bytes}; }
};

/// Entries a PDU of `payload_segments` segments needs in the gather list.
[[nodiscard]] constexpr std::size_t gather_entries(std::size_t payload_segments) noexcept {
  return payload_segments + 2;
}

/// Completes a PDU whose BHS (and AHS) already is in the slot: sets DataSegmentLength to the bytes of `payload` (at
/// most data_segment_bytes_max), adds padding and digests, and puts the pieces in order to the front of `out` (at least
/// gather_entries(payload.size())). The number of entries used.
std::size_t gather(ResponseSlot& slot, Digests digests, std::span<const iovec> payload, std::span<iovec> out) noexcept;
/// The same with `ahs_length` bytes of AHS behind the BHS.
std::size_t gather(PduSlot& slot, std::size_t ahs_length, Digests digests, std::span<const iovec> payload,
                   std::span<iovec> out) noexcept;

/// encode and gather in one.
template <class Pdu>
std::size_t write_pdu(const Pdu& pdu, ResponseSlot& slot, Digests digests, std::span<const iovec> payload,
                      std::span<iovec> out) noexcept {
  encode(pdu, slot.bhs());
  return gather(slot, digests, payload, out);
}

}  // namespace lunaris::iscsi
