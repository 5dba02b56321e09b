#include "server/iscsi/login.h"

#include <algorithm>
#include <array>

#include "protocol/iscsi/codec.h"
#include "protocol/iscsi/pdu_writer.h"
#include "server/iscsi/access.h"
#include "server/iscsi/log.h"
#include "server/iscsi/session_host.h"

namespace lunaris::iscsi_server {
namespace {

constexpr std::size_t login_chunk_bytes = 8192;

iscsi::ReaderLimits login_limits() noexcept {
  iscsi::ReaderLimits limits;
  limits.max_recv_data_segment_length = iscsi::LoginMachine::response_text_bytes_max;
  limits.ahs_length_max = 0;
  return limits;
}

}  // namespace

Login::Login(SessionHost& host, std::unique_ptr<runtime::ByteStream> stream, std::string portal,
             std::uint16_t portal_group)
    : host_(host),
      worker_(host.worker()),
      stream_(std::move(stream)),
      portal_(std::move(portal)),
      portal_group_(portal_group),
      machine_(*this),
      reader_(login_limits()),
      chunk_(login_chunk_bytes) {
  worker_.arm(*this, limits::login_ns);
}

Login::~Login() {
  worker_.cancel(*this);
}

void Login::cancel() noexcept {
  cancelled_ = true;
  if (holding_back_) delay_over_.set();
  if (stream_) stream_->abort();
}

void Login::fire() {
  if (holding_back_) return delay_over_.set();
  log_login_refused(stream_->peer(), machine_.identity().initiator_name, machine_.identity().target_name,
                    iscsi::LoginStatus::initiator_error, "login not finished in time");
  if (!machine_.identity().initiator_name.empty()) {
    host_.management().post(
        [records = &host_.logins().records, management = &host_.management(),
         failure = failure_of("login not finished in time")] { records->add(failure, management->clock().now_ns()); });
  }
  cancel();
}

iscsi::LoginAccess Login::access(const iscsi::LoginIdentity& identity) {
  exports_ = host_.published().exports;
  iscsi::LoginAccess access;
  access.offer.portal_group_tag = portal_group_;
  const bool discovery = identity.session_type == iscsi::SessionType::discovery;
  Entrance entrance = discovery ? entrance_of_discovery(*exports_)
                                : entrance_of_target(*exports_, {identity.initiator_name, stream_->peer().address},
                                                     identity.target_name, portal_);
  access.status = entrance.status;
  access.reason = entrance.reason;
  if (access.status != iscsi::LoginStatus::success) return access;
  if (entrance.chap) {
    std::array<std::byte, iscsi::ChapChallenge::random_bytes> random{};
    worker_.rng().fill(random);
    const iscsi::ChapChallenges& challenges = host_.logins().challenges;
    auto chap =
        std::make_unique<iscsi::ChapAuthenticator>(std::move(*entrance.chap), challenges, challenges.make(random));
    chap_ = chap.get();
    access.authenticator = std::move(chap);
  }
  if (discovery) return access;
  const ExportedTarget& target = exports_->targets.at(identity.target_name);
  access.offer.target_alias = target.alias;
  if (target.header_digest_required) access.offer.header_digest = iscsi::DigestPolicy::require;
  if (target.data_digest_required) access.offer.data_digest = iscsi::DigestPolicy::require;
  return access;
}

runtime::Task<bool> Login::read_some() {
  std::array<iovec, 2> vectors;
  std::size_t pieces = 0;
  for (const std::span<std::byte> missing : reader_.missing()) vectors[pieces++] = {missing.data(), missing.size()};
  vectors[pieces++] = {chunk_.data(), chunk_.size()};
  const std::int32_t count = co_await stream_->read({vectors.data(), pieces});
  if (count <= 0 || cancelled_) co_return false;
  const std::size_t direct = std::min(static_cast<std::size_t>(count), reader_.missing_bytes());
  reader_.direct_filled(direct);
  reader_.feed(std::span(chunk_).first(static_cast<std::size_t>(count) - direct));
  co_return true;
}

// One whole PDU; false when there will be none.
runtime::Task<bool> Login::receive_request() {
  using Event = iscsi::PduReader::Event;
  text_.clear();
  for (;;) {
    switch (reader_.next()) {
      case Event::need_input:
        if (!co_await read_some()) co_return false;
        break;
      case Event::header:
        text_.resize(reader_.data_length());
        if (!text_.empty()) reader_.place(std::span(text_));
        break;
      case Event::complete:
        co_return true;
      case Event::data_digest_error:
      case Event::header_digest_error:
      case Event::data_too_long:
      case Event::ahs_too_long:
        log_login_refused(stream_->peer(), {}, {}, iscsi::LoginStatus::initiator_error, "not a Login Request");
        co_return false;
    }
  }
}

iscsi::LoginStep Login::apply_request() {
  const iscsi::RequestPdu pdu = iscsi::decode_request(reader_.header(), reader_.ahs());
  if (const auto* request = std::get_if<iscsi::LoginRequest>(&pdu)) return machine_.on_request(*request, text_);
  return machine_.on_other(reader_.header());
}

runtime::Task<bool> Login::respond(const iscsi::LoginStep& step) {
  iscsi::ResponseSlot slot;
  std::array<iovec, iscsi::gather_entries(1)> vectors;
  const iovec text{const_cast<char*>(step.text.data()), step.text.size()};
  iscsi::LoginResponse response = step.response;
  if (step.action == iscsi::LoginStep::Action::done)
    response.sn.max_cmd_sn = response.sn.exp_cmd_sn.plus(limits::command_window).minus(1);
  std::size_t left = iscsi::write_pdu(response, slot, {}, std::span(&text, step.text.empty() ? 0 : 1), vectors);
  iovec* first = vectors.data();
  while (left > 0) {
    const std::int32_t count = co_await stream_->write({first, left});
    if (count <= 0 || cancelled_) co_return false;
    auto moved = static_cast<std::size_t>(count);
    for (; left > 0 && moved >= first->iov_len; ++first, --left) moved -= first->iov_len;
    if (left == 0) break;
    first->iov_base = static_cast<std::byte*>(first->iov_base) + moved;
    first->iov_len -= moved;
  }
  co_return true;
}

runtime::Task<iscsi::LoginStep> Login::admit() {
  const iscsi::LoginIdentity& identity = machine_.identity();
  SessionSpec wanted;
  wanted.key = {identity.initiator_name, identity.isid, identity.target_name};
  wanted.discovery = identity.session_type == iscsi::SessionType::discovery;
  wanted.portal_group = portal_group_;
  wanted.address = stream_->peer().address;
  if (chap_ != nullptr) wanted.chap_user = chap_->username();
  SessionRegistry* registry = &host_.registry();
  iscsi::Admission answer;
  if (identity.tsih != 0) {
    // One connection per session: there is none to add (RFC 7143 11.13.5).
    const auto known = co_await host_.management().ask(
        [registry, key = wanted.key, tsih = identity.tsih] { return registry->has(key, tsih); });
    answer.status =
        known.value_or(false) ? iscsi::LoginStatus::too_many_connections : iscsi::LoginStatus::session_does_not_exist;
    co_return machine_.admitted(answer);
  }
  const auto admission = co_await host_.management().ask_task([registry, wanted] { return registry->admit(wanted); });
  if (admission) admission_ = *admission;
  switch (admission ? admission->verdict : Admission::Verdict::stopping) {
    case Admission::Verdict::admitted:
      answer.tsih = admission_.tsih;
      break;
    case Admission::Verdict::full:
      answer.status = iscsi::LoginStatus::out_of_resources;
      break;
    case Admission::Verdict::stopping:
      answer.status = iscsi::LoginStatus::service_unavailable;
      break;
  }
  co_return machine_.admitted(answer);
}

// The session was made, but its connection is lost.
runtime::Task<> Login::withdraw() {
  if (admission_.verdict != Admission::Verdict::admitted) co_return;
  SessionHost* owner = &host_.host(admission_.host);
  static_cast<void>(co_await owner->worker().ask_task(
      [owner, id = admission_.id] { return owner->close_session(id, EndReason::connection_error); }));
}

void Login::log_refusal(const iscsi::LoginStep& step) {
  log_login_refused(stream_->peer(), machine_.identity().initiator_name, machine_.identity().target_name,
                    step.response.status, step.reason);
}

LoginFailure Login::failure_of(std::string reason) const {
  LoginFailure failure;
  failure.initiator = machine_.identity().initiator_name;
  failure.address = stream_->peer().address;
  failure.target = machine_.identity().target_name;
  failure.reason = std::move(reason);
  return failure;
}

// Keeps it for the administrator. Who fails to authenticate again and again waits for the answer.
runtime::Task<> Login::record_refusal(iscsi::LoginStatus status, std::string reason) {
  LoginFailure failure = failure_of(std::move(reason));
  const bool authentication = status == iscsi::LoginStatus::authentication_failure;
  const std::string claimed = chap_ == nullptr ? std::string() : chap_->claimed_username();
  const std::string user = claimed.empty() ? failure.initiator : claimed;
  LoginRecords* records = &host_.logins().records;
  runtime::Worker* management = &host_.management();
  const auto delay_ns =
      co_await management->ask([records, management, authentication, kept = std::move(failure), user] {
        const std::uint64_t now_ns = management->clock().now_ns();
        records->add(kept, now_ns);
        return authentication ? records->delay_ns(kept.address, user, now_ns) : std::uint64_t{0};
      });
  if (delay_ns.value_or(0) == 0 || cancelled_) co_return;
  holding_back_ = true;
  worker_.arm(*this, *delay_ns);
  co_await delay_over_.wait();
  holding_back_ = false;
  worker_.arm(*this, limits::linger_ns);  // for sending the answer
}

runtime::Task<std::optional<Login::Success>> Login::run() {
  using Action = iscsi::LoginStep::Action;
  for (;;) {
    if (!co_await receive_request()) break;
    iscsi::LoginStep step = apply_request();
    if (step.action == Action::admit) step = co_await admit();
    if (step.action == Action::refuse || step.action == Action::close) log_refusal(step);
    if (step.action == Action::refuse) co_await record_refusal(step.response.status, std::string(step.reason));
    if (step.action == Action::close || cancelled_) break;
    if (!co_await respond(step) || step.action == Action::refuse) break;
    if (step.action != Action::done) continue;

    worker_.cancel(*this);
    Success success;
    success.host = admission_.host;
    success.session = admission_.id;
    success.handover.stream = std::move(stream_);
    success.handover.parameters = machine_.parameters();
    success.handover.offer = machine_.offer();
    success.handover.cid = machine_.identity().cid;
    success.handover.cmd_sn = machine_.cmd_sn();
    success.handover.stat_sn = machine_.next_stat_sn();
    success.handover.unread.assign(reader_.unread().begin(), reader_.unread().end());
    reader_.drop_unread();
    co_return std::optional<Success>(std::move(success));
  }
  worker_.cancel(*this);
  co_await withdraw();
  if (stream_) stream_->shutdown();
  co_return std::nullopt;
}

}  // namespace lunaris::iscsi_server
