// Session: the actor behind one initiator's login to one target (RFC 7143 4.4). Owns its command window, its commands,
// its nexus and its connection; lives on one worker, which alone touches it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/iscsi/command_window.h"
#include "protocol/iscsi/parameters.h"
#include "protocol/iscsi/pdu.h"
#include "server/iscsi/command_task.h"
#include "server/iscsi/connection.h"
#include "server/iscsi/end_event.h"
#include "server/iscsi/session_registry.h"
#include "server/iscsi/task_table.h"
#include "server/runtime/gate.h"
#include "server/runtime/worker.h"
#include "server/scsi/nexus.h"
#include "server/transport.h"

namespace lunaris::iscsi_server {

class SessionHost;

/// What a login hands over with its connection.
struct Handover {
  std::unique_ptr<runtime::ByteStream> stream;  // on the session's worker already
  iscsi::Parameters parameters;
  iscsi::Offer offer;
  std::uint16_t cid = 0;
  iscsi::SerialNumber cmd_sn;     // of the first command
  iscsi::SerialNumber stat_sn;    // of the first response
  std::vector<std::byte> unread;  // received behind the login
};

/// Made by SessionHost before the login has succeeded, runs until its connection ends or somebody ends it, and is
/// destroyed by its host. Order of its end: no new commands; every command has ended; the nexus is closed; what is
/// still to be said is sent; the connection is closed; `ended()`.
class Session {
 public:
  Session(SessionHost& host, SessionSpec spec, std::shared_ptr<const scsi_server::LunMap> luns);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// The session's life; spawned by the host right after construction.
  runtime::Task<> run();
  /// Its connection has arrived. Ignored (and closed) when the session is ending.
  void attach(Handover handover);
  /// Ends the session; the first reason counts. With `async` the initiator is told by that Async Message first.
  void end(EndReason reason, std::string_view what, std::optional<iscsi::AsyncEvent> async = std::nullopt);
  /// Asks the initiator to log out within `seconds` (RFC 7143 11.9.1, event 1).
  void request_logout(std::uint16_t seconds);
  runtime::Task<> remap(std::shared_ptr<const scsi_server::LunMap> luns);
  [[nodiscard]] EndEvent& ended() noexcept { return ended_; }
  [[nodiscard]] const SessionSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] SessionInfo info() const;
  [[nodiscard]] const std::shared_ptr<const scsi_server::LunMap>& luns() const noexcept { return luns_; }

  // --- by Connection --------------------------------------------------------------------------------------------
  using Admission = iscsi::CommandWindow::Admission;
  [[nodiscard]] Admission admit(iscsi::SerialNumber cmd_sn, bool immediate) {
    return window_->admit(cmd_sn, immediate);
  }
  /// A fresh command object for an admitted command; null when immediate commands have used them up.
  [[nodiscard]] CommandTask* make_task(const iscsi::ScsiCommand& pdu);
  [[nodiscard]] CommandTask* find_task(std::uint32_t tag) noexcept;
  /// The task of `tag` has ended lately: data for it may still be on its way.
  [[nodiscard]] bool was_task(std::uint32_t tag) const noexcept;
  /// The command PDU is complete: run it now, or when its CmdSN (or room for its data) comes.
  void submit(CommandTask& task, Admission admission);
  /// Runs held commands whose CmdSN has come. After each admission.
  void release_held();
  /// Runs a task management function; the connection gets its answer.
  void manage(const iscsi::TaskManagementRequest& pdu);
  /// Every now and then: wakes tasks that others aborted. The oldest wait for data, 0 when there is none.
  [[nodiscard]] std::uint64_t inspect_tasks();
  [[nodiscard]] SessionHost& host() noexcept { return host_; }
  [[nodiscard]] bool is_discovery() const noexcept { return spec_.discovery; }
  [[nodiscard]] std::uint32_t tasks_alive() const noexcept { return table_.size(); }

