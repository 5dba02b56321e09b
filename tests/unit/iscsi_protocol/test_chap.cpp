// CHAP in the login: digests against values of another implementation, conversations, everything that must fail.
#include <catch2/catch.hpp>
#include <set>

#include "protocol/bytes/text_codec.h"
#include "protocol/iscsi/chap.h"
#include "tests/support/login_script.h"

namespace lunaris::iscsi {
namespace {

using lunaris::testing::LoginScript;

constexpr std::uint8_t security = 0;
constexpr std::uint8_t operational = 1;
constexpr std::uint8_t full_feature = 3;

const std::vector<std::string> names{"InitiatorName=iqn.1993-08.org.debian:01:abc", "SessionType=Normal",
                                     "TargetName=iqn.2026-01.test:disk"};
constexpr std::string_view secret = "correct horse battery";
constexpr std::string_view target_secret = "staple of the target";
constexpr std::uint8_t their_identifier = 0x42;
const std::array their_challenge{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};

const ChapChallenges& challenges() {
  static const std::array<std::byte, ChapChallenges::key_bytes> key{std::byte{9}};
  static const ChapChallenges made(key);
  return made;
}

ChapChallenge challenge(std::uint8_t seed = 0x17) {
  std::array<std::byte, ChapChallenge::random_bytes> random{};
  for (std::size_t i = 0; i < random.size(); ++i) random[i] = static_cast<std::byte>(seed + i);
  return challenges().make(random);
}

ChapPolicy policy(bool mutual = false) {
  ChapPolicy made;
  made.users = {{{"someone else", "another long secret"}, {}}, {{"me", secret}, {}}};
  if (mutual) made.users[1].mutual = ChapCredential{"the target", target_secret};
  return made;
}

std::string hex(const ChapResponse& response) {
  return bytes::encode_hex(response.view());
}
/// What an initiator with `with` answers.
std::string answer(ChapAlgorithm algorithm, std::string_view with = secret) {
  return "CHAP_R=" + hex(chap_response(algorithm, challenge().identifier, with, challenge().bytes));
}
std::string mutual_answer(ChapAlgorithm algorithm) {
  return "CHAP_R=" + hex(chap_response(algorithm, their_identifier, target_secret, their_challenge));
}

LoginScript script_of(const ChapPolicy& allowed) {
  LoginScript script;
  script.host.make_authenticator = [allowed] {
    return std::make_unique<ChapAuthenticator>(allowed, challenges(), challenge());
  };
  return script;
}

std::vector<std::string> with(std::vector<std::string> pairs, const std::vector<std::string>& more) {
  pairs.insert(pairs.end(), more.begin(), more.end());
  return pairs;
}

/// Up to the challenge.
LoginScript challenged(const ChapPolicy& allowed = policy(), const std::string& algorithms = "CHAP_A=7") {
  LoginScript script = script_of(allowed);
  script.send(security, operational, with(names, {"AuthMethod=CHAP,None"})).stays({"AuthMethod=CHAP"});
  script.send(security, {}, {algorithms}).stays({"CHAP_I=23", "CHAP_C=" + bytes::encode_hex(challenge().bytes)});
  return script;
}

LoginScript whole_login(bool mutual) {
  LoginScript script = challenged(policy(mutual));
  std::vector<std::string> keys{"CHAP_N=me", answer(ChapAlgorithm::sha256)};
  if (mutual) keys = with(keys, {"CHAP_I=66", "CHAP_C=0x01020304"});
  script.send(security, operational, keys)
      .transits(mutual ? std::vector<std::string>{"CHAP_N=the target", mutual_answer(ChapAlgorithm::sha256)}
                       : std::vector<std::string>{});
  script.send(operational, full_feature, {"InitialR2T=Yes"}).finishes();
  return script;
}

/// The last step of a challenged login with `keys` is refused.
void refuses(const ChapPolicy& allowed, const std::vector<std::string>& keys, LoginStatus status) {
  INFO("keys: " << testing::text_of(keys));
  LoginScript script = challenged(allowed);
  script.send(security, operational, keys).refuses(status);
  script.play();
}

}  // namespace

TEST_CASE("each CHAP algorithm gives the digest of identifier and secret and challenge", "[chap][RFC1994]") {
  std::array<std::byte, 16> sixteen{};
  for (std::size_t i = 0; i < sixteen.size(); ++i) sixteen[i] = static_cast<std::byte>(i);
  const auto of = [&](ChapAlgorithm algorithm) { return hex(chap_response(algorithm, 0x17, secret, sixteen)); };
  CHECK(of(ChapAlgorithm::md5) == "0x21193f037e447a0962a5e687c53dabff");
  CHECK(of(ChapAlgorithm::sha1) == "0x4aee8ccc0fca31e6c631cccacc2bea6221aed9f5");
  CHECK(of(ChapAlgorithm::sha256) == "0x5bfbc48b57fd9b2d9d06c56be7055ac17a619c3fb96be1ff06baff116c44d3b6");
  CHECK(of(ChapAlgorithm::sha3_256) == "0x9b7761f543f0b4ce4b4ffc24e529603b8e856c796c60a7f8e87c56971562dd11");
}

TEST_CASE("byte strings are equal only when every byte is", "[chap]") {
  const std::array left{std::byte{1}, std::byte{2}};
  const std::array other{std::byte{1}, std::byte{3}};
  CHECK(equal_in_constant_time(left, left));
  CHECK_FALSE(equal_in_constant_time(left, other));
  CHECK_FALSE(equal_in_constant_time(left, std::span(left).first(1)));
  CHECK(equal_in_constant_time({}, {}));
}

TEST_CASE("challenges differ and are recognised as ours and nobody else's", "[chap][RFC7143 9.2.1]") {
  std::set<std::vector<std::byte>> seen;
  for (unsigned seed = 0; seed < 200; ++seed) {
    ChapChallenge made = challenge(static_cast<std::uint8_t>(seed));
    CHECK(seen.insert({made.bytes.begin(), made.bytes.end()}).second);
    CHECK(challenges().is_ours(made.bytes));
    made.bytes[seed % made.bytes.size()] ^= std::byte{1};
    CHECK_FALSE(challenges().is_ours(made.bytes));
  }
  const std::array<std::byte, ChapChallenges::key_bytes> other_key{std::byte{8}};
  CHECK_FALSE(ChapChallenges(other_key).is_ours(challenge().bytes));
  const ChapChallenge one = challenge();
  CHECK_FALSE(challenges().is_ours(std::span(one.bytes).first(16)));
}

TEST_CASE("one-way CHAP logs in with every algorithm", "[chap][RFC7143 12.1.3]") {
  for (const ChapAlgorithm algorithm : chap_algorithms_all) {
    const std::string number = "CHAP_A=" + std::to_string(static_cast<unsigned>(algorithm));
    LoginScript script = challenged(policy(), number);
    script.send(security, operational, {"CHAP_N=me", answer(algorithm)}).transits();
    script.send(operational, full_feature).finishes();
    script.play();
  }
}

TEST_CASE("mutual CHAP proves the target with every algorithm", "[chap][RFC7143 12.1.3]") {
  for (const ChapAlgorithm algorithm : chap_algorithms_all) {
    LoginScript script = challenged(policy(true), "CHAP_A=" + std::to_string(static_cast<unsigned>(algorithm)));
    script.send(security, operational, {"CHAP_C=0bAQIDBA==", "CHAP_N=me", answer(algorithm), "CHAP_I=0x42"})
        .transits({"CHAP_N=the target", mutual_answer(algorithm)});
    script.send(operational, full_feature).finishes();
    script.play();
  }
}

TEST_CASE("CHAP in a discovery session works the same", "[chap][RFC7143 6.3]") {
  LoginScript script = script_of(policy());
  script
      .send(security, operational,
            {"InitiatorName=iqn.1993-08.org.debian:01:abc", "SessionType=Discovery", "AuthMethod=CHAP"})
      .stays({"AuthMethod=CHAP"});
  script.send(security, {}, {"CHAP_A=7"}).stays({"CHAP_A=7"});
  script.send(security, full_feature, {"CHAP_N=me", answer(ChapAlgorithm::sha256)}).finishes();
  script.play();
}

TEST_CASE("a CHAP login that breaks at any step is refused for good", "[chap][login]") {
  LoginScript one_way = whole_login(false);
  one_way.play();
  one_way.fails_at_every_step();
  LoginScript mutual = whole_login(true);
  mutual.play();
  mutual.fails_at_every_step();
}

TEST_CASE("the first algorithm of the initiator's list that policy allows is taken", "[chap][RFC7143 6.2.1]") {
  const auto chosen = [](const ChapPolicy& allowed, const std::string& offered, const std::string& expected) {
    LoginScript script = script_of(allowed);
    script.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays({"AuthMethod=CHAP"});
    script.send(security, {}, {"CHAP_A=" + offered}).stays({"CHAP_A=" + expected});
    script.play();
  };
  chosen(policy(), "5,7", "5");
  chosen(policy(), "8,7,6,5", "8");
  chosen(policy(), "99,6", "6");
  chosen(policy(), "0x7", "7");
  ChapPolicy strict = policy();
  strict.algorithms = {ChapAlgorithm::sha3_256, ChapAlgorithm::sha256};
  chosen(strict, "5,6,7", "7");

  LoginScript none = script_of(strict);
  none.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays();
  none.send(security, {}, {"CHAP_A=5,6"}).refuses(LoginStatus::authentication_failure);
  none.play();
}

TEST_CASE("an unknown user and a wrong secret are refused alike", "[chap][AUT-2]") {
  const auto refusal = [](const std::string& name, const std::string& response) {
    LoginScript script = challenged();
    script.send(security, operational, {"CHAP_N=" + name, response}).refuses(LoginStatus::authentication_failure);
    script.play();
  };
  refusal("me", answer(ChapAlgorithm::sha256, "wrong secret 123"));
  refusal("nobody", answer(ChapAlgorithm::sha256));
  // Not even somebody who knows what unknown names are measured against.
  refusal("nobody", answer(ChapAlgorithm::sha256, "no such user...."));
  refusal("", answer(ChapAlgorithm::sha256));
  refusal("someone else", answer(ChapAlgorithm::sha256));
  // The digest of another algorithm, a cut one, and an empty secret.
  refusal("me", answer(ChapAlgorithm::md5));
  refusal("me", answer(ChapAlgorithm::sha256).substr(0, 40));
  refusal("me", answer(ChapAlgorithm::sha256, ""));
}

TEST_CASE("malformed and missing CHAP values are refused with their own status", "[chap][RFC7143 11.13.5]") {
  const std::string right = answer(ChapAlgorithm::sha256);
  refuses(policy(), {"CHAP_N=me"}, LoginStatus::missing_parameter);
  refuses(policy(), {right}, LoginStatus::missing_parameter);
  refuses(policy(true), {"CHAP_N=me", right, "CHAP_I=1"}, LoginStatus::missing_parameter);
  refuses(policy(true), {"CHAP_N=me", right, "CHAP_C=0x01"}, LoginStatus::missing_parameter);
  refuses(policy(), {"CHAP_N=me", "CHAP_R=0x0g"}, LoginStatus::initiator_error);
  refuses(policy(), {"CHAP_N=me", "CHAP_R=0x"}, LoginStatus::initiator_error);
  refuses(policy(), {"CHAP_N=me", "CHAP_R=12"}, LoginStatus::initiator_error);
  refuses(policy(), {"CHAP_N=me", right, right}, LoginStatus::initiator_error);
  refuses(policy(), {"CHAP_A=7"}, LoginStatus::initiator_error);
  refuses(policy(), {"AuthMethod=CHAP"}, LoginStatus::initiator_error);
  refuses(policy(true), {"CHAP_N=me", right, "CHAP_I=256", "CHAP_C=0x01"}, LoginStatus::initiator_error);
  refuses(policy(true), {"CHAP_N=me", right, "CHAP_I=1", "CHAP_C=0x"}, LoginStatus::initiator_error);
  refuses(policy(true), {"CHAP_N=me", right, "CHAP_I=1", "CHAP_C=0x" + std::string(2050, '1')},
          LoginStatus::initiator_error);
}

TEST_CASE("a request with nothing to say in the middle of CHAP cannot leave the stage", "[chap][AUT-3]") {
  LoginScript script = challenged();
  script.send(security, {}).stays();
  script.send(security, full_feature).stays();
  script.send(security, operational, {"CHAP_N=me", answer(ChapAlgorithm::sha256)}).transits();
  script.play();
}

TEST_CASE("a challenge of ours that is offered back to us is refused", "[chap][AUT-1][RFC7143 9.2.1]") {
  const std::string right = answer(ChapAlgorithm::sha256);
  // On the same connection, and the one that another connection was given.
  for (const ChapChallenge& ours : {challenge(), challenge(0x77)}) {
    const std::string reflected = bytes::encode_hex(ours.bytes);
    refuses(policy(true), {"CHAP_N=me", right, "CHAP_I=23", "CHAP_C=" + reflected},
            LoginStatus::authentication_failure);
  }
}

TEST_CASE("a mutual login with one secret for both directions is refused", "[chap][AUT-1]") {
  ChapPolicy same = policy(true);
  same.users[1].mutual->secret = secret;
  refuses(same, {"CHAP_N=me", answer(ChapAlgorithm::sha256), "CHAP_I=1", "CHAP_C=0x01020304"},
          LoginStatus::authentication_failure);
}

TEST_CASE("mutual CHAP without a secret of the target is refused", "[chap]") {
  refuses(policy(), {"CHAP_N=me", answer(ChapAlgorithm::sha256), "CHAP_I=1", "CHAP_C=0x01020304"},
          LoginStatus::authentication_failure);
}

TEST_CASE("authentication that is required cannot be skipped", "[chap][AUT-3][RFC7143 6.3]") {
  const auto refused = [](std::uint8_t stage, std::optional<std::uint8_t> next, const std::vector<std::string>& keys,
                          LoginStatus status) {
    LoginScript script = script_of(policy());
    script.send(stage, next, with(names, keys)).refuses(status);
    script.play();
  };
  refused(operational, full_feature, {}, LoginStatus::authentication_failure);
  refused(operational, {}, {}, LoginStatus::authentication_failure);
  refused(security, full_feature, {}, LoginStatus::authentication_failure);
  refused(security, operational, {}, LoginStatus::authentication_failure);
  refused(security, operational, {"AuthMethod=None"}, LoginStatus::authentication_failure);
  refused(security, operational, {"AuthMethod=KRB5,SRP"}, LoginStatus::authentication_failure);
  refused(security, operational, {"CHAP_A=5"}, LoginStatus::initiator_error);
  refused(security, operational, {"CHAP_N=me", "CHAP_R=0x00"}, LoginStatus::initiator_error);

  LoginScript jump = script_of(policy());
  jump.send(security, operational, with(names, {"AuthMethod=CHAP"})).stays();
  jump.send(operational, full_feature).refuses(LoginStatus::initiator_error);
  jump.play();
}

TEST_CASE("the initiator cannot become another one during its login", "[chap][AUT-3]") {
  LoginScript script = challenged();
  script.send(security, operational, {"InitiatorName=iqn.1993-08.org.debian:01:other"})
      .refuses(LoginStatus::initiator_error);
  script.play();
  LoginScript late = whole_login(false);
  late.play();
  LoginScript after = challenged();
  after.send(security, operational, {"CHAP_N=me", answer(ChapAlgorithm::sha256)}).transits();
  after.send(operational, full_feature, {"TargetName=iqn.2026-01.test:other"}).refuses(LoginStatus::initiator_error);
  after.play();
}

TEST_CASE("CHAP keys after the authentication are refused", "[chap]") {
  LoginScript script = challenged();
  script.send(security, {}, {"CHAP_N=me", answer(ChapAlgorithm::sha256)}).stays();
  script.send(security, operational, {"CHAP_N=me", answer(ChapAlgorithm::sha256)})
      .refuses(LoginStatus::initiator_error);
  script.play();
}

TEST_CASE("where CHAP is optional the initiator's order of methods decides", "[chap][RFC7143 6.2.1]") {
  ChapPolicy optional = policy();
  optional.required = false;
  LoginScript none = script_of(optional);
  none.send(security, operational, with(names, {"AuthMethod=None,CHAP"})).transits({"AuthMethod=None"});
  none.play();
  LoginScript silent = script_of(optional);
  silent.send(operational, full_feature, names).finishes();
  silent.play();
  LoginScript chap = challenged(optional);
  chap.send(security, operational, {"CHAP_N=me", answer(ChapAlgorithm::sha256)}).transits();
  chap.play();
  // Whoever begins with CHAP sees it through.
  refuses(optional, {"CHAP_N=me", "CHAP_R=0x00"}, LoginStatus::authentication_failure);
}

TEST_CASE("the authenticator says who passed and why others did not", "[chap]") {
  ChapAuthenticator wrong(policy(), challenges(), challenge());
  TextBuilder answers;
  const auto give = [&](ChapAuthenticator& to, std::vector<KeyValue> keys) { return to.receive(keys, answers); };
  give(wrong, {{"AuthMethod", "CHAP"}});
  give(wrong, {{"CHAP_A", "7"}});
  CHECK(give(wrong, {{"CHAP_N", "me"}, {"CHAP_R", "0x00"}}) == Authenticator::Verdict::failed);
  CHECK(wrong.reason() == "CHAP secret wrong");
  CHECK(wrong.claimed_username() == "me");
  CHECK(wrong.username().empty());
  CHECK(give(wrong, {{"AuthMethod", "CHAP"}}) == Authenticator::Verdict::failed);

  ChapAuthenticator right(policy(), challenges(), challenge());
  give(right, {{"AuthMethod", "CHAP"}});
  give(right, {{"CHAP_A", "7"}});
  const std::string response = answer(ChapAlgorithm::sha256).substr(7);
  CHECK(give(right, {{"CHAP_N", "me"}, {"CHAP_R", response}}) == Authenticator::Verdict::passed);
  CHECK(right.username() == "me");
  CHECK(right.reason().empty());
}

}  // namespace lunaris::iscsi
