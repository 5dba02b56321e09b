// CHAP and access rules end to end: initiators with the right and the wrong secret, name, address, and what they see.
#include <catch2/catch.hpp>

#include "protocol/bytes/text_codec.h"
#include "server/iscsi/login_records.h"
#include "tests/unit/iscsi/fixture.h"

namespace lunaris::sim {
namespace {

const std::string user_secret = "correct horse 1";
const std::string target_secret = "battery staple2";

ChapAccount account(const std::string& name, const std::string& secret) {
  return {name, Secret(secret)};
}

LoginOptions as_user(const std::string& name, const std::string& secret, unsigned algorithm = 7) {
  LoginOptions options;
  options.chap = ChapLogin{name, secret, "", "", algorithm};
  return options;
}

/// A target that `change` has made choosy.
struct Guarded {
  template <class Change>
  explicit Guarded(Change change) : target(world) {
    apply(change);
  }
  template <class Change>
  void apply(Change change) {
    auto exports = SimTarget::make_exports(target.make_luns({0, 1}));
    change(*exports, exports->targets[target_name]);
    target.apply(exports);
  }
  [[nodiscard]] std::unique_ptr<Initiator> connect(const std::string& address = "192.0.2.10") {
    return std::make_unique<Initiator>(world, target.connect({}, address));
  }
  iscsi::LoginStatus login(const LoginOptions& options, const std::string& address = "192.0.2.10") {
    last = connect(address);
    const auto response = last->login(options);
    REQUIRE(response);
    return response->status;
  }
  [[nodiscard]] std::string last_reason() { return target.login_failures().failures.at(0).reason; }
  /// What SendTargets of a discovery session names.
  std::string discovered(const std::string& initiator_name = LoginOptions{}.initiator,
                         const std::string& address = "192.0.2.10") {
    LoginOptions options;
    options.discovery = true;
    options.initiator = initiator_name;
    REQUIRE(login(options, address) == iscsi::LoginStatus::success);
    iscsi::TextRequest pdu;
    pdu.immediate = true;
    pdu.final_bit = true;
    pdu.initiator_task_tag = last->next_tag();
    pdu.cmd_sn = last->cmd_sn();
    pdu.exp_stat_sn = last->exp_stat_sn();
    const std::string_view text("SendTargets=All\0", 16);
    last->send(pdu, std::as_bytes(std::span(text)));
    const auto answer = last->receive();
    REQUIRE(answer);
    return {reinterpret_cast<const char*>(answer->data.data()), answer->data.size()};
  }
  /// The LUN numbers of REPORT LUNS.
  std::vector<unsigned> reported() {
    const CommandResult result = last->run({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256);
    REQUIRE(result.status == 0);
    std::vector<unsigned> luns;
    for (std::size_t at = 8; at + 8 <= result.data.size(); at += 8)
      luns.push_back(std::to_integer<unsigned>(result.data[at + 1]));
    return luns;
  }

  SimWorld world{7};
  SimTarget target;
  std::unique_ptr<Initiator> last;
};

void with_user(Exports&, ExportedTarget& target) {
  target.auth.users = {account("me", user_secret)};
}

}  // namespace

TEST_CASE("a session begins after the right CHAP answer with every algorithm", "[iscsi][chap][RFC7143-12.1.3]") {
  Guarded guarded(with_user);
  const unsigned algorithm = GENERATE(5U, 6U, 7U, 8U);
  REQUIRE(guarded.login(as_user("me", user_secret, algorithm)) == iscsi::LoginStatus::success);
  guarded.last->clear_unit_attentions();
  CHECK(guarded.last->read(0, 1).status == 0);
  CHECK(guarded.target.login_failures().total == 0);
}

TEST_CASE("a wrong secret and an unknown user get the same answer and are kept", "[iscsi][chap][AUT-2]") {
  Guarded guarded(with_user);
  CHECK(guarded.login(as_user("me", "wrong secret 1")) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "CHAP secret wrong");
  CHECK(guarded.last->wait_closed(10 * second_ns));
  CHECK(guarded.login(as_user("you", user_secret)) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "CHAP user unknown");
  const LoginFailures failures = guarded.target.login_failures();
  CHECK(failures.total == 2);
  REQUIRE(failures.failures.size() == 2);
  CHECK(failures.failures[0].initiator == LoginOptions{}.initiator);
  CHECK(failures.failures[0].address == "192.0.2.10");
  CHECK(failures.failures[0].target == target_name);
}

TEST_CASE("mutual CHAP proves the target to the initiator", "[iscsi][chap]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    target.auth.users = {account("me", user_secret)};
    target.auth.mutual = account("the target", target_secret);
  });
  LoginOptions options = as_user("me", user_secret);
  options.chap->target_username = "the target";
  options.chap->target_secret = target_secret;
  CHECK(guarded.login(options) == iscsi::LoginStatus::success);
  guarded.apply(with_user);
  CHECK(guarded.login(options) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "mutual CHAP asked for but not configured");
}

