// LoginRecords: the logins that were refused, for the administrator, and how long the next answer to somebody who fails
// to authenticate is held back. One per transport, on the management worker.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "server/transport.h"

namespace lunaris::iscsi_server {

/// Who has failed to authenticate how often lately, in a bounded table: by address, or by user name.
class FailureTable {
 public:
  static constexpr std::size_t entries_max = 1024;

  /// Counts a failure of `key`; how many there have been with less than limits::login_forget_ns between them.
  std::uint32_t add(const std::string& key, std::uint64_t now_ns);
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    std::uint32_t count = 0;
    std::uint64_t last_ns = 0;
  };
  std::map<std::string, Entry> entries_;
};

class LoginRecords {
 public:
  static constexpr std::size_t failures_max = 256;

  /// Keeps `failure`; the same one again is counted, not listed twice.
  void add(LoginFailure failure, std::uint64_t now_ns);
  /// An authentication failed. How long its answer is held back: longer with each failure of this address or this user,
  /// up to limits::login_delay_max_ns.
  [[nodiscard]] std::uint64_t delay_ns(std::string_view address, std::string_view user, std::uint64_t now_ns);
  [[nodiscard]] LoginFailures list(std::uint64_t now_ns) const;

 private:
  struct Kept {
    LoginFailure failure;
    std::uint64_t last_ns = 0;
  };
  std::deque<Kept> kept_;  // the latest first
  std::uint64_t total_ = 0;
  FailureTable addresses_, users_;  // apart: names, which cost nothing, cannot push addresses out
};

}  // namespace lunaris::iscsi_server
