// Rng: randomness as a parameter. The server's comes from getrandom; a simulation's from its seed.
#pragma once

#include <cstddef>
#include <span>

namespace lunaris::runtime {

class Rng {
 public:
  virtual ~Rng() = default;
  /// Fills `out` with bytes that a peer cannot predict. Owner's thread.
  virtual void fill(std::span<std::byte> out) = 0;
};

class SystemRng final : public Rng {
 public:
  void fill(std::span<std::byte> out) override;
};

}  // namespace lunaris::runtime
