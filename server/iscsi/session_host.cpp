#include "server/iscsi/session_host.h"

#include <algorithm>

#include "protocol/iscsi/names.h"
#include "server/iscsi/login.h"
#include "server/scsi/nexus.h"

namespace lunaris::iscsi_server {
namespace {

bool names(const std::vector<std::string>& list, std::string_view name) {
  return list.empty() || std::ranges::find(list, name) != list.end();
}

const PortalSpec* find_portal(const Published& published, std::string_view name) {
  const auto found = std::ranges::find(published.portals, name, &PortalSpec::name);
  return found == published.portals.end() ? nullptr : &*found;
}

std::string address_text(std::string_view address, std::uint16_t port, std::uint16_t group) {
  const bool ipv6 = address.find(':') != std::string_view::npos;
  std::string text = ipv6 ? "[" : "";
  text.append(address).append(ipv6 ? "]:" : ":").append(std::to_string(port)).append(",").append(std::to_string(group));
  return text;
}

bool is_any_address(std::string_view address) {
  return address == "0.0.0.0" || address == "::";
}

// A portal's addresses as an initiator that came in through `local` should see them.
void append_addresses(const PortalSpec& portal, const runtime::Endpoint& local, std::vector<std::string>& out) {
  switch (portal.advertise) {
    case PortalSpec::Advertise::omit:
      return;
    case PortalSpec::Advertise::list:
      out.insert(out.end(), portal.advertised.begin(), portal.advertised.end());
      return;
    case PortalSpec::Advertise::automatic:
      out.push_back(
          address_text(is_any_address(portal.address) ? local.address : portal.address, portal.port, portal.group_tag));
      return;
  }
}

}  // namespace

SessionHost::SessionHost(runtime::Worker& worker, unsigned index, runtime::Worker& management,
                         SessionRegistry& registry, LoginShared logins)
    : worker_(worker),
      index_(index),
      management_(management),
      registry_(registry),
      logins_(logins),
      published_(std::make_shared<Published>(Published{std::make_shared<Exports>(), {}})) {}

SessionHost::~SessionHost() {
  LUN_ASSERT(sessions_.empty());
}

Rights SessionHost::rights(const SessionSpec& spec) const {
  return rights_of(*published_->exports, {spec.key.initiator, spec.address}, spec.key.target, spec.chap_user);
}

std::vector<iscsi::DiscoveredTarget> SessionHost::discover(const SessionSpec& spec, const runtime::Endpoint& local,
                                                           std::string_view name) const {
  std::vector<iscsi::DiscoveredTarget> targets;
  const std::string wanted = spec.discovery ? std::string(name) : spec.key.target;
  if (!spec.discovery && !name.empty() && iscsi::normalize_name(name) != wanted) return targets;
  for (const auto& [target_name, exported] : published_->exports->targets) {
    if (!wanted.empty() && iscsi::normalize_name(wanted) != target_name) continue;
    const Entrance entrance =
        entrance_of_target(*published_->exports, {spec.key.initiator, spec.address}, target_name, {});
    if (entrance.status != iscsi::LoginStatus::success) continue;
    iscsi::DiscoveredTarget found;
    found.name = target_name;
    for (const PortalSpec& portal : published_->portals)
      if (names(exported.portals, portal.name)) append_addresses(portal, local, found.addresses);
    targets.push_back(std::move(found));
  }
  return targets;
}

// ---- logins -------------------------------------------------------------------------------------------------------

void SessionHost::login(std::unique_ptr<runtime::ByteStream> stream, std::string portal,
                        std::unique_ptr<ConnectionTicket> ticket) {
  auto pass = gate_.try_enter();
  if (!pass) return;  // stopping: the stream closes here
  runtime::spawn(std::move(*pass), run_login(std::move(stream), std::move(portal), std::move(ticket)));
}

runtime::Task<> SessionHost::run_login(std::unique_ptr<runtime::ByteStream> stream, std::string portal,
                                       std::unique_ptr<ConnectionTicket> ticket) {
  const PortalSpec* spec = find_portal(*published_, portal);
  Login login(*this, std::move(stream), std::move(portal), spec == nullptr ? std::uint16_t{1} : spec->group_tag);
  login.next = first_login_;
  if (first_login_ != nullptr) first_login_->previous = &login;
  first_login_ = &login;
  std::optional<Login::Success> success = co_await login.run();
  (login.previous == nullptr ? first_login_ : login.previous->next) = login.next;
  if (login.next != nullptr) login.next->previous = login.previous;
  if (!success) co_return;

  ticket->logged_in();
  SessionHost& target = host(success->host);
  if (&target == this) {
    attach(success->session, std::move(success->handover), std::move(ticket));
    co_return;
  }
  // Nothing is pending on the stream: the login is half duplex and over.
  success->handover.stream = success->handover.stream->move_to(target.worker());
  target.worker().post(
      [&target, id = success->session, handover = std::move(success->handover), passed = std::move(ticket)]() mutable {
        target.attach(id, std::move(handover), std::move(passed));
      });
}

// ---- sessions -----------------------------------------------------------------------------------------------------

bool SessionHost::create(SessionSpec spec) {
  auto pass = gate_.try_enter();
  if (!pass) return false;
  std::shared_ptr<const scsi_server::LunMap> luns;
  if (!spec.discovery) {
    Rights granted = rights(spec);
    if (!granted.allowed) return false;  // the exports have changed since it logged in
    luns = std::move(granted.luns);
    if (!luns) luns = std::make_shared<scsi_server::LunMap>();
  }
  const std::uint64_t id = spec.id;
  sessions_[id].session = std::make_unique<Session>(*this, std::move(spec), std::move(luns));
  runtime::spawn(std::move(*pass), run_session(id));
  return true;
}

runtime::Task<> SessionHost::run_session(std::uint64_t id) {
  co_await sessions_.at(id).session->run();
  // Whoever waits for its end holds nothing of it any more (EndEvent).
  sessions_.erase(id);
  management_.post([registry = &registry_, id] { registry->forget(id); });
}

void SessionHost::attach(std::uint64_t id, Handover handover, std::unique_ptr<ConnectionTicket> ticket) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;  // ended meanwhile: the stream closes with the handover
  found->second.ticket = std::move(ticket);
  found->second.session->attach(std::move(handover));
}

