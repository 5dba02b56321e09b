// TextExchange: Text Requests of the full feature phase: SendTargets, and the keys that may be declared late (RFC 7143
// 11.10, 11.11, appendix C). Long answers go out in pieces that the initiator fetches one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/negotiation.h"
#include "protocol/iscsi/pdu.h"

namespace lunaris::iscsi {

/// One line group of a SendTargets answer.
struct DiscoveredTarget {
  std::string name;
  std::vector<std::string> addresses;  // "192.0.2.1:3260,1", "[2001:db8::1]:3260,1"
};

/// What the exchange asks the session.
class TextHost {
 public:
  virtual ~TextHost() = default;
  /// The targets this initiator may see. `name` empty: all of them; else that one, if it may be seen.
  virtual std::vector<DiscoveredTarget> discover(std::string_view name) = 0;
};

struct TextStep {
  enum class Action : std::uint8_t { respond, reject };
  Action action = Action::reject;
  TextResponse response{};  // lun, tag, F, C, Target Transfer Tag set; sequence numbers are the session's
  std::string_view text{};  // valid until the machine is called again
  RejectReason reason = RejectReason::protocol_error;
  std::string_view what{};  // words for the log on reject; static
};

/// One per connection; at most one exchange at a time (a request with the reserved Target Transfer Tag starts a new one
/// and ends the one before: RFC 7143 11.10.4).
///
///   [idle] --request--> C = 1: [collecting] --C = 0--> answer fits: F, TTT ffffffff -> [idle]
///                                                       else: F = 0, C = 1, TTT -> [answering] --empty requests-->
///                                                       [idle]
///
/// Limits: the same as a login's, 32 requests while collecting and 64 KiB of text. Allocates; not the data path.
class TextExchange {
 public:
  static constexpr unsigned exchanges_max = 32;

  /// `host` and `offer` outlive the exchange. `parameters`: of the connection; a late MaxRecvDataSegmentLength changes
  /// parameters() and is to be honoured by the session from the response on.
  TextExchange(TextHost& host, const Offer& offer, const Parameters& parameters);

  [[nodiscard]] TextStep on_request(const TextRequest& request, std::span<const std::byte> data);
  [[nodiscard]] const Parameters& parameters() const noexcept { return parameters_; }
  [[nodiscard]] bool is_idle() const noexcept { return state_ == State::idle; }

 private:
  enum class State : std::uint8_t { idle, collecting, answering };
  [[nodiscard]] TextStep reject(RejectReason reason, std::string_view what);
  [[nodiscard]] TextStep respond(const TextRequest& request);
  [[nodiscard]] std::string_view answer();  // empty, or what was wrong
  // Adds the answer to one SendTargets.
  void send_targets(std::string_view value);

  TextHost& host_;
  const Offer& offer_;
  Parameters parameters_;
  State state_ = State::idle;
  std::uint32_t tag_ = 0;
  std::uint32_t initiator_task_tag_ = reserved_tag;
  unsigned exchanges_ = 0;
  TextAssembler incoming_;
  TextBuilder outgoing_;
};

}  // namespace lunaris::iscsi
