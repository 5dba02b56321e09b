// Logins, tokens and the setup. Secrets are compared by digest or in constant time and never logged.
#include "web/auth/authenticator.h"

#include <cerrno>
#include <chrono>
#include <span>
#include <stdexcept>
#include <utility>

#include "server/observe/log.h"
#include "web/limits.h"

namespace lunaris::web {

using runtime::Task;

namespace {

observe::Logger& log = observe::logger("web.access");

constexpr std::string_view cookie_name = "lunaris_session";
constexpr std::string_view token_start = "lunaris_";
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t secret_bytes = 32;
constexpr std::size_t id_bytes = 6;

std::uint64_t idle_ns() {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(limits::login_idle_max).count());
}

/// The cookie's value, empty when there is none.
std::string_view cookie_of(const Request& request) {
  std::string_view rest = request.header("cookie");
  while (!rest.empty()) {
    const std::size_t end = rest.find(';');
    std::string_view pair = rest.substr(0, end);
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == cookie_name) return pair.substr(equals + 1);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return {};
}

Accounts load_accounts(runtime::FileOps& files, const std::string& path) {
  const auto text = runtime::read_file(files, path, limits::accounts_bytes_max);
  if (!text.has_value()) {
    if (text.error().value() == ENOENT) return {};
    throw std::runtime_error("the accounts file " + path + " cannot be read (" + text.error().message() +
                             "): make it readable.");
  }
  std::string reason;
  auto accounts = decode_accounts(text.value(), reason);
  if (!accounts) {
    throw std::runtime_error("the accounts file " + path + " is damaged (" + reason +
                             "): restore it, or remove it to set up access again.");
  }
  return std::move(*accounts);
}

}  // namespace

Authenticator::Authenticator(runtime::Worker& worker, runtime::BlockingPool& pool, runtime::FileOps& files,
                             std::string path)
    : worker_(worker), pool_(pool), files_(files), path_(std::move(path)), accounts_(load_accounts(files_, path_)) {
  nobody_.salt = random_octets(salt_bytes);
  nobody_.key = random_octets(secret_bytes);
  if (needs_setup()) setup_token_ = hexadecimal(random_octets(secret_bytes / 2));
}

std::uint64_t Authenticator::wall_seconds() {
  const auto time = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(time).count());
}

std::string Authenticator::random_octets(std::size_t count) {
  std::string octets(count, '\0');
  worker_.rng().fill(std::as_writable_bytes(std::span(octets.data(), octets.size())));
  return octets;
}

// --- who -------------------------------------------------------------------------------------------------------------

Identity Authenticator::identify(const Request& request) {
  const std::string_view authorization = request.header("authorization");
  if (authorization.starts_with("Bearer ")) return by_token(authorization.substr(7));
  return by_cookie(request);
}

Identity Authenticator::by_token(std::string_view text) const {
  if (!text.starts_with(token_start)) return {};
  text.remove_prefix(token_start.size());
  const std::size_t line = text.find('_');
  if (line == std::string_view::npos) return {};
  const auto found = accounts_.tokens.find(std::string(text.substr(0, line)));
  if (found == accounts_.tokens.end()) return {};
  const Token& token = found->second;
  if (!equal_secrets(sha256(text.substr(line + 1)), token.digest)) return {};
  if (token.expires != 0 && wall_seconds() >= token.expires) return {};
  return {"token:" + token.name, token.role, Identity::Proof::token};
}

Identity Authenticator::by_cookie(const Request& request) {
  const std::string_view cookie = cookie_of(request);
  if (cookie.empty()) return {};
  const auto found = logins_.find(sha256(cookie));
  if (found == logins_.end()) return {};
  const std::uint64_t now = worker_.clock().now_ns();
  const auto user = accounts_.users.find(found->second.user);
  if (user == accounts_.users.end() || now - found->second.used_ns >= idle_ns()) {
    logins_.erase(found);
    return {};
  }
  found->second.used_ns = now;
  return {user->first, user->second.role, Identity::Proof::login};
}

std::string Authenticator::foreign_page(const Request& request) {
  if (request.header("x-requested-with").empty()) return "the header X-Requested-With is missing";
  return is_own_origin(request) ? "" : "Origin is not this server";
}

bool Authenticator::is_own_origin(const Request& request) {
  const std::string host(request.header("host"));
  const std::string_view origin = request.header("origin");
  return origin == "http://" + host || origin == "https://" + host;  // the latter behind a proxy with TLS
}