runtime::Task<bool> SessionHost::close_session(std::uint64_t id, EndReason reason) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) co_return false;
  Session& session = *found->second.session;
  std::optional<iscsi::AsyncEvent> async;
  if (reason == EndReason::dropped) async = iscsi::AsyncEvent::drop_session;
  session.end(reason, to_string(reason), async);
  co_await session.ended().wait();
  co_return true;
}

runtime::Task<> SessionHost::publish(std::shared_ptr<const Published> published) {
  published_ = std::move(published);
  // Sessions come and go while one of them is remapped, so their numbers are taken first.
  std::vector<std::uint64_t> ids;
  for (const auto& [id, hosted] : sessions_)
    if (!hosted.session->spec().discovery) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) continue;
    Session& session = *found->second.session;
    const Rights granted = rights(session.spec());
    if (!granted.allowed) {
      const bool exported = published_->exports->targets.contains(session.spec().key.target);
      session.end(EndReason::target_gone,
                  exported ? "initiator is not allowed any more" : "target is not exported any more",
                  iscsi::AsyncEvent::drop_session);
      co_await session.ended().wait();
      continue;
    }
    if (granted.luns && granted.luns != session.luns()) co_await session.remap(granted.luns);
  }
}

std::vector<SessionInfo> SessionHost::infos() const {
  std::vector<SessionInfo> infos;
  for (const auto& [id, hosted] : sessions_)
    if (!hosted.session->spec().discovery) infos.push_back(hosted.session->info());
  return infos;
}

void SessionHost::end_sessions_of(const std::string& target) {
  for (const auto& [id, hosted] : sessions_) {
    if (hosted.session->spec().key.target != target) continue;
    hosted.session->end(EndReason::target_reset, to_string(EndReason::target_reset), iscsi::AsyncEvent::drop_session);
  }
}

void SessionHost::request_logouts(std::uint16_t seconds) {
  for (const auto& [id, hosted] : sessions_) hosted.session->request_logout(seconds);
}

runtime::Task<> SessionHost::stop() {
  gate_.shut();
  for (Login* login = first_login_; login != nullptr; login = login->next) login->cancel();
  for (const auto& [id, hosted] : sessions_)
    hosted.session->end(EndReason::stopping, "target is stopping", iscsi::AsyncEvent::drop_session);
  co_await gate_.close();
}

}  // namespace lunaris::iscsi_server
