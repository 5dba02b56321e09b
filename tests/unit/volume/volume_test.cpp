// Volumes over several workers: views, draining, failure, resize, close.
#include "server/volume/volume.h"

#include <atomic>
#include <deque>

#include "tests/unit/backends/test_stack.h"

using namespace lunaris::volume;
using lunaris::backends::BackendError;
using lunaris::backends::make_error_code;
using lunaris::backends::Result;
using lunaris::backends::test::object;
using lunaris::backends::test::pattern;
using lunaris::backends::test::TestWorker;
using lunaris::runtime::Task;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

std::unique_ptr<lunaris::backends::BlockDevice> memory(std::string_view options = R"({"type": "memory"})") {
  std::string reason;
  auto device = lunaris::backends::open_backend({"v", mib, false, true, "/"}, object(options), reason);
  INFO(reason);
  REQUIRE(device.has_value());
  return std::move(*device);
}

Identity identity() {
  Identity named;
  named.name = "v";
  return named;
}

View first_view() {
  View view;
  view.size_bytes = mib;
  return view;
}

/// A command that runs on a worker until it is told to end.
class Command {
 public:
  Command(TestWorker& worker, Volume& volume)
      : worker_(worker), ended_(worker.start([this, &volume] { return run(volume); })) {
    REQUIRE(entered_.get_future().get());
  }
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  ~Command() { end(); }

  [[nodiscard]] const View& view() const noexcept { return *view_; }
  void end() {
    if (!ended_.valid()) return;
    worker_.run([this] { release_.set(); });
    ended_.get();
  }

 private:
  Task<bool> run(Volume& volume) {
    const Result<Port*> port = volume.port(*worker_);
    const std::optional<Port::Pass> pass = port.has_value() ? (*port)->enter() : std::nullopt;
    if (!pass) {
      entered_.set_value(false);
      co_return false;
    }
    view_ = &pass->view();
    entered_.set_value(true);
    co_await release_.wait();
    co_return true;
  }

  TestWorker& worker_;
  std::promise<bool> entered_;
  lunaris::runtime::Signal release_;
  const View* view_ = nullptr;
  std::future<bool> ended_;
};

/// A volume with a management worker and two workers for commands.
struct Fixture {
  TestWorker management{0};
  TestWorker a{1};
  TestWorker b{2};
  Volume volume;

  explicit Fixture(std::string_view options = R"({"type": "memory"})")
      : volume(*management, identity(), memory(options), first_view()) {}
  ~Fixture() { close().get(); }

  std::future<void> publish(View view) {
    return management.start([this, view] { return volume.publish(view); });
  }
  std::future<void> close() {
    return management.start([this] { return volume.close(); });
  }
  Result<> resize(std::uint64_t size) {
    return management.call([this, size] { return volume.resize(size); });
  }
  /// What a command that enters now sees; generation 0: refused.
  View seen(TestWorker& worker) {
    return worker.run([this, &worker] {
      const Result<Port*> port = volume.port(*worker);
      if (port.has_error()) return View{};
      const std::optional<Port::Pass> pass = (*port)->enter();
      return pass ? pass->view() : View{};
    });
  }
};

/// True when `future` is still waiting after the management worker and the others have done what they had to do.
bool still_waits(Fixture& fixture, const std::future<void>& future) {
  for (int round = 0; round < 20; ++round) {
    for (TestWorker* worker : {&fixture.management, &fixture.a, &fixture.b}) worker->run([] {});
  }
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
}

}  // namespace

TEST_CASE("a worker gets its port once and others get their own", "[volume]") {
  Fixture fixture;
  const auto port = [&fixture](TestWorker& worker) {
    return worker.run([&fixture, &worker] { return *fixture.volume.port(*worker); });
  };
  Port* first = port(fixture.a);
  CHECK(first == port(fixture.a));
  CHECK(first != port(fixture.b));
  CHECK(&first->volume() == &fixture.volume);
}

