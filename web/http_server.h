// HttpServer: HTTP/1.1 on the management worker, by Beast. Everything a client may send is bounded in size and time,
// and nothing of it reaches an I/O worker.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <string>

#include "server/runtime/gate.h"
#include "server/runtime/task.h"
#include "server/runtime/worker.h"
#include "web/http.h"

namespace lunaris::web {

/// Management worker only, but for `open`. One request at a time per connection, answered in order.
class HttpServer {
 public:
  HttpServer(runtime::Worker& management, boost::asio::io_context& context);
  /// When it was started, `stop` has returned.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Before the worker runs: listens on a numeric address. Throws std::runtime_error with what is wrong.
  void open(const std::string& address, std::uint16_t port);
  [[nodiscard]] bool is_open() const noexcept;
  /// Begins to answer from `handler`, which outlives `stop`.
  void start(Handler& handler);
  /// Ends all connections. Requests whose handlers run are answered by nobody, but run to their end.
  runtime::Task<> stop();

 private:
  class Connection;
  struct Parts;
  /// One attempt to listen.
  [[nodiscard]] boost::system::error_code listen(const std::string& address, std::uint16_t port);
  runtime::Task<> accept();
  runtime::Task<> serve(std::shared_ptr<Connection> connection);

  runtime::Worker& management_;
  Handler* handler_ = nullptr;  // from start on
  std::unique_ptr<Parts> parts_;
  runtime::Gate gate_;
};

}  // namespace lunaris::web
