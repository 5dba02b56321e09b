// The timer wheel against the obvious: a map of deadlines.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "server/runtime/timer_wheel.h"

using namespace lunaris::runtime;

namespace {

constexpr std::uint64_t tick = TimerWheel::tick_ns;

class Counter final : public Timer {
 public:
  int fired = 0;
  std::function<void()> then;

 private:
  void fire() override {
    ++fired;
    if (then) then();
  }
};

/// When a timer armed at `now` for `delay` is due: the first tick at or after the deadline, and never the current one.
std::uint64_t due_at(std::uint64_t now, std::uint64_t delay) {
  return std::max((now + delay + tick - 1) / tick, now / tick + 1) * tick;
}

}  // namespace

TEST_CASE("the wheel does what a map of deadlines does", "[runtime][timer]") {
  const unsigned seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  TimerWheel wheel;
  constexpr std::size_t count = 50;
  std::vector<std::unique_ptr<Counter>> timers;
  std::map<std::size_t, std::uint64_t> model;  // timer -> due
  std::vector<int> expected(count);
  for (std::size_t i = 0; i < count; ++i) timers.push_back(std::make_unique<Counter>());
  std::uint64_t now = 7 * tick + 12345;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t i = random() % count;
    switch (random() % 4) {
      case 0:
      case 1: {
        // Up to four rounds of the wheel ahead, now and then nothing at all.
        const std::uint64_t delay = random() % 10 == 0 ? 0 : random() % (4 * TimerWheel::slot_count * tick);
        wheel.advance(now);
        wheel.arm(*timers[i], now, delay);
        model[i] = due_at(now, delay);
        break;
      }
      case 2:
        wheel.cancel(*timers[i]);
        model.erase(i);
        break;
      default: {
        now += random() % 50 == 0 ? random() % (2000 * tick) : random() % (5 * tick);
        wheel.advance(now);
        for (auto each = model.begin(); each != model.end();) {
          if (each->second <= now) {
            ++expected[each->first];
            each = model.erase(each);
          } else {
            ++each;
          }
        }
      }
    }
    // A step that armed first advanced: account for that as well.
    for (auto each = model.begin(); each != model.end();) {
      if (!timers[each->first]->is_armed() && each->second <= now) {
        ++expected[each->first];
        each = model.erase(each);
      } else {
        ++each;
      }
    }
    REQUIRE(wheel.armed() == model.size());
    for (std::size_t t = 0; t < count; ++t) {
      REQUIRE(timers[t]->fired == expected[t]);
      REQUIRE(timers[t]->is_armed() == model.contains(t));
    }
    const std::uint64_t next = wheel.next_deadline_ns();
    if (model.empty()) {
      REQUIRE(next == 0);
    } else {
      std::uint64_t earliest = UINT64_MAX;
      for (const auto& each : model) earliest = std::min(earliest, each.second);
      REQUIRE(next <= earliest);  // early is harmless, late is not
      REQUIRE(next > now);
    }
  }
  timers.clear();
}

TEST_CASE("a timer never fires before its deadline and at most one tick after it", "[runtime][timer]") {
  TimerWheel wheel;
  Counter timer;
  const std::uint64_t now = 5 * tick + 1;
  wheel.arm(timer, now, 3 * tick);
  wheel.advance(8 * tick);
  CHECK(timer.fired == 0);
  wheel.advance(9 * tick);
  CHECK(timer.fired == 1);
  CHECK_FALSE(timer.is_armed());
}

TEST_CASE("a timer may arm itself again and cancel another that is due at the same time", "[runtime][timer]") {
  TimerWheel wheel;
  Counter a;
  Counter b;
  a.then = [&] {
    wheel.cancel(b);
    wheel.arm(a, 2 * tick, tick);
  };
  b.then = [&] {
    wheel.cancel(a);
    wheel.arm(b, 2 * tick, tick);
  };
  wheel.arm(a, 0, tick);
  wheel.arm(b, 0, tick);
  wheel.advance(2 * tick);
  CHECK(a.fired + b.fired == 1);
  CHECK(wheel.armed() == 1);
  a.then = nullptr;
  b.then = nullptr;
  wheel.advance(3 * tick);
  CHECK(a.fired + b.fired == 2);
}

TEST_CASE("a timer that is destroyed leaves the wheel", "[runtime][timer]") {
  TimerWheel wheel;
  auto timer = std::make_unique<Counter>();
  wheel.arm(*timer, 0, tick);
  timer.reset();
  CHECK(wheel.armed() == 0);
  wheel.advance(5 * tick);
}

TEST_CASE("a timer may destroy itself when it fires", "[runtime][timer]") {
  TimerWheel wheel;
  auto timer = std::make_unique<Counter>();
  timer->then = [&] { timer.reset(); };
  wheel.arm(*timer, 0, tick);
  wheel.advance(2 * tick);
  CHECK(timer == nullptr);
  CHECK(wheel.armed() == 0);
}
