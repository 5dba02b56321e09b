// Rates from counters and the history that keeps them.
#include <catch2/catch.hpp>

#include "web/limits.h"
#include "web/sampler.h"

namespace lunaris::web {

TEST_CASE("a history keeps the newest samples", "[sampler]") {
  History history;
  for (std::uint64_t i = 1; i <= limits::samples_max + 10; ++i) history.add({.reads = i});
  CHECK(history.newest().reads == limits::samples_max + 10);
  CHECK(history.at(limits::samples_max - 1).reads == 11);
  CHECK(history.at(limits::samples_max) == Activity{});
}

TEST_CASE("silence is remembered as silence and forgotten when it is all there is", "[sampler]") {
  History history;
  history.add({});
  CHECK(history.newest() == Activity{});
  history.add({.writes = 7});
  history.add({});
  CHECK(history.newest() == Activity{});
  CHECK(history.at(1).writes == 7);
  for (std::size_t i = 0; i < limits::samples_max; ++i) history.add({});
  CHECK(history.at(1) == Activity{});
  history.add({.writes = 3});
  CHECK(history.newest().writes == 3);
}

}  // namespace lunaris::web
