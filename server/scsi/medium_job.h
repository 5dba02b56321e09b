// MediumJob: work over a whole medium that outlives the command which started it: SANITIZE and FORMAT UNIT (SBC-4 4.11,
// 4.10). Part of UnitState; commands look at it before they touch the medium.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/scsi/sense.h"
#include "server/runtime/worker.h"

namespace lunaris::scsi_server {

class TaskEntry;
class TaskSet;
class UnitState;

/// What is done to every block.
struct MediumWork {
  enum class Kind : std::uint8_t { overwrite, block_erase, format };
  Kind kind = Kind::format;
  bool allow_unrestricted_exit = false;  // AUSE
  bool invert = false;                   // every second pass writes the pattern's complement
  unsigned passes = 1;
  std::vector<std::byte> block;  // overwrite: one logical block of the pattern
};

/// At most one at a time. It runs on the worker it was started on, a stride at a time, each under a pass of its own: it
/// goes on whatever becomes of the command and its nexus (SBC-4 4.11.2), and ends early, unfinished, when the volume
/// closes. State and progress may be read from any worker.
class MediumJob {
 public:
  enum class State : std::uint8_t { idle, running, failed };

  /// False when one is running. `state` owns this job and is kept alive by it; on `worker`, which is the current one.
  [[nodiscard]] bool start(std::shared_ptr<UnitState> state, runtime::Worker& worker, MediumWork work);

  [[nodiscard]] State state() const noexcept { return state_.load(std::memory_order_acquire); }
  /// On the worker it was started on: wakes `entry` when the job has ended. Null: nobody any more.
  void wake_at_end(TaskSet& tasks, TaskEntry* entry) noexcept {
    tasks_ = &tasks;
    starter_ = entry;
  }
  [[nodiscard]] bool is_waited_for_by(const TaskEntry& entry) const noexcept { return starter_ == &entry; }
  /// Why the medium cannot be used; nothing when it can.
  [[nodiscard]] std::optional<scsi::SenseData> problem() const noexcept;
  /// SANITIZE with EXIT FAILURE MODE. False where the SANITIZE that failed did not allow it.
  [[nodiscard]] bool exit_failure_mode() noexcept;

 private:
  runtime::Task<> run(std::shared_ptr<UnitState> state, MediumWork work);
  runtime::Task<bool> do_all(UnitState& state, const MediumWork& work);

  TaskSet* tasks_ = nullptr;
  TaskEntry* starter_ = nullptr;  // the command that waits, if it does
  std::atomic<State> state_{State::idle};
  std::atomic<bool> formats_{false};
  std::atomic<bool> may_exit_{false};
  std::atomic<std::uint16_t> progress_{0};  // of 65,536
};

}  // namespace lunaris::scsi_server
