// AdminServer: the management socket, a unix stream socket that speaks JSON lines. For root and the user that runs
// Lunaris; nobody else gets an answer.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "server/control/admin_api.h"
#include "server/runtime/gate.h"
#include "server/runtime/task.h"
#include "server/runtime/worker.h"

namespace lunaris::control {

/// Management worker only, but for `open`. One request per line, answered in order; a connection may send any number.
/// Limits: admin_connections_max, admin_request_bytes_max, admin_request_time_max, admin_idle_time_max.
class AdminServer {
 public:
  AdminServer(runtime::Worker& management, boost::asio::io_context& context);
  /// When it was started, `stop` has returned.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// Before the worker runs: makes the socket at `path`, for the owner only, in place of one that nobody listens on.
  /// Throws std::runtime_error with what is wrong and what to do.
  void open(const std::string& path);
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Begins to answer from `api`, which outlives `stop`.
  void start(AdminApi& api);
  /// Ends all connections, removes the socket.
  runtime::Task<> stop();

 private:
  class Connection;
  runtime::Task<> accept();
  runtime::Task<> serve(std::shared_ptr<Connection> connection);

  struct Parts;
  runtime::Worker& management_;
  AdminApi* api_ = nullptr;  // from start on
  std::unique_ptr<Parts> parts_;
  runtime::Gate gate_;
  std::string path_;
};

}  // namespace lunaris::control
