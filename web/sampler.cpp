// Rates from counters.
#include "web/sampler.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "web/limits.h"

namespace lunaris::web {

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

/// A volume that was closed and opened again counts from zero.
std::uint64_t rate(std::uint64_t now, std::uint64_t before, std::uint64_t elapsed_ns) {
  const std::uint64_t grown = now >= before ? now - before : now;
  return static_cast<std::uint64_t>(
      std::llround(static_cast<double>(grown) * second_ns / static_cast<double>(elapsed_ns)));
}

}  // namespace

void History::add(const Activity& sample) {
  idle_ = sample == Activity{} ? idle_ + 1 : 0;
  if (idle_ >= limits::samples_max) {
    samples_.clear();
    return;
  }
  if (samples_.empty() && idle_ != 0) return;
  samples_.push_back(sample);
  if (samples_.size() > limits::samples_max) samples_.pop_front();
}

Activity History::at(std::size_t age) const {
  return age < samples_.size() ? samples_[samples_.size() - 1 - age] : Activity{};
}

Sampler::Sampler(runtime::Worker& worker, const control::Service& service)
    : worker_(worker), service_(service), tick_(*this) {}

Sampler::~Sampler() {
  worker_.cancel(tick_);
}

void Sampler::start() {
  sample();
  count_ = 0;  // the first one only sets the counters
  worker_.arm(tick_, second_ns);
}

void Sampler::stop() {
  worker_.cancel(tick_);
}

void Sampler::Tick::fire() {
  sampler_.sample();
  sampler_.worker_.arm(*this, second_ns - runtime::TimerWheel::tick_ns / 2);  // the wheel rounds up
}

void Sampler::sample() {
  const std::uint64_t now = worker_.clock().now_ns();
  const std::uint64_t elapsed = std::max<std::uint64_t>(1, now - last_ns_);
  const bool is_first = last_ns_ == 0;
  Activity sum;
  std::erase_if(volumes_, [this](const auto& entry) { return !service_.volumes().contains(entry.first); });
  for (const auto& [name, live] : service_.volumes()) {
    Volume& volume = volumes_[name];
    Activity totals;
    if (live.volume) {
      const auto counted = live.volume->totals();
      totals = {counted.reads, counted.writes, counted.read_bytes, counted.written_bytes};
    }
    if (!is_first) {
      const Activity rates{rate(totals.reads, volume.totals.reads, elapsed),
                           rate(totals.writes, volume.totals.writes, elapsed),
                           rate(totals.read_bytes, volume.totals.read_bytes, elapsed),
                           rate(totals.written_bytes, volume.totals.written_bytes, elapsed)};
      volume.rates.add(rates);
      sum.reads += rates.reads;
      sum.writes += rates.writes;
      sum.read_bytes += rates.read_bytes;
      sum.written_bytes += rates.written_bytes;
    }
    volume.totals = totals;
  }
  if (!is_first) {
    total_.add(sum);
    count_ = std::min(count_ + 1, limits::samples_max);
  }
  last_ns_ = now;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  newest_ms_ = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
}

}  // namespace lunaris::web
