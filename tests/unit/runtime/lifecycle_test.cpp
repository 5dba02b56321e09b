// Closing, moving, stopping and rebinding on Asio's ring: each rule, and what happens to those who break it.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <vector>

#include "server/runtime/endpoint.h"
#include "server/runtime/listener.h"
#include "server/runtime/stop_watchdog.h"
#include "server/runtime/tcp_stream.h"
#include "server/runtime/worker_context.h"
#include "tests/unit/runtime/child.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;
namespace asio = boost::asio;

namespace {

int run_program(const std::string& name_and_arguments) {
  const std::string folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  const int status = std::system((folder + "/" + name_and_arguments + " > /dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Endpoint loopback(std::uint16_t port = 0) {
  return {"127.0.0.1", port};
}

ListeningSocket listening(const Endpoint& endpoint,
                          std::chrono::milliseconds retry_for = std::chrono::milliseconds(2000)) {
  std::string reason;
  Result<ListeningSocket> socket = listen_on(endpoint, {.retry_for = retry_for}, reason);
  INFO(reason);
  REQUIRE(socket.has_value());
  return std::move(*socket);
}

UniqueFd connect_to(const Endpoint& endpoint) {
  const auto address = socket_address(endpoint);
  UniqueFd client(::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(client);
  REQUIRE(::connect(client.get(), address->get(), address->size) == 0);
  return client;
}

/// Accepts and keeps, or hands to `then`.
class Sink final : public AcceptSink {
 public:
  std::function<void(UniqueFd, Endpoint, Endpoint)> then;
  std::vector<UniqueFd> accepted_sockets;
  std::vector<Endpoint> peers;
  std::vector<Endpoint> locals;
  int failures = 0;
  std::uint64_t turned_away = 0;

 private:
  void accepted(UniqueFd socket, Endpoint peer, Endpoint local) override {
    peers.push_back(peer);
    locals.push_back(local);
    if (then) {
      then(std::move(socket), std::move(peer), std::move(local));
    } else {
      accepted_sockets.push_back(std::move(socket));
    }
  }
  void accept_failed(int, std::uint64_t count) override {
    ++failures;
    turned_away += count;
  }
};

/// A listener on a worker of its own; closed at the end.
class Acceptor {
 public:
  explicit Acceptor(ListeningSocket socket) : bound(socket.bound) {
    listener_ = worker.call([&] {
      auto made = std::make_unique<Listener>(*worker, std::move(socket), sink);
      made->start();
      return made;
    });
  }
  ~Acceptor() { close(); }
  void close() {
    if (!listener_) return;
    worker.call([&]() -> Task<> {
      co_await listener_->close();
      listener_.reset();
      sink.accepted_sockets.clear();
    });
    worker.stop();
  }
  std::size_t accepted() {
    return worker.call([&] { return sink.peers.size(); });
  }
  void wait_for(std::size_t count) {
    for (int i = 0; i < 2000 && accepted() < count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(accepted() == count);
  }
  int descriptor() { return listener_->descriptor(); }

  WorkerThread worker;
  Sink sink;
  Endpoint bound;

 private:
  std::unique_ptr<Listener> listener_;
};

[[maybe_unused]] double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) { return double(time.tv_sec) + double(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

// --- a cancelled neighbour ----------------------------------------------------------------------------------------

TEST_CASE("cancelling a socket leaves its neighbour's read alone", "[runtime][lifecycle]") {
  CHECK(run_program("cancelled_neighbour") == 0);
  CHECK(run_program("cancelled_neighbour worker") == 0);
}

TEST_CASE("without the ring fix a cancelled socket ends its neighbour's read", "[runtime][lifecycle]") {
  CHECK(run_program("cancelled_neighbour_uncured") == 1);
}

// --- foreign threads ----------------------------------------------------------------------------------------------

#if defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
TEST_CASE("posting to a worker's context from a foreign thread aborts in a debug build", "[runtime][lifecycle]") {
  for (const bool busy : {false, true}) {
    const ChildResult result = in_child([busy] {
      std::atomic<asio::io_context*> context{nullptr};
      std::thread owner([&] {
        WorkerContext own;
        const auto work = asio::make_work_guard(own.get());
        context = &own.get();
        std::function<void()> again = [&] { asio::post(own.get(), again); };
        if (busy) again();
        own.get().run();
      });
      while (context == nullptr) std::this_thread::yield();
      asio::post(*context, [] {});
      owner.join();
      return 0;
    });
    CHECK(result.aborted());
    CHECK(result.error_text.find("foreign thread") != std::string::npos);
  }
}

// --- closing ------------------------------------------------------------------------------------------------------

TEST_CASE("closing or releasing an Asio socket with an operation pending aborts in a debug build",
          "[runtime][lifecycle]") {
  using Socket = asio::local::stream_protocol::socket;
  for (const bool release : {false, true}) {
    const auto run = [release](bool wait) {
      asio::io_context context;
      int fds[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return 1;
      Socket socket(context, asio::local::stream_protocol(), fds[0]);
      char buffer[1];
      bool ended = false;
      socket.async_read_some(asio::buffer(buffer), [&](boost::system::error_code, std::size_t) { ended = true; });
      context.poll();
      if (wait) {
        ::shutdown(fds[0], SHUT_RDWR);
        while (!ended) context.run_one();
      }
      if (release) {
        static_cast<void>(socket.release());
      } else {
        socket.close();
      }
      return 0;
    };
    const ChildResult at_once = in_child([&] { return run(false); });
    CHECK(at_once.aborted());
    CHECK(at_once.error_text.find("operations pending") != std::string::npos);
    const ChildResult waited = in_child([&] { return run(true); });
    CHECK(waited.exited);
    CHECK(waited.status == 0);
  }
}
#endif

TEST_CASE("an Asio socket closed with a read pending steals the next connection's bytes", "[runtime][lifecycle]") {
  CHECK(run_program("closed_pending_uncured") == 1);
  CHECK(run_program("closed_pending_uncured wait") == 0);
}

TEST_CASE("destroying a stream with a read pending aborts", "[runtime][stream][lifecycle]") {
  const ChildResult result = in_child([] {
    WorkerThread worker;
    auto [ours, theirs] = socket_pair();
    worker.call([&] {
      auto stream = std::make_unique<TcpStream>(*worker, std::move(ours), Endpoint(), Endpoint());
      char byte = 0;
      const iovec vector{&byte, 1};
      Completion completion;
      stream->start_read({&vector, 1}, completion);
      stream.reset();
    });
    return 0;
  });
  CHECK(result.aborted());
  CHECK(result.error_text.find("has_pending") != std::string::npos);
}

namespace {

Task<std::int32_t> read_some(ByteStream& stream, std::span<std::byte> out) {
  const iovec vector{out.data(), out.size()};
  co_return co_await stream.read({&vector, 1});
}

Task<> read_into(ByteStream& stream, std::span<std::byte> out, std::int32_t& result, Gate::Pass) {
  result = co_await read_some(stream, out);
}

/// A connection that is shut down with its read pending, then the next one on the same descriptor number.
Task<bool> replaced_without_theft(Worker& worker, int first_fd, int second_fd, int second_peer) {
  std::array<std::byte, 16> first_bytes{};
  std::int32_t first_result = 1;
  {
    TcpStream first(worker, UniqueFd(first_fd), {}, {});
    Gate gate;
    auto pass = gate.try_enter();
    auto pass_of_task = gate.try_enter();
    spawn(std::move(*pass), read_into(first, first_bytes, first_result, std::move(*pass_of_task)));
    first.shutdown();
    co_await gate.close();
  }
  TcpStream second(worker, UniqueFd(second_fd), {}, {});
  std::array<std::byte, 16> second_bytes{};
  LUN_ASSERT(::send(second_peer, "second", 6, 0) == 6);
  const std::int32_t second_result = co_await read_some(second, second_bytes);
  co_return first_result == 0 && second_result == 6;
}

}  // namespace

TEST_CASE("a stream that is shut down and replaced a thousand times loses no byte to its predecessor",
          "[runtime][stream][lifecycle]") {
  WorkerThread worker;
  for (int round = 0; round < 1000; ++round) {
    auto [first, first_peer] = socket_pair();
    auto [second, second_peer] = socket_pair();
    const bool good = worker.call([&, a = first.release(), b = second.release(), peer = second_peer.get()] {
      return replaced_without_theft(*worker, a, b, peer);
    });
    REQUIRE(good);
  }
}

TEST_CASE("abort resets the peer and shutdown ends it cleanly", "[runtime][stream]") {
  for (const bool reset : {false, true}) {
    ListeningSocket socket = listening(loopback());
    const UniqueFd client = connect_to(socket.bound);
    UniqueFd server(::accept4(socket.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(server);
    WorkerThread worker;
    worker.call([&] {
      TcpStream stream(*worker, std::move(server), {}, {});
      CHECK(stream.set_user_timeout_ms(5000));
      reset ? stream.abort() : stream.shutdown();
    });
    char byte = 0;
    const ssize_t got = ::recv(client.get(), &byte, 1, 0);
    if (reset) {
      CHECK(got <= 0);
      CHECK(::send(client.get(), "x", 1, MSG_NOSIGNAL) == -1);
    } else {
      CHECK(got == 0);
    }
  }
}

// --- moving -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t login_bytes = 48;
constexpr std::size_t streamed_bytes = 20'000;

std::byte pattern(std::size_t at) {
  return static_cast<std::byte>(at * 31 + at / 251);
}

/// On the second worker: what the first one read too much, then the rest from the stream.
Task<bool> receive_rest(std::unique_ptr<ByteStream> stream, std::vector<std::byte> already) {
  std::array<std::byte, 3000> chunk;
  while (already.size() < login_bytes + streamed_bytes) {
    const std::int32_t got = co_await read_some(*stream, chunk);
    if (got <= 0) co_return false;
    already.insert(already.end(), chunk.begin(), chunk.begin() + got);
  }
  bool good = already.size() == login_bytes + streamed_bytes;
  for (std::size_t i = 0; i < already.size(); ++i) good = good && already[i] == pattern(i);
  co_return good;
}

Task<bool> login_and_move(Worker& from, Worker& to, int fd) {
  auto stream = std::make_unique<TcpStream>(from, UniqueFd(fd), Endpoint(), Endpoint());
  std::vector<std::byte> received;
  std::array<std::byte, 100> chunk;
  while (received.size() < login_bytes) {
    const std::int32_t got = co_await read_some(*stream, chunk);
    if (got <= 0) co_return false;
    received.insert(received.end(), chunk.begin(), chunk.begin() + got);
  }
  std::unique_ptr<ByteStream> moved = stream->move_to(to);
  stream.reset();
  const std::optional<bool> good = co_await to.ask_task(
      [&moved, &received]() -> Task<bool> { return receive_rest(std::move(moved), std::move(received)); });
  co_return good.value_or(false);
}

}  // namespace

TEST_CASE("a connection that moves to another worker loses no byte", "[runtime][stream][lifecycle]") {
  WorkerThread a("a");
  WorkerThread b("b");
  ListeningSocket socket = listening(loopback());
  std::vector<std::byte> bytes(login_bytes + streamed_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(i);
  for (int round = 0; round < 200; ++round) {
    const UniqueFd client = connect_to(socket.bound);
    UniqueFd server(::accept4(socket.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(server);
    REQUIRE(::send(client.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    REQUIRE(a.call([&, fd = server.release()] { return login_and_move(*a, *b, fd); }));
  }
}

TEST_CASE("a descriptor in mail that a stopped worker refuses is closed", "[runtime][lifecycle]") {
  WorkerThread worker;
  worker.stop();
  auto [ours, theirs] = socket_pair();
  worker->post([fd = std::make_shared<UniqueFd>(std::move(ours))] { static_cast<void>(fd); });
  char byte = 0;
  CHECK(::recv(theirs.get(), &byte, 1, MSG_DONTWAIT) == 0);
}

// --- accepting ----------------------------------------------------------------------------------------------------

TEST_CASE("accepted sockets come with both ends' addresses and CLOEXEC", "[runtime][listener]") {
  Acceptor acceptor(listening(loopback()));
  CHECK(acceptor.bound.port != 0);
  const UniqueFd client = connect_to(acceptor.bound);
  acceptor.wait_for(1);
  acceptor.worker.call([&] {
    CHECK(acceptor.sink.peers[0].address == "127.0.0.1");
    CHECK(acceptor.sink.peers[0].port == local_endpoint(client.get()).port);
    CHECK(acceptor.sink.locals[0].port == acceptor.bound.port);
    CHECK((::fcntl(acceptor.sink.accepted_sockets[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  });
}

TEST_CASE("a listener on the IPv6 wildcard takes IPv4 connections and names them so", "[runtime][listener]") {
  std::string reason;
  Result<ListeningSocket> socket = listen_on({"::", 0}, {}, reason);
  if (!socket) {
    WARN("no IPv6 here: " << reason);
    return;
  }
  Acceptor acceptor(std::move(*socket));
  const UniqueFd client = connect_to(loopback(acceptor.bound.port));
  const UniqueFd client6 = connect_to({"::1", acceptor.bound.port});
  acceptor.wait_for(2);
  std::vector<std::string> peers = acceptor.worker.call(
      [&] { return std::vector<std::string>{acceptor.sink.peers[0].address, acceptor.sink.peers[1].address}; });
  std::sort(peers.begin(), peers.end());
  CHECK(peers == std::vector<std::string>{"127.0.0.1", "::1"});
}

// UBSan looks through a pipe whether an object's memory is readable, and reports the object when no descriptor is left.
#if !__has_feature(undefined_behavior_sanitizer)
TEST_CASE("a listener without descriptors tells surplus clients and does not spin", "[runtime][listener][lifecycle]") {
  const ChildResult result = in_child([] {
    Acceptor acceptor(listening(loopback()));
    // The clients' sockets exist before descriptors run out: client and server share this process.
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 15; ++i) clients.emplace_back(::socket(AF_INET, SOCK_STREAM, 0));
    std::vector<UniqueFd> hoard;
    const rlimit few{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &few);
    for (;;) {
      UniqueFd one(::open("/dev/null", O_RDONLY));
      if (!one) break;
      hoard.push_back(std::move(one));
    }
    const auto address = socket_address(acceptor.bound);
    for (const UniqueFd& client : clients) {
      if (::connect(client.get(), address->get(), address->size) != 0) return 1;
    }
    for (const UniqueFd& client : clients) {
      char byte = 0;
      const timeval limit{5, 0};
      ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const ssize_t got = ::recv(client.get(), &byte, 1, 0);
      if (got > 0 || (got < 0 && errno != ECONNRESET)) return 2;
    }
    const double before = cpu_seconds();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    if (cpu_seconds() - before > 0.1) return 3;
    const auto [failures, turned_away] =
        acceptor.worker.call([&] { return std::pair(acceptor.sink.failures, acceptor.sink.turned_away); });
    if (turned_away != 15) return 4;
    if (failures > 15) return 5;
    // With descriptors again, service goes on.
    hoard.clear();
    const UniqueFd late(::socket(AF_INET, SOCK_STREAM, 0));
    if (::connect(late.get(), address->get(), address->size) != 0) return 6;
    for (int i = 0; i < 2000 && acceptor.accepted() == 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return acceptor.accepted() == 1 ? 0 : 7;
  });
  INFO(result.error_text);
  CHECK(result.exited);
  CHECK(result.status == 0);
}

#endif

TEST_CASE("listening where one cannot says which port and what to do", "[runtime][listener]") {
  const ListeningSocket first = listening(loopback());
  std::string reason;
  const auto start = std::chrono::steady_clock::now();
  const auto second = listen_on(first.bound, {.retry_for = std::chrono::milliseconds(50)}, reason);
  CHECK_FALSE(second.has_value());
  CHECK(second.error() == errno_error(EADDRINUSE));
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(50));
  CHECK(reason.find("127.0.0.1:" + std::to_string(first.bound.port)) != std::string::npos);
  CHECK(reason.find("ss -ltnp") != std::string::npos);
  CHECK_FALSE(listen_on({"192.0.2.77", 0}, {}, reason).has_value());
  CHECK(reason.find("no interface") != std::string::npos);
  CHECK_FALSE(listen_on({"localhost", 0}, {}, reason).has_value());
  CHECK(reason.find("not a numeric") != std::string::npos);
}

// --- stopping and rebinding ---------------------------------------------------------------------------------------

TEST_CASE("after a drain the port can be bound again at once", "[runtime][listener][lifecycle]") {
  Endpoint endpoint = loopback();
  for (int round = 0; round < 20; ++round) {
    Acceptor acceptor(listening(endpoint, std::chrono::milliseconds(0)));
    endpoint = acceptor.bound;
    const UniqueFd client = connect_to(endpoint);
    acceptor.wait_for(1);
    acceptor.close();
  }
}

namespace {

/// A server in a child that listens with its poll pending until it is told how to end; answers its pid.
pid_t start_listening_child(const Endpoint& endpoint, int ready, bool shut_down_first) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  for (const int number : {SIGABRT, SIGSEGV, SIGTERM}) std::signal(number, SIG_DFL);
  Acceptor acceptor(listening(endpoint));
  static_cast<void>(acceptor.accepted());
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the poll is in the kernel now
  if (shut_down_first) {
    ::shutdown(acceptor.descriptor(), SHUT_RDWR);
    ::_exit(::write(ready, "x", 1) == 1 ? 0 : 1);
  }
  if (::write(ready, "x", 1) != 1) ::_exit(1);
  ::pause();
  ::_exit(0);
}

}  // namespace

TEST_CASE("a listening socket that is shut down first can be bound again although the process just left",
          "[runtime][listener][lifecycle]") {
  Endpoint endpoint = listening(loopback()).bound;
  for (int round = 0; round < 5; ++round) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t pid = start_listening_child(endpoint, ready[1], true);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    REQUIRE(WEXITSTATUS(status) == 0);
    ::close(ready[0]);
    ::close(ready[1]);
    static_cast<void>(listening(endpoint, std::chrono::milliseconds(0)));
  }
}

TEST_CASE("binding again after a kill succeeds within the time of the retries", "[runtime][listener][lifecycle]") {
  Endpoint endpoint = listening(loopback()).bound;
  for (int round = 0; round < 5; ++round) {
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t pid = start_listening_child(endpoint, ready[1], false);
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    REQUIRE(::kill(pid, SIGKILL) == 0);
    REQUIRE(::waitpid(pid, nullptr, 0) == pid);
    ::close(ready[0]);
    ::close(ready[1]);
    static_cast<void>(listening(endpoint));
  }
}

namespace {

/// Sixteen connections that stream until they are told to stop.
class Streams {
 public:
  explicit Streams(Worker& worker) : worker_(worker) {}
  void add(UniqueFd socket) {
    streams_.push_back(std::make_unique<TcpStream>(worker_, std::move(socket), Endpoint(), Endpoint()));
    spawn(*gate_.try_enter(), pump(*streams_.back()));
  }
  Task<> close() {
    for (const auto& stream : streams_) stream->shutdown();
    co_await gate_.close();
    streams_.clear();
  }
  std::uint64_t bytes = 0;

 private:
  Task<> pump(TcpStream& stream) {
    std::array<std::byte, 4096> buffer;
    for (;;) {
      const std::int32_t got = co_await read_some(stream, buffer);
      if (got <= 0) co_return;
      bytes += static_cast<std::uint64_t>(got);
    }
  }
  Worker& worker_;
  Gate gate_;
  std::vector<std::unique_ptr<TcpStream>> streams_;
};

}  // namespace

TEST_CASE("a worker with streaming connections a listener and timers drains and returns", "[runtime][lifecycle]") {
  class Tick final : public Timer {
   public:
    explicit Tick(Worker& worker) : worker_(worker) {}

   private:
    void fire() override { worker_.arm(*this, 1); }
    Worker& worker_;
  };
  WorkerThread worker;
  Sink sink;
  auto streams = std::make_unique<Streams>(*worker);
  sink.then = [&](UniqueFd socket, Endpoint, Endpoint) { streams->add(std::move(socket)); };
  auto tick = std::make_unique<Tick>(*worker);
  ListeningSocket socket = listening(loopback());
  const Endpoint endpoint = socket.bound;
  auto listener = worker.call([&] {
    auto made = std::make_unique<Listener>(*worker, std::move(socket), sink);
    made->start();
    worker->arm(*tick, 1);
    return made;
  });
  std::atomic<bool> done{false};
  std::vector<UniqueFd> sockets;
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i) {
    sockets.push_back(connect_to(endpoint));
    clients.emplace_back([&done, fd = sockets.back().get()] {
      std::array<char, 4096> chunk{};
      while (!done && ::send(fd, chunk.data(), chunk.size(), MSG_NOSIGNAL) > 0) {
      }
    });
  }
  while (worker.call([&] { return streams->bytes; }) < 1'000'000)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto start = std::chrono::steady_clock::now();
  worker->post([&]() -> Task<> {
    co_await listener->close();
    listener.reset();
    co_await streams->close();
    tick.reset();
    worker->stop();
  });
  worker.stop();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
  CHECK(listener == nullptr);
  done = true;
  for (const UniqueFd& socket_of_client : sockets) ::shutdown(socket_of_client.get(), SHUT_RDWR);
  for (std::thread& client : clients) client.join();
}

TEST_CASE("a stop that does not end is ended by the watchdog with a report", "[runtime][lifecycle]") {
  const ChildResult result = in_child([] {
    bool shut_down = false;
    const StopWatchdog watchdog(
        std::chrono::milliseconds(50), [] { return std::string("worker-0: 3 ring operations\n"); },
        [&] { shut_down = true; });
    std::this_thread::sleep_for(std::chrono::seconds(10));
    return 0;
  });
  CHECK(result.exited);
  CHECK(result.status == StopWatchdog::exit_status);
  CHECK(result.error_text.find("worker-0: 3 ring operations") != std::string::npos);
}

TEST_CASE("a watchdog that is not needed does nothing", "[runtime][lifecycle]") {
  const ChildResult result = in_child([] {
    {
      const StopWatchdog watchdog(std::chrono::milliseconds(20), nullptr, nullptr);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    return 3;
  });
  CHECK(result.status == 3);
  CHECK(result.error_text.empty());
}
