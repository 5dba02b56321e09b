// LoginLimit: how often somebody may try a password. Time comes from the caller.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace lunaris::web {

/// Management worker only. Bounded: when too many keys are remembered, new ones share one.
class LoginLimit {
 public:
  /// Nothing: go on, and the attempt has been counted. Otherwise the seconds to wait.
  [[nodiscard]] std::optional<unsigned> admit(const std::string& address, const std::string& user,
                                              std::uint64_t now_ns);
  /// The password was right: the user's earlier attempts are forgotten.
  void forget(const std::string& address, const std::string& user);

 private:
  struct Window {
    std::uint64_t start_ns = 0;
    std::uint32_t attempts = 0;
  };
  Window& window(const std::string& key, std::uint64_t now_ns);

  std::map<std::string, Window> windows_;
};

}  // namespace lunaris::web