TEST_CASE("a challenge that another connection was given is not answered", "[iscsi][chap][AUT-1][RFC7143-9.2.1]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    target.auth.users = {account("me", user_secret)};
    target.auth.mutual = account("the target", target_secret);
  });
  const auto text = [](const std::string& pair) { return pair + std::string(1, '\0'); };
  const LoginOptions options;
  const std::string names = text("InitiatorName=" + options.initiator) + text("TargetName=" + target_name);
  const auto challenge_of = [&](Initiator& initiator) {
    initiator.login_step(options, 0, {}, names + text("AuthMethod=CHAP"));
    initiator.login_step(options, 0, {}, text("CHAP_A=7"));
    return initiator.login_value("CHAP_C");
  };
  // Logins go round the workers, so the two are on different ones.
  const auto first = guarded.connect();
  const std::string stolen = challenge_of(*first);
  const auto second = guarded.connect();
  const std::string own = challenge_of(*second);
  REQUIRE(stolen != own);
  std::array<std::byte, 64> memory{};
  const auto size = bytes::decode_binary(own, memory);
  const auto identifier = bytes::decode_number(second->login_value("CHAP_I"));
  REQUIRE((size && identifier));
  const auto response = iscsi::chap_response(iscsi::ChapAlgorithm::sha256, static_cast<std::uint8_t>(*identifier),
                                             user_secret, std::span(memory).first(*size));
  const auto answer = second->login_step(options, 0, 1,
                                         text("CHAP_N=me") + text("CHAP_R=" + bytes::encode_hex(response.view())) +
                                             text("CHAP_I=1") + text("CHAP_C=" + stolen));
  REQUIRE(answer);
  CHECK(answer->status == iscsi::LoginStatus::authentication_failure);
  CHECK(second->login_value("CHAP_R").empty());
  CHECK(guarded.last_reason() == "CHAP challenge reflected");
}

TEST_CASE("a target with users lets nobody in without authentication", "[iscsi][chap][AUT-3]") {
  Guarded guarded(with_user);
  CHECK(guarded.login({}) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "authentication was skipped");
  guarded.last = guarded.connect();
  const auto line = [](const std::string& pair) { return pair + std::string(1, '\0'); };
  const std::string text =
      line("InitiatorName=iqn.2026-01.io.example:x") + line("TargetName=" + target_name) + line("AuthMethod=None");
  const auto answer = guarded.last->login_step({}, 0, 1, text);
  REQUIRE(answer);
  CHECK(answer->status == iscsi::LoginStatus::authentication_failure);
}

TEST_CASE("discovery has users of its own", "[iscsi][chap]") {
  Guarded guarded([](Exports& exports, ExportedTarget&) {
    exports.discovery_auth.users = {account("finder", "discovery secret")};
  });
  LoginOptions options = as_user("finder", "discovery secret");
  options.discovery = true;
  CHECK(guarded.login(options) == iscsi::LoginStatus::success);
  options.chap->secret = "something else";
  CHECK(guarded.login(options) == iscsi::LoginStatus::authentication_failure);
  options.chap.reset();
  CHECK(guarded.login(options) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.login({}) == iscsi::LoginStatus::success);
}

TEST_CASE("policy refuses algorithms", "[iscsi][chap]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    target.auth.users = {account("me", user_secret)};
    target.auth.algorithms = {7, 8};
  });
  CHECK(guarded.login(as_user("me", user_secret, 5)) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "no CHAP algorithm in common");
  CHECK(guarded.login(as_user("me", user_secret, 8)) == iscsi::LoginStatus::success);
}

TEST_CASE("initiators are let in by name and by address", "[iscsi]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    InitiatorRule by_name;
    by_name.name = "iqn.2026-01.io.example:friend";
    InitiatorRule by_address;
    by_address.addresses = {*parse_address_range("10.0.0.0/8")};
    target.initiators = {by_name, by_address};
  });
  CHECK(guarded.login({}) == iscsi::LoginStatus::authorization_failure);
  CHECK(guarded.last_reason() == "initiator not allowed");
  CHECK(guarded.login({}, "10.1.2.3") == iscsi::LoginStatus::success);
  LoginOptions options;
  options.initiator = "iqn.2026-01.io.example:FRIEND";
  CHECK(guarded.login(options) == iscsi::LoginStatus::success);

  CHECK(guarded.discovered() == "");
  CHECK_THAT(guarded.discovered(LoginOptions{}.initiator, "10.9.9.9"), Catch::StartsWith("TargetName=" + target_name));
  CHECK_THAT(guarded.discovered("iqn.2026-01.io.example:friend"), Catch::StartsWith("TargetName=" + target_name));

  options.target = "iqn.2026-01.io.example:nothing";
  CHECK(guarded.login(options) == iscsi::LoginStatus::not_found);
  CHECK(guarded.last_reason() == "target not found");
}

