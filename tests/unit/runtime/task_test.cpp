// Tasks, gates, signals, turn hooks, sleeping and the frame pool: what coroutines may rely on.
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/runtime/child.h"
#include "tests/unit/runtime/manual_worker.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

namespace {

Task<int> number(int value) {
  co_return value;
}
Task<int> sum(int count) {
  int total = 0;
  for (int i = 0; i < count; ++i) total += co_await number(i);
  co_return total;
}
Task<> note(std::string& log, char mark) {
  log.push_back(mark);
  co_return;
}
Task<> store(int& out, Task<int> task) {
  out = co_await std::move(task);
}
Task<std::unique_ptr<int>> boxed(int value) {
  co_return std::make_unique<int>(value);
}

Task<> wait_and_note(Signal& signal, std::string& log, char mark) {
  co_await signal.wait();
  log.push_back(mark);
}
Task<> throws() {
  throw 1;
  co_return;
}

class Hook final : public TurnHook {
 public:
  explicit Hook(std::string& log, char mark) : log_(log), mark_(mark) {}
  int again = 0;

 private:
  void run_at_end_of_turn() override {
    log_.push_back(mark_);
    if (again-- > 0) Worker::current()->at_end_of_turn(*this);
  }
  std::string& log_;
  char mark_;
};

}  // namespace

TEST_CASE("a task does nothing until it is awaited", "[runtime][task]") {
  ManualWorker worker;
  std::string log;
  {
    Task<> never = note(log, 'x');
  }
  CHECK(log.empty());
  worker.start(note(log, 'a'));
  CHECK(log == "a");
}

