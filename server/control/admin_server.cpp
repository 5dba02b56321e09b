// The management socket on Asio. One operation per connection at a time, and a socket is closed only by the coroutine
// that has no operation pending: that is what keeps one client's bytes from another.
#include "server/control/admin_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/limits.h"
#include "server/observe/log.h"
#include "server/runtime/completion.h"

namespace lunaris::control {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::local::stream_protocol;
using runtime::Completion;
using runtime::Task;

namespace {

observe::Logger& log = observe::logger("admin");

std::uint64_t nanoseconds(std::chrono::seconds time) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
}

std::string error_line(std::string_view code, const std::string& message) {
  const json::object error{{"code", json::string(code)}, {"message", json::string(message)}};
  return json::serialize(json::object{{"error", error}}) + "\n";
}

/// Whether somebody answers on the socket at `path`.
bool is_listened_on(const std::string& path) {
  asio::io_context context;
  stream_protocol::socket probe(context);
  boost::system::error_code error;
  probe.connect(stream_protocol::endpoint(path), error);
  return !error;
}

/// As is_listened_on, but gives a process that was just killed the time it takes the kernel to take its ring, and with
/// it the listening socket, away (some milliseconds after the process is gone). Blocks.
bool stays_listened_on(const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + limits::admin_rebind_time_max;
  while (is_listened_on(path)) {
    if (std::chrono::steady_clock::now() >= deadline) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

}  // namespace

/// A client. Lives until its coroutine has ended.
class AdminServer::Connection {
 public:
  Connection(runtime::Worker& worker, stream_protocol::socket socket)
      : worker_(worker), socket_(std::move(socket)), deadline_(socket_) {}
  ~Connection() { worker_.cancel(deadline_); }

  /// Root, or whoever runs this process.
  [[nodiscard]] bool is_allowed() {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    return peer.uid == 0 || peer.uid == ::geteuid();
  }

  enum class Read : std::uint8_t { line, end, too_long };
  Task<Read> read_line(std::string& line);
  /// False when the client did not take it.
  Task<bool> write(std::string text);
  void shutdown() noexcept { deadline_.expire(); }

 private:
  /// Ends the connection's pending operation when its time is up; the coroutine then sees the end of the stream.
  class Deadline final : public runtime::Timer {
   public:
    explicit Deadline(stream_protocol::socket& socket) : socket_(socket) {}
    void expire() noexcept {
      boost::system::error_code ignored;
      socket_.shutdown(stream_protocol::socket::shutdown_both, ignored);
    }

   private:
    void fire() override { expire(); }
    stream_protocol::socket& socket_;
  };

  [[nodiscard]] auto read_some() {
    return runtime::Operation([this](Completion& completion) {
      socket_.async_read_some(asio::buffer(chunk_), [&completion](boost::system::error_code error, std::size_t count) {
        completion.complete(error ? -1 : static_cast<std::int32_t>(count));
      });
    });
  }
  [[nodiscard]] auto write_some(std::string_view text) {
    return runtime::Operation([this, text](Completion& completion) {
      socket_.async_write_some(asio::buffer(text.data(), text.size()),
                               [&completion](boost::system::error_code error, std::size_t count) {
                                 completion.complete(error ? -1 : static_cast<std::int32_t>(count));
                               });
    });
  }

  runtime::Worker& worker_;
  stream_protocol::socket socket_;
  Deadline deadline_;
  std::array<char, 65536> chunk_{};
  std::string received_;
};

Task<AdminServer::Connection::Read> AdminServer::Connection::read_line(std::string& line) {
  std::size_t searched = 0;
  worker_.arm(deadline_, nanoseconds(received_.empty() ? limits::admin_idle_time_max : limits::admin_request_time_max));
  for (;;) {
    const std::size_t end = received_.find('\n', searched);
    if (end != std::string::npos) {
      line = received_.substr(0, end);
      received_.erase(0, end + 1);
      worker_.cancel(deadline_);
      co_return Read::line;
    }
    searched = received_.size();
    if (received_.size() > limits::admin_request_bytes_max) co_return Read::too_long;
    const std::int32_t count = co_await read_some();
    if (count <= 0) co_return Read::end;
    if (received_.empty()) worker_.arm(deadline_, nanoseconds(limits::admin_request_time_max));
    received_.append(chunk_.data(), static_cast<std::size_t>(count));
  }
}

Task<bool> AdminServer::Connection::write(std::string text) {
  std::string_view rest = text;
  worker_.arm(deadline_, nanoseconds(limits::admin_request_time_max));
  while (!rest.empty()) {
    const std::int32_t count = co_await write_some(rest);
    if (count <= 0) co_return false;
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  worker_.cancel(deadline_);
  co_return true;
}

struct AdminServer::Parts {
  explicit Parts(asio::io_context& context) : acceptor(context), accepted(context) {}
  stream_protocol::acceptor acceptor;
  stream_protocol::socket accepted;
  std::set<Connection*> connections;
  bool stopping = false;
};

AdminServer::AdminServer(runtime::Worker& management, asio::io_context& context)
    : management_(management), parts_(std::make_unique<Parts>(context)) {}

AdminServer::~AdminServer() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

void AdminServer::open(const std::string& path) {
  if (path.size() > limits::socket_path_bytes_max) {
    throw std::runtime_error("the path of the management socket is too long (" + path +
                             "): name a shorter one with --socket.");
  }
  std::error_code file_error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), file_error);
  if (std::filesystem::is_socket(path, file_error)) {
    if (stays_listened_on(path)) {
      throw std::runtime_error("another lunaris answers on " + path +
                               ": stop it, or name another socket with --socket.");
    }
    ::unlink(path.c_str());  // left behind by a process that was killed
  }
  boost::system::error_code error;
  const stream_protocol::endpoint endpoint(path);
  if (parts_->acceptor.is_open()) parts_->acceptor.close(error);  // an attempt at another path failed
  parts_->acceptor.open(endpoint.protocol(), error);
  const mode_t before = ::umask(0177);
  if (!error) parts_->acceptor.bind(endpoint, error);
  ::umask(before);
  if (!error) parts_->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw std::runtime_error("the management socket " + path + " cannot be opened (" + error.message() +
                             "): name one in a folder that can be written to with --socket.");
  }
  path_ = path;
}

