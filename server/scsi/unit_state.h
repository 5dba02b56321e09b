// UnitState: what lies behind a LogicalUnit. One state all workers share (volume, mode settings), one UnitOnWorker per
// worker with the nexuses there, and one UnitNexus per nexus and unit. Used by Nexus, LogicalUnit and the commands.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "protocol/scsi/mode_pages.h"
#include "server/runtime/gate.h"
#include "server/scsi/copy_records.h"
#include "server/scsi/logical_unit.h"
#include "server/scsi/medium_job.h"
#include "server/scsi/nexus.h"
#include "server/scsi/task_set.h"
#include "server/scsi/unit_attentions.h"

namespace lunaris::scsi_server {

class UnitNexus;
class UnitState;

/// A unit's part on one worker: used on that worker only, made on first use, gone with the unit's state.
class UnitOnWorker {
 public:
  explicit UnitOnWorker(runtime::Worker& worker) noexcept : worker_(worker) {}
  ~UnitOnWorker();  // asserts that no nexus is left
  UnitOnWorker(const UnitOnWorker&) = delete;
  UnitOnWorker& operator=(const UnitOnWorker&) = delete;

  [[nodiscard]] runtime::Worker& worker() const noexcept { return worker_; }

  void add(UnitNexus& nexus) noexcept;
  void remove(UnitNexus& nexus) noexcept;
  [[nodiscard]] std::uint64_t next_sequence() noexcept { return sequence_++; }
  /// A task with this sequence number has ended.
  void ended(std::uint64_t sequence) noexcept {
    if (first_drain_ != nullptr) count_down(sequence);
  }

  void announce(scsi::AdditionalSense condition, const void* except_nexus) noexcept;
  /// Aborts every task of every nexus here and raises `condition` for all of them. Answers the sequence number below
  /// which all the tasks are.
  std::uint64_t abort_all(scsi::AdditionalSense condition) noexcept;
  /// Returns when every task with a sequence number below `bound` has ended.
  runtime::Task<> drained(std::uint64_t bound);

  /// Takes a change of the reservations in: the new view, what is to be told, the tasks to abort. Answers the sequence
  /// numbers of those to wait for. PERSISTENT RESERVE OUT is not among them: it touches no medium, and two of them may
  /// abort each other.
  [[nodiscard]] std::vector<std::uint64_t> apply(volume::Volume& volume, const volume::ReservationOutcome& outcome);
  /// Returns when every one of `tasks`, in ascending order, has ended.
  runtime::Task<> ended(const std::vector<std::uint64_t>& tasks);
  /// The ports of the initiator `name` that are here.
  [[nodiscard]] std::vector<std::string> initiator_ports(const std::string& name) const;

 private:
  friend class UnitState;
  /// Somebody who waits for all tasks with a sequence number below `bound`, or for `tasks`.
  struct Drain {
    std::uint64_t bound = 0;
    const std::vector<std::uint64_t>* tasks = nullptr;
    [[nodiscard]] bool waits_for(std::uint64_t sequence) const noexcept;
    std::uint64_t remaining = 0;
    runtime::Signal done;
    Drain* next = nullptr;
  };
  void count_down(std::uint64_t sequence) noexcept;
  [[nodiscard]] UnitNexus* find(const volume::NexusName& name) const noexcept;
  runtime::Task<> wait(std::uint64_t bound, const std::vector<std::uint64_t>* tasks);

  runtime::Worker& worker_;
  UnitNexus* first_ = nullptr;
  Drain* first_drain_ = nullptr;
  std::uint64_t sequence_ = 0;
  UnitOnWorker* next_ = nullptr;  // in UnitState's list; fixed once published
};

/// Shared by all workers and by messages on their way; outlives the LogicalUnit until the last of them has run.
class UnitState : public std::enable_shared_from_this<UnitState> {
 public:
  explicit UnitState(std::shared_ptr<volume::Volume> volume);
  ~UnitState();
  UnitState(const UnitState&) = delete;
  UnitState& operator=(const UnitState&) = delete;

  [[nodiscard]] volume::Volume& volume() const noexcept { return *volume_; }
  /// The device's, but for its size; there even when the volume has closed its device.
  [[nodiscard]] const backends::Geometry& geometry() const noexcept { return geometry_; }

  /// On `worker` itself.
  [[nodiscard]] UnitOnWorker& on(runtime::Worker& worker);

  [[nodiscard]] scsi::ModeSettings default_settings() const noexcept;
  [[nodiscard]] scsi::ModeSettings settings() const noexcept;
  void set_settings(const scsi::ModeSettings& settings) noexcept;

