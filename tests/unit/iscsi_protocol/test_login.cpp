// LoginMachine: conversations, refusals with the right status, limits.
#include <catch2/catch.hpp>

#include "tests/support/login_script.h"

namespace lunaris::iscsi {
namespace {

using lunaris::testing::LoginScript;
using lunaris::testing::text_of;

constexpr std::uint8_t security = 0;
constexpr std::uint8_t operational = 1;
constexpr std::uint8_t full_feature = 3;

const std::vector<std::string> names{"InitiatorName=iqn.1993-08.org.debian:01:abc", "SessionType=Normal",
                                     "TargetName=iqn.2026-01.test:disk"};

std::vector<std::string> with(std::vector<std::string> pairs, const std::vector<std::string>& more) {
  pairs.insert(pairs.end(), more.begin(), more.end());
  return pairs;
}

/// What open-iscsi sends.
LoginScript usual_login() {
  LoginScript script;
  script.send(security, operational, with(names, {"AuthMethod=None"}))
      .transits({"AuthMethod=None", "TargetPortalGroupTag=1"})
      .send(operational, full_feature,
            {"HeaderDigest=None", "DataDigest=None", "InitialR2T=No", "ImmediateData=Yes", "MaxBurstLength=16776192",
             "FirstBurstLength=262144", "MaxOutstandingR2T=1", "MaxConnections=1", "MaxRecvDataSegmentLength=262144"})
      .finishes({"HeaderDigest=None", "InitialR2T=No", "MaxBurstLength=1048576", "FirstBurstLength=262144",
                 "MaxRecvDataSegmentLength=262144"});
  return script;
}

TEST_CASE("a login through both stages ends in full feature phase", "[login][RFC7143 6.3]") {
  LoginScript script = usual_login();
  const Parameters agreed = script.play();
  CHECK(agreed.initiator_name == "iqn.1993-08.org.debian:01:abc");
  CHECK(agreed.target_name == "iqn.2026-01.test:disk");
  CHECK_FALSE(agreed.initial_r2t);
  CHECK(agreed.immediate_data);
  CHECK(agreed.max_burst_length == 1048576);
  CHECK(agreed.first_burst_length == 262144);
  CHECK(agreed.initiator_max_recv_data_segment_length == 262144);
  REQUIRE(script.host.asked.size() == 1);
  CHECK(script.host.asked[0].isid == LoginScript::isid);
}

TEST_CASE("a login that breaks at any step is refused for good", "[login]") {
  usual_login().fails_at_every_step();
  LoginScript continued;
  continued.send_raw(security, {}, text_of(names).substr(0, 30)).continued().stays();
  continued.send_raw(security, operational, text_of(names).substr(30)).transits();
  continued.send(operational, {}, {"InitialR2T=No"}).stays({"InitialR2T=No"});
  continued.send(operational, full_feature).finishes();
  continued.play();
  continued.fails_at_every_step();
}

TEST_CASE("without authentication a login may begin in the operational stage", "[login][RFC7143 6.3]") {
  LoginScript script;
  script.send(operational, full_feature, names).finishes({"MaxRecvDataSegmentLength=262144", "TargetPortalGroupTag=1"});
  CHECK(script.play().max_outstanding_r2t == 1);
}

TEST_CASE("security may lead straight to full feature phase", "[login][RFC7143 6.3]") {
  LoginScript script;
  script.send(security, full_feature, names).finishes();
  CHECK(script.play().initial_r2t);
}

TEST_CASE("a stage lasts as many requests as the initiator likes", "[login]") {
  LoginScript script;
  script.send(security, {}, names).stays({"TargetPortalGroupTag=1"});
  script.send(security, {}, {"AuthMethod=None"}).stays({"AuthMethod=None"});
  script.send(security, operational).transits();
  script.send(operational, {}, {"InitialR2T=Yes"}).stays({"InitialR2T=Yes", "MaxRecvDataSegmentLength=262144"});
  script.send(operational, {}).stays();
  script.send(operational, full_feature).finishes();
  CHECK(script.play().initial_r2t);
}

TEST_CASE("text cut anywhere is joined before it is read", "[login][RFC7143 6.2]") {
  const std::string text = text_of(with(names, {"InitialR2T=No", "MaxBurstLength=4096"}));
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    INFO("cut at " << cut);
    LoginScript script;
    script.send_raw(operational, {}, text.substr(0, cut)).continued().stays();
    script.send_raw(operational, full_feature, text.substr(cut)).finishes({"MaxBurstLength=4096"});
    const Parameters agreed = script.play();
    REQUIRE_FALSE(agreed.initial_r2t);
    REQUIRE(agreed.max_burst_length == 4096);
    REQUIRE(agreed.first_burst_length == 4096);
  }
}

TEST_CASE("an answer that does not fit is continued and holds the stage back", "[login][RFC7143 6.2]") {
  std::vector<std::string> unknown;
  for (int index = 0; index < 200; ++index)
    unknown.push_back("X-" + std::string(50, 'k') + std::to_string(1000 + index) + "=");
  LoginScript script;
  script.send(operational, full_feature, with(names, unknown)).stays().answers_continue();
  script.send(operational, full_feature).finishes();
  script.play();
}

TEST_CASE("the answer never passes the initiator's segment size", "[login]") {
  std::vector<std::string> unknown;
  for (int index = 0; index < 30; ++index) unknown.push_back("X-test" + std::to_string(index) + "=1");
  LoginScript script;
  script.send(operational, full_feature, with(with(names, {"MaxRecvDataSegmentLength=512"}), unknown))
      .stays()
      .answers_continue();
  script.send(operational, full_feature).finishes();
  CHECK(script.play().initiator_max_recv_data_segment_length == 512);
}

TEST_CASE("names are compared in lower case", "[login][RFC7143 4.2.7]") {
  LoginScript script;
  script
      .send(operational, full_feature, {"InitiatorName=IQN.1993-08.Org.Debian:ABC", "TargetName=iqn.2026-01.TEST:Disk"})
      .finishes();
  CHECK(script.play().initiator_name == "iqn.1993-08.org.debian:abc");
}

TEST_CASE("a discovery session needs no target", "[login]") {
  LoginScript script;
  script.send(security, operational, {"InitiatorName=iqn.1993-08.org.debian:abc", "SessionType=Discovery"}).transits();
  script.send(operational, full_feature, {"InitialR2T=No", "HeaderDigest=None", "DefaultTime2Wait=0"})
      .finishes({"InitialR2T=Irrelevant", "HeaderDigest=None", "DefaultTime2Wait=2"});
  const Parameters agreed = script.play();
  CHECK(agreed.session_type == SessionType::discovery);
  CHECK(agreed.target_name.empty());
}

TEST_CASE("libiscsi may repeat the initiator's name but nobody may change it", "[login][AUT-3]") {
  LoginScript same;
  same.send(security, operational, names).transits();
  same.send(operational, full_feature, {names[0]}).finishes();
  same.play();
  LoginScript changed;
  changed.send(security, operational, names).transits();
  changed.send(operational, full_feature, {"InitiatorName=iqn.1993-08.org.debian:01:other"})
      .refuses(LoginStatus::initiator_error);
  changed.play();
}

struct Refused {
  std::string why;
  std::uint8_t current_stage;
  std::optional<std::uint8_t> next_stage;
  std::vector<std::string> pairs;
  LoginStatus status;
};

TEST_CASE("each refusal has the status of RFC 7143 11.13.5", "[login][RFC7143 11.13.5]") {
  const std::string initiator = names[0];
  const auto refused = GENERATE_COPY(values<Refused>({
      {"no InitiatorName", 1, 3, {names[2]}, LoginStatus::missing_parameter},
      {"no TargetName", 1, 3, {initiator}, LoginStatus::missing_parameter},
      {"no text at all", 1, 3, {}, LoginStatus::missing_parameter},
      {"malformed InitiatorName", 1, 3, {"InitiatorName=me", names[2]}, LoginStatus::initiator_error},
      {"unknown target", 1, 3, {initiator, "TargetName=iqn.2026-01.test:none"}, LoginStatus::not_found},
      {"malformed target", 1, 3, {initiator, "TargetName=disk"}, LoginStatus::not_found},
      {"unknown session type", 1, 3, {initiator, "SessionType=Other"}, LoginStatus::session_type_not_supported},
      {"authentication we do not have", 0, 1, with(names, {"AuthMethod=CHAP"}), LoginStatus::authentication_failure},
      {"CHAP without AuthMethod", 0, 1, with(names, {"CHAP_A=5"}), LoginStatus::initiator_error},
      {"a repeated key", 1, 3, with(names, {"InitialR2T=No", "InitialR2T=No"}), LoginStatus::initiator_error},
      {"an operational key too early", 0, 1, with(names, {"InitialR2T=No"}), LoginStatus::initiator_error},
      {"a security key too late", 1, 3, with(names, {"AuthMethod=None"}), LoginStatus::initiator_error},
      {"a target's key", 1, 3, with(names, {"TargetAddress=192.0.2.1"}), LoginStatus::initiator_error},
      {"SendTargets in a login", 1, 3, with(names, {"SendTargets=All"}), LoginStatus::initiator_error},
      {"an impossible segment size", 1, 3, with(names, {"MaxRecvDataSegmentLength=511"}), LoginStatus::initiator_error},
      {"NSG not after CSG", 1, 1, names, LoginStatus::initiator_error},
      {"NSG back to security", 1, 0, names, LoginStatus::initiator_error},
      {"NSG reserved", 0, 2, names, LoginStatus::initiator_error},
      {"CSG full feature", 3, 3, names, LoginStatus::initiator_error},
      {"no equals sign", 1, 3, with(names, {"InitialR2T"}), LoginStatus::initiator_error},
      {"a key name of 64 bytes", 1, 3, with(names, {std::string(64, 'K') + "=1"}), LoginStatus::initiator_error},
  }));
  INFO(refused.why);
  LoginScript script;
  script.send(refused.current_stage, refused.next_stage, refused.pairs).refuses(refused.status);
  script.play();
}

TEST_CASE("the host's verdict is passed on", "[login][RFC7143 11.13.5]") {
  const auto status = GENERATE(LoginStatus::authorization_failure, LoginStatus::target_removed,
                               LoginStatus::service_unavailable, LoginStatus::out_of_resources);
  LoginScript script;
  script.host.status = status;
  script.send(security, operational, names).refuses(status);
  script.play();
}

TEST_CASE("a moved target names its new address", "[login][RFC7143 11.13.5]") {
  LoginScript script;
  script.host.status = LoginStatus::target_moved_temporarily;
  script.host.redirect_address = "192.0.2.7:3260,2";
  script.send(security, operational, names)
      .refuses(LoginStatus::target_moved_temporarily, {"TargetAddress=192.0.2.7:3260,2"});
  script.play();
}

TEST_CASE("the owner may refuse to admit the session", "[login][RFC7143 11.13.5]") {
  LoginScript script;
  script.tsih = 77;
  script.admission = LoginStatus::session_does_not_exist;
  script.send(operational, full_feature, names).refuses(LoginStatus::session_does_not_exist);
  script.play();
  CHECK(script.host.asked.at(0).tsih == 77);
}

TEST_CASE("a leading-only key on a further connection is refused", "[login]") {
  LoginScript script;
  script.tsih = 77;
  script.send(operational, full_feature, with(names, {"MaxBurstLength=4096"})).refuses(LoginStatus::initiator_error);
  script.play();
}

TEST_CASE("an unsupported version is refused with ours", "[login][RFC7143 11.12.4]") {
  LoginScript script;
  LoginMachine machine(script.host);
  LoginRequest request;
  request.version_max = 2;
  request.version_min = 1;
  const LoginStep step = LoginScript::give(machine, request, text_of(names));
  CHECK(step.action == LoginStep::Action::refuse);
  CHECK(step.response.status == LoginStatus::unsupported_version);
  CHECK(step.response.version_max == 0);
}

TEST_CASE("a required digest must be offered", "[login]") {
  LoginScript script;
  script.host.offer.data_digest = DigestPolicy::require;
  script.send(operational, full_feature, names).refuses(LoginStatus::initiator_error);
  script.play();
  LoginScript offered;
  offered.host.offer.data_digest = DigestPolicy::require;
  offered.send(operational, full_feature, with(names, {"DataDigest=None,CRC32C"})).finishes({"DataDigest=CRC32C"});
  CHECK(offered.play().data_digest);
}

/// Wants two exchanges and a password.
class Knock final : public Authenticator {
 public:
  [[nodiscard]] bool is_required() const noexcept override { return true; }
  Verdict receive(std::span<const KeyValue> keys, TextBuilder& answers) override {
    if (keys.empty()) return Verdict::continues;
    if (keys[0] == KeyValue{"AuthMethod", "CHAP"}) {
      answers.add("AuthMethod", "CHAP");
      return Verdict::continues;
    }
    return keys[0] == KeyValue{"CHAP_N", "friend"} ? Verdict::passed : Verdict::failed;
  }
};

LoginScript guarded() {
  LoginScript script;
  script.host.make_authenticator = [] { return std::make_unique<Knock>(); };
  return script;
}

TEST_CASE("an authenticator holds the security stage until it is content", "[login][AUT-3]") {
  LoginScript script = guarded();
  script.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays({"AuthMethod=CHAP"});
  script.send(security, operational).stays();
  script.send(security, full_feature, {"CHAP_N=friend"}).finishes();
  script.play();
}

TEST_CASE("required authentication cannot be skipped or failed", "[login][AUT-3]") {
  LoginScript skipped = guarded();
  skipped.send(operational, full_feature, names).refuses(LoginStatus::authentication_failure);
  skipped.play();
  LoginScript jumped = guarded();
  jumped.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays();
  jumped.send(operational, full_feature).refuses(LoginStatus::initiator_error);
  jumped.play();
  LoginScript wrong = guarded();
  wrong.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays();
  wrong.send(security, operational, {"CHAP_N=foe"}).refuses(LoginStatus::authentication_failure);
  wrong.play();
}

TEST_CASE("a login that never ends is ended after 32 exchanges", "[login][TXT-2]") {
  const bool continues = GENERATE(false, true);
  LoginScript script;
  script.send(operational, {}, names).stays();
  for (unsigned exchange = 2; exchange <= LoginMachine::exchanges_max; ++exchange) {
    script.send(operational, {}).stays();
    if (continues) script.continued();
  }
  script.send(operational, full_feature).refuses(LoginStatus::initiator_error);
  script.play();
}

TEST_CASE("64 KiB is all the text a login may have", "[login][TXT-2]") {
  LoginScript script;
  LoginMachine machine(script.host);
  LoginRequest request = script.request_of({});
  request.continues = true;
  const std::string piece(8192, 'a');
  for (int index = 0; index < 8; ++index)
    REQUIRE(LoginScript::give(machine, request, piece).action == LoginStep::Action::respond);
  const LoginStep step = LoginScript::give(machine, request, "a");
  CHECK(step.action == LoginStep::Action::refuse);
  CHECK(step.response.status == LoginStatus::initiator_error);
}

TEST_CASE("a connection that does not begin with a login is closed without a word", "[login]") {
  LoginScript script;
  LoginMachine machine(script.host);
  std::array<std::byte, bhs_bytes> bhs{};
  encode(NopOut{}, BhsSpan{bhs});
  CHECK(machine.on_other(bhs).action == LoginStep::Action::close);
}

TEST_CASE("another PDU during the login is refused with its tag", "[login][RFC7143 11.13.5]") {
  LoginScript script;
  LoginMachine machine(script.host);
  static_cast<void>(LoginScript::give(machine, script.request_of({}), text_of(names)));
  std::array<std::byte, bhs_bytes> bhs{};
  encode(TextRequest{.final_bit = true, .initiator_task_tag = 0x99}, BhsSpan{bhs});
  const LoginStep step = machine.on_other(bhs);
  CHECK(step.action == LoginStep::Action::refuse);
  CHECK(step.response.status == LoginStatus::invalid_during_login);
  CHECK(step.response.initiator_task_tag == 0x99);
}

TEST_CASE("a login after full feature phase is not the machine's to answer", "[login][PDU-3]") {
  LoginScript script = usual_login();
  script.send(operational, full_feature, names).closes();
  script.play();
}

}  // namespace
}  // namespace lunaris::iscsi
