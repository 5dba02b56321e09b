// ZeroPage: shared bytes that are always zero, for back ends that answer a read of nothing without copying.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "backends/block_device.h"

namespace lunaris::backends {

inline constexpr std::size_t zero_page_bytes = std::size_t{64} << 10;
/// Aligned for O_DIRECT; never written, lives as long as the process.
alignas(4096) inline constexpr std::array<std::byte, zero_page_bytes> zero_page{};

static_assert(BlockChannel::transfer_bytes_max <= zero_page_bytes * Payload::segments_max);

/// Appends `length` zero bytes.
inline void append_zeros(Payload& payload, std::size_t length) {
  while (length > 0) {
    const std::size_t part = length < zero_page_bytes ? length : zero_page_bytes;
    payload.append(std::span(zero_page).first(part));
    length -= part;
  }
}

}  // namespace lunaris::backends