  /// Removable media: whether it has been taken out, and how many nexuses are against that (SPC-5 6.18).
  [[nodiscard]] bool is_ejected() const noexcept { return ejected_.load(std::memory_order_relaxed); }
  void set_ejected(bool ejected) noexcept { ejected_.store(ejected, std::memory_order_relaxed); }
  [[nodiscard]] bool is_removal_prevented() const noexcept { return preventing_.load(std::memory_order_relaxed) != 0; }

  [[nodiscard]] MediumJob& medium_job() noexcept { return medium_job_; }

  /// Any worker.
  void announce(scsi::AdditionalSense condition, const void* except_nexus);
  /// LOGICAL UNIT RESET from a worker's coroutine: everything that is running ends, settings are the defaults again,
  /// every nexus has the unit attention (SAM-5 6.3.3).
  runtime::Task<> reset();
  /// Any thread. The parts stay as long as the state.
  [[nodiscard]] std::vector<UnitOnWorker*> parts() const;

 private:
  friend class UnitNexus;
  std::shared_ptr<volume::Volume> volume_;
  const backends::Geometry geometry_;
  std::atomic<std::uint8_t> settings_;
  MediumJob medium_job_;
  std::atomic<bool> ejected_{false};
  std::atomic<std::uint32_t> preventing_{0};   // nexuses
  std::atomic<UnitOnWorker*> first_{nullptr};  // grows only; entries live as long as the state
};

/// One nexus's view of one unit (the I_T_L nexus of SAM-5 4.8). Belongs to the session's worker.
class UnitNexus {
 public:
  UnitNexus(const Nexus& nexus, runtime::Worker& worker, std::uint16_t lun, LunMap::Entry entry);
  ~UnitNexus();
  UnitNexus(const UnitNexus&) = delete;
  UnitNexus& operator=(const UnitNexus&) = delete;

  [[nodiscard]] std::uint16_t lun() const noexcept { return lun_; }
  [[nodiscard]] const std::shared_ptr<LogicalUnit>& unit() const noexcept { return entry_.unit; }
  [[nodiscard]] UnitState& state() const noexcept { return *state_; }
  [[nodiscard]] const Nexus* nexus() const noexcept { return nexus_; }
  [[nodiscard]] const NexusIdentity& identity() const noexcept { return nexus_->identity(); }
  /// Null when the volume cannot be reached from this worker (it is closing, or its block size does not fit the
  /// device).
  [[nodiscard]] volume::Port* port() noexcept;
  [[nodiscard]] TaskSet& tasks() noexcept { return tasks_; }
  [[nodiscard]] UnitAttentions& attentions() noexcept { return attentions_; }
  [[nodiscard]] runtime::Gate& gate() noexcept { return gate_; }
  [[nodiscard]] CopyRecords& copies() noexcept { return copies_; }
  [[nodiscard]] bool is_read_only() const noexcept { return entry_.read_only; }
  void set_read_only(bool read_only) noexcept;

  void join(TaskEntry& entry) noexcept;
  void leave(TaskEntry& entry) noexcept;
  /// PREVENT ALLOW MEDIUM REMOVAL. Ends with the nexus and with a reset.
  void prevent_removal(bool prevent) noexcept;
  /// Marks all tasks aborted, wakes those that wait and tells their movers.
  void abort_tasks() noexcept;
  void abort(TaskEntry& entry) noexcept;
  /// Raises a unit attention for what has changed since this nexus last looked: the capacity, write protection.
  void notice(const volume::View& view) noexcept {
    if (view.generation != seen_generation_) look_at(view);
  }
  /// Whose reservation `view.reservation` is, which is there.
  [[nodiscard]] volume::ReservationRole role(const volume::View& view) noexcept {
    if (view.generation != role_generation_) find_role(view);
    return role_;
  }

 private:
  friend class UnitOnWorker;
  void look_at(const volume::View& view) noexcept;
  void find_role(const volume::View& view) noexcept;

  const Nexus* nexus_;
  runtime::Worker& worker_;
  std::uint16_t lun_;
  LunMap::Entry entry_;
  std::shared_ptr<UnitState> state_;
  UnitOnWorker& on_worker_;
  volume::Port* port_ = nullptr;
  TaskSet tasks_;
  UnitAttentions attentions_;
  CopyRecords copies_;
  runtime::Gate gate_;
  std::uint64_t seen_generation_ = 0;
  std::uint64_t seen_block_count_ = 0;
  bool seen_read_only_ = false;
  bool prevents_removal_ = false;
  std::uint64_t role_generation_ = 0;  // no view has this one
  volume::ReservationRole role_ = volume::ReservationRole::other;
  UnitNexus* next_ = nullptr;
  UnitNexus* previous_ = nullptr;
};

class LogicalUnit::Implementation {
 public:
  explicit Implementation(std::shared_ptr<volume::Volume> volume)
      : state(std::make_shared<UnitState>(std::move(volume))) {}
  std::shared_ptr<UnitState> state;
};

}  // namespace lunaris::scsi_server
