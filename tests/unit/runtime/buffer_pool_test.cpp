// The buffer pool: classes, order, limits, waiting in turn, and registration under a small RLIMIT_MEMLOCK.
#include "server/runtime/buffer_pool.h"

#include <grp.h>
#include <sys/resource.h>

#include <string>
#include <vector>

#include "server/runtime/ring.h"
#include "tests/unit/runtime/child.h"
#include "tests/unit/runtime/manual_worker.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

namespace {

constexpr std::uint32_t largest = BufferPool::buffer_bytes_max;

BufferPoolOptions one_slab() {
  BufferPoolOptions options;
  options.bytes_max = BufferPool::slab_bytes;
  options.registered_bytes_max = 0;
  return options;
}

Task<> hold_then_note(BufferPool& pool, std::uint32_t size, std::string& log, char mark, Signal& release) {
  BufferLease lease = co_await pool.acquire(size);
  log.push_back(mark);
  co_await release.wait();
}

}  // namespace

TEST_CASE("a buffer comes from the smallest class that holds it", "[runtime][buffers]") {
  BufferPool pool(BufferPoolOptions{});
  for (const auto& [asked, given] : {std::pair(1U, 4096U),
                                     {4096U, 4096U},
                                     {4097U, 16384U},
                                     {16385U, 65536U},
                                     {65536U, 65536U},
                                     {65537U, 262144U},
                                     {262144U, 262144U}}) {
    const auto lease = pool.try_acquire(asked);
    REQUIRE(lease.has_value());
    CHECK(lease->size_bytes() == given);
    CHECK(lease->bytes().size() == given);
    CHECK(lease->registered_index() == -1);
    CHECK(reinterpret_cast<std::uintptr_t>(lease->bytes().data()) % 4096 == 0);
  }
  CHECK(pool.bytes_in_use() == 0);
}

TEST_CASE("asking for nothing or for more than the largest class is a bug", "[runtime][buffers]") {
  for (const std::uint32_t size : {0U, largest + 1}) {
    CHECK(in_child([size] {
            BufferPool pool(BufferPoolOptions{});
            return pool.try_acquire(size).has_value() ? 0 : 1;
          }).aborted());
  }
}

TEST_CASE("the buffer given back last is the next one handed out", "[runtime][buffers]") {
  BufferPool pool(one_slab());
  auto a = pool.try_acquire(4096);
  auto b = pool.try_acquire(4096);
  const std::byte* const first = a->bytes().data();
  const std::byte* const second = b->bytes().data();
  CHECK(first != second);
  a.reset();
  b.reset();
  CHECK(pool.try_acquire(4096)->bytes().data() == second);
  auto again = pool.try_acquire(4096);
  CHECK(again->bytes().data() == second);
  CHECK(pool.try_acquire(4096)->bytes().data() == first);
}

TEST_CASE("moving a lease moves the buffer and gives it back once", "[runtime][buffers]") {
  BufferPool pool(one_slab());
  BufferLease a = *pool.try_acquire(4096);
  BufferLease b = std::move(a);
  CHECK_FALSE(static_cast<bool>(a));
  CHECK(pool.bytes_in_use() == 4096);
  BufferLease c = *pool.try_acquire(16384 / 4);
  c = std::move(b);
  CHECK(pool.bytes_in_use() == 4096);
  c.reset();
  c.reset();
  CHECK(pool.bytes_in_use() == 0);
}

TEST_CASE("at its limit the pool hands out nothing and says that it is under pressure", "[runtime][buffers]") {
  BufferPool pool(one_slab());
  std::vector<BufferLease> leases;
  while (auto lease = pool.try_acquire(largest)) leases.push_back(std::move(*lease));
  CHECK(leases.size() == BufferPool::slab_bytes / largest);
  CHECK(pool.bytes_in_use() == BufferPool::slab_bytes);
  CHECK(pool.bytes_reserved() == BufferPool::slab_bytes);
  CHECK(pool.under_pressure());
  CHECK_FALSE(pool.try_acquire(1).has_value());
  leases.pop_back();
  CHECK_FALSE(pool.under_pressure());
  CHECK(pool.try_acquire(largest).has_value());
}

TEST_CASE("memory of one class serves another when the limit is reached and it lies idle", "[runtime][buffers]") {
  BufferPool pool(one_slab());
  std::vector<BufferLease> small;
  while (auto lease = pool.try_acquire(4096)) small.push_back(std::move(*lease));
  CHECK(small.size() == BufferPool::slab_bytes / 4096);
  CHECK_FALSE(pool.try_acquire(largest).has_value());
  BufferLease last = std::move(small.back());
  small.clear();
  CHECK_FALSE(pool.try_acquire(largest).has_value());  // one buffer of the slab is still out
  last.reset();
  std::vector<BufferLease> large;
  while (auto lease = pool.try_acquire(largest)) large.push_back(std::move(*lease));
  CHECK(large.size() == BufferPool::slab_bytes / largest);
  large.clear();
  CHECK(pool.try_acquire(4096).has_value());
}

