// The worker as a whole: mail, ask, turns, timers, stopping; on the real ring.
#include <atomic>
#include <vector>

#include "server/runtime/ring.h"
#include "server/runtime/tcp_stream.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

TEST_CASE("a worker runs what is posted and stops when told", "[runtime][worker]") {
  WorkerThread worker;
  const std::thread::id here = std::this_thread::get_id();
  CHECK(worker.call([] { return std::this_thread::get_id(); }) != here);
  worker.stop();
  CHECK(worker->is_stopping());
}

TEST_CASE("ask runs on the other worker and answers on the asker's", "[runtime][worker]") {
  WorkerThread a("a");
  WorkerThread b("b");
  const std::string names = a.call([&]() -> Task<std::string> {
    std::optional<std::string> there = co_await b->ask([] { return Worker::current()->name(); });
    co_return there.value_or("?") + Worker::current()->name();
  });
  CHECK(names == "ba");
}

TEST_CASE("ask_task runs a coroutine on the other worker to its end", "[runtime][worker]") {
  WorkerThread a("a");
  WorkerThread b("b");
  const bool slept = a.call([&]() -> Task<bool> {
    co_return co_await b->ask_task([]() -> Task<> { co_await Worker::current()->sleep(1); });
  });
  CHECK(slept);
  const int number = a.call([&]() -> Task<int> {
    co_return (co_await b->ask_task([]() -> Task<int> {
      co_await Worker::current()->yield();
      co_return 42;
    })).value_or(0);
  });
  CHECK(number == 42);
}

TEST_CASE("asking a worker that has stopped answers nothing", "[runtime][worker]") {
  WorkerThread a("a");
  WorkerThread b("b");
  b.stop();
  CHECK(a.call([&]() -> Task<bool> { co_return (co_await b->ask([] { return 1; })).has_value(); }) == false);
  CHECK(a.call([&]() -> Task<bool> { co_return co_await b->ask([] {}); }) == false);
}

namespace {

Task<> echo(Worker& worker, UniqueFd socket) {
  TcpStream stream(worker, std::move(socket), {}, {});
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const iovec in{buffer.data(), buffer.size()};
    const std::int32_t got = co_await stream.read({&in, 1});
    if (got <= 0) break;
    const iovec out{buffer.data(), static_cast<std::size_t>(got)};
    if (co_await stream.write({&out, 1}) < 0) break;
  }
}

}  // namespace

TEST_CASE("a stream echoes what a peer sends", "[runtime][stream]") {
  WorkerThread worker;
  auto [ours, theirs] = socket_pair();
  Worker& target = *worker;
  worker->post([&target, fd = ours.release()] { return echo(target, UniqueFd(fd)); });
  for (int i = 0; i < 100; ++i) {
    std::string text = "message " + std::to_string(i);
    REQUIRE(::send(theirs.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    std::string back(text.size(), '\0');
    REQUIRE(::recv(theirs.get(), back.data(), back.size(), MSG_WAITALL) == static_cast<ssize_t>(back.size()));
    REQUIRE(back == text);
  }
  theirs.reset();
}
