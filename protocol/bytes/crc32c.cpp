// CRC32C on top of ISA-L.
#include "protocol/bytes/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace lunaris::bytes {

namespace {
// ISA-L counts bytes with an int.
constexpr std::size_t step_bytes_max = std::size_t{1} << 30;
}  // namespace

void Crc32c::update(std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const auto step = bytes.first(std::min(bytes.size(), step_bytes_max));
    // ISA-L's prototype lacks the const; it only reads.
    auto* data = static_cast<unsigned char*>(const_cast<void*>(static_cast<const void*>(step.data())));
    remainder_ = crc32_iscsi(data, static_cast<int>(step.size()), remainder_);
    bytes = bytes.subspan(step.size());
  }
}

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept {
  Crc32c crc;
  crc.update(bytes);
  return crc.value();
}

}  // namespace lunaris::bytes
