// The mailbox: nothing lost, each producer's order kept, one wake per filling; and mail to workers that stop.
#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "server/runtime/blocking_pool.h"
#include "server/runtime/mailbox.h"
#include "tests/unit/runtime/manual_worker.h"
#include "tests/unit/runtime/worker_thread.h"

using namespace lunaris::runtime;
using namespace lunaris::runtime::test;

namespace {

struct Numbered final : Mail {
  int producer = 0;
  int number = 0;
  int ran = 0;
  std::vector<int>* last = nullptr;
  bool* in_order = nullptr;
  void run() override {
    int& previous = (*last)[static_cast<std::size_t>(producer)];
    if (number != previous + 1) *in_order = false;
    previous = number;
  }
  void refuse() noexcept override { ++ran; }
};

}  // namespace

TEST_CASE("only the push that finds the box empty asks for a wake", "[runtime][mailbox]") {
  Mailbox box;
  std::array<Numbered, 3> mail;
  CHECK(box.take_all() == nullptr);
  CHECK(box.push(mail[0]));
  CHECK_FALSE(box.push(mail[1]));
  CHECK_FALSE(box.push(mail[2]));
  Mail* const first = box.take_all();
  CHECK(first == &mail[0]);
  CHECK(Mailbox::next(mail[0]) == &mail[1]);
  CHECK(Mailbox::next(mail[1]) == &mail[2]);
  CHECK(Mailbox::next(mail[2]) == nullptr);
  CHECK(box.take_all() == nullptr);
  CHECK(box.push(mail[1]));
  CHECK(box.take_all() == &mail[1]);
}

TEST_CASE("no mail is lost and each producer's order is kept", "[runtime][mailbox]") {
  constexpr int producers = 4;
  constexpr int each = 20'000;
  WorkerThread worker;
  std::vector<int> last(producers, -1);
  bool in_order = true;
  std::vector<std::vector<Numbered>> mail(producers);
  for (auto& row : mail) row = std::vector<Numbered>(each);
  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (int i = 0; i < each; ++i) {
        Numbered& one = mail[static_cast<std::size_t>(p)][static_cast<std::size_t>(i)];
        one.producer = p;
        one.number = i;
        one.last = &last;
        one.in_order = &in_order;
        worker->send(one);
        if (i % 1000 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));  // let it fall asleep
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<int> seen = worker.call([&] { return last; });
  CHECK(seen == std::vector<int>(producers, each - 1));
  CHECK(worker.call([&] { return in_order; }));
}

TEST_CASE("more mail than one turn takes is run in order over several turns", "[runtime][mailbox]") {
  ManualWorker worker;
  constexpr int count = 2000;
  std::vector<int> last(1, -1);
  bool in_order = true;
  std::vector<Numbered> mail(count);
  for (int i = 0; i < count; ++i) {
    Numbered& one = mail[static_cast<std::size_t>(i)];
    one.number = i;
    one.last = &last;
    one.in_order = &in_order;
    worker->send(one);
  }
  CHECK(worker.loop->wakes == 1);
  worker->drain_mailbox();
  CHECK(last[0] > 0);
  CHECK(last[0] < count - 1);
  worker.turns();
  CHECK(last[0] == count - 1);
  CHECK(in_order);
}

TEST_CASE("mail that a worker has not taken when it stops is refused exactly once", "[runtime][mailbox]") {
  ManualWorker worker;
  Numbered before;
  Numbered after;
  worker->send(before);
  worker->stop();
  CHECK_FALSE(worker.loop->waking);
  worker->send(after);
  worker->drain_mailbox();
  CHECK(before.ran == 1);
  CHECK(after.ran == 1);
}

TEST_CASE("a stopping worker waits for the answers it was promised and then closes", "[runtime][mailbox]") {
  ManualWorker worker;
  struct Answer final : ForeignCompletion {
    explicit Answer(Worker& to) : ForeignCompletion(to) {}
    void arm(std::coroutine_handle<> caller) { begin(caller); }
  };
  Answer answer(*worker);
  answer.arm(std::noop_coroutine());
  worker->stop();
  CHECK(worker.loop->waking);
  Numbered late;
  worker->send(late);
  CHECK(late.ran == 1);
  answer.complete(0);
  worker->drain_mailbox();
  CHECK_FALSE(worker.loop->waking);
  // A coroutine that still runs may ask once more: the worker listens again.
  Answer another(*worker);
  another.arm(std::noop_coroutine());
  CHECK(worker.loop->waking);
  another.complete(0);
  worker->drain_mailbox();
  CHECK_FALSE(worker.loop->waking);
}

TEST_CASE("asks that race with the stop of the other worker all get an answer or none", "[runtime][mailbox]") {
  for (int round = 0; round < 40; ++round) {
    WorkerThread a("a");
    auto b = std::make_unique<WorkerThread>("b");
    Worker& other = **b;
    std::atomic<bool> begun{false};
    std::thread stopper([&] {
      while (!begun) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::microseconds(round * 5));
      b->stop();
    });
    struct Asker {
      static Task<int> run(Worker& asked, std::atomic<bool>& begun) {
        int answered = 0;
        for (int i = 0; i < 300; ++i) {
          begun = true;
          if ((co_await asked.ask([i] { return i; })).value_or(i) == i) ++answered;
        }
        co_return answered;
      }
    };
    CHECK(a.call([&] { return Asker::run(other, begun); }) == 300);
    stopper.join();
    a.stop();
  }
}

TEST_CASE("two workers that ask each other while both stop end", "[runtime][mailbox]") {
  for (int round = 0; round < 20; ++round) {
    WorkerThread a("a");
    WorkerThread b("b");
    struct Asker {
      static Task<> run(Worker& asked) {
        for (int i = 0; i < 200; ++i) {
          if (!co_await asked.ask_task([]() -> Task<> { co_await Worker::current()->yield(); })) co_return;
        }
      }
    };
    a->post([&] { return Asker::run(*b); });
    b->post([&] { return Asker::run(*a); });
    std::thread stop_a([&] { a.stop(); });
    b.stop();
    stop_a.join();
    CHECK(a->is_stopping());
    CHECK(b->is_stopping());
  }
}

TEST_CASE("a blocking pool runs elsewhere and answers on the worker", "[runtime][blocking]") {
  BlockingPool pool(2);
  WorkerThread worker;
  const std::thread::id on_worker = worker.call([] { return std::this_thread::get_id(); });
  const auto places = worker.call([&]() -> Task<std::pair<std::thread::id, std::thread::id>> {
    const std::thread::id there = co_await pool.run(*worker, [] { return std::this_thread::get_id(); });
    co_return std::pair(there, std::this_thread::get_id());
  });
  CHECK(places.first != on_worker);
  CHECK(places.second == on_worker);
}

TEST_CASE("a worker that is told to stop waits for its blocking calls", "[runtime][blocking]") {
  BlockingPool pool(1);
  WorkerThread worker;
  bool finished = false;
  std::atomic<bool> begun{false};
  worker->post([&]() -> Task<> {
    begun = true;
    co_await pool.run(*worker, [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); });
    finished = true;
  });
  while (!begun) std::this_thread::yield();
  worker.stop();
  CHECK(finished);
}

TEST_CASE("a worker that stops ends within a tick although a cancelled timer was far away", "[runtime][worker]") {
  class Far final : public Timer {
    void fire() override {}
  };
  WorkerThread worker;
  Far far;
  worker.call([&] {
    worker->arm(far, 3'600'000'000'000);
    worker->cancel(far);
  });
  const auto start = std::chrono::steady_clock::now();
  worker.stop();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(2));
}
