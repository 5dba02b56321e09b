// What only the file back end does: opening with a sentence for everything that can be wrong, errno, sticky flushes.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include "backends/file/file_device.h"
#include "server/runtime/ring.h"
#include "tests/unit/backends/child.h"
#include "tests/unit/backends/test_stack.h"

using namespace lunaris::backends;
using namespace lunaris::backends::test;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct Opened {
  Result<std::unique_ptr<BlockDevice>> device;
  std::string reason;
};

Opened open_in(const std::string& folder, std::string_view options, OpenRequest request) {
  request.name = "test";
  request.data_folder = folder;
  std::string reason;
  auto device = open_backend(request, object(options), reason);
  return {std::move(device), reason};
}

constexpr std::string_view disk = R"({"type": "file", "path": "disk.img"})";

void make_file(const std::string& path, std::uint64_t size) {
  std::ofstream(path).close();
  std::filesystem::resize_file(path, size);
}

}  // namespace

TEST_CASE("a file is created with its size and only its owner may read it", "[backends][file]") {
  const TestFolder folder;
  const Opened opened = open_in(folder.path(), disk, {.size_bytes = mib, .create = true});
  REQUIRE(opened.device.has_value());
  struct stat facts{};
  REQUIRE(::stat((folder / "disk.img").c_str(), &facts) == 0);
  CHECK(facts.st_size == mib);
  CHECK((facts.st_mode & 0777) == 0600);
  CHECK(facts.st_blocks == 0);
}

TEST_CASE("a missing file is refused unless it may be created", "[backends][file]") {
  const TestFolder folder;
  const Opened opened = open_in(folder.path(), disk, {.size_bytes = mib});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == folder / "disk.img does not exist: correct the path, or let Lunaris create it");
  CHECK_FALSE(std::filesystem::exists(folder / "disk.img"));
}

TEST_CASE("a file without a size is not created", "[backends][file]") {
  const TestFolder folder;
  const Opened opened = open_in(folder.path(), disk, {.create = true});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == folder / "disk.img does not exist, and the volume has no size to create it with");
}

TEST_CASE("a missing folder is named", "[backends][file]") {
  const TestFolder folder;
  const Opened opened =
      open_in(folder.path(), R"({"type": "file", "path": "no/such/disk.img"})", {.size_bytes = mib, .create = true});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == "the folder " + folder / "no/such does not exist: make it first, or correct the path");
}

TEST_CASE("a directory is refused", "[backends][file]") {
  const TestFolder folder;
  std::filesystem::create_directory(folder / "disk.img");
  const Opened opened = open_in(folder.path(), disk, {.size_bytes = mib});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == folder / "disk.img is a directory: name a file in it");
}

TEST_CASE("what is neither a file nor a block device is refused without waiting for it", "[backends][file]") {
  const TestFolder folder;
  REQUIRE(::mkfifo((folder / "disk.img").c_str(), 0600) == 0);
  const Opened opened = open_in(folder.path(), disk, {.size_bytes = mib});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == folder / "disk.img is neither a file nor a block device");
}

