// Which block comes next on one logical unit, and, when verifying, what it must contain. Shared by the sessions on it.
//
// Every 512 bytes carry a stamp made of their own position, the seed and the generation: how often the unit they belong
// to has been written. A lost, stale, misplaced or torn write therefore shows as a mismatch. A unit with a command in
// flight is not chosen again while verifying, so what a read must return is always known.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/bench/options.h"
#include "tests/bench/session.h"

namespace lunaris::bench {

class Workload {
 public:
  Workload(const Options& options, std::uint64_t capacity_bytes, unsigned session_count);

  // The next command of session number `session` (0-based among those on this unit), or nothing while every candidate
  // looked at has a command in flight, or when a fill pass is complete.
  std::optional<Io> next(unsigned session);
  // Writes the stamp of `io` into its buffer; nothing when not verifying.
  void stamp(const Io& io, std::span<std::byte> block) const;
  // A command has ended. Checks what a read returned, counts what a write left.
  void ended(const Io& io, bool good, std::span<const std::byte> block);

  bool verifying() const { return !generations_.empty(); }
  // While filling, next() walks the whole region once with writes of generation 1.
  void set_filling(bool filling) { filling_ = filling; }
  bool filled() const { return fill_at_ == unit_count_; }

  std::uint64_t checked() const { return checked_; }
  std::uint64_t mismatches() const { return mismatches_; }
  const std::string& first_mismatch() const { return first_mismatch_; }

 private:
  // An xorshift generator: cheap, and the whole run repeats from the seed.
  std::uint64_t random();
  std::optional<std::uint64_t> choose(unsigned session);
  void check(const Io& io, std::span<const std::byte> block);

  std::uint64_t block_bytes_;
  std::uint64_t unit_count_;
  unsigned session_count_;
  unsigned read_percent_;
  bool sequential_;
  bool filling_ = false;
  std::uint64_t seed_;
  std::uint64_t random_state_;
  std::vector<std::uint64_t> cursors_;  // per session, sequential position
  std::uint64_t fill_at_ = 0;
  std::vector<std::uint32_t> generations_;  // per unit, while verifying; 0: contents unknown
  std::vector<bool> in_flight_;             // per unit, while verifying
  std::uint64_t checked_ = 0;
  std::uint64_t mismatches_ = 0;
  std::string first_mismatch_;
};

}  // namespace lunaris::bench
