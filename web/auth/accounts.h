// Accounts: users with password records, and API tokens; as values, with their text in the state folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "web/auth/password.h"

namespace lunaris::web {

/// Each may do what those before it may. Viewers read; operators change volumes, targets and sessions; administrators
/// the whole configuration and who has access.
enum class Role : std::uint8_t { viewer, operate, admin };
[[nodiscard]] std::string_view to_string(Role role) noexcept;
[[nodiscard]] std::optional<Role> parse_role(std::string_view text) noexcept;

struct User {
  Role role = Role::viewer;
  PasswordRecord password;
  bool operator==(const User&) const = default;
};

/// For scripts. The secret is not kept: 256 random bits need no slow hash.
struct Token {
  std::string name;
  Role role = Role::viewer;
  std::string digest;         // SHA-256 of the secret
  std::uint64_t created = 0;  // Unix seconds
  std::uint64_t expires = 0;  // Unix seconds; 0: never
  bool operator==(const Token&) const = default;
};

struct Accounts {
  std::map<std::string, User> users;    // by name
  std::map<std::string, Token> tokens;  // by id
  bool operator==(const Accounts&) const = default;
};

/// The text of the accounts file; decode_accounts(encode_accounts(a)) is a.
[[nodiscard]] std::string encode_accounts(const Accounts& accounts);
/// Nothing, and `reason`, when it is not such a text: it is never taken for an empty one.
[[nodiscard]] std::optional<Accounts> decode_accounts(std::string_view text, std::string& reason);

/// [a-z0-9][a-z0-9._-]{0,62}
[[nodiscard]] bool is_user_name(std::string_view name) noexcept;

}  // namespace lunaris::web
