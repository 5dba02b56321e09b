// The ring's operations on a real file, and what must not be done to a ring.
#include "server/runtime/ring.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "server/runtime/asio_ring.h"
#include "server/runtime/worker_context.h"
#include "tests/unit/runtime/child.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

namespace {

UniqueFd temporary_file() {
  char path[] = "/tmp/lunaris-ring-XXXXXX";
  UniqueFd file(::mkostemp(path, O_CLOEXEC));
  REQUIRE(file);
  ::unlink(path);
  return file;
}

Task<int> write_all_then_read(Worker& worker, int fd, std::string& back) {
  char first[] = "hello ";
  char second[] = "ring";
  const std::array<iovec, 2> out{iovec{first, 6}, iovec{second, 4}};
  const std::int32_t written = co_await worker.ring().write(fd, out, 100, 0);
  if (written != 10) co_return written;
  if (const std::int32_t synced = co_await worker.ring().fdatasync(fd); synced != 0) co_return synced;
  back.resize(10);
  const std::array<iovec, 2> in{iovec{back.data(), 3}, iovec{back.data() + 3, 7}};
  co_return co_await worker.ring().read(fd, in, 100);
}

BufferPoolOptions registered_buffers() {
  BufferPoolOptions options;
  options.bytes_max = std::size_t{8} << 20;
  options.registered_bytes_max = std::size_t{2} << 20;
  return options;
}

}  // namespace

TEST_CASE("vectors are written and read back in order", "[runtime][ring]") {
  WorkerThread worker;
  const UniqueFd file = temporary_file();
  std::string back;
  CHECK(worker.call([&] { return write_all_then_read(*worker, file.get(), back); }) == 10);
  CHECK(back == "hello ring");
}

TEST_CASE("registered buffers are written and read back", "[runtime][ring]") {
  WorkerThread worker("fixed", registered_buffers());
  const UniqueFd file = temporary_file();
  const bool same = worker.call([&]() -> Task<bool> {
    BufferLease out = co_await worker->buffers().acquire(16384);
    BufferLease in = co_await worker->buffers().acquire(16384);
    LUN_ASSERT(out.registered_index() >= 0 && in.registered_index() >= 0);
    std::fill(out.bytes().begin(), out.bytes().end(), std::byte{0x5a});
    Ring& ring = worker->ring();
    if (co_await ring.write_fixed(file.get(), out.bytes(), 4096, out.registered_index()) != 16384) co_return false;
    if (co_await ring.read_fixed(file.get(), in.bytes(), 4096, in.registered_index()) != 16384) co_return false;
    co_return std::equal(in.bytes().begin(), in.bytes().end(), out.bytes().begin());
  });
  CHECK(same);
}

TEST_CASE("a fixed operation outside its registered buffer fails with EFAULT", "[runtime][ring]") {
  WorkerThread worker("fixed", registered_buffers());
  const UniqueFd file = temporary_file();
  std::array<std::byte, 512> elsewhere{};
  const std::int32_t result = worker.call(
      [&]() -> Task<std::int32_t> { co_return co_await worker->ring().write_fixed(file.get(), elsewhere, 0, 0); });
  CHECK(result == -EFAULT);
}

TEST_CASE("fallocate takes space and punches holes", "[runtime][ring]") {
  WorkerThread worker;
  const UniqueFd file = temporary_file();
  const auto allocate = [&](int mode, std::uint64_t offset, std::uint64_t length) {
    return worker.call([&, mode, offset, length]() -> Task<std::int32_t> {
      co_return co_await worker->ring().fallocate(file.get(), mode, offset, length);
    });
  };
  CHECK(allocate(0, 0, 1 << 20) == 0);
  struct stat status{};
  REQUIRE(::fstat(file.get(), &status) == 0);
  CHECK(status.st_size == 1 << 20);
  const auto blocks = status.st_blocks;
  CHECK(allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 512 << 10) == 0);
  REQUIRE(::fstat(file.get(), &status) == 0);
  CHECK(status.st_blocks < blocks);
  CHECK(status.st_size == 1 << 20);
}

