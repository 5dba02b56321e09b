// TaskSet: the tasks of one nexus on one logical unit, and whose turn it is (SAM-5 clause 8).
#pragma once

#include <coroutine>
#include <cstdint>

#include "server/runtime/worker.h"
#include "server/scsi/command.h"

namespace lunaris::scsi_server {

/// One command in its task set. Lives in the frame of the coroutine that executes it.
class TaskEntry {
 public:
  explicit TaskEntry(Command& command) noexcept : command_(command) {}
  TaskEntry(const TaskEntry&) = delete;
  TaskEntry& operator=(const TaskEntry&) = delete;

  [[nodiscard]] Command& command() const noexcept { return command_; }
  [[nodiscard]] TaskEntry* next() const noexcept { return next_; }
  /// Enabled, in SAM's word; dormant otherwise.
  [[nodiscard]] bool is_enabled() const noexcept { return enabled_; }
  /// Place in the order of arrival on this unit and worker, for whoever waits for earlier tasks to end.
  std::uint64_t sequence = 0;

 private:
  friend class TaskSet;
  Command& command_;
  TaskEntry* next_ = nullptr;
  TaskEntry* previous_ = nullptr;
  runtime::Ready ready_;
  bool enabled_ = false;
  bool waiting_ = false;
};

/// Belongs to the session's worker. HEAD OF QUEUE tasks run at once; an ORDERED one when every task before it has
/// ended; a SIMPLE one when every ORDERED one before it and every HEAD OF QUEUE one has. With only SIMPLE tasks,
/// joining and leaving cost a list insertion each.
class TaskSet {
 public:
  explicit TaskSet(runtime::Worker& worker) noexcept : worker_(worker) {}
  ~TaskSet();  // asserts that it is empty
  TaskSet(const TaskSet&) = delete;
  TaskSet& operator=(const TaskSet&) = delete;

  void join(TaskEntry& entry) noexcept;
  /// Wakes whoever's turn has come.
  void leave(TaskEntry& entry) noexcept;

  /// Waits until the entry is enabled or has been woken because it was aborted.
  [[nodiscard]] auto turn(TaskEntry& entry) noexcept {
    struct Awaiter {
      TaskEntry& entry;
      bool await_ready() const noexcept { return entry.enabled_ || entry.command_.aborted; }
      void await_suspend(std::coroutine_handle<> caller) noexcept {
        entry.ready_.coroutine = caller;
        entry.waiting_ = true;
      }
      void await_resume() const noexcept { entry.waiting_ = false; }
    };
    return Awaiter{entry};
  }
  /// Waits until `wake` is called or the command is aborted: for handlers that wait for something of their unit.
  [[nodiscard]] auto pause(TaskEntry& entry) noexcept {
    struct Awaiter {
      TaskEntry& entry;
      bool await_ready() const noexcept { return entry.command_.aborted; }
      void await_suspend(std::coroutine_handle<> caller) noexcept {
        entry.ready_.coroutine = caller;
        entry.waiting_ = true;
      }
      void await_resume() const noexcept { entry.waiting_ = false; }
    };
    return Awaiter{entry};
  }
  void wake(TaskEntry& entry) noexcept {
    if (entry.waiting_) worker_.schedule(entry.ready_);
  }
  /// Marks the command aborted and wakes it if it waits for its turn.
  void abort(TaskEntry& entry) noexcept;

  [[nodiscard]] TaskEntry* first() const noexcept { return first_; }
  [[nodiscard]] bool is_empty() const noexcept { return first_ == nullptr; }

 private:
  void enable(TaskEntry& entry) noexcept;
  void enable_those_whose_turn_it_is() noexcept;

  runtime::Worker& worker_;
  TaskEntry* first_ = nullptr;
  TaskEntry* last_ = nullptr;
  std::uint32_t ordered_ = 0;
  std::uint32_t head_of_queue_ = 0;
};

}  // namespace lunaris::scsi_server
