// The server's randomness: getrandom, which is ready long before a server starts and never short for small requests.
#include "server/runtime/rng.h"

#include <sys/random.h>

#include <cerrno>

#include "server/runtime/assert.h"

namespace lunaris::runtime {

void SystemRng::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    LUN_ASSERT(got > 0);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace lunaris::runtime