TEST_CASE("commands read and write through the port of their worker", "[volume]") {
  Fixture fixture;
  const auto bytes = pattern(4096, 1);
  const auto channel = [&fixture](TestWorker& worker) {
    return worker.run([&fixture, &worker] { return &(*fixture.volume.port(*worker))->channel(); });
  };
  auto* on_a = channel(fixture.a);
  auto* on_b = channel(fixture.b);
  using namespace lunaris::backends::test;
  CHECK(fixture.a.call([on_a, &bytes] { return write_bytes(*on_a, 512, bytes); }).has_value());
  CHECK(*fixture.b.call([on_b] { return read_bytes(*on_b, {512, 4096}); }) == bytes);
}

TEST_CASE("publish returns when the commands of the old view have ended on every worker", "[volume][SES-2]") {
  Fixture fixture;
  Command on_a(fixture.a, fixture.volume);
  Command on_b(fixture.b, fixture.volume);
  CHECK(on_a.view().generation == 1);
  View next = *fixture.volume.view();
  next.read_only = true;
  std::future<void> published = fixture.publish(next);
  CHECK(still_waits(fixture, published));
  CHECK_FALSE(on_a.view().read_only);  // what it agreed with stays in force
  on_a.end();
  CHECK(still_waits(fixture, published));
  on_b.end();
  published.get();
  CHECK(fixture.volume.view()->generation == 2);
}

TEST_CASE("new commands get the new view while publish waits for old ones", "[volume][SES-2]") {
  Fixture fixture;
  Command old(fixture.a, fixture.volume);
  View next = *fixture.volume.view();
  next.read_only = true;
  std::future<void> published = fixture.publish(next);
  CHECK(still_waits(fixture, published));
  Command fresh(fixture.a, fixture.volume);
  CHECK(fresh.view().read_only);
  CHECK(fixture.seen(fixture.b).generation == 2);
  old.end();
  published.get();  // although the new command still runs
  CHECK(fresh.view().generation == 2);
}

TEST_CASE("publishing twice at once is done in order and each waits for its own", "[volume]") {
  Fixture fixture;
  Command old(fixture.a, fixture.volume);
  View next = *fixture.volume.view();
  next.read_only = true;
  std::future<void> first = fixture.publish(next);
  next.read_only = false;
  std::future<void> second = fixture.publish(next);
  CHECK(still_waits(fixture, first));
  CHECK(still_waits(fixture, second));
  old.end();
  first.get();
  second.get();
  CHECK(fixture.volume.view()->generation == 3);
  CHECK_FALSE(fixture.seen(fixture.a).read_only);
}

TEST_CASE("publishing to a volume without ports returns at once", "[volume]") {
  Fixture fixture;
  fixture.publish(*fixture.volume.view()).get();
  CHECK(fixture.seen(fixture.a).generation == 2);
}

TEST_CASE("a failure is seen by the next command on every worker", "[volume][BE-1]") {
  Fixture fixture;
  Command old(fixture.a, fixture.volume);
  CHECK(fixture.seen(fixture.b).health == Health::online);
  const View here = fixture.a.run([&fixture] {
    fixture.volume.fail("the disk is on fire");
    fixture.volume.fail("and so is the house");
    return (*fixture.volume.port(*fixture.a))->enter()->view();
  });
  CHECK(here.health == Health::failed);
  CHECK(here.health_reason == "the disk is on fire");
  CHECK(fixture.seen(fixture.b).health == Health::failed);
  CHECK(old.view().health == Health::online);
}

TEST_CASE("a failed volume stays failed whatever is published", "[volume][BE-1]") {
  Fixture fixture;
  View next = *fixture.volume.view();
  fixture.volume.fail("a flush failed");
  next.read_only = true;
  fixture.publish(next).get();
  const View seen = fixture.seen(fixture.a);
  CHECK(seen.read_only);
  CHECK(seen.health == Health::failed);
  CHECK(seen.health_reason == "a flush failed");
}

