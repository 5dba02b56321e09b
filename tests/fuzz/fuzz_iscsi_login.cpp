// A connection from its first byte, as the session drives it: stream, decoding, login machine, then text exchange,
// command window and write transfer. Whatever comes, the machines keep their promises. Input: the stream.
#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/chap.h"
#include "protocol/iscsi/command_window.h"
#include "protocol/iscsi/login.h"
#include "protocol/iscsi/pdu_reader.h"
#include "protocol/iscsi/text_exchange.h"
#include "protocol/iscsi/write_transfer.h"
#include "tests/fuzz/fuzz_target.h"

namespace lunaris::fuzz {

namespace {

using bytes::ensure;
using iscsi::LoginStep;
using iscsi::PduReader;

/// Names ending in ".chap" have to authenticate, with a challenge that the corpus can know.
class Host final : public iscsi::LoginHost, public iscsi::TextHost {
 public:
  iscsi::LoginAccess access(const iscsi::LoginIdentity& identity) override {
    ensure(!identity.initiator_name.empty());
    iscsi::LoginAccess access;
    if (identity.target_name.ends_with(".gone")) access.status = iscsi::LoginStatus::not_found;
    if (!identity.target_name.ends_with(".chap")) return access;
    iscsi::ChapPolicy policy;
    policy.users = {{{"me", "correct horse battery"}, iscsi::ChapCredential{"target", "staple of the target"}}};
    const std::array<std::byte, iscsi::ChapChallenge::random_bytes> random{std::byte{0x17}};
    auto made = std::make_unique<iscsi::ChapAuthenticator>(std::move(policy), challenges_, challenges_.make(random));
    chap_ = made.get();
    access.authenticator = std::move(made);
    return access;
  }
  /// Whether whoever has logged in was allowed to.
  [[nodiscard]] bool has_authenticated() const { return chap_ == nullptr || chap_->username() == "me"; }
  std::vector<iscsi::DiscoveredTarget> discover(std::string_view) override {
    return std::vector<iscsi::DiscoveredTarget>(40, {"iqn.2026-01.test:disk", {"192.0.2.1:3260,1"}});
  }

 private:
  const iscsi::ChapChallenges challenges_{std::array<std::byte, iscsi::ChapChallenges::key_bytes>{}};
  const iscsi::ChapAuthenticator* chap_ = nullptr;  // the login machine's
};

/// One connection; `handle` answers whether it stays open.
class Connection {
 public:
  bool handle(const iscsi::RequestPdu& pdu, iscsi::BhsView header, std::span<const std::byte> data) {
    return text_ ? in_full_feature(pdu, data) : in_login(pdu, header, data);
  }

 private:
  bool in_login(const iscsi::RequestPdu& pdu, iscsi::BhsView header, std::span<const std::byte> data) {
    const auto* const request = std::get_if<iscsi::LoginRequest>(&pdu);
    LoginStep step = request != nullptr ? login_.on_request(*request, data) : login_.on_other(header);
    ensure(login_.exchanges() <= iscsi::LoginMachine::exchanges_max + 1);
    if (step.action == LoginStep::Action::admit) step = login_.admitted({iscsi::LoginStatus::success, 1});
    ensure(step.text.size() <= iscsi::LoginMachine::response_text_bytes_max);
    ensure(step.text.size() == step.response.data_segment_length);
    switch (step.action) {
      case LoginStep::Action::respond:
        ensure(step.response.status == iscsi::LoginStatus::success);
        return true;
      case LoginStep::Action::done:
        ensure(host_.has_authenticated());
        ensure(step.response.transit && step.response.next_stage == 3 && !step.response.continues);
        text_.emplace(host_, login_.offer(), login_.parameters());
        window_.emplace(login_.cmd_sn(), 32);
        return true;
      case LoginStep::Action::refuse:
        ensure(step.response.status != iscsi::LoginStatus::success);
        return false;
      case LoginStep::Action::close:
        return false;
      case LoginStep::Action::admit:
        ensure(false);
    }
    return false;
  }

  bool in_full_feature(const iscsi::RequestPdu& pdu, std::span<const std::byte> data) {
    std::visit(iscsi::Overloaded{[&](const iscsi::TextRequest& request) {
                                   const auto step = text_->on_request(request, data);
                                   ensure(!(step.response.final_bit && step.response.continues));
                                 },
                                 [&](const iscsi::ScsiCommand& command) {
                                   const auto before = window_->exp_cmd_sn();
                                   static_cast<void>(window_->admit(command.cmd_sn, command.immediate));
                                   ensure(!window_->exp_cmd_sn().is_before(before));
                                   window_->open(32);
                                   const auto rules = iscsi::WriteRules::of(login_.parameters());
                                   write_failed_ = write_.start(rules, command) != iscsi::WriteFault::none;
                                   write_.authorize(command.expected_data_transfer_length);
                                   ask();
                                 },
                                 [&](const iscsi::DataOut& data_out) {
                                   const auto before = write_.received();
                                   if (write_.data_out(data_out) != iscsi::WriteFault::none) return;
                                   ensure(!write_failed_ && data_out.buffer_offset == before);
                                   ensure(write_.received() <= write_.expected_length());
                                   ask();
                                 },
                                 [](const auto&) {}},
               pdu);
    return true;
  }

  void ask() {
    std::uint64_t end = 0;
    for (std::uint32_t tag = 0; auto r2t = write_.next_r2t(tag); ++tag) {
      end = std::uint64_t{r2t->buffer_offset} + r2t->desired_data_transfer_length;
      ensure(r2t->desired_data_transfer_length > 0 && end <= write_.expected_length());
    }
  }

  Host host_;
  iscsi::LoginMachine login_{host_};
  std::optional<iscsi::TextExchange> text_;
  std::optional<iscsi::CommandWindow> window_;
  iscsi::WriteTransfer write_;
  bool write_failed_ = true;
};

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  Connection connection;
  PduReader reader;
  std::span<const std::byte> data;
  reader.feed(input);
  for (;;) {
    switch (reader.next()) {
      case PduReader::Event::need_input:
      case PduReader::Event::header_digest_error:
      case PduReader::Event::data_digest_error:
      case PduReader::Event::data_too_long:
      case PduReader::Event::ahs_too_long:
        return;
      case PduReader::Event::header:
        data = {};
        if (reader.data_length() > 0 && !reader.is_whole()) return;
        if (reader.data_length() > 0) data = reader.use_in_place();
        continue;
      case PduReader::Event::complete:
        if (!connection.handle(iscsi::decode_request(reader.header(), reader.ahs()), reader.header(), data)) return;
    }
  }
}

}  // namespace lunaris::fuzz
