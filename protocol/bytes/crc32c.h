// CRC32C, the digest of iSCSI (RFC 7143 13.1) and NVMe/TCP, computed by ISA-L with what the processor offers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lunaris::bytes {

/// Incremental: the value after several updates is that of all the bytes in a row. Any thread; no allocation.
class Crc32c {
 public:
  void update(std::span<const std::byte> bytes) noexcept;
  /// Of the bytes so far. iSCSI sends it least significant byte first (RFC 7143 13.1, appendix A.4).
  [[nodiscard]] std::uint32_t value() const noexcept { return ~remainder_; }
  void reset() noexcept { remainder_ = ~std::uint32_t{0}; }

 private:
  std::uint32_t remainder_ = ~std::uint32_t{0};
};

[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

}  // namespace lunaris::bytes
