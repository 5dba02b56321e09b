// Who may log in, as the document says it: accounts, secrets that are never shown, initiators by name and address.
#include <catch2/catch.hpp>

#include <boost/json/serialize.hpp>
#include <sstream>
#include <type_traits>

#include "server/config/diff.h"
#include "server/config/json.h"
#include "server/config/secrets.h"
#include "server/config/validate.h"

using namespace lunaris;
using namespace lunaris::config;

namespace {

const std::string target_name = "iqn.2026-01.io.lunaris:demo";
const std::string user_secret = "correct horse 1";
const std::string other_secret = "battery staple2";

Document demo() {
  Document document;
  document.portals["default"] = Portal{};
  for (const char* name : {"a", "b"}) {
    document.volumes[name].size_bytes = 1U << 20;
    document.volumes[name].backend = {{"type", "memory"}};
  }
  document.targets[target_name].luns = {{0, {"a", false}}, {1, {"b", false}}};
  return document;
}
Target& target(Document& document) {
  return document.targets[target_name];
}
ChapAccount account(const std::string& name, const std::string& secret) {
  return {name, Secret(secret)};
}
Document with_chap() {
  Document document = demo();
  target(document).auth.chap = {account("me", user_secret)};
  target(document).auth.mutual = account("target", other_secret);
  document.discovery_auth.chap = {account("finder", "discovery secret")};
  return document;
}

Problems problems_of(const Document& document) {
  return validate(document, {nullptr, "/data"});
}
void check_problem(const Document& document, const std::string& pointer, const std::string& words,
                   Severity severity = Severity::error) {
  const Problems problems = problems_of(document);
  REQUIRE(problems.size() == 1);
  CHECK(problems[0].pointer == pointer);
  CHECK_THAT(problems[0].detail, Catch::Contains(words));
  CHECK(problems[0].severity == severity);
}

Decoded decode_target(const std::string& members) {
  return decode_text(R"({"targets": {")" + target_name + R"(": {)" + members + "}}}");
}
void check_refused(const std::string& members, const std::string& pointer, const std::string& words) {
  const Decoded decoded = decode_target(members);
  REQUIRE(decoded.problems.size() == 1);
  CHECK(decoded.problems[0].pointer == "/targets/" + target_name + pointer);
  CHECK_THAT(decoded.problems[0].detail, Catch::Contains(words));
}

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

}  // namespace

TEST_CASE("a secret cannot be printed or converted", "[config][chap]") {
  STATIC_REQUIRE_FALSE(Printable<Secret>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<Secret, std::string>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<Secret, std::string_view>);
  STATIC_REQUIRE_FALSE(std::is_convertible_v<std::string, Secret>);
  Secret one(user_secret);
  Secret two = std::move(one);
  CHECK(two.reveal() == user_secret);
  CHECK(one.is_empty());  // NOLINT(bugprone-use-after-move): what it is then is the requirement
  one = two;
  CHECK(one == two);
}

TEST_CASE("accounts of a target and of discovery are read", "[config][chap]") {
  const Decoded decoded = decode_text(R"({
    "discovery_auth": {"chap": [{"username": "finder", "secret": "discovery secret"}]},
    "targets": {"iqn.2026-01.io.lunaris:demo": {"auth": {
      "chap": [{"username": "me", "secret": "correct horse 1"}],
      "mutual": {"username": "target", "secret": "battery staple2"}, "chap_algorithms": ["sha3-256", "md5"]}}}})");
  CHECK(decoded.problems.empty());
  CHECK(decoded.document.discovery_auth.chap == std::vector{account("finder", "discovery secret")});
  const Auth& auth = decoded.document.targets.at(target_name).auth;
  CHECK(auth.chap == std::vector{account("me", user_secret)});
  CHECK(auth.mutual == account("target", other_secret));
  CHECK(auth.chap_algorithms == std::vector{ChapAlgorithm::sha3_256, ChapAlgorithm::md5});
}

TEST_CASE("initiators are names or objects", "[config]") {
  const Decoded decoded = decode_target(R"("initiators": ["iqn.1994-05.com.redhat:A",
      {"name": "iqn.1994-05.com.redhat:b", "chap": {"username": "b", "secret": "correct horse 1"},
       "mutual": {"username": "t", "secret": "battery staple2"}, "luns": {"0": {"read_only": true}, "1": {}}},
      {"addresses": ["10.0.0.0/8", "2001:DB8::/32", "192.0.2.1"], "luns": [1]}, {"chap": {"username": "c",
       "secret": "correct horse 2"}}])");
  REQUIRE(decoded.problems.empty());
  const std::vector<Initiator>& list = decoded.document.targets.at(target_name).initiators;
  REQUIRE(list.size() == 4);
  CHECK(list[0] == Initiator{.name = "iqn.1994-05.com.redhat:a"});
  CHECK(list[1].chap == account("b", user_secret));
  CHECK(list[1].mutual == account("t", other_secret));
  CHECK(list[1].luns == std::map<std::uint16_t, InitiatorLun>{{0, {true}}, {1, {false}}});
  REQUIRE(list[2].addresses.size() == 3);
  CHECK(to_string(list[2].addresses[1]) == "2001:db8::/32");
  CHECK(list[2].luns == std::map<std::uint16_t, InitiatorLun>{{1, {false}}});
  CHECK(list[3].name.empty());
  const auto encoded = encode(decoded.document.targets.at(target_name));
  CHECK(encoded.at("initiators").at(0) == "iqn.1994-05.com.redhat:a");
  CHECK(encoded.at("initiators").at(2).at("addresses").at(2) == "192.0.2.1");
}

