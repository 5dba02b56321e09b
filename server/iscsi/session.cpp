#include "server/iscsi/session.h"

#include <algorithm>

#include "server/iscsi/log.h"
#include "server/iscsi/session_host.h"
#include "server/iscsi/task_management.h"

namespace lunaris::iscsi_server {
namespace {

// SPC-5 7.6.4.6 and 7.7.6.11: the port names that reservations and designators show.
scsi_server::NexusIdentity identity_of(const SessionSpec& spec) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string isid = "0x";
  for (int shift = 44; shift >= 0; shift -= 4) isid += digits[spec.key.isid >> shift & 0xf];
  std::string group = "0x";
  for (int shift = 12; shift >= 0; shift -= 4) group += digits[static_cast<unsigned>(spec.portal_group) >> shift & 0xf];
  scsi_server::NexusIdentity identity;
  identity.initiator_port = spec.key.initiator + ",i," + isid;
  identity.target_port = spec.key.target + ",t," + group;
  identity.target_device = spec.key.target;
  identity.relative_target_port = spec.portal_group;
  return identity;
}

}  // namespace

void Session::List::append(CommandTask& task) noexcept {
  task.next_in_list = nullptr;
  (last == nullptr ? first : last->next_in_list) = &task;
  last = &task;
}

CommandTask* Session::List::pop() noexcept {
  CommandTask* task = first;
  if (task == nullptr) return nullptr;
  first = task->next_in_list;
  if (first == nullptr) last = nullptr;
  return task;
}

bool Session::List::remove(CommandTask& task) noexcept {
  CommandTask* previous = nullptr;
  for (CommandTask* at = first; at != nullptr; previous = at, at = at->next_in_list) {
    if (at != &task) continue;
    (previous == nullptr ? first : previous->next_in_list) = task.next_in_list;
    if (last == &task) last = previous;
    return true;
  }
  return false;
}

Session::Session(SessionHost& host, SessionSpec spec, std::shared_ptr<const scsi_server::LunMap> luns)
    : host_(host), worker_(host.worker()), spec_(std::move(spec)), luns_(std::move(luns)) {
  if (!spec_.discovery) nexus_ = std::make_unique<scsi_server::Nexus>(worker_, identity_of(spec_), luns_);
  started_ns_ = worker_.clock().now_ns();
}

Session::~Session() {
  LUN_ASSERT(ended_.is_set());
}

// ---- life ---------------------------------------------------------------------------------------------------------

runtime::Task<> Session::run() {
  if (!connection_ && end_reason_ == EndReason::none) co_await arrival_.wait();
  if (connection_) {
    runtime::spawn(*io_gate_.try_enter(), connection_->send());
    co_await connection_->receive();
    if (end_reason_ == EndReason::none) end_reason_ = connection_->end_reason();
  }
  abort_all_tasks();
  co_await tasks_gate_.close();
  if (nexus_) co_await nexus_->close();
  if (connection_) co_await end_connection();
  ended_.set();
}

runtime::Task<> Session::end_connection() {
  connection_->finish_sending();
  co_await io_gate_.close();
  for_each_task([this](CommandTask& task) { abort_task(task); });
  connection_->discard_queued();
  connection_.reset();
}

void Session::attach(Handover handover) {
  if (end_reason_ != EndReason::none || connection_) return;  // the stream closes with the handover
  read_rules_ = iscsi::ReadRules::of(handover.parameters);
  write_rules_ = iscsi::WriteRules::of(handover.parameters);
  set_initiator_data_segment_length(handover.parameters.initiator_max_recv_data_segment_length);
  window_.emplace(handover.cmd_sn, limits::command_window);
  stat_sn_ = iscsi::StatSnCounter(handover.stat_sn);
  connection_ = std::make_unique<Connection>(*this, std::move(handover));
  log_session_start(spec_, connection_->peer());
  arrival_.set();
}

void Session::end(EndReason reason, std::string_view what, std::optional<iscsi::AsyncEvent> async) {
  if (end_reason_ == EndReason::none) end_reason_ = reason;
  if (!connection_) return arrival_.set();
  if (async) connection_->send_async(*async, 0);
  connection_->end(reason, what, async.has_value());
}

