// The accounts file: JSON, decoded as strictly as the configuration.
#include "web/auth/accounts.h"

#include <algorithm>
#include <boost/json/array.hpp>

#include "server/config/json.h"
#include "server/config/object_reader.h"
#include "web/limits.h"

namespace lunaris::web {

namespace json = boost::json;

namespace {

constexpr std::size_t text_max = 256;

std::string read_octets(config::ObjectReader& reader, std::string_view member) {
  std::string text;
  if (reader.require(member) != nullptr) reader.read_text(member, text, text_max);
  std::string octets = from_hexadecimal(text);
  if (octets.empty()) reader.problem(member, "must be hexadecimal digits.");
  return octets;
}

Role read_role(config::ObjectReader& reader) {
  std::string word;
  reader.read_text("role", word, text_max);
  const auto role = parse_role(word);
  if (!role) reader.problem("role", "must be viewer, operator or admin.");
  return role.value_or(Role::viewer);
}

User decode_user(const json::value& value, const std::string& pointer, config::Problems& problems) {
  User user;
  config::ObjectReader reader(value, pointer, problems);
  user.role = read_role(reader);
  if (const json::value* record = reader.require("scrypt")) {
    config::ObjectReader members(*record, reader.pointer_to("scrypt"), problems);
    members.read_number("n", user.password.cost, 2, std::uint64_t{1} << 20);
    members.read_number("r", user.password.block_size, 1, 64);
    members.read_number("p", user.password.parallelism, 1, 16);
    user.password.salt = read_octets(members, "salt");
    user.password.key = read_octets(members, "key");
  }
  return user;
}

Token decode_token(const json::value& value, const std::string& pointer, config::Problems& problems) {
  Token token;
  config::ObjectReader reader(value, pointer, problems);
  reader.read_text("name", token.name, text_max);
  token.role = read_role(reader);
  token.digest = read_octets(reader, "sha256");
  reader.read_number("created", token.created, 0, UINT64_MAX);
  reader.read_number("expires", token.expires, 0, UINT64_MAX);
  return token;
}

json::string text(std::string_view words) {
  return json::string(words);
}

}  // namespace

std::string_view to_string(Role role) noexcept {
  switch (role) {
    case Role::viewer:
      return "viewer";
    case Role::operate:
      return "operator";
    case Role::admin:
      return "admin";
  }
  return "";
}

std::optional<Role> parse_role(std::string_view word) noexcept {
  for (const Role role : {Role::viewer, Role::operate, Role::admin}) {
    if (word == to_string(role)) return role;
  }
  return {};
}

std::string encode_accounts(const Accounts& accounts) {
  json::object users;
  for (const auto& [name, user] : accounts.users) {
    users[name] = json::object{{"role", text(to_string(user.role))},
                               {"scrypt", json::object{{"n", user.password.cost},
                                                       {"r", user.password.block_size},
                                                       {"p", user.password.parallelism},
                                                       {"salt", text(hexadecimal(user.password.salt))},
                                                       {"key", text(hexadecimal(user.password.key))}}}};
  }
  json::object tokens;
  for (const auto& [id, token] : accounts.tokens) {
    tokens[id] = json::object{{"name", text(token.name)},
                              {"role", text(to_string(token.role))},
                              {"sha256", text(hexadecimal(token.digest))},
                              {"created", token.created},
                              {"expires", token.expires}};
  }
  return config::pretty(json::object{{"users", std::move(users)}, {"tokens", std::move(tokens)}});
}

std::optional<Accounts> decode_accounts(std::string_view file, std::string& reason) {
  Accounts accounts;
  config::ParsedText parsed = config::parse_text(file);
  if (!config::has_errors(parsed.problems)) {
    config::ObjectReader reader(parsed.value, "", parsed.problems);
    if (const json::object* users = reader.find_object("users")) {
      for (const auto& [name, value] : *users)
        accounts.users.emplace(name, decode_user(value, config::below("/users", name), parsed.problems));
    }
    if (const json::object* tokens = reader.find_object("tokens")) {
      for (const auto& [id, value] : *tokens)
        accounts.tokens.emplace(id, decode_token(value, config::below("/tokens", id), parsed.problems));
    }
  }
  if (!config::has_errors(parsed.problems)) return accounts;
  reason = config::to_string(parsed.problems.front());
  return {};
}

bool is_user_name(std::string_view name) noexcept {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= limits::user_name_bytes_max && is_letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return is_letter(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace lunaris::web
