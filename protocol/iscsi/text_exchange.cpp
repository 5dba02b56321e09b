// Text Requests answered.
#include "protocol/iscsi/text_exchange.h"

#include <algorithm>

#include "protocol/iscsi/names.h"

namespace lunaris::iscsi {

namespace {
/// Our answers' segments, when the initiator would take more: an answer should not occupy the send queue for long.
constexpr std::uint32_t response_text_bytes_max = 65536;
}  // namespace

TextExchange::TextExchange(TextHost& host, const Offer& offer, const Parameters& parameters)
    : host_(host), offer_(offer), parameters_(parameters) {}

TextStep TextExchange::on_request(const TextRequest& request, std::span<const std::byte> data) {
  if (request.target_transfer_tag == reserved_tag) {
    // RFC 7143 11.10.4: a new exchange; what was going on is over.
    state_ = State::collecting;
    initiator_task_tag_ = request.initiator_task_tag;
    exchanges_ = 0;
    incoming_ = TextAssembler();
    outgoing_.clear();
  } else if (state_ == State::idle || request.target_transfer_tag != tag_ ||
             request.initiator_task_tag != initiator_task_tag_) {
    return reject(RejectReason::protocol_error, "text request with an unknown transfer tag");
  }
  if (state_ == State::answering) {
    if (!data.empty() || request.continues)
      return reject(RejectReason::protocol_error, "text while an answer is being fetched");
    return respond(request);
  }
  if (++exchanges_ > exchanges_max) return reject(RejectReason::protocol_error, "too many text exchanges");
  if (!incoming_.append(data)) return reject(RejectReason::protocol_error, "too much text");
  if (!request.continues) {
    if (const auto what = answer(); !what.empty()) return reject(RejectReason::protocol_error, what);
    incoming_.clear();
  }
  return respond(request);
}

std::string_view TextExchange::answer() {
  std::vector<KeyValue> pairs;
  if (const TextFault fault = parse_text(incoming_.text(), pairs); fault != TextFault::none) return to_string(fault);
  std::vector<KeyValue> others;
  Negotiator negotiator(offer_, true, parameters_);
  const auto result = negotiator.receive(pairs, KeyPhase::full_feature, outgoing_, others);
  if (result.fault != NegotiationFault::none) return to_string(result.fault);
  parameters_ = negotiator.parameters();
  for (const KeyValue& pair : others) send_targets(pair.value);
  return {};
}

/// RFC 7143 appendix C.
void TextExchange::send_targets(std::string_view value) {
  const bool discovery = parameters_.session_type == SessionType::discovery;
  // "All" is for discovery sessions, the empty value for the others: their own target.
  if (discovery ? value.empty() : value == "All") {
    outgoing_.add("SendTargets", "Reject");
    return;
  }
  std::string name;
  if (value.empty()) {
    name = parameters_.target_name;
  } else if (value != "All") {
    const auto normalized = normalize_name(value);
    if (!normalized || (!discovery && *normalized != parameters_.target_name)) return;  // nothing to be seen there
    name = *normalized;
  }
  for (const DiscoveredTarget& target : host_.discover(name)) {
    outgoing_.add("TargetName", target.name);
    for (const std::string& address : target.addresses) outgoing_.add("TargetAddress", address);
  }
}

TextStep TextExchange::respond(const TextRequest& request) {
  TextStep step{.action = TextStep::Action::respond};
  step.response.lun = request.lun;
  step.response.initiator_task_tag = request.initiator_task_tag;
  if (!request.continues) {
    const auto chunk =
        outgoing_.take(std::min(parameters_.initiator_max_recv_data_segment_length, response_text_bytes_max));
    step.text = chunk.text;
    step.response.continues = chunk.continues;
    step.response.data_segment_length = static_cast<std::uint32_t>(chunk.text.size());
  }
  // F answers F (RFC 7143 11.11.1), and only when nothing is left to send.
  step.response.final_bit = request.final_bit && !request.continues && !step.response.continues;
  if (step.response.final_bit) {
    state_ = State::idle;
    return step;
  }
  state_ = step.response.continues ? State::answering : State::collecting;
  if (++tag_ == reserved_tag) tag_ = 0;
  step.response.target_transfer_tag = tag_;
  return step;
}

TextStep TextExchange::reject(RejectReason reason, std::string_view what) {
  state_ = State::idle;
  outgoing_.clear();
  return {.action = TextStep::Action::reject, .reason = reason, .what = what};
}

}  // namespace lunaris::iscsi
