#include "server/iscsi/task_management.h"

#include <array>
#include <memory>
#include <vector>

#include "server/iscsi/session.h"
#include "server/iscsi/session_host.h"

namespace lunaris::iscsi_server {
namespace {

using Code = iscsi::TaskManagementResponseCode;
using Function = iscsi::TaskManagementFunction;

Code code_of(scsi_server::TaskManagementResult result) noexcept {
  switch (result) {
    case scsi_server::TaskManagementResult::complete:
      return Code::function_complete;
    case scsi_server::TaskManagementResult::no_such_task:
      return Code::task_does_not_exist;
    case scsi_server::TaskManagementResult::no_such_lun:
      return Code::lun_does_not_exist;
    case scsi_server::TaskManagementResult::not_supported:
      return Code::function_not_supported;
    case scsi_server::TaskManagementResult::rejected:
      return Code::function_rejected;
  }
  return Code::function_rejected;
}

// Aborts the session's tasks that `chosen` picks and waits for their ends.
template <class Chosen>
runtime::Task<> abort_tasks(Session& session, Chosen chosen) {
  // Listeners must not move once a task knows them, and there are as many as tasks at most.
  std::vector<std::unique_ptr<TaskEndListener>> listeners;
  session.for_each_task([&](CommandTask& task) {
    if (!chosen(task)) return;
    const auto phase = task.phase();
    if (phase != CommandTask::Phase::answering) {
      listeners.push_back(std::make_unique<TaskEndListener>());
      task.listen(*listeners.back());
    }
    session.abort_task(task);
  });
  for (const auto& listener : listeners) co_await listener->ended.wait();
}

runtime::Task<Code> abort_task(Session& session, const iscsi::TaskManagementRequest& request) {
  CommandTask* task = session.find_task(request.referenced_task_tag);
  if (task != nullptr && task->lun() == request.lun) {
    const std::uint32_t tag = request.referenced_task_tag;
    co_await abort_tasks(session, [tag](const CommandTask& each) { return each.tag() == tag; });
    co_return Code::function_complete;
  }
  // Not here: either it has not arrived (its RefCmdSN is still to come; it is aborted by never being let in, which one
  // connection that keeps order cannot need), or it has ended already.
  co_return Code::task_does_not_exist;
}

runtime::Task<Code> abort_task_set(Session& session, std::uint64_t lun) {
  if (!session.nexus()->has(lun)) co_return Code::lun_does_not_exist;
  co_await abort_tasks(session, [lun](const CommandTask& task) { return task.lun() == lun; });
  co_return Code::function_complete;
}

runtime::Task<Code> reset_logical_unit(Session& session, std::uint64_t lun) {
  if (!session.nexus()->has(lun)) co_return Code::lun_does_not_exist;
  // Our own tasks first: they may wait for data that the initiator will not send any more.
  co_await abort_tasks(session, [lun](const CommandTask& task) { return task.lun() == lun; });
  co_return code_of(co_await session.nexus()->reset_logical_unit(lun));
}

runtime::Task<Code> reset_target(Session& session) {
  const auto luns = session.luns();
  co_await abort_tasks(session, [](const CommandTask&) { return true; });
  for (const auto& [number, entry] : luns->entries) {
    // Flat space addressing (SAM-5 4.7.7.2) reaches every LUN; below 256 the peripheral form is the same number.
    const std::uint64_t address = number < 256 ? number : 0x4000U | number;
    static_cast<void>(co_await session.nexus()->reset_logical_unit(address << 48));
  }
  co_return Code::function_complete;
}

runtime::Task<Code> run_function(Session& session, const iscsi::TaskManagementRequest& request) {
  switch (static_cast<Function>(request.function)) {
    case Function::abort_task:
      co_return co_await abort_task(session, request);
    case Function::abort_task_set:
    // TST is 001b: a task set is one nexus's, so clearing it and aborting ours is the same (SPC-5 7.5.10).
    case Function::clear_task_set:
      co_return co_await abort_task_set(session, request.lun);
    case Function::logical_unit_reset:
      co_return co_await reset_logical_unit(session, request.lun);
    case Function::target_warm_reset:
    case Function::target_cold_reset:
      co_return co_await reset_target(session);
    case Function::task_reassign:
      co_return Code::reassignment_not_supported;
    case Function::clear_aca:
    case Function::query_task:
    case Function::query_task_set:
    case Function::i_t_nexus_reset:
    case Function::query_async_event:
      co_return Code::function_not_supported;
  }
  co_return Code::function_not_supported;
}

// RFC 7143 11.5.1: after a cold reset every session with the target ends, the one that asked for it included.
runtime::Task<> end_sessions(SessionHost& host, std::string target) {
  for (SessionHost* each : host.peers()) {
    static_cast<void>(co_await each->worker().ask([each, &target] { each->end_sessions_of(target); }));
  }
}

}  // namespace

runtime::Task<> run_task_management(Session& session, iscsi::TaskManagementRequest request) {
  session.count_management(1);
  iscsi::TaskManagementResponse response;
  response.initiator_task_tag = request.initiator_task_tag;
  response.response = co_await run_function(session, request);
  session.answer(response);
  const bool is_cold = static_cast<Function>(request.function) == Function::target_cold_reset;
  if (is_cold && response.response == Code::function_complete) {
    co_await end_sessions(session.host(), session.spec().key.target);
  }
  session.count_management(-1);
}

}  // namespace lunaris::iscsi_server
