// CommandWindow and StatSnCounter: which commands of a session are admitted and in what order (RFC 7143 4.2.2.1), and
// the numbering of responses (4.2.2.2). One per session, one per connection; used by the session actor.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>

#include "protocol/bytes/ensure.h"
#include "protocol/iscsi/serial_number.h"

namespace lunaris::iscsi {

/// Knows numbers, not commands. The session keeps a held command until `release_count` of a later admission reaches it:
/// commands are released in CmdSN order, starting with release_first().
///
///   on a request:  switch (window.admit(cmd_sn, immediate))
///     ready      run it, then run the held ones cmd_sn + 1 ... exp_cmd_sn() - 1
///     held       keep it until a `ready` releases it (it came before an older one; several connections only)
///     ignore     drop it silently: outside the window or a duplicate
///   immediate requests are always `ready`, are not counted, and release nothing.
class CommandWindow {
 public:
  /// Commands that may be admitted ahead of ExpCmdSN; bounds what the session may have to hold.
  static constexpr std::uint32_t size_max = 4096;

  enum class Admission : std::uint8_t { ready, held, ignore };

  /// `first`: the CmdSN of the first command (the login's CmdSN). `size`: commands open at first, 0 to size_max.
  CommandWindow(SerialNumber first, std::uint32_t size) noexcept : exp_cmd_sn_(first), max_cmd_sn_(first.minus(1)) {
    open(size);
  }

  [[nodiscard]] Admission admit(SerialNumber cmd_sn, bool immediate) noexcept {
    if (immediate) return Admission::ready;
    if (!is_inside(cmd_sn) || seen_[index(cmd_sn)]) return Admission::ignore;
    seen_[index(cmd_sn)] = true;
    if (cmd_sn != exp_cmd_sn_) return Admission::held;
    while (seen_[index(exp_cmd_sn_)]) {
      seen_[index(exp_cmd_sn_)] = false;
      ++exp_cmd_sn_;
    }
    return Admission::ready;
  }

  /// Offers `size` commands from ExpCmdSN on (0: none). MaxCmdSN moves forward at once; it never moves back, so a
  /// smaller window takes effect as ExpCmdSN advances (RFC 7143 4.2.2.1).
  void open(std::uint32_t size) noexcept {
    bytes::ensure(size <= size_max);
    const SerialNumber wanted = exp_cmd_sn_.plus(size).minus(1);
    if (max_cmd_sn_.is_before(wanted)) max_cmd_sn_ = wanted;
  }

  [[nodiscard]] SerialNumber exp_cmd_sn() const noexcept { return exp_cmd_sn_; }
  [[nodiscard]] SerialNumber max_cmd_sn() const noexcept { return max_cmd_sn_; }
  /// Commands the initiator may still send, 0 to size_max.
  [[nodiscard]] std::uint32_t size() const noexcept { return exp_cmd_sn_.distance_to(max_cmd_sn_.plus(1)); }
  [[nodiscard]] bool is_inside(SerialNumber cmd_sn) const noexcept { return exp_cmd_sn_.distance_to(cmd_sn) < size(); }

 private:
  // One bit more than the window, so that the bit after a full window is always clear.
  static constexpr std::uint32_t slots = 2 * size_max;
  static_assert((slots & (slots - 1)) == 0, "must divide 2^32 for the wrap");
  [[nodiscard]] static constexpr std::size_t index(SerialNumber cmd_sn) noexcept { return cmd_sn.value() % slots; }

  SerialNumber exp_cmd_sn_;
  SerialNumber max_cmd_sn_;
  std::bitset<slots> seen_;
};

/// A connection's StatSN.
class StatSnCounter {
 public:
  explicit StatSnCounter(SerialNumber first = SerialNumber(1)) noexcept : next_(first), acknowledged_(first) {}

  /// The number for a response that carries status; consumes it.
  [[nodiscard]] SerialNumber take() noexcept {
    const SerialNumber taken = next_;
    ++next_;
    return taken;
  }
  /// The number for a PDU that carries StatSN without status (R2T, NOP-In that asks): not consumed.
  [[nodiscard]] SerialNumber next() const noexcept { return next_; }

  /// The initiator's ExpStatSN: everything before it has arrived. False when it acknowledges what was never sent (a
  /// protocol error); older values than known are harmless and change nothing.
  [[nodiscard]] bool acknowledge(SerialNumber exp_stat_sn) noexcept {
    if (exp_stat_sn.is_after(next_)) return false;
    if (exp_stat_sn.is_after(acknowledged_)) acknowledged_ = exp_stat_sn;
    return true;
  }
  /// Responses sent and not acknowledged.
  [[nodiscard]] std::uint32_t outstanding() const noexcept { return acknowledged_.distance_to(next_); }

 private:
  SerialNumber next_;
  SerialNumber acknowledged_;
};

}  // namespace lunaris::iscsi
