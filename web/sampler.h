// Sampler: once a second reads the volumes' counters and keeps the rates of the last 15 minutes, in all and per volume.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "server/control/service.h"
#include "server/runtime/worker.h"

namespace lunaris::web {

/// Per second, or in all.
struct Activity {
  std::uint64_t reads = 0, writes = 0, read_bytes = 0, written_bytes = 0;
  bool operator==(const Activity&) const = default;
};

/// The newest `limits::samples_max` samples of one thing; keeps nothing while nothing happens.
class History {
 public:
  void add(const Activity& sample);
  /// The one `age` samples back, 0 the newest; nothing happened where nothing is kept.
  [[nodiscard]] Activity at(std::size_t age) const;
  [[nodiscard]] Activity newest() const { return at(0); }

 private:
  std::deque<Activity> samples_;  // newest last
  std::size_t idle_ = 0;          // trailing samples without activity
};

/// Management worker only.
class Sampler {
 public:
  Sampler(runtime::Worker& worker, const control::Service& service);
  ~Sampler();
  void start();
  void stop();

  /// Takes a sample; by itself once a second after `start`.
  void sample();

  struct Volume {
    Activity totals;  // since it was opened
    History rates;
  };
  [[nodiscard]] const History& total() const noexcept { return total_; }
  [[nodiscard]] const std::map<std::string, Volume>& volumes() const noexcept { return volumes_; }
  /// Samples taken so far, limits::samples_max at most.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// Unix milliseconds of the newest sample.
  [[nodiscard]] std::uint64_t newest_ms() const noexcept { return newest_ms_; }

 private:
  class Tick final : public runtime::Timer {
   public:
    explicit Tick(Sampler& sampler) : sampler_(sampler) {}

   private:
    void fire() override;
    Sampler& sampler_;
  };

  runtime::Worker& worker_;
  const control::Service& service_;
  Tick tick_;
  History total_;
  std::map<std::string, Volume> volumes_;
  std::size_t count_ = 0;
  std::uint64_t last_ns_ = 0;
  std::uint64_t newest_ms_ = 0;
};

}  // namespace lunaris::web
