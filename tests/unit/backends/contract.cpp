// The contract of BlockDevice and BlockChannel, run on every row of the back-end table and on a few filter stacks. A
// back end that is added to the table is tested here without another line.
#include <algorithm>

#include "backends/checked_device.h"
#include "tests/unit/backends/test_stack.h"

using namespace lunaris::backends;
using namespace lunaris::backends::test;
using lunaris::runtime::Task;

namespace {

/// Ends within a chunk, a page and a transfer, so that the last bytes are at nobody's boundary.
constexpr std::uint64_t device_bytes = (std::uint64_t{4} << 20) + 3 * 4096;
constexpr std::uint64_t transfer_max = BlockChannel::transfer_bytes_max;

struct Row {
  std::string name;
  boost::json::object backend;
  bool keeps_data = true;
};

bool has_direct_io() {
  const TestFolder folder;
  std::string reason;
  return open_backend({"probe", device_bytes, false, true, folder.path()},
                      object(R"({"type": "file", "path": "probe", "direct_io": true})"), reason)
      .has_value();
}

std::vector<Row> rows() {
  std::vector<Row> all;
  for (const BackendKind& kind : backend_kinds()) {
    all.push_back({std::string(kind.name), object(kind.example), kind.keeps_data});
  }
  boost::json::array filters;
  for (const FilterKind& filter : filter_kinds()) filters.push_back(object(filter.example));
  boost::json::object stacked = object(R"({"type": "memory"})");
  stacked["filters"] = filters;
  all.push_back({"memory under every filter", stacked, true});
  all.push_back({"full file", object(R"({"type": "file", "path": "full.img", "allocate": "full"})"), true});
  all.push_back({"narrow file", object(R"({"type": "file", "path": "narrow.img", "queue_depth": 1})"), true});
  if (has_direct_io()) {
    all.push_back({"direct file", object(R"({"type": "file", "path": "d.img", "direct_io": true})"), true});
  } else {
    WARN("the temporary folder has no direct I/O: that row is skipped");
  }
  return all;
}

const std::vector<Row>& all_rows() {
  static const std::vector<Row> all = rows();
  return all;
}

bool is_zero(const Bytes& bytes) {
  return std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{0}; });
}

/// What a read of `written` gives on this row.
Bytes expected(const Row& row, Bytes written) {
  if (!row.keeps_data) std::ranges::fill(written, std::byte{0});
  return written;
}

}  // namespace

TEST_CASE("every back end reads zeros where nothing was written", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  CHECK(stack.geometry().size_bytes == device_bytes);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1} << 20, device_bytes - transfer_max}) {
    const Result<Bytes> got = stack.read(offset, transfer_max);
    REQUIRE(got.has_value());
    CHECK(got->size() == transfer_max);
    CHECK(is_zero(*got));
  }
}

TEST_CASE("every back end reads what was written and nothing beside it changes", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const std::uint64_t unit = std::max<std::uint64_t>(stack.geometry().io_alignment, 512);
  // One unit, across a 64 KiB boundary, a whole transfer, and the very end.
  const std::vector<ByteRange> ranges{
      {unit, unit}, {65536 - unit, 2 * unit}, {3 * 65536 + unit, transfer_max}, {device_bytes - unit, unit}};
  for (const ByteRange range : ranges) {
    const Bytes bytes = pattern(range.length, range.offset);
    REQUIRE(stack.write(range.offset, bytes).has_value());
    const Result<Bytes> got = stack.read(range.offset, range.length);
    REQUIRE(got.has_value());
    CHECK(*got == expected(row, bytes));
  }
  CHECK(is_zero(*stack.read(0, unit)));
  CHECK(is_zero(*stack.read(2 * unit, unit)));
  CHECK(is_zero(*stack.read(65536 + unit, unit)));
  CHECK(is_zero(*stack.read(device_bytes - 2 * unit, unit)));
}

