// CRC32C for the bench tools: the SSE4.2 instruction where the CPU has it, a table otherwise.
#include "tests/bench/wire.h"

namespace lunaris::bench {
namespace {

constexpr std::uint32_t polynomial_reflected = 0x82f63b78;

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1U) != 0 ? polynomial_reflected : 0U);
    table[i] = value;
  }
  return table;
}

constexpr auto crc_table = make_table();

std::uint32_t by_table(std::span<const std::byte> data, std::uint32_t crc) {
  for (const std::byte byte : data) crc = (crc >> 8) ^ crc_table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xffU];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::span<const std::byte> data, std::uint32_t crc) {
  std::uint64_t wide = crc;
  std::size_t at = 0;
  for (; at + 8 <= data.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, data.data() + at, sizeof word);
    wide = __builtin_ia32_crc32di(wide, word);
  }
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; at < data.size(); ++at) narrow = __builtin_ia32_crc32qi(narrow, std::to_integer<unsigned char>(data[at]));
  return narrow;
}
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t previous) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  if (has_instruction) return ~by_instruction(data, ~previous);
#endif
  return ~by_table(data, ~previous);
}

}  // namespace lunaris::bench
