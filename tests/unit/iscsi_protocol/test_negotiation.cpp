// The key table: each key absent, with legal values, illegal, repeated; then what holds between keys.
#include <catch2/catch.hpp>
#include <set>

#include "protocol/iscsi/negotiation.h"
#include "tests/support/login_script.h"

namespace lunaris::iscsi {
namespace {

using lunaris::testing::pairs_of;
using Pairs = std::vector<std::string>;

struct Outcome {
  NegotiationFault fault = NegotiationFault::none;
  Pairs answers;
  Parameters parameters;
  std::size_t others = 0;
};

Outcome negotiate(const Pairs& sent, KeyPhase phase = KeyPhase::operational, const Offer& offer = {},
                  bool leading = true) {
  const std::string text = lunaris::testing::text_of(sent);
  std::vector<KeyValue> pairs;
  REQUIRE(parse_text(text, pairs) == TextFault::none);
  Negotiator negotiator(offer, leading);
  TextBuilder answers;
  std::vector<KeyValue> others;
  Outcome outcome;
  outcome.fault = negotiator.receive(pairs, phase, answers, others).fault;
  if (outcome.fault == NegotiationFault::none) outcome.fault = negotiator.finish().fault;
  outcome.answers = pairs_of(answers.take(negotiation_text_bytes_max).text);
  outcome.parameters = negotiator.parameters();
  outcome.others = others.size();
  return outcome;
}

struct NumberCase {
  std::string key;
  std::uint32_t Parameters::* member;
  std::uint32_t default_value;
  std::vector<std::pair<std::string, std::uint32_t>> legal;  // offered, agreed
  Pairs illegal;
};

const std::vector<NumberCase>& number_cases() {
  static const std::vector<NumberCase> cases{
      {"MaxConnections", &Parameters::max_connections, 1, {{"1", 1}, {"8", 1}, {"65535", 1}}, {"0", "65536"}},
      {"MaxBurstLength",
       &Parameters::max_burst_length,
       262144,
       {{"512", 512}, {"1048576", 1048576}, {"16777215", 1048576}, {"0x1000", 4096}},
       {"511", "16777216", "0", "-1"}},
      {"FirstBurstLength",
       &Parameters::first_burst_length,
       65536,
       {{"512", 512}, {"16777215", 262144}},
       {"511", "16777216"}},
      {"DefaultTime2Wait", &Parameters::default_time2wait_s, 2, {{"0", 2}, {"2", 2}, {"3600", 3600}}, {"3601", "-1"}},
      {"DefaultTime2Retain", &Parameters::default_time2retain_s, 20, {{"0", 0}, {"3600", 0}}, {"3601"}},
      {"MaxOutstandingR2T", &Parameters::max_outstanding_r2t, 1, {{"1", 1}, {"16", 16}, {"65535", 16}}, {"0", "65536"}},
      {"ErrorRecoveryLevel", &Parameters::error_recovery_level, 0, {{"0", 0}, {"1", 0}, {"2", 0}}, {"3"}},
      {"iSCSIProtocolLevel", &Parameters::protocol_level, 1, {{"0", 0}, {"1", 1}, {"2", 2}, {"31", 2}}, {"32"}},
  };
  return cases;
}

TEST_CASE("a numeric key is answered with the agreed value", "[keys][RFC7143 13]") {
  for (const NumberCase& number : number_cases()) {
    INFO(number.key);
    CHECK(negotiate({}).parameters.*number.member == number.default_value);
    for (const auto& [offered, agreed] : number.legal) {
      INFO(offered);
      const Outcome outcome = negotiate({number.key + "=" + offered});
      CHECK(outcome.fault == NegotiationFault::none);
      CHECK(outcome.parameters.*number.member == agreed);
      CHECK(outcome.answers == Pairs{number.key + "=" + std::to_string(agreed)});
    }
  }
}

TEST_CASE("an illegal number is rejected and the default stays", "[keys][TXT-1]") {
  for (const NumberCase& number : number_cases()) {
    Pairs illegal = number.illegal;
    for (const char* junk : {"", "Yes", "1 ", "1,2", "99999999999999999999", "0x", "1e1"}) illegal.emplace_back(junk);
    for (const std::string& value : illegal) {
      INFO(number.key << "=" << value);
      const Outcome outcome = negotiate({number.key + "=" + value});
      CHECK(outcome.fault == NegotiationFault::none);
      CHECK(outcome.answers == Pairs{number.key + "=Reject"});
      CHECK(outcome.parameters.*number.member == number.default_value);
    }
  }
}

struct FlagCase {
  std::string key;
  bool Parameters::* member;
  bool default_value, yes, no;  // agreed with our defaults
};

const std::vector<FlagCase>& flag_cases() {
  static const std::vector<FlagCase> cases{
      {"InitialR2T", &Parameters::initial_r2t, true, true, false},
      {"ImmediateData", &Parameters::immediate_data, true, true, false},
      {"DataPDUInOrder", &Parameters::data_pdu_in_order, true, true, true},
      {"DataSequenceInOrder", &Parameters::data_sequence_in_order, true, true, true},
  };
  return cases;
}

TEST_CASE("a boolean key is answered by its function", "[keys][RFC7143 13]") {
  for (const FlagCase& flag : flag_cases()) {
    INFO(flag.key);
    CHECK(negotiate({}).parameters.*flag.member == flag.default_value);
    for (const auto& [value, agreed] : {std::pair("Yes", flag.yes), std::pair("No", flag.no)}) {
      const Outcome outcome = negotiate({flag.key + "=" + value});
      CHECK(outcome.parameters.*flag.member == agreed);
      CHECK(outcome.answers == Pairs{flag.key + (agreed ? "=Yes" : "=No")});
    }
    for (const char* junk : {"", "yes", "NO", "1", "Yes,No"}) {
      const Outcome outcome = negotiate({flag.key + "=" + junk});
      CHECK(outcome.answers == Pairs{flag.key + "=Reject"});
      CHECK(outcome.parameters.*flag.member == flag.default_value);
    }
  }
}

TEST_CASE("our own side decides a boolean as well", "[keys][RFC7143 13.10]") {
  Offer offer;
  offer.initial_r2t = true;
  offer.immediate_data = false;
  const Outcome outcome = negotiate({"InitialR2T=No", "ImmediateData=Yes"}, KeyPhase::operational, offer);
  CHECK(outcome.answers == Pairs{"InitialR2T=Yes", "ImmediateData=No"});
}

TEST_CASE("digests follow the initiator's preference within our policy", "[keys][RFC7143 13.1]") {
  struct Row {
    DigestPolicy policy;
    std::string offered, answer;
    NegotiationFault fault;
  };
  const auto none = NegotiationFault::none;
  const auto row = GENERATE_COPY(values<Row>({
      {DigestPolicy::allow, "CRC32C,None", "CRC32C", none},
      {DigestPolicy::allow, "None,CRC32C", "None", none},
      {DigestPolicy::allow, "X-md5,CRC32C", "CRC32C", none},
      {DigestPolicy::allow, "crc32c", "Reject", none},
      {DigestPolicy::allow, "", "Reject", none},
      {DigestPolicy::prefer, "None,CRC32C", "CRC32C", none},
      {DigestPolicy::prefer, "None", "None", none},
      {DigestPolicy::require, "None,CRC32C", "CRC32C", none},
      {DigestPolicy::require, "None", "Reject", NegotiationFault::policy},
      {DigestPolicy::refuse, "CRC32C,None", "None", none},
      {DigestPolicy::refuse, "CRC32C", "Reject", none},
  }));
  for (const auto& [key, policy, member] :
       {std::tuple("HeaderDigest", &Offer::header_digest, &Parameters::header_digest),
        std::tuple("DataDigest", &Offer::data_digest, &Parameters::data_digest)}) {
    INFO(key << "=" << row.offered);
    Offer offer;
    offer.*policy = row.policy;
    const Outcome outcome = negotiate({std::string(key) + "=" + row.offered}, KeyPhase::operational, offer);
    CHECK(outcome.answers == Pairs{std::string(key) + "=" + row.answer});
    CHECK(outcome.parameters.*member == (row.answer == "CRC32C"));
    CHECK(outcome.fault == row.fault);
  }
}

TEST_CASE("a key sent twice is a fault", "[keys][RFC7143 6.3]") {
  const std::set<KeyRule> repeatable{KeyRule::name, KeyRule::declared_text, KeyRule::session_type,
                                     KeyRule::authentication, KeyRule::target_only};
  unsigned checked = 0;
  for (const KeyRow& row : key_table()) {
    if (repeatable.contains(row.rule)) continue;
    INFO(row.name);
    const std::string pair = std::string(row.name) + "=512";
    const KeyPhase phase = allows(row.phases, KeyPhase::operational) ? KeyPhase::operational : KeyPhase::full_feature;
    CHECK(negotiate({pair, pair}, phase).fault == NegotiationFault::repeated_key);
    ++checked;
  }
  CHECK(checked == 21);
}

TEST_CASE("a declaration may be repeated but not changed", "[keys][AUT-3]") {
  for (const auto& [first, second] :
       {std::pair("InitiatorName=iqn.2026-01.test:a", "InitiatorName=iqn.2026-01.test:b"),
        std::pair("TargetName=iqn.2026-01.test:a", "TargetName=iqn.2026-01.test:b"),
        std::pair("InitiatorAlias=a", "InitiatorAlias=b"), std::pair("SessionType=Normal", "SessionType=Discovery")}) {
    CHECK(negotiate({first, first}).fault == NegotiationFault::none);
    CHECK(negotiate({first, second}).fault == NegotiationFault::repeated_key);
  }
}

TEST_CASE("illegal declarations are faults", "[keys][TXT-1]") {
  for (const char* pair :
       {"InitiatorName=", "InitiatorName=me", "TargetName=iqn.", "SessionType=", "SessionType=normal",
        "MaxRecvDataSegmentLength=511", "MaxRecvDataSegmentLength=16777216", "MaxRecvDataSegmentLength=Reject"}) {
    INFO(pair);
    CHECK(negotiate({pair}).fault == NegotiationFault::illegal_value);
  }
}

TEST_CASE("declarations are taken without an answer", "[keys]") {
  const Outcome outcome = negotiate({"InitiatorName=iqn.2026-01.test:a", "InitiatorAlias=my host", "NodeArchitecture=x",
                                     "MaxRecvDataSegmentLength=16777215"});
  CHECK(outcome.fault == NegotiationFault::none);
  CHECK(outcome.answers.empty());
  CHECK(outcome.parameters.initiator_alias == "my host");
  CHECK(outcome.parameters.initiator_max_recv_data_segment_length == 16777215);
}

TEST_CASE("unknown keys are not understood and obsolete ones rejected", "[keys][RFC7143 13.25]") {
  const Outcome outcome = negotiate({"X-com.example.a=1", "Z-key=", "Fancy=Yes", "initialr2t=Yes", "OFMarker=No",
                                     "IFMarker=No", "OFMarkInt=1~2", "IFMarkInt=Reject"});
  CHECK(outcome.fault == NegotiationFault::none);
  CHECK(outcome.answers == Pairs{"X-com.example.a=NotUnderstood", "Z-key=NotUnderstood", "Fancy=NotUnderstood",
                                 "initialr2t=NotUnderstood", "OFMarker=Reject", "IFMarker=Reject", "OFMarkInt=Reject",
                                 "IFMarkInt=Reject"});
}

TEST_CASE("TaskReporting stays at its default", "[keys][RFC7143 13.23]") {
  CHECK(negotiate({"TaskReporting=FastAbort,RFC3720"}).answers == Pairs{"TaskReporting=RFC3720"});
  CHECK(negotiate({"TaskReporting=FastAbort"}).answers == Pairs{"TaskReporting=Reject"});
}

TEST_CASE("keys without meaning in discovery are irrelevant wherever SessionType stands", "[keys]") {
  const Outcome outcome = negotiate(
      {"MaxConnections=4", "InitialR2T=No", "FirstBurstLength=512", "SessionType=Discovery", "ErrorRecoveryLevel=1"});
  CHECK(outcome.answers == Pairs{"MaxConnections=Irrelevant", "InitialR2T=Irrelevant", "ErrorRecoveryLevel=0",
                                 "FirstBurstLength=Irrelevant"});
  CHECK(outcome.parameters.initial_r2t);
}

TEST_CASE("every key is refused in a phase that is not its own", "[keys]") {
  for (const KeyRow& row : key_table()) {
    for (const KeyPhase phase : {KeyPhase::security, KeyPhase::operational, KeyPhase::full_feature}) {
      if (allows(row.phases, phase) || row.rule == KeyRule::target_only) continue;
      INFO(row.name);
      CHECK(negotiate({std::string(row.name) + "=1"}, phase).fault == NegotiationFault::wrong_phase);
    }
  }
}

TEST_CASE("keys of a target are refused from an initiator", "[keys]") {
  for (const char* pair : {"TargetAlias=x", "TargetAddress=192.0.2.1", "TargetPortalGroupTag=1"})
    CHECK(negotiate({pair}).fault == NegotiationFault::wrong_sender);
}

TEST_CASE("leading-only keys are refused on a further connection", "[keys]") {
  unsigned checked = 0;
  for (const KeyRow& row : key_table()) {
    if (!row.leading_only) continue;
    INFO(row.name);
    CHECK(negotiate({std::string(row.name) + "=1"}, KeyPhase::operational, {}, false).fault ==
          NegotiationFault::not_leading);
    ++checked;
  }
  CHECK(checked == 13);
}

TEST_CASE("authentication keys are left to the authenticator", "[keys]") {
  const Outcome outcome = negotiate({"AuthMethod=CHAP", "CHAP_A=7", "CHAP_A=5"}, KeyPhase::security);
  CHECK(outcome.fault == NegotiationFault::none);
  CHECK(outcome.others == 3);
  CHECK(outcome.answers.empty());
}

TEST_CASE("a value longer than its key allows is a fault", "[keys][TXT-1]") {
  CHECK(negotiate({"InitiatorAlias=" + std::string(255, 'a')}).fault == NegotiationFault::none);
  CHECK(negotiate({"InitiatorAlias=" + std::string(256, 'a')}).fault == NegotiationFault::illegal_value);
  CHECK(negotiate({"CHAP_R=0x" + std::string(2048, 'a')}, KeyPhase::security).fault == NegotiationFault::none);
  CHECK(negotiate({"CHAP_R=0x" + std::string(2049, 'a')}, KeyPhase::security).fault == NegotiationFault::illegal_value);
}

TEST_CASE("FirstBurstLength never passes MaxBurstLength in either order", "[keys][RFC7143 13.14]") {
  for (const Pairs& sent : {Pairs{"FirstBurstLength=65536", "MaxBurstLength=8192"},
                            Pairs{"MaxBurstLength=8192", "FirstBurstLength=65536"}}) {
    const Outcome outcome = negotiate(sent);
    CHECK(outcome.fault == NegotiationFault::none);
    CHECK(outcome.parameters.first_burst_length == 8192);
    CHECK_THAT(outcome.answers, Catch::VectorContains(std::string("FirstBurstLength=8192")));
  }
  CHECK(negotiate({"MaxBurstLength=512"}).parameters.first_burst_length == 512);
}

}  // namespace
}  // namespace lunaris::iscsi