void Session::request_logout(std::uint16_t seconds) {
  if (connection_ && !connection_->is_ending()) connection_->send_async(iscsi::AsyncEvent::logout_request, seconds);
}

runtime::Task<> Session::remap(std::shared_ptr<const scsi_server::LunMap> luns) {
  luns_ = luns;
  const auto pass = tasks_gate_.try_enter();
  if (pass && nexus_) co_await nexus_->remap(std::move(luns));
}

SessionInfo Session::info() const {
  SessionInfo info;
  info.id = "s-" + std::to_string(spec_.id);
  info.initiator = spec_.key.initiator;
  info.target = spec_.key.target;
  info.initiator_address = spec_.address;
  info.isid = spec_.key.isid;
  info.tsih = spec_.tsih;
  info.worker = worker_.index();
  info.connections = connection_ ? 1 : 0;
  info.commands = commands_;
  info.read_bytes = read_bytes_;
  info.written_bytes = written_bytes_;
  info.age_ms = (worker_.clock().now_ns() - started_ns_) / 1'000'000;
  return info;
}

void Session::set_initiator_data_segment_length(std::uint32_t bytes) noexcept {
  read_rules_.max_data_segment_length = std::min(bytes, limits::burst_bytes);
}

// ---- tasks --------------------------------------------------------------------------------------------------------

CommandTask* Session::make_task(const iscsi::ScsiCommand& pdu) {
  if (pdu.immediate && immediate_used_ >= limits::immediate_commands_max) return nullptr;
  CommandTask* task = free_.pop();
  if (task == nullptr) {
    // The window and the bound above leave a place.
    LUN_ASSERT(tasks_made_ < limits::command_slots);
    tasks_[tasks_made_] = std::make_unique<CommandTask>(*this, static_cast<std::uint16_t>(tasks_made_));
    task = tasks_[tasks_made_++].get();
  }
  ++(pdu.immediate ? immediate_used_ : window_used_);
  ++commands_;
  task->begin(pdu, now_ns());
  table_.insert(pdu.initiator_task_tag, task->index());
  return task;
}

CommandTask* Session::find_task(std::uint32_t tag) noexcept {
  const std::uint16_t index = table_.find(tag);
  return index == TaskTable::none ? nullptr : tasks_[index].get();
}

bool Session::was_task(std::uint32_t tag) const noexcept {
  const std::size_t known = std::min<std::size_t>(past_count_, past_tags_.size());
  return std::find(past_tags_.begin(), past_tags_.begin() + static_cast<std::ptrdiff_t>(known), tag) !=
         past_tags_.begin() + static_cast<std::ptrdiff_t>(known);
}

void Session::submit(CommandTask& task, Admission admission) {
  if (admission == Admission::ready) return start_or_wait(task);
  task.set_phase(CommandTask::Phase::held);
  held_.append(task);
}

void Session::release_held() {
  // ExpCmdSN has passed every command that may run now; they run in the order of their numbers.
  while (!held_.is_empty()) {
    CommandTask* next = nullptr;
    for (CommandTask* task = held_.first; task != nullptr; task = task->next_in_list) {
      const bool due = task->cmd_sn().is_before(window_->exp_cmd_sn());
      if (due && (next == nullptr || task->cmd_sn().is_before(next->cmd_sn()))) next = task;
    }
    if (next == nullptr) return;
    held_.remove(*next);
    start_or_wait(*next);
  }
}

void Session::start_or_wait(CommandTask& task) {
  const bool fits = motion_bytes_ == 0 || motion_bytes_ + task.motion_bytes() <= limits::data_in_motion_bytes;
  if (waiting_.is_empty() && fits) return start(task);
  task.set_phase(CommandTask::Phase::held);
  waiting_.append(task);
}

void Session::start(CommandTask& task) {
  motion_bytes_ += task.motion_bytes();
  auto pass = tasks_gate_.try_enter();
  LUN_ASSERT(pass.has_value());
  runtime::spawn(std::move(*pass), task.run());
}

void Session::start_waiting() {
  while (!waiting_.is_empty()) {
    CommandTask& task = *waiting_.first;
    if (motion_bytes_ != 0 && motion_bytes_ + task.motion_bytes() > limits::data_in_motion_bytes) return;
    waiting_.pop();
    start(task);
  }
}

