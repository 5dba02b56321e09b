// Key=value text, names, and the text exchange of the full feature phase.
#include <catch2/catch.hpp>

#include "protocol/iscsi/names.h"
#include "protocol/iscsi/text_exchange.h"
#include "tests/support/login_script.h"

namespace lunaris::iscsi {
namespace {

using lunaris::testing::pairs_of;
using lunaris::testing::text_of;
using namespace std::string_literals;

TextFault fault_of(std::string_view text) {
  std::vector<KeyValue> pairs;
  return parse_text(text, pairs);
}

TEST_CASE("text is split into its pairs", "[text][RFC7143 6.1]") {
  std::vector<KeyValue> pairs;
  const std::string text = "A=1\0Bc.d-+@_#9=x=y,z\0E=\0"s;
  CHECK(parse_text(text, pairs) == TextFault::none);
  CHECK(pairs == std::vector<KeyValue>{{"A", "1"}, {"Bc.d-+@_#9", "x=y,z"}, {"E", ""}});
  CHECK(parse_text("", pairs) == TextFault::none);
  CHECK(pairs.empty());
}

TEST_CASE("malformed text is refused with its fault", "[text][TXT-1]") {
  CHECK(fault_of("A\0"s) == TextFault::no_equals_sign);
  CHECK(fault_of("A=1"s) == TextFault::not_terminated);
  CHECK(fault_of("A=1\0B=2"s) == TextFault::not_terminated);
  CHECK(fault_of("=1\0"s) == TextFault::bad_key_name);
  CHECK(fault_of("1A=1\0"s) == TextFault::bad_key_name);
  CHECK(fault_of("A b=1\0"s) == TextFault::bad_key_name);
  CHECK(fault_of("\xc3\xa4=1\0"s) == TextFault::bad_key_name);
  CHECK(fault_of("A=1\0\0B=2\0"s) == TextFault::empty_pair);
  CHECK(fault_of("\0A=1\0"s) == TextFault::empty_pair);
}

TEST_CASE("NUL bytes behind the last pair are tolerated", "[text][TXT-1]") {
  CHECK(fault_of("A=1\0\0\0\0"s) == TextFault::none);
  CHECK(fault_of("\0\0"s) == TextFault::none);
}

TEST_CASE("every length in text is bounded", "[text][TXT-1]") {
  CHECK(fault_of(std::string(63, 'K') + "=1\0"s) == TextFault::none);
  CHECK(fault_of(std::string(64, 'K') + "=1\0"s) == TextFault::bad_key_name);
  CHECK(fault_of("K=" + std::string(8191, 'v') + "\0"s) == TextFault::none);
  CHECK(fault_of("K=" + std::string(8192, 'v') + "\0"s) == TextFault::value_too_long);
  CHECK(fault_of(std::string(8192, 'K') + "\0"s) == TextFault::no_equals_sign);
  CHECK(fault_of(std::string(65536, 'K')) == TextFault::not_terminated);
  CHECK(fault_of(std::string(65537, 'K')) == TextFault::too_much_text);
  std::string many;
  for (int index = 0; index < 10000; ++index) many += "K=\0"s;
  CHECK(fault_of(many) == TextFault::too_many_pairs);
}

TEST_CASE("payloads around 8 KiB are parsed without a byte too many", "[text][TXT-1]") {
  for (std::size_t size = 8185; size <= 8195; ++size) {
    const std::string text = "K=" + std::string(size - 2, 'v');
    INFO(size);
    CHECK(fault_of(text) == TextFault::not_terminated);
    CHECK(fault_of(text + "\0"s) == (size - 2 <= value_bytes_max ? TextFault::none : TextFault::value_too_long));
  }
}

TEST_CASE("an assembler counts all text of a negotiation", "[text][TXT-2]") {
  TextAssembler assembler(10);
  const std::string six = "abcdef";
  CHECK(assembler.append(std::as_bytes(std::span(six))));
  CHECK(assembler.text() == "abcdef");
  assembler.clear();
  CHECK(assembler.text().empty());
  CHECK_FALSE(assembler.append(std::as_bytes(std::span(six))));
  CHECK(assembler.append(std::as_bytes(std::span(six).first(4))));
}

TEST_CASE("answers are cut at any size and join to the same text", "[text][RFC7143 6.2]") {
  for (std::size_t size = 1; size < 20; ++size) {
    TextBuilder builder;
    builder.add("Key", "value").add("Number", 17u);
    std::string joined;
    for (;;) {
      const auto chunk = builder.take(size);
      REQUIRE(chunk.text.size() <= size);
      joined += chunk.text;
      if (!chunk.continues) break;
    }
    REQUIRE(joined == "Key=value\0Number=17\0"s);
    REQUIRE(builder.is_empty());
  }
}

TEST_CASE("legal names are normalised to lower case", "[names][RFC7143 4.2.7]") {
  CHECK(normalize_name("iqn.2026-01.org.Example:Disk-1.a") == "iqn.2026-01.org.example:disk-1.a");
  CHECK(normalize_name("IQN.2026-12.x") == "iqn.2026-12.x");
  CHECK(normalize_name("eui.02004567A425678D") == "eui.02004567a425678d");
  CHECK(normalize_name("naa.52004567BA64678D") == "naa.52004567ba64678d");
  CHECK(normalize_name("naa.62004567BA64678D0123456789ABCDEF") == "naa.62004567ba64678d0123456789abcdef");
  CHECK(normalize_name("iqn.2026-01.test:gr\xc3\xb6\xc3\x9f\x65").has_value());
  CHECK(normalize_name("iqn.2026-01.x:" + std::string(209, 'a'))->size() == 223);
}

TEST_CASE("illegal names are refused with words", "[names][TXT-1]") {
  for (const std::string& name : {""s,
                                  "iqn"s,
                                  "iqn."s,
                                  "disk"s,
                                  "iqn.2026-01."s,
                                  "iqn.2026-01:x"s,
                                  "iqn.2026-01.:x"s,
                                  "iqn.2026-13.x"s,
                                  "iqn.2026-00.x"s,
                                  "iqn.202a-01.x"s,
                                  "iqn.2026-01.a b"s,
                                  "iqn.2026-01.a_b"s,
                                  "iqn.2026-01.a/b"s,
                                  "iqn.2026-01.a\0b"s,
                                  "eui.0123"s,
                                  "eui.0123456789abcdeg"s,
                                  "naa.0123456789abcdef0"s,
                                  "iqn.2026-01.x:\xff"s,
                                  "iqn.2026-01.x:\xc3"s,
                                  "iqn.2026-01.x:\xc0\xaf"s,
                                  "iqn.2026-01.x:\xed\xa0\x80"s,
                                  "iqn.2026-01.x:\xf4\x90\x80\x80"s,
                                  "iqn.2026-01.x:" + std::string(210, 'a')}) {
    INFO(name);
    CHECK_FALSE(normalize_name(name).has_value());
    CHECK_FALSE(name_problem(name).empty());
  }
}

class Directory final : public TextHost {
 public:
  std::size_t targets = 2;
  std::vector<std::string> asked;
  std::vector<DiscoveredTarget> discover(std::string_view name) override {
    asked.emplace_back(name);
    std::vector<DiscoveredTarget> found;
    for (std::size_t index = 0; index < targets; ++index) {
      const std::string target = "iqn.2026-01.test:disk" + std::to_string(index);
      if (name.empty() || name == target) found.push_back({target, {"192.0.2.1:3260,1", "[2001:db8::1]:3260,2"}});
    }
    return found;
  }
};

class Exchange {
 public:
  explicit Exchange(SessionType type = SessionType::discovery) {
    parameters.session_type = type;
    if (type == SessionType::normal) parameters.target_name = "iqn.2026-01.test:disk1";
  }
  TextStep send(std::string_view text, bool final_bit = true, bool continues = false,
                std::uint32_t tag = reserved_tag) {
    if (!machine) machine.emplace(directory, offer, parameters);
    return machine->on_request(
        {.final_bit = final_bit, .continues = continues, .initiator_task_tag = 5, .target_transfer_tag = tag},
        std::as_bytes(std::span(text)));
  }
  Directory directory;
  Offer offer;
  Parameters parameters;
  std::optional<TextExchange> machine;
};

TEST_CASE("SendTargets All lists the targets with their addresses", "[text exchange][RFC7143 C]") {
  Exchange exchange;
  const TextStep step = exchange.send("SendTargets=All\0"s);
  REQUIRE(step.action == TextStep::Action::respond);
  CHECK(step.response.final_bit);
  CHECK(step.response.target_transfer_tag == reserved_tag);
  CHECK(step.response.initiator_task_tag == 5);
  CHECK(pairs_of(step.text) ==
        std::vector<std::string>{"TargetName=iqn.2026-01.test:disk0", "TargetAddress=192.0.2.1:3260,1",
                                 "TargetAddress=[2001:db8::1]:3260,2", "TargetName=iqn.2026-01.test:disk1",
                                 "TargetAddress=192.0.2.1:3260,1", "TargetAddress=[2001:db8::1]:3260,2"});
}

TEST_CASE("SendTargets by name and empty answer what their session may see", "[text exchange][RFC7143 C]") {
  Exchange discovery;
  CHECK(pairs_of(discovery.send("SendTargets=IQN.2026-01.test:disk1\0"s).text)[0] ==
        "TargetName=iqn.2026-01.test:disk1");
  CHECK(pairs_of(discovery.send("SendTargets=\0"s).text) == std::vector<std::string>{"SendTargets=Reject"});
  CHECK(discovery.send("SendTargets=iqn.2026-01.test:none\0"s).text.empty());
  CHECK(discovery.send("SendTargets=nonsense\0"s).text.empty());

  Exchange normal(SessionType::normal);
  CHECK(pairs_of(normal.send("SendTargets=\0"s).text)[0] == "TargetName=iqn.2026-01.test:disk1");
  CHECK(normal.directory.asked == std::vector<std::string>{"iqn.2026-01.test:disk1"});
  CHECK(pairs_of(normal.send("SendTargets=All\0"s).text) == std::vector<std::string>{"SendTargets=Reject"});
  CHECK(normal.send("SendTargets=iqn.2026-01.test:disk0\0"s).text.empty());
  CHECK(normal.directory.asked.size() == 1);
}

TEST_CASE("a long list is fetched piece by piece", "[text exchange][RFC7143 11.11]") {
  Exchange exchange;
  exchange.directory.targets = 500;
  exchange.parameters.initiator_max_recv_data_segment_length = 512;
  TextStep step = exchange.send("SendTargets=All\0"s);
  std::string joined(step.text);
  unsigned pieces = 1;
  std::uint32_t last_tag = reserved_tag;
  while (!step.response.final_bit) {
    REQUIRE(step.response.continues);
    REQUIRE(step.text.size() == 512);
    REQUIRE(step.response.target_transfer_tag != reserved_tag);
    REQUIRE(step.response.target_transfer_tag != last_tag);
    last_tag = step.response.target_transfer_tag;
    step = exchange.send("", true, false, last_tag);
    REQUIRE(step.action == TextStep::Action::respond);
    joined += step.text;
    ++pieces;
  }
  CHECK(pieces == (joined.size() + 511) / 512);
  CHECK(pairs_of(joined).size() == 1500);
  CHECK(exchange.machine->is_idle());
}

TEST_CASE("a request may itself be continued", "[text exchange]") {
  Exchange exchange;
  TextStep step = exchange.send("SendTar", false, true);
  REQUIRE(step.action == TextStep::Action::respond);
  CHECK_FALSE(step.response.final_bit);
  CHECK(step.text.empty());
  step = exchange.send("gets=All\0"s, true, false, step.response.target_transfer_tag);
  CHECK(step.response.final_bit);
  CHECK(pairs_of(step.text).size() == 6);
}

TEST_CASE("a request without F is never answered with F", "[text exchange][RFC7143 11.11.1]") {
  Exchange exchange;
  TextStep step = exchange.send("SendTargets=All\0"s, false);
  CHECK_FALSE(step.response.final_bit);
  CHECK_FALSE(step.response.continues);
  CHECK(pairs_of(step.text).size() == 6);
  step = exchange.send("", true, false, step.response.target_transfer_tag);
  CHECK(step.response.final_bit);
  CHECK(step.text.empty());
}

TEST_CASE("a transfer tag that nobody gave out is rejected", "[text exchange][PDU-3]") {
  Exchange exchange;
  CHECK(exchange.send("", true, false, 77).reason == RejectReason::protocol_error);
  exchange.directory.targets = 500;
  const TextStep step = exchange.send("SendTargets=All\0"s);
  REQUIRE_FALSE(step.response.final_bit);
  CHECK(exchange.send("", true, false, step.response.target_transfer_tag + 1).action == TextStep::Action::reject);
  CHECK(exchange.machine->is_idle());
}

TEST_CASE("text sent while an answer is fetched is rejected", "[text exchange]") {
  Exchange exchange;
  exchange.directory.targets = 500;
  const TextStep step = exchange.send("SendTargets=All\0"s);
  CHECK(exchange.send("A=1\0"s, true, false, step.response.target_transfer_tag).action == TextStep::Action::reject);
}

TEST_CASE("a new exchange ends the one before", "[text exchange][RFC7143 11.10.4]") {
  Exchange exchange;
  exchange.directory.targets = 500;
  const TextStep old = exchange.send("SendTargets=All\0"s);
  const TextStep step = exchange.send("SendTargets=iqn.2026-01.test:disk7\0"s);
  CHECK(step.response.final_bit);
  CHECK(pairs_of(step.text).size() == 3);
  CHECK(exchange.send("", true, false, old.response.target_transfer_tag).action == TextStep::Action::reject);
}

TEST_CASE("endless continuation is ended", "[text exchange][TXT-2][PDU-3]") {
  Exchange exchange;
  TextStep step = exchange.send("", false, true);
  unsigned exchanges = 1;
  while (step.action == TextStep::Action::respond && exchanges < 100) {
    step = exchange.send("", false, true, step.response.target_transfer_tag);
    ++exchanges;
  }
  CHECK(exchanges == TextExchange::exchanges_max + 1);
  CHECK(step.action == TextStep::Action::reject);
}

TEST_CASE("the segment size may be declared late and other keys may not", "[text exchange][TXT-2]") {
  Exchange exchange(SessionType::normal);
  const TextStep step = exchange.send("MaxRecvDataSegmentLength=65536\0X-a=1\0"s);
  CHECK(pairs_of(step.text) == std::vector<std::string>{"X-a=NotUnderstood"});
  CHECK(exchange.machine->parameters().initiator_max_recv_data_segment_length == 65536);
  CHECK(exchange.send("InitialR2T=No\0"s).action == TextStep::Action::reject);
  CHECK(exchange.send("AuthMethod=None\0"s).action == TextStep::Action::reject);
  CHECK(exchange.send("SendTargets=\0SendTargets=\0"s).action == TextStep::Action::reject);
  CHECK(exchange.send("SendTargets"s).action == TextStep::Action::reject);
}

}  // namespace
}  // namespace lunaris::iscsi
