// What every fuzz target implements. It is linked twice: with libFuzzer, and with the replay of its corpus.
#pragma once

#include <cstddef>
#include <span>

namespace lunaris::fuzz {

/// Feeds `input` to the code under test. Any input is legal; a broken invariant aborts. Deterministic, no state kept
/// from call to call.
void fuzz_one(std::span<const std::byte> input);

}  // namespace lunaris::fuzz