TEST_CASE("what is wrong with an account or an initiator has its pointer and a sentence", "[config]") {
  check_refused(R"("auth": {"chap": [{"username": "me"}]})", "/auth/chap/0/secret", "is missing");
  check_refused(R"("auth": {"chap": [{"secret": "correct horse 1"}]})", "/auth/chap/0/username", "is missing");
  check_refused(R"("auth": {"chap": [{"username": "", "secret": "correct horse 1"}]})", "/auth/chap/0/username",
                "not be empty");
  check_refused(R"("auth": {"chap": [{"username": "me", "secret": ""}]})", "/auth/chap/0/secret", "not be empty");
  check_refused(R"("auth": {"chap": [{"username": "me", "secret": 12}]})", "/auth/chap/0/secret", "must be a string");
  check_refused(R"("auth": {"chap": [{"username": "me", "secret": "tab\tin the secret"}]})", "/auth/chap/0/secret",
                "control character");
  check_refused(R"("auth": {"chap": {}})", "/auth/chap", "must be a list");
  check_refused(R"("auth": {"chap_algorithms": ["sha512"]})", "/auth/chap_algorithms/0", "sha3-256, sha256");
  check_refused(R"("auth": {"user": []})", "/auth/user", "is not known here");
  check_refused(R"("initiators": [{"luns": []}])", "/initiators/0", "must say who");
  check_refused(R"("initiators": [{"name": "disk"}])", "/initiators/0/name", "is no iSCSI name");
  check_refused(R"("initiators": [{"addresses": ["10.0.0.0/33"]}])", "/initiators/0/addresses/0", "is no address");
  check_refused(R"("initiators": [{"addresses": ["host"]}])", "/initiators/0/addresses/0", "is no address");
  check_refused(R"("initiators": [{"addresses": ["10.1.2.3/8"]}])", "/initiators/0/addresses/0",
                "did you mean \"10.0.0.0/8\"?");
  check_refused(R"("initiators": [{"addresses": ["::/0"], "luns": [0, 0]}])", "/initiators/0/luns/1", "listed twice");
  check_refused(R"("initiators": [{"addresses": ["::/0"], "luns": ["0"]}])", "/initiators/0/luns/0", "is a number");
  check_refused(R"("initiators": [{"addresses": ["::/0"], "luns": {"x": {}}}])", "/initiators/0/luns/x", "is a number");
}

TEST_CASE("a document with CHAP has no problems", "[config][chap]") {
  CHECK(problems_of(with_chap()).empty());
}

TEST_CASE("a secret has twelve characters or more and over sixteen is a warning", "[config][chap]") {
  Document document = with_chap();
  target(document).auth.chap[0].secret = Secret("elevenchars");
  check_problem(document, "/targets/" + target_name + "/auth/chap/0/secret", "must have 12 to 255 characters");
  target(document).auth.chap[0].secret = Secret("twelve chars");
  CHECK(problems_of(document).empty());
  target(document).auth.chap[0].secret = Secret("seventeen chars..");
  check_problem(document, "/targets/" + target_name + "/auth/chap/0/secret", "Microsoft", Severity::warning);
  target(document).auth.chap[0].secret = Secret();
  check_problem(document, "/targets/" + target_name + "/auth/chap/0/secret", "no secret of \"me\" to keep");
}

TEST_CASE("one secret for both directions is refused wherever the other one is", "[config][chap][AUT-1]") {
  Document document = with_chap();
  target(document).auth.mutual->secret = Secret(user_secret);
  check_problem(document, "/targets/" + target_name + "/auth/mutual/secret", "both directions");
  target(document).auth.mutual->secret = Secret("discovery secret");
  check_problem(document, "/targets/" + target_name + "/auth/mutual/secret", "both directions");
}

TEST_CASE("a user has one secret in a target", "[config][chap]") {
  Document document = with_chap();
  target(document).initiators = {{.name = "iqn.1994-05.com.redhat:a", .chap = account("me", "another secret1")}};
  check_problem(document, "/targets/" + target_name + "/initiators/0/chap/secret", "another secret elsewhere");
  target(document).initiators[0].chap = account("me", user_secret);
  CHECK(problems_of(document).empty());
  target(document).auth.chap.push_back(account("me", user_secret));
  check_problem(document, "/targets/" + target_name + "/auth/chap/1/username", "listed twice");
}

