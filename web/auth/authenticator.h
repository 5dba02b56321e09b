// Authenticator: who somebody is. Passwords to logins (cookies), tokens to identities, the one-time setup.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "server/control/change_lock.h"
#include "server/runtime/blocking_pool.h"
#include "server/runtime/file_ops.h"
#include "server/runtime/task.h"
#include "server/runtime/worker.h"
#include "web/auth/accounts.h"
#include "web/auth/login_limit.h"
#include "web/http.h"

namespace lunaris::web {

struct Identity {
  enum class Proof : std::uint8_t { none, login, token };
  std::string name;  // user name, or "token:NAME"
  Role role = Role::viewer;
  Proof proof = Proof::none;
};

/// Management worker only; hashing and writing happen in a thread of its own, one at a time. There is no default
/// password: until there is a user, `setup` with the token of this start makes the first one, and nothing else works.
class Authenticator {
 public:
  /// `pool` has one thread; `path` is the accounts file. Throws std::runtime_error when it is there and cannot be read.
  Authenticator(runtime::Worker& worker, runtime::BlockingPool& pool, runtime::FileOps& files, std::string path);

  [[nodiscard]] bool needs_setup() const noexcept { return accounts_.users.empty(); }
  /// Good for one `setup`, changes with each start; empty when there is a user.
  [[nodiscard]] const std::string& setup_token() const noexcept { return setup_token_; }

  /// Proof::none when the request proves nothing (or something wrong).
  [[nodiscard]] Identity identify(const Request& request);
  /// Whether a request that proves itself by cookie may change something: a page of ours has sent it. The reason when
  /// not.
  [[nodiscard]] static std::string foreign_page(const Request& request);
  /// Whether the request's Origin is the server that it is sent to.
  [[nodiscard]] static bool is_own_origin(const Request& request);

  /// What became of an attempt.
  struct Attempt {
    enum class Status : std::uint8_t {
      ok,          // `cookie` is the login
      wrong,       // no such user, or another password
      too_often,   // `retry_seconds`
      busy,        // too many attempts at once
      refused,     // the setup is over, or its token is another
      not_stored,  // `reason`
    };
    Status status = Status::ok;
    unsigned retry_seconds = 0;
    std::string cookie;
    std::string reason;
  };
  runtime::Task<Attempt> login(std::string user, std::string password, std::string address);
  runtime::Task<Attempt> setup(std::string token, std::string user, std::string password, std::string address);
  void logout(const Request& request);

  [[nodiscard]] const std::map<std::string, Token>& tokens() const noexcept { return accounts_.tokens; }
  struct NewToken {
    std::string id;
    std::string secret;  // "lunaris_ID_SECRET", empty when it was not made
    std::string reason;
  };
  runtime::Task<NewToken> create_token(std::string name, Role role, std::uint64_t expires);
  /// Empty when it is gone; `found` says whether it was there.
  runtime::Task<std::string> delete_token(std::string id, bool& found);

  /// Unix seconds.
  [[nodiscard]] static std::uint64_t wall_seconds();

 private:
  struct Login {
    std::string user;
    std::uint64_t used_ns = 0;
  };
  [[nodiscard]] std::string random_octets(std::size_t count);
  [[nodiscard]] std::string new_login(const std::string& user);
  [[nodiscard]] Identity by_token(std::string_view token) const;
  [[nodiscard]] Identity by_cookie(const Request& request);
  /// Puts `next` in force when it could be written; otherwise the reason.
  runtime::Task<std::string> store(Accounts next);

  runtime::Worker& worker_;
  runtime::BlockingPool& pool_;
  runtime::FileOps& files_;
  std::string path_;
  Accounts accounts_;
  std::string setup_token_;
  PasswordRecord nobody_;                // compared with when there is no such user, so that it takes as long
  std::map<std::string, Login> logins_;  // by SHA-256 of the cookie
  LoginLimit limit_;
  control::ChangeLock lock_;  // of accounts_
  std::size_t hashing_ = 0;
};

}  // namespace lunaris::web