TEST_CASE("a resize grows the device and publishes the new size", "[volume][SES-2]") {
  Fixture fixture;
  CHECK(fixture.seen(fixture.a).block_count() == 2048);
  REQUIRE(fixture.resize(2 * mib).has_value());
  CHECK(fixture.seen(fixture.a).block_count() == 4096);
  CHECK(fixture.volume.geometry().size_bytes == 2 * mib);
  CHECK(fixture.resize(mib).error() == make_error_code(BackendError::not_supported));
  CHECK(fixture.resize(2 * mib + 100).error() == make_error_code(BackendError::out_of_range));
  CHECK(fixture.resize(0).error() == make_error_code(BackendError::out_of_range));
  CHECK(fixture.seen(fixture.b).size_bytes == 2 * mib);
}

TEST_CASE("a closing volume lets nobody in and waits for everybody inside", "[volume][SES-2]") {
  Fixture fixture;
  auto inside = std::make_unique<Command>(fixture.a, fixture.volume);
  CHECK(fixture.seen(fixture.b).generation == 1);
  std::future<void> closed = fixture.close();
  CHECK(still_waits(fixture, closed));
  CHECK(fixture.seen(fixture.a).generation == 0);
  CHECK(fixture.seen(fixture.b).generation == 0);
  inside.reset();
  closed.get();
  // Closing again, publishing and resizing find nothing to do; the destructor closes once more.
  fixture.publish(first_view()).get();
  CHECK(fixture.resize(2 * mib).error() == make_error_code(BackendError::gone));
}

TEST_CASE("a worker that comes after the close is told that the volume is gone", "[volume]") {
  Fixture fixture;
  fixture.close().get();
  const auto error = fixture.a.run([&fixture] { return fixture.volume.port(*fixture.a).error(); });
  CHECK(error == make_error_code(BackendError::gone));
}

TEST_CASE("totals are the sums over the workers", "[volume]") {
  Fixture fixture;
  const auto count = [&fixture](TestWorker& worker, std::uint64_t amount) {
    worker.run([&fixture, &worker, amount] {
      PortCounters& counters = (*fixture.volume.port(*worker))->counters();
      counters.reads.fetch_add(amount, std::memory_order_relaxed);
      counters.written_bytes.fetch_add(amount * 512, std::memory_order_relaxed);
      counters.errors.fetch_add(1, std::memory_order_relaxed);
    });
  };
  count(fixture.a, 3);
  count(fixture.b, 4);
  const Volume::Totals totals = fixture.volume.totals();
  CHECK(totals.reads == 7);
  CHECK(totals.written_bytes == 7 * 512);
  CHECK(totals.errors == 2);
  CHECK(totals.writes == 0);
}

TEST_CASE("the management worker may have a port as well", "[volume]") {
  Fixture fixture;
  Command command(fixture.management, fixture.volume);
  std::future<void> published = fixture.publish(*fixture.volume.view());
  CHECK(still_waits(fixture, published));
  command.end();
  published.get();
  CHECK(fixture.seen(fixture.management).generation == 2);
}

namespace {

/// Commands one after the other until told to stop; every one must see a view at least as new as the one before.
Task<std::uint64_t> enter_until(Volume& volume, const std::atomic<bool>& stop) {
  lunaris::runtime::Worker& worker = *lunaris::runtime::Worker::current();
  Port* port = *volume.port(worker);
  std::uint64_t newest = 0;
  while (!stop.load()) {
    std::optional<Port::Pass> pass = port->enter();
    if (!pass || pass->view().generation < newest) co_return 0;
    newest = pass->view().generation;
    co_await worker.yield();
    if (pass->view().generation != newest) co_return 0;
  }
  co_return newest;
}

}  // namespace

TEST_CASE("views reach commands in order while they are published under load", "[volume][SES-2]") {
  Fixture fixture;
  std::atomic<bool> stop{false};
  auto a = fixture.a.start([&] { return enter_until(fixture.volume, stop); });
  auto b = fixture.b.start([&] { return enter_until(fixture.volume, stop); });
  for (unsigned i = 0; i < 200; ++i) fixture.publish(*fixture.volume.view()).get();
  stop = true;
  CHECK(a.get() >= 200);
  CHECK(b.get() >= 200);
  CHECK(fixture.volume.view()->generation == 201);
}