std::string Authenticator::new_login(const std::string& user) {
  const std::uint64_t now = worker_.clock().now_ns();
  std::erase_if(logins_, [now](const auto& entry) { return now - entry.second.used_ns >= idle_ns(); });
  if (logins_.size() >= limits::logins_max) {
    auto oldest = logins_.begin();
    for (auto it = logins_.begin(); it != logins_.end(); ++it) {
      if (it->second.used_ns < oldest->second.used_ns) oldest = it;
    }
    logins_.erase(oldest);
  }
  const std::string secret = hexadecimal(random_octets(secret_bytes));
  logins_[sha256(secret)] = {user, now};
  return std::string(cookie_name) + "=" + secret + "; Path=/; HttpOnly; SameSite=Strict";
}

void Authenticator::logout(const Request& request) {
  logins_.erase(sha256(cookie_of(request)));
}

// --- passwords -------------------------------------------------------------------------------------------------------

Task<Authenticator::Attempt> Authenticator::login(std::string user, std::string password, std::string address) {
  if (const auto wait = limit_.admit(address, user, worker_.clock().now_ns())) {
    LUN_LOG_WARN_LIMITED(log, "login refused", "user", user, "peer", address, "reason", "too many attempts");
    co_return Attempt{Attempt::Status::too_often, *wait, "", ""};
  }
  if (hashing_ >= limits::hashes_waiting_max) co_return Attempt{Attempt::Status::busy, 1, "", ""};
  const auto found = accounts_.users.find(user);
  const bool is_known = found != accounts_.users.end();
  const PasswordRecord record = is_known ? found->second.password : nobody_;
  ++hashing_;
  const bool is_right = co_await pool_.run(worker_, [&record, &password] { return is_password(record, password); });
  --hashing_;
  if (!is_right || !is_known) {
    LUN_LOG_WARN_LIMITED(log, "login refused", "user", user, "peer", address, "reason", "wrong user or password");
    co_return Attempt{Attempt::Status::wrong, 0, "", ""};
  }
  limit_.forget(address, user);
  LUN_LOG_INFO(log, "login", "user", user, "peer", address);
  co_return Attempt{Attempt::Status::ok, 0, new_login(user), ""};
}

Task<Authenticator::Attempt> Authenticator::setup(std::string token, std::string user, std::string password,
                                                  std::string address) {
  if (const auto wait = limit_.admit(address, "setup", worker_.clock().now_ns())) {
    co_return Attempt{Attempt::Status::too_often, *wait, "", ""};
  }
  const auto hold = co_await lock_.acquire();
  if (!needs_setup() || !equal_secrets(token, setup_token_)) {
    LUN_LOG_WARN_LIMITED(log, "setup refused", "peer", address);
    co_return Attempt{Attempt::Status::refused, 0, "", ""};
  }
  std::string salt = random_octets(salt_bytes);
  Accounts next = accounts_;
  next.users[user] = {Role::admin, co_await pool_.run(worker_, [&] { return make_record(password, salt); })};
  std::string reason = co_await store(std::move(next));
  if (!reason.empty()) co_return Attempt{Attempt::Status::not_stored, 0, "", std::move(reason)};
  setup_token_.clear();
  LUN_LOG_INFO(log, "first administrator set up", "user", user, "peer", address);
  co_return Attempt{Attempt::Status::ok, 0, new_login(user), ""};
}

Task<std::string> Authenticator::store(Accounts next) {
  const std::string text = encode_accounts(next);
  const auto written =
      co_await pool_.run(worker_, [this, &text] { return runtime::write_file_durably(files_, path_, text, 0600); });
  if (written.has_error()) co_return written.error().message();
  accounts_ = std::move(next);
  co_return "";
}

// --- tokens ----------------------------------------------------------------------------------------------------------

Task<Authenticator::NewToken> Authenticator::create_token(std::string name, Role role, std::uint64_t expires) {
  const auto hold = co_await lock_.acquire();
  if (accounts_.tokens.size() >= limits::tokens_max) {
    co_return NewToken{"", "", "there are " + std::to_string(limits::tokens_max) + " tokens already; delete some"};
  }
  NewToken token{hexadecimal(random_octets(id_bytes)), "", ""};
  const std::string secret = hexadecimal(random_octets(secret_bytes));
  Accounts next = accounts_;
  next.tokens[token.id] = {name, role, sha256(secret), wall_seconds(), expires};
  token.reason = co_await store(std::move(next));
  if (token.reason.empty()) {
    token.secret = std::string(token_start) + token.id + "_" + secret;
    LUN_LOG_INFO(log, "token created", "token", token.id, "name", name, "role", to_string(role));
  }
  co_return token;
}

Task<std::string> Authenticator::delete_token(std::string id, bool& found) {
  const auto hold = co_await lock_.acquire();
  found = accounts_.tokens.contains(id);
  if (!found) co_return "";
  Accounts next = accounts_;
  next.tokens.erase(id);
  std::string reason = co_await store(std::move(next));
  if (reason.empty()) LUN_LOG_INFO(log, "token deleted", "token", id);
  co_return reason;
}

}  // namespace lunaris::web
