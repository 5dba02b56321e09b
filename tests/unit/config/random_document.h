// Random documents for the property tests of server/config: small, valid member by member, and often alike.
#pragma once

#include <random>

#include "server/config/model.h"

namespace lunaris::config::test {

/// The seed of this run: LUNARIS_TEST_SEED, else random. Print it where a test fails.
[[nodiscard]] std::uint64_t seed();

[[nodiscard]] Document random_document(std::mt19937_64& random);

}  // namespace lunaris::config::test