TEST_CASE("every back end keeps its alignment and its limits in the geometry", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Geometry& geometry = stack.geometry();
  CHECK(std::has_single_bit(geometry.io_alignment));
  CHECK(std::has_single_bit(geometry.physical_block_bytes));
  CHECK(geometry.io_alignment <= 4096);
  CHECK(geometry.size_bytes % geometry.io_alignment == 0);
  CHECK_FALSE(geometry.read_only);
  // The smallest transfer it promises.
  const Bytes bytes = pattern(geometry.io_alignment, 1);
  REQUIRE(stack.write(geometry.io_alignment, bytes).has_value());
  CHECK(*stack.read(geometry.io_alignment, geometry.io_alignment) == expected(row, bytes));
}

TEST_CASE("every back end writes gathered segments of odd lengths in order", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Bytes bytes = pattern(65536, 7);
  std::vector<iovec> segments;
  std::size_t at = 0;
  for (const std::size_t length : {std::size_t{1}, std::size_t{511}, std::size_t{3}, std::size_t{4096}, std::size_t{13},
                                   std::size_t{20000}, std::size_t{1}}) {
    segments.push_back(segment_of(std::span(bytes).subspan(at, length)));
    at += length;
  }
  segments.push_back(segment_of(std::span(bytes).subspan(at)));
  REQUIRE(segments.size() == Payload::segments_max);
  REQUIRE(stack.write_segments(4096, segments).has_value());
  CHECK(*stack.read(4096, bytes.size()) == expected(row, bytes));
}

TEST_CASE("every back end accepts a write with force unit access and a flush", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Bytes bytes = pattern(8192, 3);
  REQUIRE(stack.write(8192, bytes, {.force_unit_access = true}).has_value());
  REQUIRE(stack.flush().has_value());
  CHECK(*stack.read(8192, bytes.size()) == expected(row, bytes));
}

TEST_CASE("every back end reads zeros after write_zeroes", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  const bool may_discard = GENERATE(false, true);
  INFO(row.name << " may_discard " << may_discard);
  TestStack stack(row.backend, device_bytes);
  const Bytes bytes = pattern(transfer_max, 5);
  for (std::uint64_t at = 0; at < 4 * transfer_max; at += transfer_max) REQUIRE(stack.write(at, bytes).has_value());
  const ByteRange range{4096, 3 * transfer_max + 512 * 5};
  const std::uint64_t unit = std::max<std::uint64_t>(stack.geometry().io_alignment, 512);
  const ByteRange cleared{range.offset, range.length / unit * unit};
  REQUIRE(stack.write_zeroes(cleared, may_discard).has_value());
  CHECK(is_zero(*stack.read(cleared.offset, transfer_max)));
  CHECK(is_zero(*stack.read(cleared.end() - transfer_max, transfer_max)));
  const Bytes before(bytes.begin() + 4096 - static_cast<std::ptrdiff_t>(unit), bytes.begin() + 4096);
  CHECK(*stack.read(4096 - unit, unit) == expected(row, before));
  const auto end = static_cast<std::ptrdiff_t>(cleared.end() % transfer_max);
  const Bytes after(bytes.begin() + end, bytes.begin() + end + static_cast<std::ptrdiff_t>(unit));
  CHECK(*stack.read(cleared.end(), unit) == expected(row, after));
}

TEST_CASE("every back end discards as its geometry promises", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Geometry& geometry = stack.geometry();
  const Bytes bytes = pattern(transfer_max, 9);
  REQUIRE(stack.write(0, bytes).has_value());
  REQUIRE(stack.write(transfer_max, bytes).has_value());
  const std::uint64_t full = stack.device().allocated_bytes();
  const Result<> result = stack.discard({4096, transfer_max});
  if (geometry.discard_granularity == 0) {
    CHECK(result.error() == make_error_code(BackendError::not_supported));
    CHECK(*stack.read(0, transfer_max) == expected(row, bytes));
    return;
  }
  REQUIRE(result.has_value());
  if (geometry.discard_reads_zero) CHECK(is_zero(*stack.read(4096, transfer_max)));
  if (geometry.thin && full > 0) CHECK(stack.device().allocated_bytes() < full);
  CHECK(*stack.read(0, 4096) == expected(row, Bytes(bytes.begin(), bytes.begin() + 4096)));
  const Bytes rest(bytes.begin() + 4096, bytes.end());
  CHECK(*stack.read(transfer_max + 4096, rest.size()) == expected(row, rest));
  REQUIRE(stack.write(4096, bytes).has_value());
  CHECK(*stack.read(4096, transfer_max) == expected(row, bytes));
}

