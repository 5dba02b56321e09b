// scrypt, SHA-256 and comparison, all by OpenSSL.
#include "web/auth/password.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "server/runtime/assert.h"

namespace lunaris::web {

namespace {

constexpr std::size_t key_bytes = 32;
/// 128 * N * r is what scrypt needs; a record that asks for more was not made here.
constexpr std::uint64_t memory_max = std::uint64_t{256} << 20;

const unsigned char* octets(const std::string& text) noexcept {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}

/// Empty when the parameters are no good.
std::string derive(std::string_view password, const PasswordRecord& record) {
  std::string key(key_bytes, '\0');
  auto* out = static_cast<unsigned char*>(static_cast<void*>(key.data()));
  const int done = ::EVP_PBE_scrypt(password.data(), password.size(), octets(record.salt), record.salt.size(),
                                    record.cost, record.block_size, record.parallelism, memory_max, out, key.size());
  return done == 1 ? key : std::string();
}

}  // namespace

PasswordRecord make_record(std::string_view password, std::string salt) {
  PasswordRecord record;
  record.salt = std::move(salt);
  record.key = derive(password, record);
  LUN_ASSERT(record.key.size() == key_bytes);
  return record;
}

bool is_password(const PasswordRecord& record, std::string_view password) {
  const std::string key = derive(password, record);
  return !key.empty() && equal_secrets(key, record.key);
}

bool equal_secrets(std::string_view left, std::string_view right) noexcept {
  return left.size() == right.size() && ::CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

std::string sha256(std::string_view text) {
  std::string digest(32, '\0');
  unsigned size = 0;
  auto* out = static_cast<unsigned char*>(static_cast<void*>(digest.data()));
  const int done = ::EVP_Digest(text.data(), text.size(), out, &size, ::EVP_sha256(), nullptr);
  LUN_ASSERT(done == 1 && size == digest.size());
  return digest;
}

std::string hexadecimal(std::string_view octets_in) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char octet : octets_in) {
    text += digits[static_cast<unsigned char>(octet) >> 4];
    text += digits[static_cast<unsigned char>(octet) & 15];
  }
  return text;
}

std::string from_hexadecimal(std::string_view text) {
  const auto value = [](char digit) -> int {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
  };
  if (text.size() % 2 != 0) return "";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = value(text[i]);
    const int low = value(text[i + 1]);
    if (high < 0 || low < 0) return "";
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

}  // namespace lunaris::web
