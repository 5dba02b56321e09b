// ensure: the assertion of the protocol libraries, which may not see the server's own. On in release builds; a failure
// is a bug of ours (never a peer's mistake), prints the place and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace lunaris::bytes {

[[noreturn]] inline void ensure_failed(const std::source_location& where) noexcept {
  std::fprintf(stderr, "%s:%u: invariant broken in %s\n", where.file_name(), where.line(), where.function_name());
  std::abort();
}

/// Aborts when `fact` does not hold.
constexpr void ensure(bool fact, const std::source_location& where = std::source_location::current()) noexcept {
  if (!fact) [[unlikely]]
    ensure_failed(where);
}

}  // namespace lunaris::bytes
