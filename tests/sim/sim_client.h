// SimClient: an initiator of the simulation that does random things to its own part of the volume and knows what may be
// there afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "tests/sim/initiator.h"

namespace lunaris::sim {

/// What a block may hold: the version of the last write that was acknowledged, and those of writes whose outcome nobody
/// told us. Version 0 is zeros.
class Oracle {
 public:
  Oracle(std::uint32_t first_block, std::uint32_t blocks) : first_(first_block), possible_(blocks, {0}) {}

  [[nodiscard]] std::uint32_t first_block() const { return first_; }
  [[nodiscard]] std::uint32_t blocks() const { return static_cast<std::uint32_t>(possible_.size()); }
  [[nodiscard]] static std::vector<std::byte> content(std::uint32_t block, std::uint32_t version);
  void written(std::uint32_t block, std::uint32_t count, std::uint32_t version);
  void maybe_written(std::uint32_t block, std::uint32_t count, std::uint32_t version);
  /// `data` was read at `block`: it must be possible, and from now on it is what is there.
  void check(std::uint32_t block, std::span<const std::byte> data);

 private:
  std::uint32_t first_;
  std::vector<std::vector<std::uint32_t>> possible_;
};

class SimClient {
 public:
  SimClient(SimWorld& world, SimTarget& target, unsigned number, std::uint32_t first_block, std::uint32_t blocks);

  /// Connects and logs in, as a new session or in place of the old one.
  void log_in();
  /// Handles what has arrived.
  void poll();
  /// Does something: mostly starts a command.
  void act();
  /// Waits for everything, logs out.
  void finish();
  [[nodiscard]] Oracle& oracle() { return oracle_; }
  [[nodiscard]] std::uint64_t commands_done() const { return commands_done_; }
  /// Somebody reset the logical unit: what runs now may end without an answer.
  void unit_was_reset();

 private:
  struct Pending {
    bool write = false;
    std::uint32_t block = 0;
    std::uint32_t blocks = 0;
    std::uint32_t version = 0;
    std::uint64_t started_ns = 0;
    bool may_be_lost = false;
  };
  void start_command();
  void abort_one();
  void reset_unit();
  void ping();
  void lose_everything();
  void end_command(std::uint32_t tag, const Pending& pending);
  void lose(std::uint32_t tag, const Pending& pending);
  void handle_inbox();
  [[nodiscard]] bool is_free(std::uint32_t block, std::uint32_t blocks) const;

  SimWorld& world_;
  SimTarget& target_;
  unsigned number_;
  LoginOptions options_;
  SimLink link_;
  std::unique_ptr<Initiator> initiator_;
  Oracle oracle_;
  std::map<std::uint32_t, Pending> pending_;
  std::map<std::uint32_t, std::uint32_t> aborting_;  // tag of the function -> tag of the task
  std::set<std::uint32_t> resetting_;                // tags of unit resets
  std::map<std::uint32_t, std::vector<std::byte>> pings_;
  std::vector<SimClient*>* all_ = nullptr;
  std::uint32_t next_version_ = 1;
  std::uint64_t commands_done_ = 0;
  bool finished_ = false;

 public:
  void set_all(std::vector<SimClient*>* all) { all_ = all; }
};

}  // namespace lunaris::sim
