// The rows of the key table, in the order of RFC 7143 section 13.
#include "protocol/iscsi/keys.h"

#include <algorithm>
#include <array>

namespace lunaris::iscsi {

namespace {

constexpr std::uint32_t segment_min = 512;
constexpr std::uint32_t segment_max = (1u << 24) - 1;
/// CHAP_C and CHAP_R: 1024 bytes at most, two digits each, and the prefix (RFC 7143 12.1.3).
constexpr std::uint16_t chap_value_bytes_max = 2 + 2 * 1024;

constexpr KeyRow number_row(std::string_view name, KeyRule rule, std::uint32_t min, std::uint32_t max,
                            std::uint32_t Parameters::* number, std::uint32_t Offer::* ours, bool irrelevant) {
  return {.name = name,
          .rule = rule,
          .phases = KeyPhase::operational,
          .leading_only = true,
          .irrelevant_in_discovery = irrelevant,
          .value_min = min,
          .value_max = max,
          .number = number,
          .our_number = ours};
}

constexpr KeyRow flag_row(std::string_view name, KeyRule rule, bool Parameters::* flag, bool Offer::* ours) {
  return {.name = name,
          .rule = rule,
          .phases = KeyPhase::operational,
          .leading_only = true,
          .irrelevant_in_discovery = true,
          .flag = flag,
          .our_flag = ours};
}

constexpr KeyRow digest_row(std::string_view name, bool Parameters::* flag, DigestPolicy Offer::* ours) {
  return {.name = name, .rule = KeyRule::digest, .phases = KeyPhase::operational, .flag = flag, .our_digest = ours};
}

constexpr KeyRow plain_row(std::string_view name, KeyRule rule, KeyPhase phases, std::uint16_t value_bytes_max = 255) {
  return {.name = name, .rule = rule, .phases = phases, .value_bytes_max = value_bytes_max};
}

constexpr KeyRow text_row(std::string_view name, KeyRule rule, KeyPhase phases, std::string Parameters::* text) {
  return {.name = name, .rule = rule, .phases = phases, .text = text};
}

constexpr std::array table{
    // RFC 7143 12: authentication
    plain_row("AuthMethod", KeyRule::authentication, KeyPhase::security),
    plain_row("CHAP_A", KeyRule::authentication, KeyPhase::security),
    plain_row("CHAP_I", KeyRule::authentication, KeyPhase::security),
    plain_row("CHAP_C", KeyRule::authentication, KeyPhase::security, chap_value_bytes_max),
    plain_row("CHAP_N", KeyRule::authentication, KeyPhase::security),
    plain_row("CHAP_R", KeyRule::authentication, KeyPhase::security, chap_value_bytes_max),
    // 13.1
    digest_row("HeaderDigest", &Parameters::header_digest, &Offer::header_digest),
    digest_row("DataDigest", &Parameters::data_digest, &Offer::data_digest),
    // 13.2 to 13.9
    number_row("MaxConnections", KeyRule::minimum, 1, 65535, &Parameters::max_connections, &Offer::max_connections,
               true),
    plain_row("SendTargets", KeyRule::text_only, KeyPhase::full_feature),
    text_row("TargetName", KeyRule::name, KeyPhase::login, &Parameters::target_name),
    text_row("InitiatorName", KeyRule::name, KeyPhase::login, &Parameters::initiator_name),
    plain_row("TargetAlias", KeyRule::target_only, KeyPhase::anywhere),
    text_row("InitiatorAlias", KeyRule::declared_text, KeyPhase::anywhere, &Parameters::initiator_alias),
    plain_row("TargetAddress", KeyRule::target_only, KeyPhase::anywhere),
    plain_row("TargetPortalGroupTag", KeyRule::target_only, KeyPhase::login),
    // 13.10, 13.11
    flag_row("InitialR2T", KeyRule::boolean_or, &Parameters::initial_r2t, &Offer::initial_r2t),
    flag_row("ImmediateData", KeyRule::boolean_and, &Parameters::immediate_data, &Offer::immediate_data),
    // 13.12
    KeyRow{.name = "MaxRecvDataSegmentLength",
           .rule = KeyRule::declared_number,
           .phases = static_cast<KeyPhase>(static_cast<std::uint8_t>(KeyPhase::operational) |
                                           static_cast<std::uint8_t>(KeyPhase::full_feature)),
           .value_min = segment_min,
           .value_max = segment_max,
           .number = &Parameters::initiator_max_recv_data_segment_length,
           .our_number = &Offer::max_recv_data_segment_length},
    // 13.13 to 13.17
    number_row("MaxBurstLength", KeyRule::minimum, segment_min, segment_max, &Parameters::max_burst_length,
               &Offer::max_burst_length, true),
    number_row("FirstBurstLength", KeyRule::minimum, segment_min, segment_max, &Parameters::first_burst_length,
               &Offer::first_burst_length, true),
    number_row("DefaultTime2Wait", KeyRule::maximum, 0, 3600, &Parameters::default_time2wait_s,
               &Offer::default_time2wait_s, false),
    number_row("DefaultTime2Retain", KeyRule::minimum, 0, 3600, &Parameters::default_time2retain_s,
               &Offer::default_time2retain_s, false),
    number_row("MaxOutstandingR2T", KeyRule::minimum, 1, 65535, &Parameters::max_outstanding_r2t,
               &Offer::max_outstanding_r2t, true),
    // 13.18, 13.19: we say Yes
    flag_row("DataPDUInOrder", KeyRule::boolean_or, &Parameters::data_pdu_in_order, nullptr),
    flag_row("DataSequenceInOrder", KeyRule::boolean_or, &Parameters::data_sequence_in_order, nullptr),
    // 13.20 to 13.26
    number_row("ErrorRecoveryLevel", KeyRule::minimum, 0, 2, &Parameters::error_recovery_level,
               &Offer::error_recovery_level, false),
    // Leading-only by the standard (13.21), but initiators repeat it on every connection and it changes nothing there.
    plain_row("SessionType", KeyRule::session_type, KeyPhase::login),
    KeyRow{.name = "TaskReporting",
           .rule = KeyRule::only_default,
           .phases = KeyPhase::operational,
           .leading_only = true,
           .irrelevant_in_discovery = true},
    number_row("iSCSIProtocolLevel", KeyRule::minimum, 0, 31, &Parameters::protocol_level, &Offer::protocol_level,
               true),
    plain_row("OFMarker", KeyRule::obsolete, KeyPhase::anywhere),
    plain_row("IFMarker", KeyRule::obsolete, KeyPhase::anywhere),
    plain_row("OFMarkInt", KeyRule::obsolete, KeyPhase::anywhere),
    plain_row("IFMarkInt", KeyRule::obsolete, KeyPhase::anywhere),
    plain_row("NodeArchitecture", KeyRule::declared_text, KeyPhase::anywhere),
};

}  // namespace

std::span<const KeyRow> key_table() noexcept {
  return table;
}

const KeyRow* find_key(std::string_view name) noexcept {
  const auto* const row = std::ranges::find(table, name, &KeyRow::name);
  return row == table.end() ? nullptr : row;
}

}  // namespace lunaris::iscsi