void AdminServer::start(AdminApi& api) {
  api_ = &api;
  if (auto pass = gate_.try_enter()) runtime::spawn(std::move(*pass), accept());
}

Task<> AdminServer::accept() {
  while (!parts_->stopping) {
    const std::int32_t failure = co_await runtime::Operation([this](Completion& completion) {
      parts_->acceptor.async_accept(
          parts_->accepted, [&completion](boost::system::error_code error) { completion.complete(error ? -1 : 0); });
    });
    if (parts_->stopping) break;
    if (failure != 0) {  // out of descriptors, most likely: not at once again
      co_await management_.sleep(nanoseconds(std::chrono::seconds(1)));
      continue;
    }
    auto connection = std::make_shared<Connection>(management_, std::move(parts_->accepted));
    if (auto pass = gate_.try_enter()) runtime::spawn(std::move(*pass), serve(std::move(connection)));
  }
  boost::system::error_code ignored;
  parts_->accepted.close(ignored);
  parts_->acceptor.close(ignored);
}

Task<> AdminServer::serve(std::shared_ptr<Connection> connection) {
  if (!connection->is_allowed()) {
    LUN_LOG_WARN_LIMITED(log, "management connection refused", "reason", "neither root nor the user that runs lunaris");
    co_await connection->write(
        error_line("forbidden", "the management socket is for root and the user that runs lunaris."));
    co_return;
  }
  if (parts_->connections.size() >= limits::admin_connections_max) {
    co_await connection->write(error_line("busy", "there are too many management connections; try again later."));
    co_return;
  }
  parts_->connections.insert(connection.get());
  std::string line;
  while (!parts_->stopping) {
    const Connection::Read read = co_await connection->read_line(line);
    if (read == Connection::Read::too_long)
      co_await connection->write(error_line("too-long", "the request is too long."));
    if (read != Connection::Read::line) break;
    const json::object answer = co_await api_->handle(std::move(line));
    line = {};
    if (!co_await connection->write(json::serialize(answer) + "\n")) break;
  }
  parts_->connections.erase(connection.get());
}

Task<> AdminServer::stop() {
  parts_->stopping = true;
  boost::system::error_code ignored;
  if (parts_->acceptor.is_open()) parts_->acceptor.cancel(ignored);
  for (Connection* connection : parts_->connections) connection->shutdown();
  co_await gate_.close();
}

}  // namespace lunaris::control