TEST_CASE("an initiator sees the LUNs it was given and no others", "[iscsi]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    auto second = std::make_shared<scsi_server::LunMap>();
    second->entries[1] = target.luns->entries.at(1);
    second->entries[1].read_only = true;
    InitiatorRule narrow;
    narrow.name = "iqn.2026-01.io.example:narrow";
    narrow.luns = second;
    target.initiators = {narrow, InitiatorRule{}};
  });
  REQUIRE(guarded.login({}) == iscsi::LoginStatus::success);
  CHECK(guarded.reported() == std::vector<unsigned>{0, 1});
  guarded.last->clear_unit_attentions();
  CHECK(guarded.last->write(0, pattern(512, 1)).status == 0);

  LoginOptions options;
  options.initiator = "iqn.2026-01.io.example:narrow";
  REQUIRE(guarded.login(options) == iscsi::LoginStatus::success);
  CHECK(guarded.reported() == std::vector<unsigned>{1});
  CHECK(guarded.last->read(0, 1).status == check_condition);  // LUN 0 is not there
  guarded.last->clear_unit_attentions(std::uint64_t{1} << 48);
  CHECK(guarded.last->run(read_10(0, 1), 512, std::uint64_t{1} << 48).status == 0);
  const auto write =
      guarded.last->start(guarded.last->command(write_10(0, 1), std::uint64_t{1} << 48), pattern(512, 2));
  const CommandResult written = guarded.last->finish(write);
  CHECK(written.status == check_condition);
  REQUIRE(written.sense.size() > 2);
  CHECK((written.sense[2] & std::byte{0x0f}) == std::byte{7});  // DATA PROTECT
}

TEST_CASE("rights follow the CHAP user", "[iscsi][chap]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    const auto rule = [&](const std::string& user, const std::string& secret, std::uint16_t lun) {
      auto luns = std::make_shared<scsi_server::LunMap>();
      luns->entries[lun] = target.luns->entries.at(lun);
      InitiatorRule made;
      made.user = account(user, secret);
      made.luns = luns;
      return made;
    };
    target.initiators = {rule("zero", "secret of zero", 0), rule("one", "secret of one.", 1)};
  });
  REQUIRE(guarded.login(as_user("zero", "secret of zero")) == iscsi::LoginStatus::success);
  CHECK(guarded.reported() == std::vector<unsigned>{0});
  REQUIRE(guarded.login(as_user("one", "secret of one.")) == iscsi::LoginStatus::success);
  CHECK(guarded.reported() == std::vector<unsigned>{1});
  CHECK(guarded.login(as_user("zero", "secret of one.")) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.login({}) == iscsi::LoginStatus::authentication_failure);
}

TEST_CASE("an account of one initiator is of no use to another", "[iscsi][chap]") {
  Guarded guarded([](Exports&, ExportedTarget& target) {
    InitiatorRule mine;
    mine.name = "iqn.2026-01.io.example:mine";
    mine.user = account("me", user_secret);
    InitiatorRule yours;
    yours.name = "iqn.2026-01.io.example:yours";
    yours.user = account("you", "another long one");
    target.initiators = {mine, yours};
  });
  LoginOptions options = as_user("me", user_secret);
  options.initiator = "iqn.2026-01.io.example:yours";
  CHECK(guarded.login(options) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.last_reason() == "CHAP user unknown");
  options.initiator = "iqn.2026-01.io.example:mine";
  CHECK(guarded.login(options) == iscsi::LoginStatus::success);
}

TEST_CASE("a session ends when its initiator or user is not allowed any more", "[iscsi][chap]") {
  Guarded guarded(with_user);
  REQUIRE(guarded.login(as_user("me", user_secret)) == iscsi::LoginStatus::success);
  // Another secret concerns the next login only.
  guarded.apply([](Exports&, ExportedTarget& target) { target.auth.users = {account("me", "a changed secret")}; });
  CHECK(guarded.target.sessions().size() == 1);
  guarded.apply([](Exports&, ExportedTarget& target) { target.auth.users = {account("you", user_secret)}; });
  CHECK(guarded.last->wait_closed(10 * second_ns));
  CHECK(guarded.target.sessions().empty());
}