TEST_CASE("ten thousand nested awaits do not grow the stack and give the right sum", "[runtime][task]") {
  ManualWorker worker;
  int total = 0;
  worker.start(store(total, sum(10'000)));
  CHECK(total == 49'995'000);
}

TEST_CASE("a task hands over a value that can only be moved", "[runtime][task]") {
  ManualWorker worker;
  struct Take {
    static Task<> run(int& out) { out = *co_await boxed(7); }
  };
  int value = 0;
  worker.start(Take::run(value));
  CHECK(value == 7);
}

TEST_CASE("a task that throws ends the process with a message", "[runtime][task]") {
  const ChildResult result = in_child([] {
    ManualWorker worker;
    worker.start(throws());
    return 0;
  });
  CHECK(result.aborted());
  CHECK(result.error_text.find("a task does not throw") != std::string::npos);
}

TEST_CASE("an assertion names expression file worker and context", "[runtime][assert]") {
  const ChildResult result = in_child([] {
    ManualWorker worker;
    set_assert_context("s-31");
    LUN_ASSERT(1 + 1 == 3);
    return 0;
  });
  CHECK(result.aborted());
  CHECK(result.error_text.find("1 + 1 == 3") != std::string::npos);
  CHECK(result.error_text.find("task_test.cpp") != std::string::npos);
  CHECK(result.error_text.find("worker=manual context=s-31") != std::string::npos);
}

TEST_CASE("a gate closes when the last task has left and its frame is gone", "[runtime][gate]") {
  ManualWorker worker;
  Gate gate;
  Signal signal;
  std::string log;
  spawn(*gate.try_enter(), wait_and_note(signal, log, 'a'));
  CHECK(gate.count() == 1);
  struct Close {
    static Task<> run(Gate& closing, std::string& out) {
      co_await closing.close();
      out.push_back('c');
    }
  };
  worker.start(Close::run(gate, log));
  CHECK(gate.is_closed());
  CHECK_FALSE(gate.try_enter().has_value());
  CHECK(log.empty());
  signal.set();
  worker.turns();
  CHECK(log == "ac");
  CHECK(gate.count() == 0);
}

TEST_CASE("destroying a gate with work inside aborts", "[runtime][gate]") {
  const ChildResult result = in_child([] {
    auto gate = std::make_unique<Gate>();
    auto pass = gate->try_enter();
    gate.reset();
    return 0;
  });
  CHECK(result.aborted());
}

TEST_CASE("a signal wakes its waiter in the turn and never inside set", "[runtime][signal]") {
  ManualWorker worker;
  Signal signal;
  std::string log;
  worker.start(wait_and_note(signal, log, 'a'));
  signal.set();
  signal.set();
  CHECK(log.empty());
  worker.turns();
  CHECK(log == "a");
}

TEST_CASE("a signal set while nobody waits lets the next wait pass once", "[runtime][signal]") {
  ManualWorker worker;
  Signal signal;
  std::string log;
  signal.set();
  worker.start(wait_and_note(signal, log, 'a'));
  CHECK(log == "a");
  worker.start(wait_and_note(signal, log, 'b'));
  worker.turns();
  CHECK(log == "a");
  signal.set();
  worker.turns();
  CHECK(log == "ab");
}

TEST_CASE("what is scheduled runs in order and before the hooks of the turn", "[runtime][turn]") {
  ManualWorker worker;
  std::string log;
  Signal first;
  Signal second;
  Hook hook(log, 'h');
  worker.start(wait_and_note(first, log, '1'));
  worker.start(wait_and_note(second, log, '2'));
  worker->at_end_of_turn(hook);
  worker->at_end_of_turn(hook);
  second.set();
  first.set();
  CHECK(worker.loop->turns_requested == 1);
  worker.turn();
  CHECK(log == "21h");
  CHECK_FALSE(hook.is_scheduled());
}

TEST_CASE("a hook that schedules itself runs again in the next turn", "[runtime][turn]") {
  ManualWorker worker;
  std::string log;
  Hook hook(log, 'h');
  hook.again = 2;
  worker->at_end_of_turn(hook);
  CHECK(worker.turn());
  CHECK(log == "h");
  CHECK(worker.turn());
  CHECK(log == "hh");
  worker.turns();
  CHECK(log == "hhh");
}

TEST_CASE("destroying a scheduled hook takes it off the list", "[runtime][turn]") {
  ManualWorker worker;
  std::string log;
  Hook a(log, 'a');
  auto b = std::make_unique<Hook>(log, 'b');
  Hook c(log, 'c');
  worker->at_end_of_turn(a);
  worker->at_end_of_turn(*b);
  worker->at_end_of_turn(c);
  b.reset();
  auto d = std::make_unique<Hook>(log, 'd');
  worker->at_end_of_turn(*d);
  d.reset();
  Hook e(log, 'e');
  worker->at_end_of_turn(e);
  worker.turns();
  CHECK(log == "ace");
}

TEST_CASE("yield lets everything that is ready run first", "[runtime][turn]") {
  ManualWorker worker;
  struct Polite {
    static Task<> run(Worker& on, std::string& out) {
      out.push_back('p');
      co_await on.yield();
      out.push_back('P');
    }
  };
  std::string log;
  Signal signal;
  worker.start(wait_and_note(signal, log, 's'));
  worker.start(Polite::run(*worker, log));
  signal.set();
  worker.turns();
  CHECK(log == "psP");
}

TEST_CASE("a coroutine that yields for ever does not keep the turn from ending", "[runtime][turn]") {
  ManualWorker worker;
  struct Busy {
    static Task<> run(Worker& on, const bool& stop, int& rounds) {
      while (true) {
        if (stop) co_return;
        ++rounds;
        co_await on.yield();
      }
    }
  };
  bool stop = false;
  int rounds = 0;
  worker.start(Busy::run(*worker, stop, rounds));
  CHECK(worker.turn());
  CHECK(rounds == 2);
  CHECK(worker.turn());
  CHECK(rounds == 3);
  stop = true;
  worker.turns();
}

TEST_CASE("the turn number tells batches apart", "[runtime][turn]") {
  ManualWorker worker;
  const std::uint64_t first = worker->turn();
  CHECK(worker->turn() == first);
  worker.turns();
  CHECK(worker->turn() == first + 1);
}

TEST_CASE("sleep lasts at least as long as asked and at most a tick longer", "[runtime][timer]") {
  ManualWorker worker;
  struct Sleeper {
    static Task<> run(Worker& on, std::uint64_t& woke) {
      co_await on.sleep(250'000'000);
      woke = on.clock().now_ns();
    }
  };
  std::uint64_t woke = 0;
  const std::uint64_t start = worker.clock->now;
  worker.start(Sleeper::run(*worker, woke));
  while (woke == 0) worker.pass(10'000'000);
  CHECK(woke - start >= 250'000'000);
  CHECK(woke - start <= 250'000'000 + TimerWheel::tick_ns);
  CHECK(worker.loop->tick_ns == 0);
}

TEST_CASE("the frame freed last is the next one used", "[runtime][frames]") {
  FramePool pool;
  FramePool::set_current(&pool);
  void* const a = FramePool::allocate(200);
  void* const b = FramePool::allocate(200);
  FramePool::deallocate(a, 200);
  FramePool::deallocate(b, 200);
  CHECK(FramePool::allocate(210) == b);
  CHECK(FramePool::allocate(190) == a);
  CHECK(pool.heap_allocations() == 2);
  FramePool::deallocate(a, 190);
  FramePool::deallocate(b, 210);
  FramePool::set_current(nullptr);
}

TEST_CASE("a burst of frames leaves no more than the cap behind", "[runtime][frames]") {
  FramePool pool;
  FramePool::set_current(&pool);
  constexpr std::size_t count = FramePool::kept_max + 100;
  std::vector<void*> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(FramePool::allocate(100));
  CHECK(pool.heap_allocations() == count);
  for (void* frame : frames) FramePool::deallocate(frame, 100);
  frames.clear();
  // What was kept serves again without the heap: the cap less the slack, at least.
  for (std::size_t i = 0; i < FramePool::kept_max - FramePool::slack; ++i) frames.push_back(FramePool::allocate(100));
  CHECK(pool.heap_allocations() == count);
  for (std::size_t i = 0; i < 2 * FramePool::slack; ++i) frames.push_back(FramePool::allocate(100));
  CHECK(pool.heap_allocations() > count);
  for (void* frame : frames) FramePool::deallocate(frame, 100);
  FramePool::set_current(nullptr);
}

TEST_CASE("a frame freed in a foreign thread goes to the heap and large frames never come from the pool",
          "[runtime][frames]") {
  FramePool pool;
  FramePool::set_current(&pool);
  void* const frame = FramePool::allocate(100);
  std::thread([frame] { FramePool::deallocate(frame, 100); }).join();
  void* const next = FramePool::allocate(100);
  CHECK(pool.heap_allocations() == 2);
  FramePool::deallocate(next, 100);
  void* const large = FramePool::allocate(4096);
  CHECK(pool.heap_allocations() == 3);
  FramePool::deallocate(large, 4096);
  void* const again = FramePool::allocate(4096);
  CHECK(pool.heap_allocations() == 4);
  FramePool::deallocate(again, 4096);
  FramePool::set_current(nullptr);
}

TEST_CASE("a thousand tasks one after the other take one frame from the heap", "[runtime][frames]") {
  ManualWorker worker;
  std::string log;
  worker.start(note(log, 'a'));
  const std::uint64_t before = worker->frames().heap_allocations();
  for (int i = 0; i < 1000; ++i) worker.start(note(log, 'a'));
  CHECK(log.size() == 1001);
  CHECK(worker->frames().heap_allocations() == before);
}
