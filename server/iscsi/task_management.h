// Task management functions (RFC 7143 11.5, 11.6; SAM-5 clause 7). Used by Session.
#pragma once

#include "protocol/iscsi/pdu.h"
#include "server/runtime/task.h"

namespace lunaris::iscsi_server {

class Session;

/// Runs the function and answers it when the affected tasks have really ended, however long that takes; a back end that
/// hangs holds this answer and nothing else. Nothing is answered when the session ends first.
runtime::Task<> run_task_management(Session& session, iscsi::TaskManagementRequest request);

}  // namespace lunaris::iscsi_server
