// Negotiator: offers in, answers and Parameters out. Walks the key table for each pair an initiator sends; used by the
// login machine and, for the keys that may come later, by the text exchange.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/iscsi/keys.h"
#include "protocol/iscsi/text.h"

namespace lunaris::iscsi {

/// What a batch of pairs came to. Anything but `agreed` ends the login with initiator_error.
enum class NegotiationFault : std::uint8_t {
  none,
  repeated_key,   // RFC 7143 6.2.? : a key twice in one negotiation
  illegal_value,  // a value the key cannot have, for a key where answering Reject does not do (names, declarations)
  wrong_phase,    // an operational key in the security stage or the like
  not_leading,    // a leading-only key on a further connection
  wrong_sender,   // a key that only targets send
  policy,         // the required digest was not offered
};
[[nodiscard]] std::string_view to_string(NegotiationFault fault) noexcept;

struct NegotiationResult {
  NegotiationFault fault = NegotiationFault::none;
  std::string_view key;  // the offending one; refers to the pairs
};

/// One per negotiation (a login; a text exchange in full feature phase). Answers come in the order of the offers.
/// Negotiable keys with an illegal value are answered Reject and keep their default (RFC 7143 6.2.1 and 6.2.2). A
/// declaration may be repeated with the same value: libiscsi sends InitiatorName in the security and the operational
/// stage; a changed one is an error.
class Negotiator {
 public:
  /// `offer` must outlive the negotiator. `leading`: first connection of a session. `parameters`: in force so far.
  Negotiator(const Offer& offer, bool leading, Parameters parameters = {})
      : offer_(&offer), leading_(leading), parameters_(std::move(parameters)) {}

  /// Handles every pair but authentication keys and SendTargets, which are left in `others`. Answers go to `answers`.
  NegotiationResult receive(std::span<const KeyValue> pairs, KeyPhase phase, TextBuilder& answers,
                            std::vector<KeyValue>& others);

  /// Adds what a target says unasked in the operational stage: MaxRecvDataSegmentLength, once.
  void declare(TextBuilder& answers);

  /// Before any key was received.
  void set_leading(bool leading) noexcept { leading_ = leading; }

  [[nodiscard]] const Parameters& parameters() const noexcept { return parameters_; }
  /// Has the initiator sent this key?
  [[nodiscard]] bool has_received(std::string_view key) const noexcept;
  /// Checks what holds between keys at the end: FirstBurstLength never above MaxBurstLength (RFC 7143 13.14).
  /// A required digest must have been agreed.
  [[nodiscard]] NegotiationResult finish() noexcept;

 private:
  NegotiationFault check(const KeyRow& row, const KeyValue& pair, KeyPhase phase) const;
  NegotiationFault apply(const KeyRow& row, std::string_view value, TextBuilder& answers);
  NegotiationFault apply_name(const KeyRow& row, std::string_view value);
  NegotiationFault apply_declared(const KeyRow& row, std::string_view value);
  NegotiationFault apply_boolean(const KeyRow& row, std::string_view value, TextBuilder& answers);
  NegotiationFault apply_number(const KeyRow& row, std::string_view value, TextBuilder& answers);
  NegotiationFault apply_digest(const KeyRow& row, std::string_view value, TextBuilder& answers);

  const Offer* offer_;
  bool leading_;
  bool declared_ = false;
  Parameters parameters_;
  std::bitset<64> received_;  // by row of the key table
};

}  // namespace lunaris::iscsi
