// Range locks over two workers in threads of their own, against an oracle that knows who uses which block.
#include "server/volume/range_lock.h"

#include <array>
#include <atomic>
#include <random>

#include "server/volume/volume.h"
#include "tests/unit/backends/test_stack.h"

using namespace lunaris::volume;
using lunaris::backends::ByteRange;
using lunaris::backends::test::object;
using lunaris::backends::test::TestWorker;
using lunaris::runtime::Task;
using lunaris::runtime::Worker;

namespace {

constexpr std::uint64_t block_bytes = 512;
constexpr std::size_t block_count = 24;  // few, so that ranges overlap

/// What is known of every block: who uses it now, and a count that only exclusive holders touch, without atomics.
struct Oracle {
  static constexpr int alone = -1;
  struct Block {
    std::atomic<int> users{0};  // ordinary calls under way, or `alone`
    std::uint64_t value = 0;
  };
  std::array<Block, block_count> blocks;
  std::atomic<std::uint64_t> violations{0};
  std::atomic<std::uint64_t> added{0};

  void begin_ordinary(std::size_t first, std::size_t end) {
    for (std::size_t block = first; block < end; ++block) {
      if (blocks[block].users.fetch_add(1) < 0) ++violations;
    }
  }
  void end_ordinary(std::size_t first, std::size_t end) {
    for (std::size_t block = first; block < end; ++block) blocks[block].users.fetch_sub(1);
  }
  void begin_alone(std::size_t first, std::size_t end) {
    for (std::size_t block = first; block < end; ++block) {
      int nobody = 0;
      if (!blocks[block].users.compare_exchange_strong(nobody, alone)) ++violations;
    }
  }
  void end_alone(std::size_t first, std::size_t end) {
    for (std::size_t block = first; block < end; ++block) blocks[block].users.store(0);
  }
};

struct Disk {
  Disk() {
    std::string reason;
    auto device = lunaris::backends::open_backend({"v", std::uint64_t{1} << 20, false, true, "/"},
                                                  object(R"({"type": "memory"})"), reason);
    INFO(reason);
    REQUIRE(device.has_value());
    View view;
    view.size_bytes = std::uint64_t{1} << 20;
    volume =
        management.run([&] { return std::make_unique<Volume>(*management, Identity{}, std::move(*device), view); });
  }
  ~Disk() {
    management.call([this] { return close(*volume); });
    management.run([this] { volume.reset(); });
  }
  static Task<bool> close(Volume& volume) {
    co_await volume.close();
    co_return true;
  }
  TestWorker management{0};
  TestWorker one{1}, two{2};
  std::unique_ptr<Volume> volume;
};

Task<> linger(std::mt19937& random) {
  for (unsigned turns = random() % 3; turns != 0; --turns) co_await Worker::current()->yield();
}

Task<> ordinary_call(Port& port, Oracle& oracle, std::mt19937& random, std::size_t first, std::size_t end) {
  RangeUse use(port.uses(), {first * block_bytes, (end - first) * block_bytes});
  if (use.must_wait()) co_await use.turn();
  oracle.begin_ordinary(first, end);
  co_await linger(random);
  oracle.end_ordinary(first, end);
}

Task<> read_modify_write(Volume& volume, Oracle& oracle, std::mt19937& random, std::size_t first, std::size_t end) {
  ExclusiveRange exclusive(volume, {first * block_bytes, (end - first) * block_bytes});
  co_await exclusive.acquire();
  oracle.begin_alone(first, end);
  std::array<std::uint64_t, block_count> read{};
  for (std::size_t block = first; block < end; ++block) read[block] = oracle.blocks[block].value;
  co_await linger(random);
  for (std::size_t block = first; block < end; ++block) oracle.blocks[block].value = read[block] + 1;
  oracle.added += end - first;
  oracle.end_alone(first, end);
}

Task<bool> commands(Volume& volume, Oracle& oracle, unsigned seed, unsigned count, unsigned ordinary_of_8) {
  std::mt19937 random(seed);
  const auto port = volume.port(*Worker::current());
  for (; count != 0; --count) {
    const std::optional<Port::Pass> pass = (*port)->enter();
    const std::size_t first = random() % block_count;
    const std::size_t end = first + 1 + random() % (block_count - first);
    if (random() % 8 < ordinary_of_8) {
      co_await ordinary_call(**port, oracle, random, first, end);
    } else {
      co_await read_modify_write(volume, oracle, random, first, end);
    }
    co_await linger(random);
  }
  co_return true;
}

}  // namespace

TEST_CASE("nobody is in a range that a command has for itself", "[volume][range lock][SBC-4 5.3]") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  for (const unsigned ordinary_of_8 : {0u, 4u, 7u}) {
    Disk disk;
    Oracle oracle;
    std::vector<std::future<bool>> running;
    for (unsigned index = 0; index < 12; ++index) {
      TestWorker& worker = index % 2 == 0 ? disk.one : disk.two;
      running.push_back(worker.start([&disk, &oracle, index, seed, ordinary_of_8] {
        return commands(*disk.volume, oracle, seed + index, 300, ordinary_of_8);
      }));
    }
    for (std::future<bool>& each : running) CHECK(each.get());
    CHECK(oracle.violations == 0);
    std::uint64_t sum = 0;
    for (const Oracle::Block& block : oracle.blocks) sum += block.value;
    CHECK(sum == oracle.added);  // no lost update
    CHECK(sum > 0);
    CHECK_FALSE(disk.volume->range_lock().is_in_use());
  }
}

TEST_CASE("ranges that only touch do not wait for each other", "[volume][range lock]") {
  CHECK_FALSE(overlap({0, 512}, {512, 512}));
  CHECK_FALSE(overlap({512, 512}, {0, 512}));
  CHECK(overlap({0, 513}, {512, 512}));
  CHECK(overlap({0, 4096}, {512, 512}));
  CHECK_FALSE(overlap({512, 0}, {0, 512}));
}
