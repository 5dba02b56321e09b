// Accepting: wait until the socket is readable, then take what is there. Never accept without being told, because the
// kernel takes a descriptor before it looks at the queue and an accept on an empty queue fails as well when none is
// left.
#include "server/runtime/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "server/runtime/endpoint.h"
#include "server/runtime/ring.h"
#include "server/runtime/worker.h"

namespace lunaris::runtime {
namespace {

constexpr std::chrono::milliseconds bind_retry_interval{5};
constexpr std::uint64_t pause_ns = 100'000'000;  // after an error that another try at once would only repeat
constexpr unsigned accepts_per_poll_max = 64;    // then everybody else has a turn

/// 0, or the errno of the step that failed.
int try_to_listen(int fd, const SocketAddress& address, int backlog) {
  constexpr int on = 1;
  constexpr int off = 0;
  // SO_REUSEADDR for TIME_WAIT. Not SO_REUSEPORT: it would let connections go to a dead server's listener.
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return errno;
  if (address.family() == AF_INET6 && ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) return errno;
  if (::bind(fd, address.get(), address.size) != 0) return errno;
  return ::listen(fd, backlog) == 0 ? 0 : errno;
}

std::string explain(const Endpoint& endpoint, int error, std::chrono::milliseconds tried_for) {
  const std::string where = to_string(endpoint);
  const std::string port = std::to_string(endpoint.port);
  switch (error) {
    case EADDRINUSE:
      return "cannot listen on " + where + ": port " + port + " is in use (tried for " +
             std::to_string(tried_for.count()) + " ms). Stop the program that has it (ss -ltnp 'sport = :" + port +
             "' shows it) or choose another port.";
    case EADDRNOTAVAIL:
      return "cannot listen on " + where +
             ": no interface of this machine has that address. Use one that `ip address` " +
             "shows, or 0.0.0.0 or :: for all.";
    case EACCES:
    case EPERM:
      return "cannot listen on " + where +
             ": ports below 1024 need CAP_NET_BIND_SERVICE. Choose a higher port or give " +
             "the process that capability.";
    case EAFNOSUPPORT:
      return "cannot listen on " + where + ": IPv6 is turned off on this machine. Use 0.0.0.0 or an IPv4 address.";
    case EMFILE:
    case ENFILE:
      return "cannot listen on " + where + ": no file descriptor is left. Raise the limit (ulimit -n, docker run " +
             "--ulimit nofile=65536).";
    default:
      return "cannot listen on " + where + ": " + std::strerror(error) + ".";
  }
}

UniqueFd open_spare() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

bool is_readable(int fd) {
  pollfd query{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&query, 1, 0) == 1 && (query.revents & POLLIN) != 0;
}

}  // namespace

Result<ListeningSocket> listen_on(const Endpoint& endpoint, const ListenOptions& options, std::string& reason) {
  const std::optional<SocketAddress> address = socket_address(endpoint);
  if (!address) {
    reason = "cannot listen on \"" + endpoint.address + "\": not a numeric IPv4 or IPv6 address.";
    return errno_error(EINVAL);
  }
  const auto deadline = std::chrono::steady_clock::now() + options.retry_for;
  for (;;) {
    ListeningSocket listening;
    listening.socket = UniqueFd(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int error = listening.socket ? try_to_listen(listening.socket.get(), *address, options.backlog) : errno;
    if (error == 0) {
      listening.bound = local_endpoint(listening.socket.get());
      return listening;
    }
    if (error != EADDRINUSE || std::chrono::steady_clock::now() >= deadline) {
      reason = explain(endpoint, error, options.retry_for);
      return errno_error(error);
    }
    std::this_thread::sleep_for(bind_retry_interval);
  }
}

Listener::Listener(Worker& worker, ListeningSocket socket, AcceptSink& sink)
    : worker_(worker), socket_(std::move(socket)), sink_(sink), spare_(open_spare()) {}

Listener::~Listener() {
  LUN_ASSERT(gate_.count() == 0);
}

void Listener::start() {
  LUN_ASSERT(Worker::current() == &worker_);
  auto pass = gate_.try_enter();
  LUN_ASSERT(pass.has_value());
  spawn(std::move(*pass), serve());
}

Task<> Listener::close() {
  closing_ = true;
  // Ends the poll, and lets a successor bind even before the ring has let go of the socket.
  ::shutdown(socket_.socket.get(), SHUT_RDWR);
  co_await gate_.close();
  socket_.socket.reset();
}

Task<> Listener::serve() {
  RingRequest poll;
  poll.kind = RingRequest::Kind::poll_in;
  poll.fd = socket_.socket.get();
  while (!closing_) {
    const std::int32_t events = co_await worker_.ring().submit(poll);
    if (closing_) break;
    Next next = Next::pause;
    if (events < 0) {
      sink_.accept_failed(-events, 0);
    } else {
      next = accept_waiting();
    }
    if (next == Next::pause && !closing_) co_await worker_.sleep(pause_ns);
  }
}

Listener::Next Listener::accept_waiting() {
  for (unsigned count = 0; count < accepts_per_poll_max; ++count) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    UniqueFd socket(::accept4(socket_.socket.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
    if (!socket) {
      const int error = errno;
      if (error == EAGAIN) return Next::poll;
      if (error == EINTR || error == ECONNABORTED) continue;  // that client is gone; the next one may not be
      if (error == EMFILE || error == ENFILE) return turn_away(error);
      sink_.accept_failed(error, 0);
      return Next::pause;
    }
    const Endpoint local = local_endpoint(socket.get());
    sink_.accepted(std::move(socket), endpoint_of(peer), local);
    if (closing_) break;
  }
  return Next::poll;
}

// Whoever waits is told "closed" instead of hanging, with the one descriptor kept for this.
Listener::Next Listener::turn_away(int errno_value) {
  std::uint64_t count = 0;
  while (spare_ && count < accepts_per_poll_max && is_readable(socket_.socket.get())) {
    spare_.reset();
    UniqueFd surplus(::accept4(socket_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const bool told = static_cast<bool>(surplus);
    surplus.reset();
    spare_ = open_spare();
    if (!told) break;  // another thread took the descriptor
    ++count;
  }
  turned_away_ += count;
  sink_.accept_failed(errno_value, count);
  if (!spare_) spare_ = open_spare();
  return spare_ && count > 0 ? Next::poll : Next::pause;
}

}  // namespace lunaris::runtime
