// Tests of the bench tools' own parts: a benchmark that lies is worse than none.
#include <catch2/catch.hpp>
#include <set>

#include "tests/bench/histogram.h"
#include "tests/bench/options.h"
#include "tests/bench/wire.h"
#include "tests/bench/workload.h"

using namespace lunaris::bench;

namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

Options verifying_options() {
  Options options;
  options.block_bytes = 4096;
  options.verify = Verify::existing;
  options.seed = 7;
  return options;
}

}  // namespace

TEST_CASE("CRC32C gives the values of the iSCSI examples", "[RFC 7143 appendix A.4]") {
  const std::vector<std::byte> zeroes(32, std::byte{0});
  const std::vector<std::byte> ones(32, std::byte{0xff});
  std::vector<std::byte> rising;
  for (int i = 0; i < 32; ++i) rising.push_back(static_cast<std::byte>(i));
  CHECK(crc32c(zeroes) == 0x8a9136aa);
  CHECK(crc32c(ones) == 0x62a8ab43);
  CHECK(crc32c(rising) == 0x46dd794e);
}

TEST_CASE("CRC32C of two parts continues the first") {
  const auto text = bytes_of({'1', '2', '3', '4', '5', '6', '7', '8', '9'});
  CHECK(crc32c(text) == 0xe3069283);
  CHECK(crc32c(std::span{text}.subspan(4), crc32c(std::span{text}.first(4))) == 0xe3069283);
}

TEST_CASE("a percentile is within two percent above the exact value") {
  Histogram histogram;
  for (std::uint64_t ns = 1; ns <= 1'000'000; ++ns) histogram.record(ns);
  for (const double fraction : {0.001, 0.5, 0.99, 0.999, 0.9999}) {
    const double exact = fraction * 1e6;
    CHECK(static_cast<double>(histogram.percentile_ns(fraction)) >= exact);
    CHECK(static_cast<double>(histogram.percentile_ns(fraction)) <= exact * 1.02);
  }
  CHECK(histogram.max_ns() == 1'000'000);
  CHECK(histogram.mean_ns() == Approx(500'000.5));
}

TEST_CASE("the extremes of the value range have a bucket") {
  Histogram histogram;
  histogram.record(0);
  histogram.record(~std::uint64_t{0});
  CHECK(histogram.percentile_ns(0.0) == 0);
  CHECK(histogram.percentile_ns(1.0) == ~std::uint64_t{0});
}

TEST_CASE("an empty histogram answers zero") {
  CHECK(Histogram{}.percentile_ns(0.99) == 0);
}

TEST_CASE("a URL names host and port and target and logical unit") {
  const Url url = parse_url("iscsi://127.0.0.1:3261/iqn.2026-01.io.lunaris:t/3");
  CHECK(url.host == "127.0.0.1");
  CHECK(url.port == 3261);
  CHECK(url.target_name == "iqn.2026-01.io.lunaris:t");
  CHECK(url.lun == 3);
  CHECK(parse_url("iscsi://[::1]/iqn.x/0").host == "::1");
  CHECK(parse_url("iscsi://[::1]/iqn.x/0").port == 3260);
}

TEST_CASE("a URL with a mistake is refused") {
  for (const char* text : {"http://h/t/0", "iscsi://h/t", "iscsi://h:99999/t/0", "iscsi://h/t/x", "iscsi://h:/t/0"})
    CHECK_THROWS_AS(parse_url(text), std::invalid_argument);
}

TEST_CASE("a block that carries its stamp is accepted and any changed byte is not") {
  Workload workload(verifying_options(), 1 << 20, 1);
  const Io io{.unit = 5, .write = false, .generation = 1};
  std::vector<std::byte> block(4096);
  workload.stamp(io, block);
  workload.ended(io, true, block);
  CHECK(workload.checked() == 1);
  CHECK(workload.mismatches() == 0);
  for (const std::size_t at : {std::size_t{0}, std::size_t{8}, std::size_t{511}, std::size_t{512}, std::size_t{4095}}) {
    const std::uint64_t before = workload.mismatches();
    block[at] ^= std::byte{1};
    workload.ended(io, true, block);
    block[at] ^= std::byte{1};
    CHECK(workload.mismatches() == before + 1);
  }
}

TEST_CASE("a stale or misplaced or foreign block is a mismatch") {
  Workload workload(verifying_options(), 1 << 20, 1);
  std::vector<std::byte> block(4096);
  const Io due{.unit = 5, .write = false, .generation = 2};
  workload.stamp({.unit = 5, .write = true, .generation = 1}, block);
  workload.ended(due, true, block);
  CHECK(workload.mismatches() == 1);
  workload.stamp({.unit = 6, .write = true, .generation = 2}, block);
  workload.ended(due, true, block);
  CHECK(workload.mismatches() == 2);
  Options other = verifying_options();
  other.seed = 8;
  Workload(other, 1 << 20, 1).stamp(due, block);
  workload.ended(due, true, block);
  CHECK(workload.mismatches() == 3);
}

TEST_CASE("while verifying no block has two commands in flight") {
  Options options = verifying_options();
  options.read_percent = 50;
  Workload workload(options, 16 * 4096, 2);
  std::set<std::uint64_t> in_flight;
  for (unsigned i = 0; i < 1000 && in_flight.size() < 16; ++i) {
    const std::optional<Io> io = workload.next(i % 2);
    if (io) REQUIRE(in_flight.insert(io->unit).second);
  }
  CHECK(in_flight.size() == 16);
  CHECK_FALSE(workload.next(0));
}

TEST_CASE("after a failed write the contents are unknown and not judged") {
  Workload workload(verifying_options(), 4096, 1);
  workload.ended({.unit = 0, .write = true, .generation = 2}, false, {});
  const std::optional<Io> io = workload.next(0);
  REQUIRE(io);
  CHECK(io->generation == 0);
  const std::vector<std::byte> block(4096);
  workload.ended(*io, true, block);
  CHECK(workload.checked() == 0);
}

TEST_CASE("sequential sessions share the region without overlap and wrap around") {
  Options options;
  options.sequential = true;
  Workload workload(options, 10 * 4096, 2);
  std::vector<std::uint64_t> first;
  std::vector<std::uint64_t> second;
  for (int i = 0; i < 6; ++i) {
    first.push_back(workload.next(0)->unit);
    second.push_back(workload.next(1)->unit);
  }
  CHECK(first == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 0});
  CHECK(second == std::vector<std::uint64_t>{5, 6, 7, 8, 9, 5});
}

TEST_CASE("the mix of reads and writes follows the percentage") {
  Options options;
  options.read_percent = 70;
  Workload workload(options, 1 << 20, 1);
  int reads = 0;
  for (int i = 0; i < 10000; ++i) reads += workload.next(0)->write ? 0 : 1;
  CHECK(reads > 6700);
  CHECK(reads < 7300);
}