TEST_CASE("every back end answers extents that cover the range without a gap", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Bytes bytes = pattern(65536, 11);
  REQUIRE(stack.write(1 << 20, bytes).has_value());
  REQUIRE(stack.write(3 << 20, bytes).has_value());
  std::uint64_t at = 4096;
  std::uint64_t mapped = 0;
  while (at < device_bytes) {
    const Result<std::vector<Extent>> got = stack.extents({at, device_bytes - at});
    REQUIRE(got.has_value());
    REQUIRE_FALSE(got->empty());
    for (const Extent& extent : *got) {
      REQUIRE(extent.range.offset == at);
      REQUIRE(extent.range.length > 0);
      at = extent.range.end();
      if (extent.state == ExtentState::mapped) mapped += extent.range.length;
    }
  }
  CHECK(at == device_bytes);
  if (!stack.geometry().thin) {
    CHECK(mapped == device_bytes - 4096);
  } else if (row.keeps_data) {
    CHECK(mapped >= 2 * bytes.size());
    CHECK(mapped < std::uint64_t{1} << 20);
  }
}

TEST_CASE("every back end grows and refuses to shrink", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  const Bytes bytes = pattern(4096, 13);
  REQUIRE(stack.write(device_bytes - 4096, bytes).has_value());
  const std::uint64_t larger = device_bytes + (std::uint64_t{1} << 20);
  REQUIRE(stack.device().resize(larger).has_value());
  CHECK(stack.geometry().size_bytes == larger);
  CHECK(*stack.read(device_bytes - 4096, 4096) == expected(row, bytes));
  CHECK(is_zero(*stack.read(device_bytes, 65536)));
  REQUIRE(stack.write(larger - 4096, bytes).has_value());
  CHECK(*stack.read(larger - 4096, 4096) == expected(row, bytes));
  CHECK(stack.device().resize(device_bytes).error() == make_error_code(BackendError::not_supported));
  CHECK(stack.geometry().size_bytes == larger);
}

TEST_CASE("every back end refuses changes when it is opened read-only", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  const TestFolder folder;
  std::string reason;
  OpenRequest request{"ro", device_bytes, false, true, folder.path()};
  REQUIRE(open_backend(request, row.backend, reason).has_value());  // makes what must be there
  request.read_only = true;
  Result<std::unique_ptr<BlockDevice>> opened = open_backend(request, row.backend, reason);
  INFO(reason);
  REQUIRE(opened.has_value());
  TestStack stack(std::move(*opened));
  const auto refused = make_error_code(BackendError::read_only);
  CHECK(stack.geometry().read_only);
  CHECK(stack.write(0, Bytes(4096)).error() == refused);
  CHECK(stack.discard({0, 4096}).error() == refused);
  CHECK(stack.write_zeroes({0, 4096}, true).error() == refused);
  CHECK(stack.device().resize(2 * device_bytes).error() == refused);
  CHECK(is_zero(*stack.read(0, 4096)));
  CHECK(stack.flush().has_value());
}

