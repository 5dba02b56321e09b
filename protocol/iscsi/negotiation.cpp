// The rules of RFC 7143 6.2 applied to the rows of the key table.
#include "protocol/iscsi/negotiation.h"

#include <algorithm>
#include <optional>

#include "protocol/bytes/ensure.h"
#include "protocol/bytes/text_codec.h"
#include "protocol/iscsi/names.h"

namespace lunaris::iscsi {

namespace {

constexpr std::string_view rejected = "Reject";

std::size_t index_of(const KeyRow& row) noexcept {
  return static_cast<std::size_t>(&row - key_table().data());
}

/// Is `wanted` one of the comma-separated values?
bool list_contains(std::string_view list, std::string_view wanted) noexcept {
  for (;;) {
    const std::size_t comma = list.find(',');
    if (list.substr(0, comma) == wanted) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
}

/// The digest of the list we take under `policy`: true CRC32C, false None, nothing when none will do.
std::optional<bool> choose_digest(std::string_view list, DigestPolicy policy) noexcept {
  const bool crc = list_contains(list, "CRC32C");
  const bool none = list_contains(list, "None");
  switch (policy) {
    case DigestPolicy::allow:
      // The order of the list is the initiator's preference (RFC 7143 6.2.1).
      if (crc && none) return list.find("CRC32C") < list.find("None");
      if (crc) return true;
      break;
    case DigestPolicy::prefer:
    case DigestPolicy::require:
      if (crc) return true;
      if (policy == DigestPolicy::require) return std::nullopt;
      break;
    case DigestPolicy::refuse:
      break;
  }
  return none ? std::optional(false) : std::nullopt;
}

bool is_declaration(KeyRule rule) noexcept {
  switch (rule) {
    case KeyRule::name:
    case KeyRule::declared_text:
    case KeyRule::session_type:
      return true;
    case KeyRule::declared_number:
    case KeyRule::boolean_and:
    case KeyRule::boolean_or:
    case KeyRule::minimum:
    case KeyRule::maximum:
    case KeyRule::digest:
    case KeyRule::only_default:
    case KeyRule::authentication:
    case KeyRule::text_only:
    case KeyRule::target_only:
    case KeyRule::obsolete:
      return false;
  }
  return false;
}

}  // namespace

std::string_view to_string(NegotiationFault fault) noexcept {
  switch (fault) {
    case NegotiationFault::none:
      return "no fault";
    case NegotiationFault::repeated_key:
      return "key sent twice";
    case NegotiationFault::illegal_value:
      return "illegal value";
    case NegotiationFault::wrong_phase:
      return "key in a stage where it may not be";
    case NegotiationFault::not_leading:
      return "key allowed on the leading connection only";
    case NegotiationFault::wrong_sender:
      return "key that only a target sends";
    case NegotiationFault::policy:
      return "required digest not offered";
  }
  return "?";
}

NegotiationFault Negotiator::check(const KeyRow& row, const KeyValue& pair, KeyPhase phase) const {
  if (row.rule == KeyRule::target_only) return NegotiationFault::wrong_sender;
  if (!allows(row.phases, phase)) return NegotiationFault::wrong_phase;
  if (row.leading_only && !leading_) return NegotiationFault::not_leading;
  if (pair.value.size() > row.value_bytes_max) return NegotiationFault::illegal_value;
  // The Authenticator knows how often its keys may come.
  const bool may_repeat = is_declaration(row.rule) || row.rule == KeyRule::authentication;
  if (received_.test(index_of(row)) && !may_repeat) return NegotiationFault::repeated_key;
  return NegotiationFault::none;
}

NegotiationResult Negotiator::receive(std::span<const KeyValue> pairs, KeyPhase phase, TextBuilder& answers,
                                      std::vector<KeyValue>& others) {
  bytes::ensure(key_table().size() <= received_.size());
  // Which keys are irrelevant depends on SessionType, wherever it stands.
  for (const KeyValue& pair : pairs)
    if (pair.key == "SessionType" && pair.value == "Discovery" && !has_received(pair.key))
      parameters_.session_type = SessionType::discovery;
  const KeyValue* first_burst = nullptr;
  for (const KeyValue& pair : pairs) {
    const KeyRow* const row = find_key(pair.key);
    if (row == nullptr) {
      answers.add(pair.key, "NotUnderstood");
      continue;
    }
    if (const auto fault = check(*row, pair, phase); fault != NegotiationFault::none) return {fault, pair.key};
    // Its answer depends on MaxBurstLength, which may stand behind it.
    const bool waits = row->number == &Parameters::first_burst_length;
    if (waits) first_burst = &pair;
    if (row->rule == KeyRule::authentication || row->rule == KeyRule::text_only) others.push_back(pair);
    const auto fault = waits ? NegotiationFault::none : apply(*row, pair.value, answers);
    if (fault != NegotiationFault::none) return {fault, pair.key};
    received_.set(index_of(*row));
  }
  if (first_burst != nullptr) static_cast<void>(apply(*find_key(first_burst->key), first_burst->value, answers));
  return {};
}

NegotiationFault Negotiator::apply(const KeyRow& row, std::string_view value, TextBuilder& answers) {
  if (row.irrelevant_in_discovery && parameters_.session_type == SessionType::discovery) {
    answers.add(row.name, "Irrelevant");
    return NegotiationFault::none;
  }
  switch (row.rule) {
    case KeyRule::name:
      return apply_name(row, value);
    case KeyRule::declared_text:
    case KeyRule::session_type:
    case KeyRule::declared_number:
      return apply_declared(row, value);
    case KeyRule::boolean_and:
    case KeyRule::boolean_or:
      return apply_boolean(row, value, answers);
    case KeyRule::minimum:
    case KeyRule::maximum:
      return apply_number(row, value, answers);
    case KeyRule::digest:
      return apply_digest(row, value, answers);
    case KeyRule::only_default:
      answers.add(row.name, list_contains(value, "RFC3720") ? "RFC3720" : rejected);
      return NegotiationFault::none;
    case KeyRule::obsolete:
      answers.add(row.name, rejected);
      return NegotiationFault::none;
    case KeyRule::authentication:
    case KeyRule::text_only:
    case KeyRule::target_only:
      return NegotiationFault::none;
  }
  return NegotiationFault::none;
}

NegotiationFault Negotiator::apply_name(const KeyRow& row, std::string_view value) {
  const auto name = normalize_name(value);
  if (!name) return NegotiationFault::illegal_value;
  if (received_.test(index_of(row)) && parameters_.*row.text != *name) return NegotiationFault::repeated_key;
  parameters_.*row.text = *name;
  return NegotiationFault::none;
}

NegotiationFault Negotiator::apply_declared(const KeyRow& row, std::string_view value) {
  const bool repeated = received_.test(index_of(row));
  if (row.rule == KeyRule::session_type) {
    if (value != "Normal" && value != "Discovery") return NegotiationFault::illegal_value;
    const SessionType type = value == "Normal" ? SessionType::normal : SessionType::discovery;
    if (repeated && type != parameters_.session_type) return NegotiationFault::repeated_key;
    parameters_.session_type = type;
  } else if (row.rule == KeyRule::declared_number) {
    const auto number = bytes::decode_number(value);
    if (!number || *number < row.value_min || *number > row.value_max) return NegotiationFault::illegal_value;
    parameters_.*row.number = static_cast<std::uint32_t>(*number);
  } else if (row.text != nullptr) {
    if (repeated && parameters_.*row.text != value) return NegotiationFault::repeated_key;
    parameters_.*row.text = value;
  }
  return NegotiationFault::none;
}

NegotiationFault Negotiator::apply_boolean(const KeyRow& row, std::string_view value, TextBuilder& answers) {
  if (value != "Yes" && value != "No") {
    answers.add(row.name, rejected);
    return NegotiationFault::none;
  }
  const bool theirs = value == "Yes";
  const bool ours = row.our_flag == nullptr || offer_->*row.our_flag;
  const bool agreed = row.rule == KeyRule::boolean_or ? theirs || ours : theirs && ours;
  parameters_.*row.flag = agreed;
  answers.add(row.name, agreed ? "Yes" : "No");
  return NegotiationFault::none;
}

NegotiationFault Negotiator::apply_number(const KeyRow& row, std::string_view value, TextBuilder& answers) {
  const auto theirs = bytes::decode_number(value);
  if (!theirs || *theirs < row.value_min || *theirs > row.value_max) {
    answers.add(row.name, rejected);
    return NegotiationFault::none;
  }
  const auto number = static_cast<std::uint32_t>(*theirs);
  std::uint32_t ours = offer_->*row.our_number;
  if (row.number == &Parameters::first_burst_length) ours = std::min(ours, parameters_.max_burst_length);
  const std::uint32_t agreed = row.rule == KeyRule::minimum ? std::min(number, ours) : std::max(number, ours);
  parameters_.*row.number = agreed;
  answers.add(row.name, agreed);
  return NegotiationFault::none;
}

NegotiationFault Negotiator::apply_digest(const KeyRow& row, std::string_view value, TextBuilder& answers) {
  const DigestPolicy policy = offer_->*row.our_digest;
  const auto chosen = choose_digest(value, policy);
  if (!chosen) {
    answers.add(row.name, rejected);
    return policy == DigestPolicy::require ? NegotiationFault::policy : NegotiationFault::none;
  }
  parameters_.*row.flag = *chosen;
  answers.add(row.name, *chosen ? "CRC32C" : "None");
  return NegotiationFault::none;
}

void Negotiator::declare(TextBuilder& answers) {
  if (declared_) return;
  declared_ = true;
  answers.add("MaxRecvDataSegmentLength", offer_->max_recv_data_segment_length);
}

bool Negotiator::has_received(std::string_view key) const noexcept {
  const KeyRow* const row = find_key(key);
  return row != nullptr && received_.test(index_of(*row));
}

NegotiationResult Negotiator::finish() noexcept {
  for (const KeyRow& row : key_table()) {
    if (row.rule != KeyRule::digest || offer_->*row.our_digest != DigestPolicy::require) continue;
    if (!(parameters_.*row.flag)) return {NegotiationFault::policy, row.name};
  }
  if (parameters_.first_burst_length > parameters_.max_burst_length) {
    if (has_received("FirstBurstLength")) return {NegotiationFault::illegal_value, "MaxBurstLength"};
    parameters_.first_burst_length = parameters_.max_burst_length;
  }
  return {};
}

}  // namespace lunaris::iscsi
