#include "server/iscsi/iscsi_transport.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "server/iscsi/log.h"
#include "server/runtime/listener.h"
#include "server/runtime/tcp_stream.h"

namespace lunaris::iscsi_server {

/// An open portal. Made and destroyed by the management worker's doing, on the accepting worker.
class IscsiTransport::Portal final : private runtime::AcceptSink {
 public:
  Portal(IscsiTransport& transport, PortalSpec spec, runtime::ListeningSocket socket)
      : transport_(transport),
        spec_(std::move(spec)),
        bound_(socket.bound),
        listener_(transport.acceptor_, std::move(socket), *this) {}

  void start() { listener_.start(); }
  runtime::Task<> close() { return listener_.close(); }
  [[nodiscard]] const PortalSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] const runtime::Endpoint& bound() const noexcept { return bound_; }

 private:
  void accepted(runtime::UniqueFd socket, runtime::Endpoint peer, runtime::Endpoint local) override {
    const std::string address = peer.address;
    const bool taken = transport_.accept(address, spec_.name, [&](runtime::Worker& worker) {
      return std::make_unique<runtime::TcpStream>(worker, std::move(socket), std::move(peer), std::move(local));
    });
    // The socket closes with its owner. One line per thousand, so that a flood does not become one of the log.
    if (!taken && transport_.limits_->turned_away() % 1000 == 1)
      log_accept_failed(spec_.name, "connection limit reached", transport_.limits_->turned_away());
  }
  void accept_failed(int errno_value, std::uint64_t turned_away) override {
    log_accept_failed(spec_.name, std::strerror(errno_value), turned_away);
  }

  IscsiTransport& transport_;
  PortalSpec spec_;
  runtime::Endpoint bound_;
  runtime::Listener listener_;
};

namespace {

std::array<std::byte, iscsi::ChapChallenges::key_bytes> random_key(runtime::Rng& rng) {
  std::array<std::byte, iscsi::ChapChallenges::key_bytes> key{};
  rng.fill(key);
  return key;
}

}  // namespace

IscsiTransport::IscsiTransport(runtime::Worker& management, std::span<runtime::Worker* const> workers,
                               IscsiOptions options)
    : management_(management),
      acceptor_(*workers.front()),
      challenges_(random_key(management.rng())),
      registry_(management, options.sessions_max),
      limits_(std::make_shared<ConnectionLimits>(acceptor_, options.connections)),
      exports_(std::make_shared<Exports>()) {
  std::vector<SessionHost*> hosts;
  for (runtime::Worker* worker : workers) {
    hosts_.push_back(std::make_unique<SessionHost>(*worker, static_cast<unsigned>(hosts.size()), management, registry_,
                                                   LoginShared{challenges_, records_}));
    hosts.push_back(hosts_.back().get());
  }
  for (SessionHost* host : hosts) host->set_peers(hosts);
  registry_.set_hosts(hosts);
}

IscsiTransport::~IscsiTransport() {
  LUN_ASSERT(stopped_ && portals_.empty());
}

// ---- connections --------------------------------------------------------------------------------------------------

SessionHost& IscsiTransport::next_host() noexcept {
  next_host_ = (next_host_ + 1) % hosts_.size();
  return *hosts_[next_host_];
}

void IscsiTransport::place(SessionHost& host, std::unique_ptr<runtime::ByteStream> stream, const std::string& portal,
                           std::unique_ptr<ConnectionTicket> ticket) {
  if (&host.worker() == runtime::Worker::current()) return host.login(std::move(stream), portal, std::move(ticket));
  host.worker().post(
      [&host, name = std::string(portal), moved = std::move(stream), passed = std::move(ticket)]() mutable {
        host.login(std::move(moved), std::move(name), std::move(passed));
      });
}

// ---- portals ------------------------------------------------------------------------------------------------------

runtime::Task<> IscsiTransport::close_portal(std::string portal) {
  auto node = portals_.extract(portal);
  Portal* open = node.mapped().release();
  static_cast<void>(co_await acceptor_.ask_task([open] { return open->close(); }));
  static_cast<void>(co_await acceptor_.ask([open] { delete open; }));
}