  // --- by CommandTask and whoever sends PDUs --------------------------------------------------------------------
  [[nodiscard]] runtime::Worker& worker() noexcept { return worker_; }
  [[nodiscard]] OutQueue& out() noexcept { return connection_->out(); }
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return connection_->now_ns(); }
  [[nodiscard]] const iscsi::ReadRules& read_rules() const noexcept { return read_rules_; }
  [[nodiscard]] const iscsi::WriteRules& write_rules() const noexcept { return write_rules_; }
  void set_initiator_data_segment_length(std::uint32_t bytes) noexcept;
  /// The numbers of the response that is being built; `takes_stat_sn` when it carries status.
  [[nodiscard]] iscsi::SequenceNumbers numbers(bool takes_stat_sn) noexcept;
  [[nodiscard]] bool acknowledge(iscsi::SerialNumber exp_stat_sn) noexcept { return stat_sn_.acknowledge(exp_stat_sn); }
  [[nodiscard]] runtime::Task<> execute(scsi_server::Command& command);
  void abort_in_nexus(scsi_server::Command& command);
  [[nodiscard]] std::uint32_t transfer_tag() const noexcept { return transfer_tag_; }
  void use_transfer_tag() noexcept { transfer_tag_ = transfer_tag_ == 0xffff'fffe ? 1 : transfer_tag_ + 1; }
  /// Memory for data that comes unasked; nothing while the pool is short, so that asked-for data always finds some.
  [[nodiscard]] std::optional<runtime::BufferLease> claim_arrival_memory(std::uint32_t size);
  /// The task's place in the window is free from the response that is being built on.
  void leave_window(CommandTask& task) noexcept;
  /// The task is over and nothing refers to it.
  void release(CommandTask& task) noexcept;

  [[nodiscard]] bool has_send_room() const noexcept { return queued_bytes_ < limits::send_queue_bytes; }
  void wait_for_send_room(CommandTask& task) noexcept;
  void count_queued(std::size_t bytes) noexcept { queued_bytes_ += bytes; }
  void uncount_queued(std::size_t bytes) noexcept;
  void count_read(std::uint32_t bytes) noexcept { read_bytes_ += bytes; }
  void count_written(std::uint32_t bytes) noexcept { written_bytes_ += bytes; }

  // --- by TaskManagement ----------------------------------------------------------------------------------------
  [[nodiscard]] scsi_server::Nexus* nexus() noexcept { return nexus_.get(); }
  template <class Function>
  void for_each_task(Function function) {
    for (std::uint32_t i = 0; i < tasks_made_; ++i)
      if (tasks_[i]->phase() != CommandTask::Phase::free) function(*tasks_[i]);
  }
  /// Aborts a task in whatever phase it is.
  void abort_task(CommandTask& task);
  void answer(const iscsi::TaskManagementResponse& pdu) { connection_->send_control(pdu); }
  [[nodiscard]] const iscsi::CommandWindow& window() const noexcept { return *window_; }
  void count_management(int change) noexcept { management_running_ += static_cast<std::uint32_t>(change); }

 private:
  struct List {
    CommandTask* first = nullptr;
    CommandTask* last = nullptr;
    [[nodiscard]] bool is_empty() const noexcept { return first == nullptr; }
    void append(CommandTask& task) noexcept;
    CommandTask* pop() noexcept;
    bool remove(CommandTask& task) noexcept;
  };
  void start_or_wait(CommandTask& task);
  void start(CommandTask& task);
  void start_waiting();
  void abort_all_tasks();
  runtime::Task<> end_connection();

  SessionHost& host_;
  runtime::Worker& worker_;
  SessionSpec spec_;
  std::shared_ptr<const scsi_server::LunMap> luns_;
  std::unique_ptr<scsi_server::Nexus> nexus_;
  iscsi::ReadRules read_rules_;
  iscsi::WriteRules write_rules_;
  std::optional<iscsi::CommandWindow> window_;
  iscsi::StatSnCounter stat_sn_;
  std::uint32_t transfer_tag_ = 1;

  std::array<std::unique_ptr<CommandTask>, limits::command_slots> tasks_;
  std::uint32_t tasks_made_ = 0;
  List free_;
  List held_;     // by CmdSN: something older has not come yet
  List waiting_;  // for room in data_in_motion
  List senders_;  // for room in the send queue
  TaskTable table_;
  std::array<std::uint32_t, 32> past_tags_{};
  std::uint32_t past_count_ = 0;
  std::uint32_t window_used_ = 0;     // non-immediate commands in flight
  std::uint32_t immediate_used_ = 0;  // immediate ones
  std::uint32_t management_running_ = 0;
  std::uint64_t motion_bytes_ = 0;
  std::size_t queued_bytes_ = 0;

  std::unique_ptr<Connection> connection_;
  runtime::Signal arrival_;
  EndReason end_reason_ = EndReason::none;
  std::string end_text_;
  runtime::Gate tasks_gate_;
  runtime::Gate io_gate_;
  EndEvent ended_;

  std::uint64_t started_ns_ = 0;
  std::uint64_t commands_ = 0;
  std::uint64_t read_bytes_ = 0;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace lunaris::iscsi_server