void Session::leave_window(CommandTask& task) noexcept {
  std::uint32_t& used = task.is_immediate() ? immediate_used_ : window_used_;
  LUN_ASSERT(used > 0);
  --used;
  task.set_left_window();
}

void Session::release(CommandTask& task) noexcept {
  if (!task.has_left_window()) leave_window(task);
  LUN_ASSERT(motion_bytes_ >= task.motion_bytes());
  motion_bytes_ -= task.motion_bytes();
  table_.erase(task.tag());
  past_tags_[past_count_++ % past_tags_.size()] = task.tag();
  senders_.remove(task);
  task.set_phase(CommandTask::Phase::free);
  // Last in, first out: the task that ended last is the one whose memory is still in the cache.
  task.next_in_list = free_.first;
  if (free_.first == nullptr) free_.last = &task;
  free_.first = &task;
  if (!waiting_.is_empty()) start_waiting();
}

void Session::abort_task(CommandTask& task) {
  switch (task.phase()) {
    case CommandTask::Phase::free:
      return;
    case CommandTask::Phase::arriving:
    case CommandTask::Phase::held:
      // It has not run: it starts only to end, in its own time when the connection still reads into its memory.
      task.abort();
      held_.remove(task);
      waiting_.remove(task);
      return start(task);
    case CommandTask::Phase::running:
    case CommandTask::Phase::answering:
      return task.abort();
  }
}

void Session::abort_all_tasks() {
  // Those that wait must not start in earnest when others make room for them.
  for (CommandTask* task = waiting_.first; task != nullptr; task = task->next_in_list) task->abort();
  const bool answers_leave = connection_ && connection_->is_draining();
  for_each_task([&](CommandTask& task) {
    if (!answers_leave || task.phase() != CommandTask::Phase::answering) abort_task(task);
  });
}

std::uint64_t Session::inspect_tasks() {
  std::uint64_t oldest = 0;
  for_each_task([&oldest](CommandTask& task) {
    if (task.is_aborted()) task.wake();
    const std::uint64_t since = task.waiting_for_data_since_ns();
    if (since != 0 && (oldest == 0 || since < oldest)) oldest = since;
  });
  return oldest;
}

void Session::manage(const iscsi::TaskManagementRequest& pdu) {
  auto pass = tasks_gate_.try_enter();
  LUN_ASSERT(pass.has_value());
  if (management_running_ >= limits::immediate_commands_max) {
    connection_->reject(iscsi::RejectReason::immediate_command_reject, "too many task management functions");
    return;
  }
  runtime::spawn(std::move(*pass), run_task_management(*this, pdu));
}

// ---- services for tasks -------------------------------------------------------------------------------------------

iscsi::SequenceNumbers Session::numbers(bool takes_stat_sn) noexcept {
  // Under memory pressure a few commands at a time still make progress.
  constexpr std::uint32_t window_under_pressure = 8;
  std::uint32_t open = limits::command_window - window_used_;
  if (worker_.buffers().under_pressure()) open = std::min(open, window_under_pressure);
  window_->open(open);
  iscsi::SequenceNumbers numbers;
  numbers.stat_sn = takes_stat_sn ? stat_sn_.take() : stat_sn_.next();
  numbers.exp_cmd_sn = window_->exp_cmd_sn();
  numbers.max_cmd_sn = window_->max_cmd_sn();
  return numbers;
}

runtime::Task<> Session::execute(scsi_server::Command& command) {
  return nexus_->execute(command);
}

void Session::abort_in_nexus(scsi_server::Command& command) {
  nexus_->abort(command);
}

std::optional<runtime::BufferLease> Session::claim_arrival_memory(std::uint32_t size) {
  if (worker_.buffers().under_pressure()) return std::nullopt;
  return worker_.buffers().try_acquire(size);
}

void Session::wait_for_send_room(CommandTask& task) noexcept {
  senders_.remove(task);
  senders_.append(task);
}

void Session::uncount_queued(std::size_t bytes) noexcept {
  LUN_ASSERT(queued_bytes_ >= bytes);
  queued_bytes_ -= bytes;
  while (has_send_room()) {
    CommandTask* task = senders_.pop();
    if (task == nullptr) return;
    task->wake();
  }
}

}  // namespace lunaris::iscsi_server
