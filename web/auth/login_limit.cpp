// Fixed windows of a minute, one per address and one per address and user.
#include "web/auth/login_limit.h"

#include "web/limits.h"

namespace lunaris::web {

namespace {

constexpr std::uint64_t minute_ns = 60'000'000'000;

std::string user_key(const std::string& address, const std::string& user) {
  return address + "\n" + user;
}

}  // namespace

LoginLimit::Window& LoginLimit::window(const std::string& key, std::uint64_t now_ns) {
  const bool is_known = windows_.contains(key);
  if (!is_known && windows_.size() >= limits::login_keys_max) {
    std::erase_if(windows_, [now_ns](const auto& entry) { return now_ns - entry.second.start_ns >= minute_ns; });
  }
  const bool is_full = !is_known && windows_.size() >= limits::login_keys_max;
  Window& found = windows_[is_full ? std::string() : key];
  if (found.attempts == 0 || now_ns - found.start_ns >= minute_ns) found = {now_ns, 0};
  return found;
}

std::optional<unsigned> LoginLimit::admit(const std::string& address, const std::string& user, std::uint64_t now_ns) {
  Window& of_address = window(address, now_ns);
  Window& of_user = window(user_key(address, user), now_ns);
  const auto wait = [now_ns](const Window& window) {
    return static_cast<unsigned>((window.start_ns + minute_ns - now_ns) / 1'000'000'000) + 1;
  };
  if (of_user.attempts >= limits::login_attempts_per_user) return wait(of_user);
  if (of_address.attempts >= limits::login_attempts_per_address) return wait(of_address);
  ++of_address.attempts;
  ++of_user.attempts;
  return {};
}

void LoginLimit::forget(const std::string& address, const std::string& user) {
  windows_.erase(user_key(address, user));
}

}  // namespace lunaris::web
