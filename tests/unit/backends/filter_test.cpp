// The delay and fault filters, and the assertions of CheckedDevice.
#include <csignal>

#include "backends/checked_device.h"
#include "backends/filters/delay.h"
#include "backends/filters/fault.h"
#include "tests/unit/backends/child.h"
#include "tests/unit/backends/test_stack.h"

using namespace lunaris::backends;
using namespace lunaris::backends::test;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

boost::json::object memory_with(std::string_view filter) {
  boost::json::object backend = object(R"({"type": "memory"})");
  backend["filters"] = boost::json::array{object(filter)};
  return backend;
}

std::string outcomes(TestStack& stack, unsigned calls) {
  std::string text;
  for (unsigned i = 0; i < calls; ++i) text += stack.read(0, 4096).has_value() ? '.' : 'x';
  return text;
}

}  // namespace

TEST_CASE("a fault rule fails every Nth call after those it lets pass", "[backends][fault]") {
  TestStack stack(memory_with(R"({"type": "fault", "operation": "read", "every": 3, "after": 2})"), mib);
  CHECK(outcomes(stack, 11) == "....x..x..x");
}

TEST_CASE("a fault rule by probability repeats itself with the same seed", "[backends][fault]") {
  const auto text = [](std::string_view seed) {
    TestStack stack(
        memory_with(R"({"type": "fault", "operation": "read", "probability": 0.3, "seed": )" + std::string(seed) + "}"),
        mib);
    return outcomes(stack, 60);
  };
  const std::string first = text("42");
  CHECK(first == text("42"));
  CHECK(first != text("43"));
  CHECK(std::ranges::count(first, 'x') > 5);
  CHECK(std::ranges::count(first, 'x') < 35);
}

TEST_CASE("a fault rule with a range fails only calls that touch it", "[backends][fault]") {
  TestStack stack(memory_with(R"({"type": "fault", "operation": "write", "offset": 8192, "length": 4096})"), mib);
  CHECK(stack.write(4096, Bytes(4096)).has_value());
  CHECK(stack.write(4096, Bytes(4097)).error() == make_error_code(BackendError::write_failed));
  CHECK(stack.write(12288, Bytes(4096)).has_value());
  CHECK(stack.read(8192, 4096).has_value());
}

TEST_CASE("a fault rule answers the error it was told to", "[backends][fault]") {
  const auto [operation, error, wanted] = GENERATE(table<std::string, std::string, BackendError>({
      {"read", "read_failed", BackendError::read_failed},
      {"write", "out_of_space", BackendError::out_of_space},
      {"flush", "flush_failed", BackendError::flush_failed},
      {"discard", "write_failed", BackendError::write_failed},
      {"write_zeroes", "timed_out", BackendError::timed_out},
  }));
  TestStack stack(memory_with(R"({"type": "fault", "operation": ")" + operation + R"(", "error": ")" + error + "\"}"),
                  mib);
  const auto code = [told = operation, answer = wanted](std::string_view name) {
    return told == name ? make_error_code(answer) : boost::system::error_code();
  };
  const auto got = [](const auto& result) { return result.has_error() ? result.error() : boost::system::error_code(); };
  CHECK(got(stack.read(0, 4096)) == code("read"));
  CHECK(got(stack.write(0, Bytes(4096))) == code("write"));
  CHECK(got(stack.flush()) == code("flush"));
  CHECK(got(stack.discard({0, 4096})) == code("discard"));
  CHECK(got(stack.write_zeroes({0, 4096}, false)) == code("write_zeroes"));
}

TEST_CASE("a short write arrives in its first half and fails", "[backends][fault]") {
  TestStack stack(memory_with(R"({"type": "fault", "operation": "write", "error": "short_write", "after": 1})"), mib);
  const Bytes before = pattern(8192, 1);
  const Bytes after = pattern(8192, 2);
  REQUIRE(stack.write(0, before).has_value());
  CHECK(stack.write(0, after).error() == make_error_code(BackendError::write_failed));
  CHECK(*stack.read(0, 4096) == Bytes(after.begin(), after.begin() + 4096));
  CHECK(*stack.read(4096, 4096) == Bytes(before.begin() + 4096, before.end()));
}