TEST_CASE("the answer to repeated failures comes later and later up to a limit", "[iscsi][chap][AUT-2]") {
  Guarded guarded(with_user);
  std::vector<std::uint64_t> took_ms;
  for (int attempt = 0; attempt < 9; ++attempt) {
    const std::uint64_t began_ns = guarded.world.now_ns();
    CHECK(guarded.login(as_user("me", "wrong secret 1")) == iscsi::LoginStatus::authentication_failure);
    took_ms.push_back((guarded.world.now_ns() - began_ns) / 1'000'000);
  }
  CHECK(took_ms[0] < 100);
  CHECK(took_ms[1] < 100);
  CHECK(took_ms[2] >= 250);
  for (std::size_t i = 3; i < took_ms.size(); ++i) CHECK(took_ms[i] + 100 >= took_ms[i - 1]);
  CHECK(took_ms.back() >= 4000);
  CHECK(took_ms.back() < 4300);
  // The right secret is not held back.
  const std::uint64_t began_ns = guarded.world.now_ns();
  CHECK(guarded.login(as_user("me", user_secret)) == iscsi::LoginStatus::success);
  CHECK(guarded.world.now_ns() - began_ns < 100'000'000);
  const LoginFailures failures = guarded.target.login_failures();
  CHECK(failures.total == 9);
  REQUIRE(failures.failures.size() == 1);
  CHECK(failures.failures[0].count == 9);
  guarded.world.run_for(61 * second_ns);
  const std::uint64_t later_ns = guarded.world.now_ns();
  CHECK(guarded.login(as_user("me", "wrong secret 1")) == iscsi::LoginStatus::authentication_failure);
  CHECK(guarded.world.now_ns() - later_ns < 100'000'000);
}

TEST_CASE("a stop does not wait for answers that are held back", "[iscsi][chap]") {
  Guarded guarded(with_user);
  for (int attempt = 0; attempt < 8; ++attempt) guarded.login(as_user("me", "wrong secret 1"));
  LoginOptions options = as_user("me", "wrong secret 1");
  const auto waiting = guarded.connect();
  const auto text = [](const std::string& pair) { return pair + std::string(1, '\0'); };
  waiting->login_step(
      options, 0, {},
      text("InitiatorName=" + options.initiator) + text("TargetName=" + target_name) + text("AuthMethod=CHAP"));
  waiting->login_step(options, 0, {}, text("CHAP_A=7"));
  iscsi::LoginRequest request;
  request.isid = options.isid;
  request.initiator_task_tag = waiting->next_tag();
  const std::string last = text("CHAP_N=me") + text("CHAP_R=0x00");
  waiting->send(request, std::as_bytes(std::span(last)));
  guarded.world.run_for(second_ns);
  const std::uint64_t began_ns = guarded.world.now_ns();
  CHECK(guarded.target.stop());
  CHECK(guarded.world.now_ns() - began_ns < second_ns);
}

TEST_CASE("the last refused logins are kept and no more", "[iscsi]") {
  iscsi_server::LoginRecords records;
  for (unsigned i = 0; i < 300; ++i) {
    LoginFailure failure;
    failure.initiator = "iqn.2026-01.io.example:" + std::to_string(i);
    failure.reason = "target not found";
    records.add(failure, i * second_ns);
  }
  const LoginFailures list = records.list(300 * second_ns);
  CHECK(list.total == 300);
  REQUIRE(list.failures.size() == iscsi_server::LoginRecords::failures_max);
  CHECK(list.failures[0].initiator == "iqn.2026-01.io.example:299");
  CHECK(list.failures[0].age_ms == 1000);
  CHECK(list.failures.back().initiator == "iqn.2026-01.io.example:44");
}

TEST_CASE("the table of failures is bounded and forgets the oldest", "[iscsi][AUT-2]") {
  iscsi_server::FailureTable table;
  for (std::uint64_t i = 0; i < 5000; ++i) CHECK(table.add("name " + std::to_string(i), i) == 1);
  CHECK(table.size() == iscsi_server::FailureTable::entries_max);
  CHECK(table.add("name 4999", 5000) == 2);
  CHECK(table.add("name 0", 5001) == 1);
}

TEST_CASE("an IPv6 network of one owner counts as one address", "[iscsi][AUT-2]") {
  iscsi_server::LoginRecords records;
  std::uint64_t delay = 0;
  for (int i = 1; i <= 4; ++i) {
    delay = records.delay_ns("2001:db8:0:1::" + std::to_string(i), "user " + std::to_string(i), second_ns);
  }
  CHECK(delay > 0);
  CHECK(records.delay_ns("2001:db8:0:2::1", "user 9", second_ns) == 0);
}

}  // namespace lunaris::sim
