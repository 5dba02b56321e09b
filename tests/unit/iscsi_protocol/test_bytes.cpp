// protocol/bytes: bounded access, CRC32C against a table oracle, binary values as text.
#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "protocol/bytes/crc32c.h"
#include "protocol/bytes/reader.h"
#include "protocol/bytes/text_codec.h"
#include "protocol/bytes/writer.h"

namespace lunaris::bytes {
namespace {

/// Bit by bit from the polynomial: slow and plainly right.
std::uint32_t crc32c_oracle(std::span<const std::byte> bytes) {
  std::uint32_t remainder = 0xffffffff;
  for (const std::byte byte : bytes) {
    remainder ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) remainder = remainder & 1 ? remainder >> 1 ^ 0x82f63b78 : remainder >> 1;
  }
  return ~remainder;
}

std::vector<std::byte> random_bytes(std::mt19937& random, std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

TEST_CASE("a reader gives fields in network order", "[bytes]") {
  std::array<std::byte, 24> memory{};
  for (std::size_t index = 0; index < memory.size(); ++index) memory[index] = static_cast<std::byte>(index + 1);
  Reader reader(memory);
  CHECK(reader.u8() == 0x01);
  CHECK(reader.u16() == 0x0203);
  CHECK(reader.u24() == 0x040506);
  CHECK(reader.u32() == 0x0708090a);
  CHECK(reader.u48() == 0x0b0c0d0e0f10);
  CHECK(reader.u64() == 0x1112131415161718);
  CHECK(reader.remaining() == 0);
  CHECK(reader.ok());
}

TEST_CASE("reading past the end gives zeros and is remembered", "[bytes]") {
  const std::array<std::byte, 3> memory{std::byte{1}, std::byte{2}, std::byte{3}};
  Reader reader(memory);
  CHECK(reader.u32() == 0);
  CHECK_FALSE(reader.ok());
  CHECK(reader.u8() == 0);
  CHECK(reader.bytes(1).empty());
  CHECK_FALSE(reader.ok());
}

TEST_CASE("a writer never touches memory beyond its end", "[bytes]") {
  std::array<std::byte, 8> memory{};
  memory.fill(std::byte{0xee});
  Writer writer(std::span(memory).first(5));
  writer.u32(0x01020304).u16(0x0506);
  CHECK_FALSE(writer.ok());
  CHECK(writer.written() == 4);
  CHECK(memory[3] == std::byte{4});
  CHECK(memory[4] == std::byte{0xee});
  CHECK(memory[5] == std::byte{0xee});
}

TEST_CASE("what a writer wrote a reader reads", "[bytes]") {
  std::array<std::byte, 24> memory{};
  Writer writer(memory);
  writer.u8(0xf1).u16(0xf203).u24(0xf40506).u32(0xf708090a).u48(0xfb0c0d0e0f10).u64(0xf112131415161718);
  REQUIRE(writer.ok());
  Reader reader(memory);
  CHECK(reader.u8() == 0xf1);
  CHECK(reader.u16() == 0xf203);
  CHECK(reader.u24() == 0xf40506);
  CHECK(reader.u32() == 0xf708090a);
  CHECK(reader.u48() == 0xfb0c0d0e0f10);
  CHECK(reader.u64() == 0xf112131415161718);
}

TEST_CASE("CRC32C gives the values of the standard's examples", "[bytes][RFC7143 A.4]") {
  std::array<std::byte, 32> memory{};
  CHECK(crc32c(memory) == 0x8a9136aa);
  memory.fill(std::byte{0xff});
  CHECK(crc32c(memory) == 0x62a8ab43);
  for (std::size_t index = 0; index < memory.size(); ++index) memory[index] = static_cast<std::byte>(index);
  CHECK(crc32c(memory) == 0x46dd794e);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("CRC32C in pieces equals the oracle for any split", "[bytes]") {
  const auto seed = GENERATE(1u, 2u, 3u);
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const auto bytes = random_bytes(random, random() % 700);
    Crc32c crc;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t piece = std::min<std::size_t>(random() % 90, bytes.size() - at);
      crc.update(std::span(bytes).subspan(at, piece));
      at += piece;
    }
    REQUIRE(crc.value() == crc32c_oracle(bytes));
  }
}

std::string decoded(std::string_view text, std::size_t memory_size = 64) {
  std::vector<std::byte> memory(memory_size);
  const auto size = decode_binary(text, memory);
  return size ? encode_hex(std::span(memory).first(*size)) : "nothing";
}

TEST_CASE("binary values are decoded from hexadecimal and base64", "[bytes][RFC7143 6.1]") {
  CHECK(decoded("0x00ff10") == "0x00ff10");
  CHECK(decoded("0XABcd") == "0xabcd");
  CHECK(decoded("0xabc") == "0x0abc");
  CHECK(decoded("0bTWFu") == "0x4d616e");
  CHECK(decoded("0bTWE=") == "0x4d61");
  CHECK(decoded("0BTQ==") == "0x4d");
  CHECK(decoded("0b+/8A") == "0xfbff00");
}

TEST_CASE("malformed binary values are refused", "[bytes][TXT-1]") {
  for (const std::string_view text : {"", "0", "0x", "0b", "12", "0xg0", "0x1 ", "0bTWF", "0bTW=u", "0b====", "0bTWF*",
                                      "0bTR==", "0b=", "x00", "0b TWF"})
    CHECK(decoded(text) == "nothing");
}

TEST_CASE("a binary value larger than the memory for it is refused", "[bytes][TXT-1]") {
  CHECK(decoded("0x010203", 2) == "nothing");
  CHECK(decoded("0bTWFu", 2) == "nothing");
  CHECK(decoded("0x0102", 2) == "0x0102");
  CHECK(decoded("0x" + std::string(2050, 'a'), 1024) == "nothing");
}

TEST_CASE("numbers are decimal or hexadecimal and never overflow", "[bytes][TXT-1]") {
  CHECK(decode_number("0") == 0u);
  CHECK(decode_number("16777215") == 16777215u);
  CHECK(decode_number("0x10") == 16u);
  CHECK(decode_number("0Xff") == 255u);
  CHECK(decode_number("18446744073709551615") == 0xffffffffffffffffu);
  for (const std::string_view text : {"", "0x", "-1", "+1", " 1", "1 ", "1a", "18446744073709551616",
                                      "0x10000000000000000", "1e3", "99999999999999999999999"})
    CHECK_FALSE(decode_number(text).has_value());
}

}  // namespace
}  // namespace lunaris::bytes
