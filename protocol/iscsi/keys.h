// THE key table: one row per text key of RFC 7143 section 13 (and RFC 7144, and CHAP's), saying how it is negotiated,
// by whom, when, between which bounds, and where the result is stored. Adding a key is adding a row in keys.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/iscsi/parameters.h"

namespace lunaris::iscsi {

/// How the answer follows from the initiator's value and ours (RFC 7143 6.2).
enum class KeyRule : std::uint8_t {
  name,             // declared: an iSCSI name (InitiatorName, TargetName)
  declared_text,    // declared: kept as it is (InitiatorAlias)
  session_type,     // declared: Normal or Discovery
  declared_number,  // declared in both directions; we declare ours in return
  boolean_and,
  boolean_or,
  minimum,
  maximum,
  digest,          // list: the first of the offered ones that policy allows
  only_default,    // list: RFC3720, the default of TaskReporting, or Reject
  authentication,  // AuthMethod and CHAP_*: the Authenticator's business
  text_only,       // SendTargets: the text exchange's business
  target_only,     // only a target says it (TargetAlias, TargetAddress, TargetPortalGroupTag)
  obsolete,        // IFMarker and its kin: answered Reject, never NotUnderstood (RFC 7143 13.25)
};

/// When a key may come. Bits.
enum class KeyPhase : std::uint8_t {
  none = 0,
  security = 1,
  operational = 2,
  login = security | operational,
  full_feature = 4,
  anywhere = login | full_feature,
};
[[nodiscard]] constexpr bool allows(KeyPhase phases, KeyPhase phase) noexcept {
  return (static_cast<std::uint8_t>(phases) & static_cast<std::uint8_t>(phase)) != 0;
}

struct KeyRow {
  std::string_view name;
  KeyRule rule;
  KeyPhase phases;
  /// Leading-only: refused on a further connection of a session (RFC 7143 13, "Use: LO").
  bool leading_only = false;
  /// Without meaning in a discovery session: answered Irrelevant there.
  bool irrelevant_in_discovery = false;
  std::uint32_t value_min = 0, value_max = 0;  // of a number
  std::uint16_t value_bytes_max = 255;

  // Where the result goes and where our side comes from; the pair that the rule needs is set.
  std::uint32_t Parameters::* number = nullptr;
  std::uint32_t Offer::* our_number = nullptr;
  bool Parameters::* flag = nullptr;
  bool Offer::* our_flag = nullptr;  // null: we say Yes
  DigestPolicy Offer::* our_digest = nullptr;
  std::string Parameters::* text = nullptr;
};

[[nodiscard]] std::span<const KeyRow> key_table() noexcept;
/// Null when the key is unknown. Key names are case-sensitive (RFC 7143 6.1).
[[nodiscard]] const KeyRow* find_key(std::string_view name) noexcept;

}  // namespace lunaris::iscsi
