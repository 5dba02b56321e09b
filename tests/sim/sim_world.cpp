#include "tests/sim/sim_world.h"

namespace lunaris::sim {

bool SimWorld::step() {
  if (queue_.empty()) return false;
  auto node = queue_.extract(queue_.begin());
  now_ns_ = node.key().first;
  ++events_;
  node.mapped()();
  return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, std::uint64_t limit_ns) {
  const std::uint64_t limit = now_ns_ + limit_ns;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > limit) return false;
    step();
  }
  return true;
}

void SimWorld::run_for(std::uint64_t duration_ns) {
  const std::uint64_t limit = now_ns_ + duration_ns;
  while (!queue_.empty() && queue_.begin()->first.first <= limit) step();
  now_ns_ = limit;
}

}  // namespace lunaris::sim