TEST_CASE("mutual CHAP without users is refused", "[config][chap]") {
  Document document = demo();
  target(document).auth.mutual = account("target", other_secret);
  check_problem(document, "/targets/" + target_name + "/auth/mutual", "add users");
  document = demo();
  document.discovery_auth.mutual = account("target", other_secret);
  check_problem(document, "/discovery_auth/mutual", "add users");
  document = demo();
  target(document).initiators = {{.name = "iqn.1994-05.com.redhat:a", .mutual = account("target", other_secret)}};
  check_problem(document, "/targets/" + target_name + "/initiators/0/mutual", "add \"chap\"");
}

TEST_CASE("an initiator is given LUNs that the target has", "[config]") {
  Document document = demo();
  target(document).initiators = {{.name = "iqn.1994-05.com.redhat:a", .luns = {{{0, {true}}, {2, {}}}}}};
  check_problem(document, "/targets/" + target_name + "/initiators/0/luns/2", "no LUN 2");
}

TEST_CASE("what is shown has no secret and what is stored has", "[config][chap]") {
  Document document = with_chap();
  target(document).initiators = {{.name = "iqn.1994-05.com.redhat:a",
                                  .chap = account("b", "per initiator1"),
                                  .mutual = account("t", "its target 123")}};
  const std::string shown = boost::json::serialize(encode(document));
  for (const char* secret :
       {"correct horse 1", "battery staple2", "discovery secret", "per initiator1", "its target 123"})
    CHECK_THAT(shown, !Catch::Contains(secret));
  CHECK_THAT(shown, Catch::Contains(R"({"username":"me","chap_secret_set":true})"));
  CHECK(decode(encode(document, Secrets::revealed)).document == document);
}

TEST_CASE("a document that was shown keeps its secrets when it comes back", "[config][chap]") {
  Document current = with_chap();
  target(current).initiators = {{.name = "iqn.1994-05.com.redhat:a",
                                 .chap = account("b", "per initiator1"),
                                 .mutual = account("t", "its target 123")}};
  Decoded shown = decode(encode(current));
  REQUIRE(shown.problems.empty());
  REQUIRE(shown.document != current);
  keep_secrets(shown.document, current);
  CHECK(shown.document == current);

  // A user who is not known, or known elsewhere, has none to keep.
  shown.document.discovery_auth.chap = {{"me", {}}};
  keep_secrets(shown.document, current);
  check_problem(shown.document, "/discovery_auth/chap/0/secret", "to keep");
}

TEST_CASE("a changed secret is a difference whose text nobody sees", "[config][chap]") {
  Document next = with_chap();
  target(next).auth.chap[0].secret = Secret("yet another one");
  next.discovery_auth.chap.clear();
  const Diff changes = diff(with_chap(), next);
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].section == Section::discovery_auth);
  CHECK(changes[1].members == std::vector<std::string>{"auth"});
  CHECK(changes[1].disruption.empty());
  CHECK_THAT(boost::json::serialize(encode(changes)), !Catch::Contains("yet another"));
  CHECK(patch(with_chap(), changes) == next);
}

TEST_CASE("rules that shut sessions out are disruptive", "[config]") {
  const auto disruption = [](const Document& from, const Document& to) { return diff(from, to).at(0).disruption; };
  Document open = demo();
  Document users = demo();
  target(users).auth.chap = {account("me", user_secret)};
  CHECK_THAT(disruption(open, users), Catch::Contains("have not authenticated"));
  CHECK(disruption(users, open).empty());
  Document other = users;
  target(other).auth.chap[0].username = "you";
  CHECK_THAT(disruption(users, other), Catch::Contains("users that are not listed"));
  Document fewer = demo();
  target(fewer).initiators = {{.name = "iqn.1994-05.com.redhat:a", .luns = {{{0, {}}}}}};
  CHECK_THAT(disruption(open, fewer), Catch::Contains("not listed any more"));
}

TEST_CASE("an address is in its range and in no other", "[config]") {
  const auto in = [](const char* range, const char* address) {
    const auto parsed = parse_address_range(range);
    REQUIRE(parsed);
    return parsed->contains(address);
  };
  CHECK(in("10.0.0.0/8", "10.255.0.1"));
  CHECK_FALSE(in("10.0.0.0/8", "11.0.0.1"));
  CHECK(in("192.0.2.128/25", "192.0.2.129"));
  CHECK_FALSE(in("192.0.2.128/25", "192.0.2.127"));
  CHECK(in("192.0.2.1", "192.0.2.1"));
  CHECK_FALSE(in("192.0.2.1", "192.0.2.2"));
  CHECK(in("0.0.0.0/0", "198.51.100.7"));
  CHECK_FALSE(in("0.0.0.0/0", "2001:db8::1"));
  CHECK(in("2001:db8::/33", "2001:db8:7fff::1"));
  CHECK_FALSE(in("2001:db8::/33", "2001:db8:8000::1"));
  CHECK(in("fe80::/10", "fe80::1%eth0"));
  CHECK_FALSE(in("0.0.0.0/0", "not an address"));
  for (const char* wrong : {"", "/", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/8x"})
    CHECK_FALSE(parse_address_range(wrong));
}