runtime::Task<std::string> IscsiTransport::open_portal(PortalSpec spec) {
  std::string reason;
  auto socket = runtime::listen_on({spec.address, spec.port}, {}, reason);
  if (!socket) co_return "portal " + spec.name + ": " + reason;
  const std::string portal = spec.name;
  auto made = co_await acceptor_.ask([this, &spec, &socket] {
    auto open = std::make_unique<Portal>(*this, spec, std::move(*socket));
    open->start();
    return open;
  });
  if (!made) co_return "portal " + portal + ": the server is stopping";
  portals_[portal] = std::move(*made);
  co_return std::string();
}

runtime::Task<std::vector<std::string>> IscsiTransport::apply_portals(std::vector<PortalSpec> portals) {
  std::vector<std::string> problems;
  std::vector<std::string> obsolete;
  for (const auto& [name, open] : portals_)
    if (std::ranges::find(portals, open->spec()) == portals.end()) obsolete.push_back(name);
  for (const std::string& name : obsolete) co_await close_portal(name);
  for (const PortalSpec& spec : portals) {
    if (portals_.contains(spec.name)) continue;
    std::string problem = co_await open_portal(spec);
    if (!problem.empty()) problems.push_back(std::move(problem));
  }
  co_await publish();
  co_return problems;
}

runtime::Endpoint IscsiTransport::bound(const std::string& portal) const {
  const auto found = portals_.find(portal);
  return found == portals_.end() ? runtime::Endpoint{} : found->second->bound();
}

// ---- exports and sessions -----------------------------------------------------------------------------------------

runtime::Task<> IscsiTransport::publish() {
  auto published = std::make_shared<Published>();
  published->exports = exports_;
  for (const auto& [name, open] : portals_) {
    published->portals.push_back(open->spec());
    published->portals.back().port = open->bound().port;
  }
  for (const auto& host : hosts_) {
    SessionHost* each = host.get();
    static_cast<void>(co_await each->worker().ask_task(
        [each, published] { return each->publish(std::shared_ptr<const Published>(published)); }));
  }
}

runtime::Task<> IscsiTransport::apply_exports(std::shared_ptr<const Exports> exports) {
  exports_ = std::move(exports);
  co_await publish();
}

runtime::Task<std::vector<SessionInfo>> IscsiTransport::sessions() {
  std::vector<SessionInfo> all;
  for (const auto& host : hosts_) {
    SessionHost* each = host.get();
    auto infos = co_await each->worker().ask([each] { return each->infos(); });
    if (infos) all.insert(all.end(), infos->begin(), infos->end());
  }
  co_return all;
}

runtime::Task<LoginFailures> IscsiTransport::login_failures() {
  co_return records_.list(management_.clock().now_ns());
}

runtime::Task<bool> IscsiTransport::drop_session(std::string id) {
  std::uint64_t number = 0;
  if (!id.starts_with("s-")) co_return false;
  const auto parsed = std::from_chars(id.data() + 2, id.data() + id.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != id.data() + id.size()) co_return false;
  const int index = registry_.host_of(number);
  if (index < 0) co_return false;
  SessionHost* host = hosts_[static_cast<std::size_t>(index)].get();
  const auto closed =
      co_await host->worker().ask_task([host, number] { return host->close_session(number, EndReason::dropped); });
  co_return closed.value_or(false);
}

runtime::Task<> IscsiTransport::stop(std::uint32_t grace_ms) {
  registry_.stop();
  while (!portals_.empty()) co_await close_portal(portals_.begin()->first);
  const auto seconds = static_cast<std::uint16_t>(std::min<std::uint32_t>((grace_ms + 999) / 1000, 65'535));
  if (grace_ms > 0) {
    for (const auto& host : hosts_) {
      SessionHost* each = host.get();
      static_cast<void>(co_await each->worker().ask([each, seconds] { each->request_logouts(seconds); }));
    }
  }
  const std::uint64_t deadline = management_.clock().now_ns() + std::uint64_t{grace_ms} * 1'000'000;
  while (registry_.size() > 0 && management_.clock().now_ns() < deadline) co_await management_.sleep(100'000'000);
  for (const auto& host : hosts_) {
    SessionHost* each = host.get();
    static_cast<void>(co_await each->worker().ask_task([each] { return each->stop(); }));
  }
  stopped_ = true;
}

}  // namespace lunaris::iscsi_server