TEST_CASE("a file that may not be opened is refused with the user id that needs the right", "[backends][file]") {
  const TestFolder folder;
  make_file(folder / "disk.img", mib);
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  REQUIRE(::chmod((folder / "disk.img").c_str(), 0400) == 0);
  const int code = in_child([&folder] {
    if (::geteuid() == 0 && ::setuid(65534) != 0) return child_skipped;
    const Opened opened = open_in(folder.path(), disk, {});
    const std::string wanted = "no permission to open " +
                               folder / "disk.img for reading and writing: give it to user " + "id " +
                               std::to_string(::geteuid()) + ", which Lunaris runs as";
    return opened.device.has_error() && opened.reason == wanted ? 0 : 1;
  });
  if (code == child_skipped) {
    WARN("skipped: the user id cannot be changed here");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("a file that is larger than configured is refused and one that is smaller grows", "[backends][file]") {
  const TestFolder folder;
  make_file(folder / "disk.img", 2 * mib);
  const Opened smaller = open_in(folder.path(), disk, {.size_bytes = mib});
  REQUIRE(smaller.device.has_error());
  CHECK(smaller.reason == folder /
                              "disk.img is 2 MiB, the configuration says 1 MiB: set the size to that of the file "
                              "(shrinking would cut off data), or use another file");
  CHECK(std::filesystem::file_size(folder / "disk.img") == 2 * mib);
  {
    const Opened same = open_in(folder.path(), disk, {});
    REQUIRE(same.device.has_value());
    CHECK((*same.device)->geometry().size_bytes == 2 * mib);
  }
  const Opened larger = open_in(folder.path(), disk, {.size_bytes = 3 * mib});
  REQUIRE(larger.device.has_value());
  CHECK(std::filesystem::file_size(folder / "disk.img") == 3 * mib);
}

TEST_CASE("an empty file without a configured size is refused", "[backends][file]") {
  const TestFolder folder;
  make_file(folder / "disk.img", 0);
  const Opened opened = open_in(folder.path(), disk, {});
  REQUIRE(opened.device.has_error());
  CHECK(opened.reason == folder / "disk.img is empty: give the volume a size");
}

TEST_CASE("a file in use by another volume is refused until that one is closed", "[backends][file]") {
  const TestFolder folder;
  Opened first = open_in(folder.path(), disk, {.size_bytes = mib, .create = true});
  REQUIRE(first.device.has_value());
  const Opened second = open_in(folder.path(), disk, {.size_bytes = mib, .create = true});
  REQUIRE(second.device.has_error());
  CHECK(second.reason == folder /
                             "disk.img is in use by another volume or another Lunaris: stop that one, or give "
                             "volume \"test\" a file of its own");
  CHECK(open_in(folder.path(), disk, {.size_bytes = mib, .read_only = true}).device.has_error());
  // The same from another process, and losing it must not remove the file.
  CHECK(in_child([&folder] { return open_in(folder.path(), disk, {}).device.has_error() ? 0 : 1; }) == 0);
  CHECK(std::filesystem::exists(folder / "disk.img"));
  first.device->reset();
  CHECK(open_in(folder.path(), disk, {.size_bytes = mib}).device.has_value());
}

TEST_CASE("a file is open read-only any number of times but not beside a writer", "[backends][file]") {
  const TestFolder folder;
  make_file(folder / "disk.img", mib);
  const Opened first = open_in(folder.path(), disk, {.read_only = true});
  const Opened second = open_in(folder.path(), disk, {.read_only = true});
  CHECK(first.device.has_value());
  CHECK(second.device.has_value());
  CHECK(open_in(folder.path(), disk, {}).device.has_error());
}

TEST_CASE("a file allocated in full takes its space at once and keeps it", "[backends][file]") {
  TestStack stack(object(R"({"type": "file", "path": "disk.img", "allocate": "full"})"), mib);
  CHECK(stack.device().allocated_bytes() >= mib);
  CHECK_FALSE(stack.geometry().thin);
  REQUIRE(stack.write(0, pattern(65536, 1)).has_value());
  REQUIRE(stack.write_zeroes({0, 65536}, true).has_value());
  CHECK(stack.device().allocated_bytes() >= mib);
  CHECK(*stack.read(0, 65536) == Bytes(65536));
  REQUIRE(stack.device().resize(2 * mib).has_value());
  CHECK(stack.device().allocated_bytes() >= 2 * mib);
}

TEST_CASE("what was written is in the file for the next one who opens it", "[backends][file]") {
  const TestFolder folder;
  const Bytes bytes = pattern(65536, 4);
  {
    Opened opened = open_in(folder.path(), disk, {.size_bytes = mib, .create = true});
    REQUIRE(opened.device.has_value());
    TestStack stack(std::move(*opened.device));
    REQUIRE(stack.write(123 * 512, bytes).has_value());
    REQUIRE(stack.flush().has_value());
  }
  Opened again = open_in(folder.path(), disk, {});
  REQUIRE(again.device.has_value());
  TestStack stack(std::move(*again.device));
  CHECK(*stack.read(123 * 512, bytes.size()) == bytes);
}

namespace {

lunaris::runtime::Task<bool> same_through_registered_buffer(BlockDevice& device) {
  lunaris::runtime::Worker& worker = *lunaris::runtime::Worker::current();
  Result<std::unique_ptr<BlockChannel>> channel = device.open_channel(worker);
  lunaris::runtime::BufferLease lease = *worker.buffers().try_acquire(65536);
  const Bytes bytes = pattern(65536, 21);
  std::ranges::copy(bytes, lease.bytes().begin());
  const iovec segment{lease.bytes().data(), 65536};
  const Result<> written = co_await (*channel)->write(4096, {&segment, 1}, {}, lease.registered_index());
  const Result<Bytes> got = co_await read_bytes(**channel, {4096, 65536});
  co_return lease.registered_index() >= 0 && written.has_value() && got.has_value() && *got == bytes;
}

}  // namespace

TEST_CASE("registered buffers are read into and written from", "[backends][file]") {
  const TestFolder folder;
  const std::string options =
      GENERATE(as<std::string>(), disk, R"({"type": "file", "path": "disk.img", "direct_io": true})");
  Opened opened = open_in(folder.path(), options, {.size_bytes = mib, .create = true});
  if (opened.device.has_error()) {
    WARN("skipped: " << opened.reason);
    return;
  }
  BlockDevice& device = **opened.device;
  TestWorker worker(0, std::size_t{4} << 20);
  CHECK(worker.call([&device] { return same_through_registered_buffer(device); }));
}

TEST_CASE("a file that somebody cuts short answers out of range", "[backends][file]") {
  TestStack stack(object(disk), mib);
  std::filesystem::resize_file(stack.folder() / "disk.img", mib / 2);
  CHECK(stack.read(0, 4096).has_value());
  CHECK(stack.read(mib - 4096, 4096).error() == make_error_code(BackendError::out_of_range));
  CHECK(stack.read(mib / 2 - 4096, 8192).error() == make_error_code(BackendError::out_of_range));
}

namespace {

/// A device over something that is not a disk and fails in a way of its own.
std::unique_ptr<BlockDevice> device_over(const char* path) {
  auto state = std::make_unique<FileState>();
  state->fd = lunaris::runtime::UniqueFd(::open(path, O_RDWR | O_CLOEXEC));
  REQUIRE(state->fd);
  state->path = path;
  state->geometry.size_bytes = mib;
  return std::make_unique<FileDevice>(std::move(state));
}

}  // namespace

TEST_CASE("a full medium answers out of space and the device lives on", "[backends][file][BE-1]") {
  TestStack stack(device_over("/dev/full"));
  CHECK(stack.write(0, Bytes(4096)).error() == make_error_code(BackendError::out_of_space));
  CHECK(stack.write(0, Bytes(4096), {.force_unit_access = true}).error() ==
        make_error_code(BackendError::out_of_space));
  CHECK(stack.read(0, 4096).has_value());
}

TEST_CASE("a failed flush fails every later call on every worker", "[backends][file][BE-1]") {
  // The zero device reads and writes, but has nothing to flush: fdatasync answers EINVAL.
  TestStack stack(device_over("/dev/zero"));
  REQUIRE(stack.read(0, 4096).has_value());
  REQUIRE(stack.read(0, 4096, 1).has_value());
  const auto failed = make_error_code(BackendError::flush_failed);
  CHECK(stack.flush().error() == failed);
  for (const std::size_t worker : {std::size_t{0}, std::size_t{1}}) {
    CHECK(stack.flush(worker).error() == failed);
    CHECK(stack.read(0, 4096, worker).error() == failed);
    CHECK(stack.write(0, Bytes(4096), {}, worker).error() == failed);
  }
  CHECK(stack.discard({0, 4096}).error() == failed);
  CHECK(stack.write_zeroes({0, 4096}, false).error() == failed);
  CHECK(stack.extents({0, 4096}).error() == failed);
}

namespace {

lunaris::runtime::Task<> flush_once(BlockChannel& channel, unsigned& good, unsigned& bad) {
  ++((co_await channel.flush()).has_value() ? good : bad);
}

lunaris::runtime::Task<std::pair<unsigned, std::uint64_t>> flush_together(BlockChannel& channel, unsigned count) {
  lunaris::runtime::Ring& ring = lunaris::runtime::Worker::current()->ring();
  const std::uint64_t before = ring.started();
  lunaris::runtime::Gate gate;
  unsigned good = 0;
  unsigned bad = 0;
  for (unsigned i = 0; i < count; ++i) spawn(*gate.try_enter(), flush_once(channel, good, bad));
  co_await gate.close();
  co_return std::pair{count == good + bad ? good : ~0U, ring.started() - before};
}

}  // namespace

TEST_CASE("flushes that come together share one and all hear of its failure", "[backends][file]") {
  {
    TestStack stack(object(disk), mib);
    BlockChannel& channel = stack.channel();
    const auto [good, operations] = stack.worker().call([&channel] { return flush_together(channel, 50); });
    CHECK(good == 50);
    CHECK(operations == 2);
  }
  TestStack stack(device_over("/dev/zero"));
  BlockChannel& channel = stack.channel();
  const auto [good, operations] = stack.worker().call([&channel] { return flush_together(channel, 50); });
  CHECK(good == 0);
  CHECK(operations == 1);
}

namespace {

/// Writes 64 KiB pieces until one fails; 0 when the error is out_of_space and what was written before is intact.
int fill_until_full(const std::string& folder, std::string_view options) {
  Opened opened = open_in(folder, options, {.size_bytes = 8 * mib, .create = true});
  if (opened.device.has_error()) return child_skipped;
  TestStack stack(std::move(*opened.device));
  const Bytes bytes = pattern(65536, 2);
  for (std::uint64_t at = 0; at < 8 * mib; at += bytes.size()) {
    const Result<> written = stack.write(at, bytes);
    if (written.has_value()) continue;
    if (written.error() != make_error_code(BackendError::out_of_space)) return 1;
    return at > 0 && *stack.read(0, bytes.size()) == bytes ? 0 : 2;
  }
  return 3;
}

}  // namespace

TEST_CASE("a write that the file system has no space for answers out of space", "[backends][file][BE-1]") {
  const TestFolder folder;
  const int code = in_child([&folder] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tiny", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      return child_skipped;
    }
    return fill_until_full(folder.path(), disk);
  });
  if (code == child_skipped) {
    WARN("skipped: no file system can be mounted here");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("a file that cannot get its space in full is not left behind", "[backends][file][BE-1]") {
  const TestFolder folder;
  const int code = in_child([&folder] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tiny", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
      return child_skipped;
    }
    const Opened opened = open_in(folder.path(), R"({"type": "file", "path": "disk.img", "allocate": "full"})",
                                  {.size_bytes = 8 * mib, .create = true});
    if (opened.reason != "no space left to give " + folder / "disk.img its 8 MiB") return 1;
    return std::filesystem::exists(folder / "disk.img") ? 2 : 0;
  });
  if (code == child_skipped) {
    WARN("skipped: no file system can be mounted here");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("a write beyond the limit on file sizes answers out of space", "[backends][file][BE-1]") {
  const TestFolder folder;
  make_file(folder / "disk.img", 8 * mib);
  const int code = in_child([&folder] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{mib, mib};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return child_skipped;
    return fill_until_full(folder.path(), disk);
  });
  CHECK(code == 0);
}

TEST_CASE("zeros are written as data where the file system cannot zero a range", "[backends][file]") {
  // tmpfs has holes but no ZERO_RANGE.
  struct stat facts{};
  if (::stat("/dev/shm", &facts) != 0) {
    WARN("skipped: no /dev/shm here");
    return;
  }
  const std::string path = "/dev/shm/lunaris-test-" + std::to_string(::getpid());
  {
    Opened opened = open_in("/", R"({"type": "file", "path": ")" + path + R"("})", {.size_bytes = mib, .create = true});
    REQUIRE(opened.device.has_value());
    TestStack stack(std::move(*opened.device));
    REQUIRE(stack.write(0, pattern(262144, 1)).has_value());
    REQUIRE(stack.write(262144, pattern(262144, 2)).has_value());
    CHECK(stack.write_zeroes({512, 400000}, false).has_value());
    CHECK(*stack.read(512, 200000) == Bytes(200000));
    CHECK(*stack.read(200512, 200000) == Bytes(200000));
    CHECK(stack.read(0, 512)->front() == pattern(1, 1).front());
  }
  std::filesystem::remove(path);
}

namespace {

using lunaris::runtime::Task;
using lunaris::runtime::Worker;

Task<> read_once(BlockChannel& channel, std::uint64_t offset) {
  static_cast<void>(co_await channel.read({offset, 4096}));
}

/// Ring operations for reads one after the other, each in a turn of its own.
Task<std::uint64_t> operations_one_by_one(BlockChannel& channel, unsigned count) {
  Worker& worker = *Worker::current();
  const std::uint64_t before = worker.ring().started();
  for (unsigned i = 0; i < count; ++i) {
    co_await worker.yield();
    co_await read_once(channel, i * 4096);
  }
  co_return worker.ring().started() - before;
}

/// Ring operations for rounds of reads that start together.
Task<std::uint64_t> operations_together(BlockChannel& channel, unsigned rounds, unsigned count) {
  Worker& worker = *Worker::current();
  const std::uint64_t before = worker.ring().started();
  for (unsigned round = 0; round < rounds; ++round) {
    co_await worker.yield();
    lunaris::runtime::Gate gate;
    for (unsigned i = 0; i < count; ++i) spawn(*gate.try_enter(), read_once(channel, i * 4096));
    co_await gate.close();
  }
  co_return worker.ring().started() - before;
}

}  // namespace

TEST_CASE("cached reads go without the ring one by one and through it at depth", "[backends][file]") {
  TestStack stack(object(disk), mib);
  for (std::uint64_t at = 0; at < mib; at += 262144) REQUIRE(stack.write(at, pattern(262144, at)).has_value());
  BlockChannel& channel = stack.channel();
  CHECK(stack.worker().call([&channel] { return operations_one_by_one(channel, 100); }) == 0);
  // The first of a burst may be tried at once: nobody knows yet that more will come.
  const std::uint64_t operations = stack.worker().call([&channel] { return operations_together(channel, 10, 32); });
  CHECK(operations >= 10 * 31);
}

TEST_CASE("reads in steady state allocate nothing", "[backends][file]") {
  const std::string options = GENERATE(as<std::string>(), disk, R"({"type": "memory"})");
  TestStack stack(object(options), mib);
  REQUIRE(stack.write(0, pattern(262144, 1)).has_value());
  BlockChannel& channel = stack.channel();
  TestWorker& worker = stack.worker();
  worker.call([&channel] { return operations_together(channel, 4, 32); });
  const std::uint64_t warm = worker.run([&worker] { return worker->frames().heap_allocations(); });
  worker.call([&channel] { return operations_together(channel, 20, 32); });
  // What is left is the measuring: a posted function and its frame.
  CHECK(worker.run([&worker] { return worker->frames().heap_allocations(); }) <= warm + 4);
}
