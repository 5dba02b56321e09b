// Text as a target receives it: parsed, negotiated in each phase, names checked, answers cut. The answers must parse
// again, agreed values must lie within both sides' bounds. Input: one byte of choices, the text.
#include <array>
#include <string>
#include <vector>

#include "protocol/bytes/ensure.h"
#include "protocol/bytes/text_codec.h"
#include "protocol/iscsi/names.h"
#include "protocol/iscsi/negotiation.h"
#include "tests/fuzz/fuzz_target.h"

namespace lunaris::fuzz {

namespace {

using bytes::ensure;

void check_agreed(const iscsi::Parameters& agreed, const iscsi::Offer& offer) {
  ensure(agreed.max_burst_length >= 512 && agreed.max_burst_length <= offer.max_burst_length);
  ensure(agreed.first_burst_length >= 512 && agreed.first_burst_length <= agreed.max_burst_length);
  ensure(agreed.max_outstanding_r2t >= 1 && agreed.max_outstanding_r2t <= offer.max_outstanding_r2t);
  ensure(agreed.initiator_max_recv_data_segment_length >= 512);
  ensure(agreed.error_recovery_level <= offer.error_recovery_level);
  ensure(agreed.data_pdu_in_order && agreed.data_sequence_in_order);
}

}  // namespace

void fuzz_one(std::span<const std::byte> input) {
  if (input.empty()) return;
  const auto choices = std::to_integer<unsigned>(input[0]);
  iscsi::TextAssembler assembler;
  if (!assembler.append(input.subspan(1))) return;
  std::vector<iscsi::KeyValue> pairs;
  const auto fault = iscsi::parse_text(assembler.text(), pairs);
  for (const auto& pair : pairs) {
    std::array<std::byte, 1024> memory{};
    if (const auto size = bytes::decode_binary(pair.value, memory)) ensure(*size <= memory.size());
    if (const auto name = iscsi::normalize_name(pair.value)) ensure(iscsi::normalize_name(*name) == name);
  }
  if (fault != iscsi::TextFault::none) return;

  iscsi::Offer offer;
  offer.header_digest = static_cast<iscsi::DigestPolicy>(choices & 3);
  offer.immediate_data = (choices & 4) != 0;
  iscsi::Negotiator negotiator(offer, (choices & 8) != 0);
  constexpr iscsi::KeyPhase phases[] = {iscsi::KeyPhase::security, iscsi::KeyPhase::operational,
                                        iscsi::KeyPhase::full_feature};
  iscsi::TextBuilder answers;
  std::vector<iscsi::KeyValue> others;
  const auto result = negotiator.receive(pairs, phases[(choices >> 4) % 3], answers, others);
  if (result.fault != iscsi::NegotiationFault::none) return;
  std::string joined;
  for (auto chunk = answers.take(100);; chunk = answers.take(100)) {
    joined += chunk.text;
    if (!chunk.continues) break;
  }
  std::vector<iscsi::KeyValue> answered;
  ensure(iscsi::parse_text(joined, answered) == iscsi::TextFault::none);
  ensure(answered.size() <= pairs.size());
  if (negotiator.finish().fault == iscsi::NegotiationFault::none) check_agreed(negotiator.parameters(), offer);
}

}  // namespace lunaris::fuzz