TEST_CASE("errors come back as negative errno values", "[runtime][ring]") {
  WorkerThread worker;
  char byte = 0;
  const iovec vector{&byte, 1};
  const auto read_from = [&](int fd) {
    return worker.call(
        [&, fd]() -> Task<std::int32_t> { co_return co_await worker->ring().read(fd, {&vector, 1}, 0); });
  };
  CHECK(read_from(-1) == -EBADF);
  const UniqueFd folder(::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(read_from(folder.get()) == -EISDIR);
  const UniqueFd write_only(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  CHECK(read_from(write_only.get()) == -EBADF);
}

TEST_CASE("two thousand operations at once on one file all complete with their own result", "[runtime][ring]") {
  WorkerThread worker;
  const UniqueFd file = temporary_file();
  constexpr int count = 2000;
  std::vector<std::uint32_t> content(count);
  for (std::uint32_t i = 0; i < count; ++i) content[i] = i * 2654435761U;
  REQUIRE(::pwrite(file.get(), content.data(), count * 4, 0) == count * 4);
  struct Reader {
    static Task<> run(Worker& on, int fd, std::uint32_t number, std::vector<std::uint32_t>& out) {
      const iovec vector{&out[number], 4};
      if (co_await on.ring().read(fd, {&vector, 1}, number * 4) != 4) out[number] = 0;
    }
  };
  std::vector<std::uint32_t> back(count);
  worker.call([&]() -> Task<> {
    Gate gate;
    for (std::uint32_t i = 0; i < count; ++i) spawn(*gate.try_enter(), Reader::run(*worker, file.get(), i, back));
    LUN_ASSERT(worker->ring().in_flight() == count);
    co_await gate.close();
  });
  CHECK(back == content);
  CHECK(worker.call([&] { return worker->ring().in_flight(); }) == 0);
}

TEST_CASE("a pending flag is true while the operation runs and false when its waiter resumes", "[runtime][ring]") {
  WorkerThread worker;
  auto [ours, theirs] = socket_pair();
  bool pending = false;
  struct Wait {
    static Task<bool> run(Worker& on, int fd, bool& flag) {
      RingRequest request;
      request.kind = RingRequest::Kind::poll_in;
      request.fd = fd;
      request.pending = &flag;
      const std::int32_t events = co_await on.ring().submit(request);
      co_return events > 0 && !flag;
    }
  };
  std::thread sender([&, fd = theirs.get()] {
    while (!worker.call([&] { return pending; })) std::this_thread::yield();
    REQUIRE(::send(fd, "x", 1, 0) == 1);
  });
  CHECK(worker.call([&, fd = ours.get()] { return Wait::run(*worker, fd, pending); }));
  sender.join();
}

TEST_CASE("touching a worker's ring from a foreign thread aborts", "[runtime][ring][lifecycle]") {
  const ChildResult result = in_child([] {
    WorkerThread worker;
    Ring& ring = worker.call([&]() -> Ring* { return &worker->ring(); })[0];
    Completion completion;
    char byte = 0;
    const iovec vector{&byte, 1};
    RingRequest request;
    request.fd = 0;
    request.vectors = &vector;
    request.vector_count = 1;
    ring.start(request, completion);
    return 0;
  });
  CHECK(result.aborted());
  CHECK(result.error_text.find("foreign thread") != std::string::npos);
}

TEST_CASE("destroying a ring with an operation in flight aborts", "[runtime][ring][lifecycle]") {
  const ChildResult result = in_child([] {
    WorkerContext context;
    auto ring = std::make_unique<Ring>(std::make_unique<Ring::Implementation>(context.get()));
    int fds[2];
    if (::pipe(fds) != 0) return 1;
    Completion completion;
    completion.waiter = std::noop_coroutine();
    RingRequest request;
    request.kind = RingRequest::Kind::poll_in;
    request.fd = fds[0];
    ring->start(request, completion);
    ring.reset();
    return 0;
  });
  CHECK(result.aborted());
  CHECK(result.error_text.find("in_flight() == 0") != std::string::npos);
}

TEST_CASE("a management loop has a ring too and may be posted to from any thread", "[runtime][ring]") {
  WorkerThread worker("management", small_buffers(), AsioLoop::Mode::management);
  const UniqueFd file = temporary_file();
  REQUIRE(::pwrite(file.get(), "abc", 3, 0) == 3);
  char back[4] = {};
  const iovec vector{back, 3};
  const std::int32_t got =
      worker.call([&]() -> Task<std::int32_t> { co_return co_await worker->ring().read(file.get(), {&vector, 1}, 0); });
  CHECK(got == 3);
  CHECK(std::string(back) == "abc");
}