TEST_CASE("waiters are served in the order they came and nobody overtakes them", "[runtime][buffers]") {
  ManualWorker worker(one_slab());
  BufferPool& pool = worker->buffers();
  std::vector<BufferLease> all;
  while (auto lease = pool.try_acquire(largest)) all.push_back(std::move(*lease));
  std::string log;
  Signal release_a;
  Signal release_b;
  Signal release_c;
  worker.start(hold_then_note(pool, largest, log, 'a', release_a));
  worker.start(hold_then_note(pool, largest, log, 'b', release_b));
  worker.start(hold_then_note(pool, 4096, log, 'c', release_c));
  CHECK(pool.waiting() == 3);
  all.pop_back();
  CHECK(log.empty());  // never inside the release
  CHECK_FALSE(pool.try_acquire(largest).has_value());
  worker.turns();
  CHECK(log == "a");
  CHECK(pool.waiting() == 2);
  release_a.set();
  worker.turns();
  CHECK(log == "ab");
  release_b.set();
  worker.turns();
  CHECK(log == "ab");  // 4 KiB cannot come from a slab of 256 KiB buffers that is in use
  all.clear();
  worker.turns();
  CHECK(log == "abc");
  release_c.set();
  worker.turns();
  CHECK(pool.bytes_in_use() == 0);
  CHECK(pool.waiting() == 0);
}

TEST_CASE("a pool that dies before its leases aborts", "[runtime][buffers]") {
  const ChildResult result = in_child([] {
    auto pool = std::make_unique<BufferPool>(one_slab());
    auto lease = pool->try_acquire(1);
    pool.reset();
    return 0;
  });
  CHECK(result.aborted());
}

TEST_CASE("buffers are registered in one piece and carry its index", "[runtime][buffers]") {
  BufferPoolOptions options;
  options.bytes_max = std::size_t{8} << 20;
  options.registered_bytes_max = std::size_t{4} << 20;
  WorkerThread worker("registered", options);
  worker.call([&] {
    BufferPool& pool = worker->buffers();
    CHECK(pool.bytes_registered() == std::size_t{4} << 20);
    CHECK_FALSE(pool.registration_is_short());
    std::vector<BufferLease> leases;
    std::size_t registered = 0;
    while (auto lease = pool.try_acquire(largest)) {
      if (lease->registered_index() == 0) registered += largest;
      leases.push_back(std::move(*lease));
    }
    CHECK(registered == std::size_t{4} << 20);
    CHECK(leases.size() * largest == std::size_t{8} << 20);
  });
  CHECK(worker->start_note().empty());
}

namespace {

/// In a child without privileges, which RLIMIT_MEMLOCK binds: 0 when `expected_mib` of 8 MiB are registered and the
/// note says `expected_text`.
int register_under(unsigned user, rlim_t limit_bytes, std::size_t expected_mib, const std::string& expected_text) {
  const rlimit limit{limit_bytes, limit_bytes};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 10;
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setgid(user) != 0 || ::setuid(user) != 0)) return 11;
  BufferPoolOptions options;
  options.bytes_max = std::size_t{8} << 20;
  options.registered_bytes_max = options.bytes_max;
  WorkerThread worker("limited", options);
  return worker.call([&] {
    std::fprintf(stderr, "%s\n", worker->start_note().c_str());
    if (worker->buffers().bytes_registered() != expected_mib << 20) return 1;
    if (worker->start_note().find(expected_text) == std::string::npos) return 2;
    return worker->buffers().try_acquire(largest).has_value() ? 0 : 3;
  });
}

}  // namespace

TEST_CASE("registration shrinks to RLIMIT_MEMLOCK and says so and never fails", "[runtime][buffers]") {
  // Locked memory is counted per user and given back a moment after the process has ended: a user for each. The ring
  // itself takes some of it.
  const ChildResult some = in_child([] { return register_under(65534, rlim_t{5} << 20, 4, "4 of 8 MiB"); });
  INFO(some.error_text);
  CHECK(some.status == 0);
  CHECK(some.error_text.find("RLIMIT_MEMLOCK is 5120 KiB") != std::string::npos);
  const ChildResult none = in_child([] { return register_under(65533, rlim_t{1} << 20, 0, "0 of 8 MiB"); });
  INFO(none.error_text);
  CHECK(none.status == 0);
  CHECK(none.error_text.find("memlock=-1") != std::string::npos);
}
