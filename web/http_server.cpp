// HTTP on Beast. As in the management socket, there is one operation per connection at a time, and a socket is closed
// only by the coroutine that has none pending: that keeps one client's bytes from another.
#include "web/http_server.h"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/observe/log.h"
#include "server/runtime/completion.h"
#include "web/limits.h"
#include "web/problem.h"

namespace lunaris::web {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using runtime::Completion;
using runtime::Task;

namespace {

observe::Logger& log = observe::logger("web");

/// The dashboard runs under this and needs nothing more.
constexpr const char* content_security_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

constexpr std::size_t first_read_bytes = 4096;

std::uint64_t nanoseconds(std::chrono::seconds time) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view view(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// What a request that cannot be read is answered with; nothing when the client has gone.
std::optional<Refusal> refusal_of(const error_code& error) {
  if (error == http::error::body_limit) {
    return Refusal{413,
                   "too-large",
                   "The body is too large",
                   "a body has at most " + std::to_string(limits::body_bytes_max) + " bytes.",
                   "Larger configurations go through `lunaris ctl config apply`.",
                   {}};
  }
  if (error == http::error::header_limit) {
    return Refusal{431,
                   "header-too-large",
                   "The header is too large",
                   "the header has at most " + std::to_string(limits::header_bytes_max) + " bytes.",
                   "",
                   {}};
  }
  const bool is_syntax = error.category() == make_error_code(http::error::bad_method).category() &&
                         error != http::error::end_of_stream && error != http::error::partial_message;
  if (is_syntax) return Refusal{400, "bad-request", "This is no HTTP request", error.message() + ".", "", {}};
  return {};
}

/// Beast's message of an answer.
http::response<http::string_body> message_of(Response&& response, const Request& request, bool keep_alive) {
  http::response<http::string_body> message(static_cast<http::status>(response.status), 11);
  for (const auto& [name, value] : response.headers) message.insert(name, value);
  message.set("X-Request-Id", request.id);
  message.set("Content-Security-Policy", content_security_policy);
  message.set("X-Content-Type-Options", "nosniff");
  message.set("Referrer-Policy", "no-referrer");
  if (response.status != 204 && response.status != 304) message.set(http::field::content_type, response.content_type);
  message.keep_alive(keep_alive);
  const bool has_content = response.status != 204 && response.status != 304;
  if (request.method == "HEAD") {
    message.content_length(response.body.size());
  } else if (has_content) {
    message.body() = std::move(response.body);
    message.prepare_payload();
  }
  return message;
}

}  // namespace

/// A client. Lives until its coroutine has ended.
class HttpServer::Connection {
 public:
  Connection(runtime::Worker& worker, tcp::socket socket)
      : worker_(worker), socket_(std::move(socket)), deadline_(socket_) {
    error_code error;
    socket_.set_option(tcp::no_delay(true), error);
    const auto peer = socket_.remote_endpoint(error);
    if (!error) peer_ = peer.address();
  }
  ~Connection() { worker_.cancel(deadline_); }

  /// Reads one request; false when there is none to answer. `refusal` says that it cannot be used.
  Task<bool> read(Request& request, std::optional<Refusal>& refusal, bool& keep_alive);
  /// False when the client did not take it. `request` is not the handler's any more.
  Task<bool> write(Response response, const Request& request, bool keep_alive);
  /// After a refusal: lets the client see the answer before the socket closes.
  Task<> linger();
  void shutdown() noexcept { deadline_.expire(); }
  /// Too many connections: says so without waiting for anything.
  void turn_away();

 private:
  /// Ends the pending operation when its time is up; the coroutine then sees the end of the stream.
  class Deadline final : public runtime::Timer {
   public:
    explicit Deadline(tcp::socket& socket) : socket_(socket) {}
    void expire() noexcept {
      error_code ignored;
      socket_.shutdown(tcp::socket::shutdown_both, ignored);
    }

   private:
    void fire() override { expire(); }
    tcp::socket& socket_;
  };
  using Parser = http::request_parser<http::string_body>;

