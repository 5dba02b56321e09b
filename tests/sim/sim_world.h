// SimWorld: virtual time, seeded chance and an event queue. Everything a simulated run does happens inside one of its
// events, so the same seed gives the same run. Used by tests/sim and by the unit tests of server/iscsi.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <utility>

#include "server/runtime/clock.h"
#include "server/runtime/rng.h"

namespace lunaris::sim {

class SimWorld {
 public:
  explicit SimWorld(std::uint64_t seed) : seed_(seed), random_(seed) {}
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }
  /// Events run so far and a hash over their times: two runs of one seed must agree in both.
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }

  /// 0 to bound - 1.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }

  /// Runs `event` after `delay_ns` of virtual time, behind what is due then already.
  void after(std::uint64_t delay_ns, std::function<void()> event) {
    queue_.emplace(std::pair{now_ns_ + delay_ns, ++sequence_}, std::move(event));
  }

  /// Runs the next event; false when there is none.
  bool step();
  /// Runs events until `done` is true; false when there are none left or `limit_ns` of virtual time have passed.
  bool run_until(const std::function<bool()>& done, std::uint64_t limit_ns);
  /// Lets `duration_ns` of virtual time pass.
  void run_for(std::uint64_t duration_ns);

 private:
  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::uint64_t now_ns_ = 1'000'000'000;
  std::uint64_t sequence_ = 0;
  std::uint64_t events_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> queue_;
};

class SimClock final : public runtime::Clock {
 public:
  explicit SimClock(SimWorld& world) noexcept : world_(world) {}
  [[nodiscard]] std::uint64_t now_ns() const noexcept override { return world_.now_ns(); }

 private:
  SimWorld& world_;
};

class SimRng final : public runtime::Rng {
 public:
  explicit SimRng(SimWorld& world) noexcept : world_(world) {}
  void fill(std::span<std::byte> out) override {
    for (std::byte& byte : out) byte = static_cast<std::byte>(world_.below(256));
  }

 private:
  SimWorld& world_;
};

}  // namespace lunaris::sim
