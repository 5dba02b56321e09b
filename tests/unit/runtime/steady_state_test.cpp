// What an I/O may cost when everything is warm: no heap allocation and far less than one system call. A small server
// (read requests, one file read each, gathered responses at the end of the turn) under 4 connections of depth 32.
#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "server/runtime/ring.h"
#include "server/runtime/tcp_stream.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

namespace {

thread_local std::uint64_t allocations_here = 0;

}  // namespace

// The whole executable counts, thread by thread.
void* operator new(std::size_t size) {
  ++allocations_here;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations_here;
  return std::malloc(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  ++allocations_here;
  const auto align = static_cast<std::size_t>(alignment);
  if (void* const memory = std::aligned_alloc(align, (size + align - 1) / align * align)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace {

constexpr std::size_t request_bytes = 48;
constexpr std::uint32_t response_bytes = 4096;
constexpr int depth = 32;

/// One connection: requests in, a Task per request, responses gathered by the turn hook.
class Service final : private TurnHook {
 public:
  Service(Worker& worker, UniqueFd socket, int file)
      : worker_(worker), stream_(worker, std::move(socket), {}, {}), file_(file) {}

  Task<> serve() {
    std::array<std::byte, 16384> input;
    std::size_t have = 0;
    for (;;) {
      const iovec vector{input.data(), input.size()};
      const std::int32_t got = co_await stream_.read({&vector, 1});
      if (got <= 0) break;
      for (have += static_cast<std::size_t>(got); have >= request_bytes; have -= request_bytes) {
        spawn(*gate_.try_enter(), answer());
      }
    }
    co_await gate_.close();
  }
  [[nodiscard]] std::uint64_t answered() const noexcept { return answered_; }

 private:
  Task<> answer() {
    BufferLease lease = co_await worker_.buffers().acquire(response_bytes);
    const iovec vector{lease.bytes().data(), response_bytes};
    const std::int32_t got = co_await worker_.ring().read(file_, {&vector, 1}, 0);
    LUN_ASSERT(got == static_cast<std::int32_t>(response_bytes));
    LUN_ASSERT(queued_ < queue_.size());
    queue_[queued_++] = std::move(lease);
    worker_.at_end_of_turn(*this);
  }

  void run_at_end_of_turn() override {
    if (sending_ || queued_ == 0) return;
    sending_ = true;
    spawn(*gate_.try_enter(), send());
  }

  Task<> send() {
    while (queued_ > 0) {
      const std::size_t count = std::exchange(queued_, 0);
      for (std::size_t i = 0; i < count; ++i) {
        leases_[i] = std::move(queue_[i]);
        vectors_[i] = {leases_[i].bytes().data(), response_bytes};
      }
      std::span<iovec> left(vectors_.data(), count);
      while (!left.empty()) {
        const std::int32_t sent = co_await stream_.write(left);
        if (sent < 0) co_return;
        advance(left, static_cast<std::size_t>(sent));
      }
      answered_ += count;
      for (std::size_t i = 0; i < count; ++i) leases_[i].reset();
    }
    sending_ = false;
  }

  static void advance(std::span<iovec>& left, std::size_t sent) {
    while (!left.empty() && sent >= left.front().iov_len) {
      sent -= left.front().iov_len;
      left = left.subspan(1);
    }
    if (!left.empty()) {
      left.front().iov_base = static_cast<std::byte*>(left.front().iov_base) + sent;
      left.front().iov_len -= sent;
    }
  }

  Worker& worker_;
  TcpStream stream_;
  int file_;
  Gate gate_;
  std::array<BufferLease, 2 * depth> queue_;
  std::size_t queued_ = 0;
  // Not in the coroutine's frame, which would outgrow the frame pool's classes.
  std::array<BufferLease, 2 * depth> leases_;
  std::array<iovec, 2 * depth> vectors_;
  bool sending_ = false;
  std::uint64_t answered_ = 0;
};

/// Keeps `depth` requests outstanding on each socket until `count` responses have come, then stops sending and drains.
void load(std::span<const UniqueFd> sockets, std::uint64_t count) {
  std::array<std::byte, depth * request_bytes> requests{};
  std::vector<std::size_t> partial(sockets.size());
  std::vector<char> sink(1 << 20);
  std::vector<pollfd> polls;
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  const auto request = [&](int fd, std::size_t number) {
    number = static_cast<std::size_t>(std::min<std::uint64_t>(number, count - sent));
    REQUIRE(::send(fd, requests.data(), number * request_bytes, MSG_NOSIGNAL) ==
            static_cast<ssize_t>(number * request_bytes));
    sent += number;
  };
  for (const UniqueFd& socket : sockets) {
    polls.push_back({socket.get(), POLLIN, 0});
    request(socket.get(), depth);
  }
  while (received < count) {
    REQUIRE(::poll(polls.data(), polls.size(), 10'000) > 0);
    for (std::size_t i = 0; i < polls.size(); ++i) {
      if (polls[i].revents == 0) continue;
      const ssize_t got = ::recv(polls[i].fd, sink.data(), sink.size(), MSG_DONTWAIT);
      REQUIRE(got > 0);
      partial[i] += static_cast<std::size_t>(got);
      const std::size_t whole = partial[i] / response_bytes;
      partial[i] %= response_bytes;
      received += whole;
      if (whole > 0 && sent < count) request(polls[i].fd, whole);
    }
  }
}

Task<> run_service(Service& service, std::atomic<int>& ended) {
  co_await service.serve();
  ++ended;
}

}  // namespace

TEST_CASE("a warm worker allocates nothing and makes at most a tenth of a system call per request", "[runtime][cost]") {
  constexpr int connections = 4;
  WorkerThread worker;
  char path[] = "/tmp/lunaris-steady-XXXXXX";
  const UniqueFd file(::mkstemp(path));
  REQUIRE(file);
  ::unlink(path);
  REQUIRE(::ftruncate(file.get(), response_bytes) == 0);

  std::vector<UniqueFd> clients;
  std::vector<std::unique_ptr<Service>> services;
  std::atomic<int> ended{0};
  for (int i = 0; i < connections; ++i) {
    auto [ours, theirs] = socket_pair();
    clients.push_back(std::move(theirs));
    services.push_back(std::make_unique<Service>(*worker, std::move(ours), file.get()));
    worker->post([&service = *services.back(), &ended] { return run_service(service, ended); });
  }
  struct Sample {
    std::uint64_t allocations, enters, operations;
  };
  const auto sample = [&] {
    return worker.call([&] { return Sample{allocations_here, uring::thread_ring.enters, worker->ring().started()}; });
  };
  // Warm is when frames, slots and slabs for the highest concurrency are there, which takes a few rounds to come about.
  constexpr std::uint64_t requests = 10'000;
  std::uint64_t fewest_allocations = UINT64_MAX;
  double fewest_calls = 1e9;
  Sample before = sample();
  for (int round = 0; round < 6; ++round) {
    load(clients, requests);
    const Sample after = sample();
    fewest_allocations = std::min(fewest_allocations, after.allocations - before.allocations);
    fewest_calls = std::min(fewest_calls, double(after.enters - before.enters) / double(requests));
    CHECK(after.operations - before.operations >= requests);
    before = after;
  }
  CHECK(fewest_allocations <= 4);  // the samples themselves are posted, which allocates
  CHECK(fewest_calls <= 0.1);
  clients.clear();
  while (ended < connections) std::this_thread::yield();
}
