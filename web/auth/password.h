// Passwords: scrypt (RFC 7914) in, a record out. Blocking and slow on purpose: on a BlockingPool only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lunaris::web {

/// What is kept of a password. The cost is kept with it, so that it can be raised later.
struct PasswordRecord {
  std::uint64_t cost = std::uint64_t{1} << 15;  // N: 32 MiB with r = 8
  std::uint32_t block_size = 8;                 // r
  std::uint32_t parallelism = 1;                // p
  std::string salt;                             // 16 octets
  std::string key;                              // 32 octets
  bool operator==(const PasswordRecord&) const = default;
};

/// `salt` are 16 octets that a peer cannot predict.
[[nodiscard]] PasswordRecord make_record(std::string_view password, std::string salt);
/// Takes as long for a wrong password as for the right one.
[[nodiscard]] bool is_password(const PasswordRecord& record, std::string_view password);

/// Compares without telling by the time where the first difference is.
[[nodiscard]] bool equal_secrets(std::string_view left, std::string_view right) noexcept;
[[nodiscard]] std::string sha256(std::string_view text);

[[nodiscard]] std::string hexadecimal(std::string_view octets);
/// Empty when `text` is not hexadecimal.
[[nodiscard]] std::string from_hexadecimal(std::string_view text);

}  // namespace lunaris::web
