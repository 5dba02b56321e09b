#include "server/iscsi/session_registry.h"

#include <algorithm>

#include "server/iscsi/session_host.h"
#include "server/runtime/assert.h"

namespace lunaris::iscsi_server {

SessionRegistry::SessionRegistry(runtime::Worker& management, std::size_t sessions_max)
    : management_(management), sessions_max_(std::min<std::size_t>(sessions_max, 65'000)) {}

void SessionRegistry::set_hosts(std::vector<SessionHost*> hosts) {
  hosts_ = std::move(hosts);
  load_.assign(hosts_.size(), 0);
}

std::uint16_t SessionRegistry::free_tsih() {
  // sessions_max is below the number of TSIHs, so this ends.
  while (next_tsih_ == 0 || by_tsih_.contains(next_tsih_)) ++next_tsih_;
  return next_tsih_++;
}

unsigned SessionRegistry::least_loaded() const {
  return static_cast<unsigned>(std::ranges::min_element(load_) - load_.begin());
}

runtime::Task<> SessionRegistry::end_session(std::uint64_t id) {
  const int host = host_of(id);
  if (host < 0) co_return;
  SessionHost* owner = hosts_[static_cast<std::size_t>(host)];
  static_cast<void>(
      co_await owner->worker().ask_task([owner, id] { return owner->close_session(id, EndReason::reinstated); }));
  forget(id);
}

runtime::Task<Admission> SessionRegistry::admit(SessionSpec wanted) {
  LUN_ASSERT(runtime::Worker::current() == &management_ && !hosts_.empty());
  Admission admission;
  unsigned host = least_loaded();
  // Another login of the same key may be let in while this one waits, hence the loop.
  for (auto found = by_key_.find(wanted.key); !wanted.discovery && found != by_key_.end();
       found = by_key_.find(wanted.key)) {
    host = sessions_.at(found->second).host;
    co_await end_session(found->second);
  }
  if (stopping_ || sessions_.size() >= sessions_max_) {
    admission.verdict = stopping_ ? Admission::Verdict::stopping : Admission::Verdict::full;
    co_return admission;
  }
  wanted.id = next_id_++;
  wanted.tsih = free_tsih();
  sessions_.emplace(wanted.id, Entry{wanted.key, wanted.tsih, host, wanted.discovery});
  if (!wanted.discovery) by_key_.emplace(wanted.key, wanted.id);
  by_tsih_.emplace(wanted.tsih, wanted.id);
  ++load_[host];

  admission.id = wanted.id;
  admission.tsih = wanted.tsih;
  admission.host = host;
  SessionHost* owner = hosts_[host];
  const auto made = co_await owner->worker().ask([owner, spec = std::move(wanted)] { return owner->create(spec); });
  if (made.value_or(false)) {
    admission.verdict = Admission::Verdict::admitted;
  } else {
    admission.verdict = Admission::Verdict::stopping;
    forget(admission.id);
  }
  co_return admission;
}

void SessionRegistry::forget(std::uint64_t id) noexcept {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  const Entry& entry = found->second;
  if (!entry.discovery) by_key_.erase(entry.key);
  by_tsih_.erase(entry.tsih);
  --load_[entry.host];
  sessions_.erase(found);
}

bool SessionRegistry::has(const SessionKey& key, std::uint16_t tsih) const {
  const auto found = by_tsih_.find(tsih);
  if (found == by_tsih_.end()) return false;
  const Entry& entry = sessions_.at(found->second).key == key ? sessions_.at(found->second) : Entry{};
  return entry.tsih == tsih;
}

int SessionRegistry::host_of(std::uint64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? -1 : static_cast<int>(found->second.host);
}

}  // namespace lunaris::iscsi_server