TEST_CASE("a fault filter can be switched while the device is in use", "[backends][fault]") {
  std::string reason;
  auto memory = open_backend({"test", mib, false, false, "/"}, object(R"({"type": "memory"})"), reason);
  FaultOptions rule;
  rule.every = 1;
  rule.enabled = false;
  auto filter = std::make_unique<FaultDevice>(std::move(*memory), rule);
  FaultDevice& fault = *filter;
  TestStack stack(std::move(filter));
  CHECK(stack.read(0, 4096).has_value());
  fault.set_enabled(true);
  CHECK(stack.read(0, 4096).error() == make_error_code(BackendError::read_failed));
  fault.set_enabled(false);
  CHECK(stack.read(0, 4096).has_value());
  CHECK(fault.injected() == 1);
}

TEST_CASE("a delay holds back the operations it is for and no others", "[backends][delay]") {
  TestStack stack(memory_with(R"({"type": "delay", "ms_min": 100, "ms_max": 120, "for": ["write"]})"), mib);
  lunaris::runtime::Worker& worker = *stack.worker();
  const auto now = [&worker] { return worker.clock().now_ns(); };
  stack.read(0, 4096);
  const std::uint64_t start = now();
  CHECK(stack.write(0, pattern(4096, 1)).has_value());
  CHECK(now() - start >= 100'000'000);
  // Both are over before one delayed operation would be: the wheel ticks every 100 ms.
  auto& channel = stack.channel();
  auto slow = stack.worker().start([&channel] { return channel.write_zeroes({0, 4096}, false); });
  CHECK(slow.get().has_value());
  CHECK(*stack.read(0, 4096) == Bytes(4096));
}

TEST_CASE("a delay that is switched off lets everything through at once", "[backends][delay]") {
  std::string reason;
  auto memory = open_backend({"test", mib, false, false, "/"}, object(R"({"type": "memory"})"), reason);
  // Ten minutes: the test would not end if one of these waited.
  auto filter = std::make_unique<DelayDevice>(std::move(*memory), DelayOptions{600'000, 600'000, 0x1f, false});
  TestStack stack(std::move(filter));
  CHECK(stack.write(0, pattern(4096, 1)).has_value());
  CHECK(*stack.read(0, 4096) == pattern(4096, 1));
  CHECK(stack.flush().has_value());
}

namespace {

/// Opens a memory device and does what breaks its contract; returns only when nothing stopped it.
template <class Break>
int ending_of(Break break_it) {
  return in_child(
      [break_it] {
        TestStack stack(object(R"({"type": "memory"})"), mib);
        break_it(stack);
        return 0;
      },
      true);
}

/// A device that answers less than it was asked for, or an error of somebody else's.
class LyingDevice final : public BlockDevice {
 public:
  explicit LyingDevice(bool foreign_error) : foreign_error_(foreign_error) { geometry_.size_bytes = mib; }
  const Geometry& geometry() const noexcept override { return geometry_; }
  Result<std::unique_ptr<BlockChannel>> open_channel(lunaris::runtime::Worker&) override {
    return std::unique_ptr<BlockChannel>(std::make_unique<Channel>(foreign_error_));
  }
  Result<> resize(std::uint64_t) override { return {}; }
  std::uint64_t allocated_bytes() const override { return 0; }

 private:
  class Channel final : public FilterChannel {
   public:
    explicit Channel(bool foreign_error) : FilterChannel(nullptr), foreign_error_(foreign_error) {}
    lunaris::runtime::Task<Result<Payload>> read(ByteRange) override {
      if (foreign_error_) co_return lunaris::runtime::errno_error(EIO);
      co_return Payload();
    }

   private:
    bool foreign_error_;
  };
  bool foreign_error_;
  Geometry geometry_;
};

}  // namespace

TEST_CASE("a call outside the contract ends the process", "[backends][checked]") {
  CHECK(ending_of([](TestStack& stack) { stack.read(0, 4096); }) == 0);
  CHECK(ending_of([](TestStack& stack) { stack.read(mib, 1); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.read(mib - 1, 2); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.read(UINT64_MAX, 2); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.read(0, 0); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.read(0, BlockChannel::transfer_bytes_max + 1); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.write(mib - 4095, Bytes(4096)); }) == -SIGABRT);
  CHECK(ending_of([](TestStack& stack) { stack.discard({0, mib + 1}); }) == -SIGABRT);
}

TEST_CASE("a back end that breaks its side of the contract ends the process", "[backends][checked]") {
  const bool foreign_error = GENERATE(false, true);
  CHECK(in_child(
            [foreign_error] {
              TestStack stack(std::make_unique<CheckedDevice>(std::make_unique<LyingDevice>(foreign_error)));
              stack.read(0, 4096);
              return 0;
            },
            true) == -SIGABRT);
}
