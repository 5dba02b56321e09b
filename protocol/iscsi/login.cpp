// The login phase: checks of each request, then its text, then whether the stage may change.
#include "protocol/iscsi/login.h"

#include <algorithm>
#include <utility>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/names.h"

namespace lunaris::iscsi {

namespace {

constexpr std::uint8_t security = static_cast<std::uint8_t>(Stage::security);
constexpr std::uint8_t operational = static_cast<std::uint8_t>(Stage::operational);
constexpr std::uint8_t full_feature = static_cast<std::uint8_t>(Stage::full_feature);
/// The only version there is (RFC 7143 11.12.4).
constexpr std::uint8_t our_version = 0;

bool list_offers_none(std::string_view list) noexcept {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (list.substr(0, comma) == "None") return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

const KeyValue* find_pair(std::span<const KeyValue> pairs, std::string_view key) noexcept {
  const auto pair = std::ranges::find(pairs, key, &KeyValue::key);
  return pair == pairs.end() ? nullptr : &*pair;
}

}  // namespace

Authenticator::Verdict NoAuthentication::receive(std::span<const KeyValue> keys, TextBuilder& answers) {
  for (const KeyValue& pair : keys) {
    if (pair.key != "AuthMethod") return Verdict::malformed;
    if (!list_offers_none(pair.value)) {
      answers.add("AuthMethod", "Reject");
      return Verdict::failed;
    }
    answers.add("AuthMethod", "None");
  }
  return Verdict::passed;
}

LoginMachine::LoginMachine(LoginHost& host, SerialNumber first_stat_sn)
    : host_(host), negotiator_(access_.offer, true), stat_sn_(first_stat_sn) {}

LoginStep LoginMachine::on_request(const LoginRequest& request, std::span<const std::byte> data) {
  switch (state_) {
    case State::start:
    case State::security:
    case State::operational:
      break;
    case State::admitting:
    case State::finished:
    case State::refused:
      return {.reason = "login request out of turn"};
  }
  const Check check = check_request(request);
  if (state_ == State::start) {
    identity_.isid = request.isid;
    identity_.tsih = request.tsih;
    identity_.cid = request.cid;
    negotiator_.set_leading(request.tsih == 0);
    state_ = request.current_stage == operational ? State::operational : State::security;
  }
  request_ = request;
  ++exchanges_;
  if (check) return refuse_with(*check);
  if (exchanges_ > exchanges_max) return refuse_with({LoginStatus::initiator_error, "too many login exchanges"});
  if (!incoming_.append(data)) return refuse_with({LoginStatus::initiator_error, "too much login text"});
  if (request.continues) return respond(false, LoginStep::Action::respond);
  if (const Check wrong = process_text()) return refuse_with(*wrong);
  return advance();
}

LoginMachine::Check LoginMachine::check_request(const LoginRequest& request) const {
  if (request.version_min > our_version) return Refusal{LoginStatus::unsupported_version, "version not supported"};
  if (state_ != State::start &&
      (request.isid != identity_.isid || request.tsih != identity_.tsih || request.cid != identity_.cid))
    return Refusal{LoginStatus::initiator_error, "ISID, TSIH or CID changed during login"};
  return check_stages(request);
}

/// RFC 7143 11.12.1 to 11.12.3.
LoginMachine::Check LoginMachine::check_stages(const LoginRequest& request) const {
  constexpr LoginStatus wrong = LoginStatus::initiator_error;
  const std::uint8_t current = request.current_stage;
  if (current != security && current != operational) return Refusal{wrong, "CSG is neither security nor operational"};
  if (state_ == State::security && current != security) return Refusal{wrong, "CSG left the security stage unasked"};
  if (state_ == State::operational && current != operational) return Refusal{wrong, "CSG went back to security"};
  if (!request.transit) return std::nullopt;
  if (request.continues) return Refusal{wrong, "T and C in one request"};
  const bool forward = request.next_stage == full_feature || (current == security && request.next_stage == operational);
  if (!forward) return Refusal{wrong, "NSG is not a later stage"};
  return std::nullopt;
}

LoginMachine::Check LoginMachine::process_text() {
  std::vector<KeyValue> pairs;
  // The pairs refer to the assembled text, which stays until the next clear().
  if (const TextFault fault = parse_text(incoming_.text(), pairs); fault != TextFault::none)
    return Refusal{LoginStatus::initiator_error, to_string(fault)};
  if (!is_identified_) {
    if (const Check refused = identify(pairs)) return refused;
  }
  std::vector<KeyValue> authentication_keys;
  const KeyPhase phase = state_ == State::security ? KeyPhase::security : KeyPhase::operational;
  const auto result = negotiator_.receive(pairs, phase, outgoing_, authentication_keys);
  if (result.fault != NegotiationFault::none) return Refusal{LoginStatus::initiator_error, to_string(result.fault)};
  const Check refused = authenticate(authentication_keys);
  incoming_.clear();
  if (!refused && state_ == State::operational) negotiator_.declare(outgoing_);
  return refused;
}

/// Who is it, and may it come in? Needs the names, which the first (complete) text must carry (RFC 7143 6.3.1).
LoginMachine::Check LoginMachine::identify(std::span<const KeyValue> pairs) {
  if (const KeyValue* const type = find_pair(pairs, "SessionType")) {
    if (type->value == "Discovery")
      identity_.session_type = SessionType::discovery;
    else if (type->value != "Normal")
      return Refusal{LoginStatus::session_type_not_supported, "unknown session type"};
  }
  const KeyValue* const initiator = find_pair(pairs, "InitiatorName");
  if (initiator == nullptr) return Refusal{LoginStatus::missing_parameter, "no InitiatorName"};
  const auto initiator_name = normalize_name(initiator->value);
  if (!initiator_name) return Refusal{LoginStatus::initiator_error, "malformed InitiatorName"};
  identity_.initiator_name = *initiator_name;
  if (identity_.session_type == SessionType::normal) {
    const KeyValue* const target = find_pair(pairs, "TargetName");
    if (target == nullptr) return Refusal{LoginStatus::missing_parameter, "no TargetName"};
    const auto target_name = normalize_name(target->value);
    if (!target_name) return Refusal{LoginStatus::not_found, "malformed TargetName"};
    identity_.target_name = *target_name;
  }
  access_ = host_.access(identity_);
  if (access_.status != LoginStatus::success)
    return Refusal{access_.status, access_.reason.empty() ? "no access to the target" : access_.reason};
  if (!access_.authenticator) access_.authenticator = std::make_unique<NoAuthentication>();
  is_identified_ = true;
  if (identity_.session_type == SessionType::normal) {
    // RFC 7143 13.9: in the first response after TargetName.
    outgoing_.add("TargetPortalGroupTag", access_.offer.portal_group_tag);
    if (!access_.offer.target_alias.empty()) outgoing_.add("TargetAlias", access_.offer.target_alias);
  }
  return std::nullopt;
}

LoginMachine::Check LoginMachine::authenticate(std::span<const KeyValue> keys) {
  if (state_ == State::operational) {
    if (is_authenticated_ || !access_.authenticator->is_required()) return std::nullopt;
    return Refusal{LoginStatus::authentication_failure, "authentication was skipped"};
  }
  if (is_authenticated_ && keys.empty()) return std::nullopt;
  switch (access_.authenticator->receive(keys, outgoing_)) {
    case Authenticator::Verdict::continues:
      is_authenticated_ = false;
      // It wants to leave the stage without having said a word: it would ask for ever.
      if (request_.transit && !negotiator_.has_received("AuthMethod"))
        return Refusal{LoginStatus::authentication_failure, "authentication was skipped"};
      return std::nullopt;
    case Authenticator::Verdict::passed:
      is_authenticated_ = true;
      return std::nullopt;
    case Authenticator::Verdict::failed:
      return refuse_authentication(LoginStatus::authentication_failure, "authentication failed");
    case Authenticator::Verdict::malformed:
      return refuse_authentication(LoginStatus::initiator_error, "malformed authentication");
    case Authenticator::Verdict::missing:
      return refuse_authentication(LoginStatus::missing_parameter, "authentication key missing");
  }
  return std::nullopt;
}

LoginMachine::Check LoginMachine::refuse_authentication(LoginStatus status, std::string_view what) const {
  const std::string_view reason = access_.authenticator->reason();
  return Refusal{status, reason.empty() ? what : reason};
}

/// The text is dealt with: change the stage if the initiator asks for it and nothing stands in the way.
LoginStep LoginMachine::advance() {
  const bool may_leave = state_ == State::operational || is_authenticated_;
  const std::size_t room =
      std::min<std::size_t>(response_text_bytes_max, negotiator_.parameters().initiator_max_recv_data_segment_length);
  if (!request_.transit || !may_leave || outgoing_.size_bytes() > room)
    return respond(false, LoginStep::Action::respond);
  if (request_.next_stage == operational) {
    state_ = State::operational;
    return respond(true, LoginStep::Action::respond);
  }
  if (const auto result = negotiator_.finish(); result.fault != NegotiationFault::none)
    return refuse_with({LoginStatus::initiator_error, to_string(result.fault)});
  state_ = State::admitting;
  return {.action = LoginStep::Action::admit};
}

LoginStep LoginMachine::admitted(const Admission& admission) {
  bytes::ensure(state_ == State::admitting);
  if (admission.status != LoginStatus::success) return refuse_with({admission.status, "session not admitted"});
  bytes::ensure(admission.tsih != 0);
  state_ = State::finished;
  LoginStep step = respond(true, LoginStep::Action::done);
  step.response.tsih = admission.tsih;
  return step;
}

LoginStep LoginMachine::on_other(BhsView header) {
  // Before the first Login Request there is no login to answer in (RFC 7143 6.3).
  const bool in_login = state_ == State::security || state_ == State::operational;
  if (!in_login) return {.reason = "not a login request"};
  request_.initiator_task_tag = peek_initiator_task_tag(header);
  return refuse_with({LoginStatus::invalid_during_login, "not a login request"});
}

LoginStep LoginMachine::refuse(LoginStatus status, std::string_view reason) {
  if (state_ == State::finished || state_ == State::refused) return {.reason = reason};
  return refuse_with({status, reason});
}

LoginResponse LoginMachine::make_response() {
  LoginResponse response;
  response.current_stage = request_.current_stage;
  response.version_max = our_version;
  response.version_active = our_version;
  response.isid = identity_.isid;
  response.tsih = identity_.tsih;
  response.initiator_task_tag = request_.initiator_task_tag;
  response.sn = {stat_sn_, request_.cmd_sn, request_.cmd_sn};
  ++stat_sn_;
  return response;
}

LoginStep LoginMachine::respond(bool transit, LoginStep::Action action) {
  LoginStep step{.action = action, .response = make_response()};
  step.response.transit = transit;
  step.response.next_stage = transit ? request_.next_stage : std::uint8_t{0};
  // While the initiator's own text is incomplete the answer must be empty (RFC 7143 6.2).
  if (request_.continues) return step;
  const std::size_t room =
      std::min<std::size_t>(response_text_bytes_max, negotiator_.parameters().initiator_max_recv_data_segment_length);
  const auto chunk = outgoing_.take(room);
  step.text = chunk.text;
  step.response.continues = chunk.continues;
  step.response.data_segment_length = static_cast<std::uint32_t>(chunk.text.size());
  return step;
}

LoginStep LoginMachine::refuse_with(Refusal refusal) {
  state_ = State::refused;
  outgoing_.clear();
  LoginStep step{.action = LoginStep::Action::refuse, .response = make_response(), .reason = refusal.reason};
  step.response.status = refusal.status;
  const bool moved = refusal.status == LoginStatus::target_moved_temporarily ||
                     refusal.status == LoginStatus::target_moved_permanently;
  if (moved && !access_.redirect_address.empty()) {
    // RFC 7143 11.13.5: where to.
    outgoing_.add("TargetAddress", access_.redirect_address);
    step.text = outgoing_.take(response_text_bytes_max).text;
    step.response.data_segment_length = static_cast<std::uint32_t>(step.text.size());
  }
  return step;
}

}  // namespace lunaris::iscsi
