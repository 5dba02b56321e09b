// CommandWindow and StatSnCounter: single rules, and random traffic against a model that keeps plain 64-bit numbers.
#include <catch2/catch.hpp>
#include <random>
#include <set>

#include "protocol/iscsi/command_window.h"

namespace lunaris::iscsi {
namespace {

using Admission = CommandWindow::Admission;

SerialNumber sn(std::uint64_t value) {
  return SerialNumber(static_cast<std::uint32_t>(value));
}

TEST_CASE("commands in order are ready and advance ExpCmdSN across the wrap", "[window][RFC7143 4.2.2.1][SN-1]") {
  CommandWindow window(sn(0xfffffffe), 8);
  for (std::uint64_t next = 0xfffffffe; next < 0x100000004; ++next) {
    CHECK(window.admit(sn(next), false) == Admission::ready);
    CHECK(window.exp_cmd_sn() == sn(next + 1));
  }
  CHECK(window.size() == 2);
  CHECK(window.max_cmd_sn() == sn(5));
}

TEST_CASE("commands outside the window and duplicates are ignored", "[window][RFC7143 4.2.2.1][SN-1]") {
  CommandWindow window(sn(100), 4);
  CHECK(window.admit(sn(99), false) == Admission::ignore);
  CHECK(window.admit(sn(104), false) == Admission::ignore);
  CHECK(window.admit(sn(100 + 0x80000000u), false) == Admission::ignore);
  CHECK(window.admit(sn(103), false) == Admission::held);
  CHECK(window.admit(sn(103), false) == Admission::ignore);
  CHECK(window.admit(sn(100), false) == Admission::ready);
  CHECK(window.admit(sn(100), false) == Admission::ignore);
}

TEST_CASE("a hole holds later commands until it is filled", "[window]") {
  CommandWindow window(sn(1), 8);
  CHECK(window.admit(sn(2), false) == Admission::held);
  CHECK(window.admit(sn(4), false) == Admission::held);
  CHECK(window.exp_cmd_sn() == sn(1));
  CHECK(window.admit(sn(1), false) == Admission::ready);
  CHECK(window.exp_cmd_sn() == sn(3));
  CHECK(window.admit(sn(3), false) == Admission::ready);
  CHECK(window.exp_cmd_sn() == sn(5));
}

TEST_CASE("immediate commands are ready whatever their number", "[window][RFC7143 4.2.2.1]") {
  CommandWindow window(sn(1), 0);
  CHECK(window.admit(sn(77), true) == Admission::ready);
  CHECK(window.admit(sn(1), true) == Admission::ready);
  CHECK(window.exp_cmd_sn() == sn(1));
  CHECK(window.admit(sn(1), false) == Admission::ignore);
}

TEST_CASE("a shrinking window never moves MaxCmdSN back", "[window][RFC7143 4.2.2.1]") {
  CommandWindow window(sn(10), 8);
  CHECK(window.max_cmd_sn() == sn(17));
  window.open(2);
  CHECK(window.max_cmd_sn() == sn(17));
  for (std::uint64_t next = 10; next < 16; ++next) {
    REQUIRE(window.admit(sn(next), false) == Admission::ready);
    window.open(2);
  }
  CHECK(window.max_cmd_sn() == sn(17));
  CHECK(window.admit(sn(16), false) == Admission::ready);
  window.open(2);
  CHECK(window.max_cmd_sn() == sn(18));
  window.open(0);
  REQUIRE(window.admit(sn(17), false) == Admission::ready);
  REQUIRE(window.admit(sn(18), false) == Admission::ready);
  window.open(0);
  CHECK(window.size() == 0);
  CHECK(window.admit(sn(19), false) == Admission::ignore);
  window.open(1);
  CHECK(window.admit(sn(19), false) == Admission::ready);
}

TEST_CASE("the largest window can be filled backwards", "[window]") {
  CommandWindow window(sn(0xfffffff0), CommandWindow::size_max);
  for (std::uint64_t offset = CommandWindow::size_max - 1; offset > 0; --offset)
    REQUIRE(window.admit(sn(0xfffffff0 + offset), false) == Admission::held);
  CHECK(window.admit(sn(0xfffffff0), false) == Admission::ready);
  CHECK(window.exp_cmd_sn() == sn(0xfffffff0 + std::uint64_t{CommandWindow::size_max}));
  CHECK(window.size() == 0);
}

TEST_CASE("random traffic is admitted as the model says", "[window][property]") {
  const auto seed = GENERATE(1u, 2u, 3u, 4u);
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::uint64_t expected = 0xfffffe00 + random() % 256;  // the wrap comes soon
  std::uint64_t end = expected + 16;                     // one past MaxCmdSN
  std::set<std::uint64_t> held;
  CommandWindow window(sn(expected), 16);
  for (int round = 0; round < 20000; ++round) {
    if (random() % 4 == 0) {
      const std::uint32_t size = random() % 33;
      window.open(size);
      end = std::max(end, expected + size);
    }
    const std::uint64_t number = expected - 4 + random() % 40;
    const bool inside = number >= expected && number < end && !held.contains(number);
    const Admission wanted = !inside ? Admission::ignore : number == expected ? Admission::ready : Admission::held;
    REQUIRE(window.admit(sn(number), false) == wanted);
    if (inside) held.insert(number);
    while (held.erase(expected) > 0) ++expected;
    REQUIRE(window.exp_cmd_sn() == sn(expected));
    REQUIRE(window.max_cmd_sn() == sn(end - 1));
    REQUIRE(window.size() == end - expected);
  }
  CHECK(expected > 0x100000000);
}

TEST_CASE("StatSN is consumed by status only and acknowledged by ExpStatSN", "[window][RFC7143 4.2.2.2][SN-1]") {
  StatSnCounter counter(sn(0xffffffff));
  CHECK(counter.next() == sn(0xffffffff));
  CHECK(counter.take() == sn(0xffffffff));
  CHECK(counter.take() == sn(0));
  CHECK(counter.next() == sn(1));
  CHECK(counter.outstanding() == 2);
  CHECK(counter.acknowledge(sn(0)));
  CHECK(counter.outstanding() == 1);
  CHECK(counter.acknowledge(sn(0xffffffff)));
  CHECK(counter.outstanding() == 1);
  CHECK_FALSE(counter.acknowledge(sn(2)));
  CHECK(counter.outstanding() == 1);
  CHECK(counter.acknowledge(sn(1)));
  CHECK(counter.outstanding() == 0);
}

}  // namespace
}  // namespace lunaris::iscsi
