// A login as a conversation: what the initiator sends, what the target must answer. Used by the login tests; plays the
// script against LoginMachine through encoded headers, and can break it at every step.
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/iscsi/codec.h"
#include "protocol/iscsi/login.h"

namespace lunaris::testing {

using iscsi::LoginStep;

/// Pairs as text: every one followed by NUL.
inline std::string text_of(const std::vector<std::string>& pairs) {
  std::string text;
  for (const std::string& pair : pairs) text.append(pair).append(1, '\0');
  return text;
}

inline std::vector<std::string> pairs_of(std::string_view text) {
  std::vector<std::string> pairs;
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    pairs.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return pairs;
}

/// One target, "iqn.2026-01.test:disk", for everybody; a test changes what it needs.
class ScriptedHost final : public iscsi::LoginHost {
 public:
  iscsi::Offer offer;
  iscsi::LoginStatus status = iscsi::LoginStatus::success;
  std::string redirect_address;
  std::function<std::unique_ptr<iscsi::Authenticator>()> make_authenticator;
  std::vector<iscsi::LoginIdentity> asked;

  iscsi::LoginAccess access(const iscsi::LoginIdentity& identity) override {
    asked.push_back(identity);
    iscsi::LoginAccess access;
    access.status = status;
    const bool known =
        identity.session_type == iscsi::SessionType::discovery || identity.target_name == "iqn.2026-01.test:disk";
    if (status == iscsi::LoginStatus::success && !known) access.status = iscsi::LoginStatus::not_found;
    access.redirect_address = redirect_address;
    access.offer = offer;
    if (make_authenticator) access.authenticator = make_authenticator();
    return access;
  }
};

/// One request and what must come back.
struct LoginExchange {
  // sent
  std::uint8_t current_stage = 0;
  std::optional<std::uint8_t> next_stage;  // sets T
  bool continues = false;
  std::string text;
  // expected
  LoginStep::Action action = LoginStep::Action::respond;
  iscsi::LoginStatus status = iscsi::LoginStatus::success;
  bool transit = false;
  bool answer_continues = false;
  std::vector<std::string> contains;  // pairs the answer must have, in any order
};

class LoginScript {
 public:
  static constexpr iscsi::Isid isid = 0x400001370000;
  static constexpr std::uint32_t cmd_sn = 17;
  static constexpr std::uint16_t new_tsih = 9;

  ScriptedHost host;
  std::uint16_t tsih = 0;
  iscsi::LoginStatus admission = iscsi::LoginStatus::success;

  /// A request with `pairs`; the expectations follow.
  LoginScript& send(std::uint8_t current_stage, std::optional<std::uint8_t> next_stage,
                    const std::vector<std::string>& pairs = {}) {
    return send_raw(current_stage, next_stage, text_of(pairs));
  }
  LoginScript& send_raw(std::uint8_t current_stage, std::optional<std::uint8_t> next_stage, std::string text) {
    LoginExchange exchange;
    exchange.current_stage = current_stage;
    exchange.next_stage = next_stage;
    exchange.text = std::move(text);
    exchanges_.push_back(std::move(exchange));
    return *this;
  }
  /// The C bit on the last request.
  LoginScript& continued() {
    exchanges_.back().continues = true;
    return *this;
  }
  LoginScript& stays(std::vector<std::string> pairs = {}) { return expect(LoginStep::Action::respond, false, pairs); }
  LoginScript& transits(std::vector<std::string> pairs = {}) { return expect(LoginStep::Action::respond, true, pairs); }
  LoginScript& finishes(std::vector<std::string> pairs = {}) { return expect(LoginStep::Action::done, true, pairs); }
  LoginScript& refuses(iscsi::LoginStatus status, std::vector<std::string> pairs = {}) {
    exchanges_.back().status = status;
    return expect(LoginStep::Action::refuse, false, pairs);
  }
  LoginScript& closes() { return expect(LoginStep::Action::close, false, {}); }
  LoginScript& answers_continue() {
    exchanges_.back().answer_continues = true;
    return *this;
  }

  /// Plays the whole conversation; the agreed parameters (meaningful after `finishes`).
  iscsi::Parameters play() {
    iscsi::LoginMachine machine(host);
    play_first(machine, exchanges_.size());
    return machine.parameters();
  }

  /// Free coverage of the error paths: for each step, plays up to it, then everything that can go wrong instead of it.
  /// Whatever does, the login is over and stays over, and nothing but a refusal was said.
  void fails_at_every_step() {
    for (std::size_t step = 0; step < exchanges_.size(); ++step) {
      for (const auto& [name, breakage] : breakages()) {
        INFO("breaking step " << step << " with " << name);
        iscsi::LoginMachine machine(host);
        play_first(machine, step);
        const LoginStep broken = breakage(*this, machine, exchanges_[step]);
        const bool over = broken.action == LoginStep::Action::refuse || broken.action == LoginStep::Action::close;
        CHECK(over);
        if (broken.action == LoginStep::Action::refuse) CHECK(broken.response.status != iscsi::LoginStatus::success);
        CHECK(machine.state() != iscsi::LoginMachine::State::finished);
        CHECK(!broken.reason.empty());
        const auto after = machine.on_request(request_of(exchanges_[step]), {});
        if (broken.action == LoginStep::Action::refuse) CHECK(after.action == LoginStep::Action::close);
      }
    }
  }

