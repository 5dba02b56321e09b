#include "server/iscsi/login_records.h"

#include <algorithm>

#include "server/iscsi/limits.h"

namespace lunaris::iscsi_server {
namespace {

/// Whoever has an IPv6 address has its whole /64.
std::string address_key(std::string_view address) {
  auto range = parse_address_range(address.substr(0, address.find('%')));
  if (!range) return std::string(address);
  if (range->is_ipv6) range->prefix_bits = 64;
  return to_string(range->masked());
}

std::uint64_t delay_after(std::uint32_t failures) noexcept {
  if (failures <= limits::login_failures_free) return 0;
  const std::uint32_t doublings = std::min<std::uint32_t>(failures - limits::login_failures_free - 1, 16);
  return std::min(limits::login_delay_ns << doublings, limits::login_delay_max_ns);
}

}  // namespace

std::uint32_t FailureTable::add(const std::string& key, std::uint64_t now_ns) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (entries_.size() >= entries_max) {
      entries_.erase(std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.last_ns; }));
    }
    found = entries_.emplace(key, Entry{}).first;
  }
  Entry& entry = found->second;
  if (now_ns - entry.last_ns > limits::login_forget_ns) entry.count = 0;
  entry.last_ns = now_ns;
  return ++entry.count;
}

void LoginRecords::add(LoginFailure failure, std::uint64_t now_ns) {
  ++total_;
  const auto same = std::ranges::find_if(kept_, [&](const Kept& kept) {
    return kept.failure.initiator == failure.initiator && kept.failure.address == failure.address &&
           kept.failure.target == failure.target && kept.failure.reason == failure.reason;
  });
  if (same != kept_.end()) {
    failure.count = same->failure.count + 1;
    kept_.erase(same);
  } else if (kept_.size() >= failures_max) {
    kept_.pop_back();
  }
  kept_.push_front({std::move(failure), now_ns});
}

std::uint64_t LoginRecords::delay_ns(std::string_view address, std::string_view user, std::uint64_t now_ns) {
  const std::uint32_t by_address = addresses_.add(address_key(address), now_ns);
  const std::uint32_t by_user = users_.add(std::string(user), now_ns);
  return delay_after(std::max(by_address, by_user));
}

LoginFailures LoginRecords::list(std::uint64_t now_ns) const {
  LoginFailures list{total_, {}};
  for (const Kept& kept : kept_) {
    list.failures.push_back(kept.failure);
    list.failures.back().age_ms = (now_ns - kept.last_ns) / 1'000'000;
  }
  return list;
}

}  // namespace lunaris::iscsi_server