namespace {

constexpr std::uint64_t job_bytes = 16384;

/// One of many calls at once: writes its own place and reads it back, several times.
Task<> write_and_compare(BlockChannel& channel, std::uint64_t offset, std::uint64_t salt, bool keeps_data,
                         unsigned& good) {
  for (unsigned round = 0; round < 4; ++round) {
    const Bytes bytes = pattern(job_bytes, salt + round);
    if ((co_await write_bytes(channel, offset, bytes)).has_error()) co_return;
    const Result<Bytes> got = co_await read_bytes(channel, {offset, job_bytes});
    if (got.has_error() || *got != (keeps_data ? bytes : Bytes(job_bytes))) co_return;
  }
  ++good;
}

Task<unsigned> many_at_once(BlockChannel& channel, std::uint64_t first, std::uint64_t count, std::uint64_t stride,
                            bool keeps_data) {
  lunaris::runtime::Gate gate;
  unsigned good = 0;
  for (std::uint64_t job = 0; job < count; ++job) {
    const std::uint64_t offset = (first + job * stride) * job_bytes;
    spawn(*gate.try_enter(), write_and_compare(channel, offset, offset, keeps_data, good));
  }
  co_await gate.close();
  co_return good;
}

}  // namespace

TEST_CASE("every back end keeps many calls in flight apart", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  BlockChannel& channel = stack.channel();
  const bool keeps = row.keeps_data;
  CHECK(stack.worker().call([&channel, keeps] { return many_at_once(channel, 0, 200, 1, keeps); }) == 200);
}

TEST_CASE("every back end serves two workers at once and each sees what the other wrote", "[backends][contract]") {
  const Row row = GENERATE(from_range(all_rows()));
  INFO(row.name);
  TestStack stack(row.backend, device_bytes);
  std::array<BlockChannel*, 2> channels{&stack.channel(0), &stack.channel(1)};
  const bool keeps = row.keeps_data;
  // Neighbouring places, so that both write into the same chunks and pages.
  auto even = stack.worker(0).start([channels, keeps] { return many_at_once(*channels[0], 0, 100, 2, keeps); });
  auto odd = stack.worker(1).start([channels, keeps] { return many_at_once(*channels[1], 1, 100, 2, keeps); });
  CHECK(even.get() == 100);
  CHECK(odd.get() == 100);
  for (std::uint64_t job = 0; job < 200; job += 33) {
    const Bytes last = pattern(job_bytes, job * job_bytes + 3);
    CHECK(*stack.read(job * job_bytes, job_bytes, (job + 1) % 2) == expected(row, last));
  }
}

TEST_CASE("every back end that keeps data agrees with a plain array over random operations", "[backends][property]") {
  const Row row = GENERATE(from_range(all_rows()));
  if (!row.keeps_data) return;
  const std::uint64_t seed = test_seed();
  INFO(row.name << ", LUNARIS_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  constexpr std::uint64_t bytes_max = std::uint64_t{1} << 20;
  TestStack stack(row.backend, bytes_max);
  const std::uint64_t unit = std::max<std::uint64_t>(stack.geometry().io_alignment, 512);
  Bytes oracle(bytes_max);
  for (unsigned step = 0; step < 400; ++step) {
    const std::uint64_t offset = random() % (bytes_max / unit) * unit;
    const std::uint64_t room = std::min(bytes_max - offset, transfer_max);
    const std::uint64_t length = (random() % (room / unit) + 1) * unit;
    const auto begin = oracle.begin() + static_cast<std::ptrdiff_t>(offset);
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    const std::uint64_t kind = random() % 100;
    INFO("step " << step << " kind " << kind << " offset " << offset << " length " << length);
    if (kind < 45) {
      const Bytes bytes = pattern(length, random());
      std::ranges::copy(bytes, begin);
      REQUIRE(stack.write(offset, bytes, {.force_unit_access = kind < 2}, kind % 2).has_value());
    } else if (kind < 55) {
      std::fill(begin, end, std::byte{0});
      REQUIRE(stack.write_zeroes({offset, length}, kind % 2 == 0).has_value());
    } else if (kind < 60 && stack.geometry().discard_reads_zero) {
      std::fill(begin, end, std::byte{0});
      REQUIRE(stack.discard({offset, length}).has_value());
    } else if (kind == 60) {
      REQUIRE(stack.flush(kind % 2).has_value());
    } else {
      const Result<Bytes> got = stack.read(offset, length, kind % 2);
      REQUIRE(got.has_value());
      REQUIRE(std::equal(begin, end, got->begin(), got->end()));
    }
  }
}