  void arm(std::chrono::seconds time) { worker_.arm(deadline_, nanoseconds(time)); }
  /// Awaits `start(handler)`, whose handler takes an error and a count; the error is in error_ afterwards.
  template <class Start>
  [[nodiscard]] auto operation(Start start) {
    return runtime::Operation([this, start](Completion& completion) {
      start([this, &completion](error_code error, std::size_t count) {
        error_ = error;
        completion.complete(static_cast<std::int32_t>(count));
      });
    });
  }
  Task<> read_body(Parser& parser);
  [[nodiscard]] std::string new_id();
  static void fill(Request& request, Parser::value_type&& message);

  runtime::Worker& worker_;
  tcp::socket socket_;
  Deadline deadline_;
  asio::ip::address peer_;
  boost::beast::flat_buffer buffer_{limits::header_bytes_max + limits::body_bytes_max};
  error_code error_;
  std::array<char, 16384> dropped_{};
};

void HttpServer::Connection::fill(Request& request, Parser::value_type&& message) {
  request.method = std::string(view(message.method_string()));
  request.target = std::string(view(message.target()));
  for (const auto& field : message) {
    request.headers.emplace(lower_case(view(field.name_string())), std::string(view(field.value())));
  }
  request.body = std::move(message.body());
}

Task<bool> HttpServer::Connection::read(Request& request, std::optional<Refusal>& refusal, bool& keep_alive) {
  keep_alive = false;
  request.id = new_id();
  request.peer = peer_.to_string();
  request.is_loopback = peer_.is_loopback();
  if (buffer_.size() == 0) {  // the wait for a request may be longer than the time for its header
    arm(limits::idle_time_max);
    const std::int32_t count = co_await operation(
        [this](auto handler) { socket_.async_read_some(buffer_.prepare(first_read_bytes), std::move(handler)); });
    if (error_) co_return false;
    buffer_.commit(static_cast<std::size_t>(count));
  }
  Parser parser;
  parser.header_limit(limits::header_bytes_max);
  parser.body_limit(limits::body_bytes_max);
  arm(limits::header_time_max);
  static_cast<void>(co_await operation(
      [this, &parser](auto handler) { http::async_read_header(socket_, buffer_, parser, std::move(handler)); }));
  if (!error_ && parser.get().target().size() > limits::path_bytes_max) {
    refusal = Refusal{414, "path-too-long", "The address is too long", "the address has at most 2048 bytes.", "", {}};
  }
  if (!error_ && !refusal && !parser.is_done()) co_await read_body(parser);
  worker_.cancel(deadline_);
  if (error_) refusal = refusal_of(error_);
  if (error_ && !refusal) co_return false;
  keep_alive = !refusal && parser.get().keep_alive();
  if (!error_) fill(request, parser.release());
  co_return true;
}

Task<> HttpServer::Connection::read_body(Parser& parser) {
  static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  arm(limits::body_time_max);
  if (boost::beast::iequals(parser.get()[http::field::expect], "100-continue")) {
    static_cast<void>(co_await operation([this](auto handler) {
      asio::async_write(socket_, asio::buffer(go_on.data(), go_on.size()), std::move(handler));
    }));
    if (error_) co_return;
  }
  static_cast<void>(co_await operation(
      [this, &parser](auto handler) { http::async_read(socket_, buffer_, parser, std::move(handler)); }));
}

std::string HttpServer::Connection::new_id() {
  std::array<std::byte, 8> octets{};
  worker_.rng().fill(octets);
  std::string id;
  for (const std::byte octet : octets) {
    id += "0123456789abcdef"[std::to_integer<unsigned>(octet) >> 4];
    id += "0123456789abcdef"[std::to_integer<unsigned>(octet) & 15U];
  }
  return id;
}

Task<bool> HttpServer::Connection::write(Response response, const Request& request, bool keep_alive) {
  auto message = message_of(std::move(response), request, keep_alive);
  http::response_serializer<http::string_body> serializer(message);
  arm(limits::answer_time_max);
  if (request.method == "HEAD") {
    static_cast<void>(co_await operation(
        [this, &serializer](auto handler) { http::async_write_header(socket_, serializer, std::move(handler)); }));
  } else {
    static_cast<void>(co_await operation(
        [this, &serializer](auto handler) { http::async_write(socket_, serializer, std::move(handler)); }));
  }
  worker_.cancel(deadline_);
  co_return !error_;
}

Task<> HttpServer::Connection::linger() {
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  arm(limits::linger_time_max);
  for (;;) {
    static_cast<void>(co_await operation(
        [this](auto handler) { socket_.async_read_some(asio::buffer(dropped_), std::move(handler)); }));
    if (error_) break;
  }
}

void HttpServer::Connection::turn_away() {
  static constexpr std::string_view answer =
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.write_some(asio::buffer(answer.data(), answer.size()), ignored);
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
}

struct HttpServer::Parts {
  explicit Parts(asio::io_context& context) : acceptor(context), accepted(context) {}
  tcp::acceptor acceptor;
  tcp::socket accepted;
  std::set<Connection*> connections;
  bool stopping = false;
};

HttpServer::HttpServer(runtime::Worker& management, asio::io_context& context)
    : management_(management), parts_(std::make_unique<Parts>(context)) {}

HttpServer::~HttpServer() = default;

error_code HttpServer::listen(const std::string& address, std::uint16_t port) {
  error_code error;
  const tcp::endpoint endpoint(asio::ip::make_address(address, error), port);
  tcp::acceptor& acceptor = parts_->acceptor;
  if (!error) acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && endpoint.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  error_code ignored;
  if (error && acceptor.is_open()) acceptor.close(ignored);
  return error;
}

void HttpServer::open(const std::string& address, std::uint16_t port) {
  const auto give_up = std::chrono::steady_clock::now() + limits::bind_time_max;
  error_code error = listen(address, port);
  while (error == asio::error::address_in_use && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    error = listen(address, port);
  }
  if (!error) return;
  throw std::runtime_error("the web server cannot listen on " + address + " port " + std::to_string(port) + " (" +
                           error.message() + "): choose another address with --web-listen.");
}

bool HttpServer::is_open() const noexcept {
  return parts_->acceptor.is_open();
}

void HttpServer::start(Handler& handler) {
  handler_ = &handler;
  if (auto pass = gate_.try_enter()) runtime::spawn(std::move(*pass), accept());
}

Task<> HttpServer::accept() {
  while (!parts_->stopping) {
    const std::int32_t failure = co_await runtime::Operation([this](Completion& completion) {
      parts_->acceptor.async_accept(parts_->accepted,
                                    [&completion](error_code error) { completion.complete(error ? -1 : 0); });
    });
    if (parts_->stopping) break;
    if (failure != 0) {  // out of descriptors, most likely: not at once again
      co_await management_.sleep(nanoseconds(std::chrono::seconds(1)));
      continue;
    }
    auto connection = std::make_shared<Connection>(management_, std::move(parts_->accepted));
    if (parts_->connections.size() >= limits::connections_max) {
      LUN_LOG_WARN_LIMITED(log, "web connection refused", "reason", "too many connections");
      connection->turn_away();
    } else if (auto pass = gate_.try_enter()) {
      runtime::spawn(std::move(*pass), serve(std::move(connection)));
    }
  }
  error_code ignored;
  parts_->accepted.close(ignored);
  parts_->acceptor.close(ignored);
}

Task<> HttpServer::serve(std::shared_ptr<Connection> connection) {
  parts_->connections.insert(connection.get());
  bool keep_alive = true;
  while (keep_alive && !parts_->stopping) {
    Request request;
    std::optional<Refusal> refusal;
    if (!co_await connection->read(request, refusal, keep_alive)) break;
    Request shown;  // what the answer's header needs of it
    shown.id = request.id;
    shown.method = request.method;
    Response response =
        refusal ? problem_response(request, std::move(*refusal)) : co_await handler_->handle(std::move(request));
    keep_alive = keep_alive && !parts_->stopping;
    if (!co_await connection->write(std::move(response), shown, keep_alive)) break;
    if (!keep_alive && !parts_->stopping) co_await connection->linger();
  }
  parts_->connections.erase(connection.get());
}

Task<> HttpServer::stop() {
  parts_->stopping = true;
  error_code ignored;
  if (parts_->acceptor.is_open()) parts_->acceptor.cancel(ignored);
  for (Connection* connection : parts_->connections) connection->shutdown();
  co_await gate_.close();
}

}  // namespace lunaris::web
