// Padding, digests and the gather list.
#include "protocol/iscsi/pdu_writer.h"

#include <algorithm>

#include "protocol/bytes/crc32c.h"
#include "protocol/bytes/ensure.h"

namespace lunaris::iscsi {

namespace {

using bytes::ensure;

std::span<const std::byte> bytes_of(const iovec& segment) noexcept {
  return {static_cast<const std::byte*>(segment.iov_base), segment.iov_len};
}

/// Least significant byte first (RFC 7143 13.1 and appendix A.4).
void write_digest(std::span<std::byte> target, std::uint32_t value) noexcept {
  for (std::size_t index = 0; index < digest_bytes; ++index)
    target[index] = static_cast<std::byte>(value >> (8 * index) & 0xff);
}

std::size_t gather_into(std::span<std::byte> header, std::size_t ahs_length,
                        std::span<std::byte, 3 + digest_bytes> trailer, Digests digests, std::span<const iovec> payload,
                        std::span<iovec> out) noexcept {
  ensure(out.size() >= gather_entries(payload.size()));
  std::size_t length = 0;
  for (const iovec& segment : payload) length += segment.iov_len;
  ensure(length <= data_segment_bytes_max);
  set_data_segment_length(BhsSpan{header.first(bhs_bytes)}, static_cast<std::uint32_t>(length));

  std::size_t header_length = bhs_bytes + ahs_length;
  if (digests.header) {
    write_digest(header.subspan(header_length, digest_bytes), bytes::crc32c(header.first(header_length)));
    header_length += digest_bytes;
  }
  std::size_t entries = 0;
  out[entries++] = {header.data(), header_length};
  if (length == 0) return entries;
  for (const iovec& segment : payload)
    if (segment.iov_len > 0) out[entries++] = segment;

  std::size_t trailer_length = padding_bytes(static_cast<std::uint32_t>(length));
  std::fill_n(trailer.begin(), trailer_length, std::byte{0});
  if (digests.data) {
    bytes::Crc32c crc;
    for (const iovec& segment : payload) crc.update(bytes_of(segment));
    crc.update(trailer.first(trailer_length));
    write_digest(trailer.subspan(trailer_length), crc.value());
    trailer_length += digest_bytes;
  }
  if (trailer_length > 0) out[entries++] = {trailer.data(), trailer_length};
  return entries;
}

}  // namespace

std::size_t gather(ResponseSlot& slot, Digests digests, std::span<const iovec> payload, std::span<iovec> out) noexcept {
  return gather_into(slot.header, 0, slot.trailer, digests, payload, out);
}

std::size_t gather(PduSlot& slot, std::size_t ahs_length, Digests digests, std::span<const iovec> payload,
                   std::span<iovec> out) noexcept {
  ensure(ahs_length + bhs_bytes + digest_bytes <= slot.header.size());
  return gather_into(slot.header, ahs_length, slot.trailer, digests, payload, out);
}

}  // namespace lunaris::iscsi