  [[nodiscard]] iscsi::LoginRequest request_of(const LoginExchange& exchange) const {
    iscsi::LoginRequest request;
    request.transit = exchange.next_stage.has_value();
    request.continues = exchange.continues;
    request.current_stage = exchange.current_stage;
    request.next_stage = exchange.next_stage.value_or(0);
    request.isid = isid;
    request.tsih = tsih;
    request.initiator_task_tag = 0x55;
    request.cmd_sn = iscsi::SerialNumber(cmd_sn);
    request.data_segment_length = static_cast<std::uint32_t>(exchange.text.size());
    return request;
  }

  static LoginStep give(iscsi::LoginMachine& machine, const iscsi::LoginRequest& request, std::string_view text) {
    // Through the wire, so that the codec takes part.
    std::array<std::byte, iscsi::bhs_bytes> bhs{};
    encode(request, iscsi::BhsSpan{bhs});
    const auto decoded = iscsi::decode_request(bhs, {});
    REQUIRE(std::holds_alternative<iscsi::LoginRequest>(decoded));
    return machine.on_request(std::get<iscsi::LoginRequest>(decoded), std::as_bytes(std::span(text)));
  }

 private:
  using Breakage = std::function<LoginStep(LoginScript&, iscsi::LoginMachine&, const LoginExchange&)>;

  LoginScript& expect(LoginStep::Action action, bool transit, const std::vector<std::string>& pairs) {
    LoginExchange& exchange = exchanges_.back();
    exchange.action = action;
    exchange.transit = transit;
    exchange.contains = pairs;
    return *this;
  }

  void play_first(iscsi::LoginMachine& machine, std::size_t count) {
    for (std::size_t step = 0; step < count; ++step) {
      INFO("step " << step);
      check(machine, exchanges_[step], step);
    }
  }

  void check(iscsi::LoginMachine& machine, const LoginExchange& exchange, std::size_t step) {
    LoginStep answer = give(machine, request_of(exchange), exchange.text);
    if (answer.action == LoginStep::Action::admit) answer = machine.admitted({admission, new_tsih});
    INFO("reason: " << answer.reason);
    REQUIRE(answer.action == exchange.action);
    if (answer.action == LoginStep::Action::close) return;
    const iscsi::LoginResponse& response = answer.response;
    CHECK(response.status == exchange.status);
    CHECK(response.transit == exchange.transit);
    CHECK(response.continues == exchange.answer_continues);
    CHECK(response.current_stage == exchange.current_stage);
    if (exchange.transit) CHECK(response.next_stage == *exchange.next_stage);
    CHECK(response.isid == isid);
    CHECK(response.tsih == (answer.action == LoginStep::Action::done ? new_tsih : tsih));
    CHECK(response.initiator_task_tag == 0x55);
    CHECK(response.sn.stat_sn == iscsi::SerialNumber(static_cast<std::uint32_t>(step) + 1));
    CHECK(response.sn.exp_cmd_sn == iscsi::SerialNumber(cmd_sn));
    CHECK(response.data_segment_length == answer.text.size());
    const auto pairs = pairs_of(answer.text);
    for (const std::string& pair : exchange.contains) CHECK_THAT(pairs, Catch::VectorContains(pair));
  }

  static const std::map<std::string, Breakage>& breakages() {
    using Machine = iscsi::LoginMachine;
    static const std::map<std::string, Breakage> all{
        {"another ISID or version",
         [](LoginScript& script, Machine& machine, const LoginExchange& exchange) {
           auto request = script.request_of(exchange);
           request.isid += 1;
           request.version_min = machine.state() == Machine::State::start ? 1 : 0;
           return give(machine, request, exchange.text);
         }},
        {"the reserved stage",
         [](LoginScript& script, Machine& machine, const LoginExchange& exchange) {
           auto request = script.request_of(exchange);
           request.current_stage = 2;
           return give(machine, request, exchange.text);
         }},
        {"T and C at once",
         [](LoginScript& script, Machine& machine, const LoginExchange& exchange) {
           auto request = script.request_of(exchange);
           request.transit = true;
           request.next_stage = 3;
           request.continues = true;
           return give(machine, request, exchange.text);
         }},
        {"text without NUL",
         [](LoginScript& script, Machine& machine, const LoginExchange& exchange) {
           auto request = script.request_of(exchange);
           request.continues = false;
           return give(machine, request, "InitiatorAlias=x");
         }},
        {"64 KiB of text",
         [](LoginScript& script, Machine& machine, const LoginExchange& exchange) {
           return give(machine, script.request_of(exchange), std::string(65537, 'x'));
         }},
        {"a NOP-Out",
         [](LoginScript&, Machine& machine, const LoginExchange&) {
           std::array<std::byte, iscsi::bhs_bytes> bhs{};
           encode(iscsi::NopOut{}, iscsi::BhsSpan{bhs});
           return machine.on_other(bhs);
         }},
        {"the owner out of resources",
         [](LoginScript&, Machine& machine, const LoginExchange&) {
           return machine.refuse(iscsi::LoginStatus::out_of_resources, "no memory");
         }},
    };
    return all;
  }

  std::vector<LoginExchange> exchanges_;
};

}  // namespace lunaris::testing
