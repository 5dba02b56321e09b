// Waiting before passing on.
#include "backends/filters/delay.h"

#include "backends/filters/draw.h"
#include "backends/options.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

class DelayDevice::Channel final : public FilterChannel {
 public:
  Channel(std::unique_ptr<BlockChannel> channel, const DelayDevice& device, runtime::Worker& worker)
      : FilterChannel(std::move(channel)), device_(device), worker_(worker), draw_(worker.index()) {}

  runtime::Task<Result<Payload>> read(ByteRange range) override {
    if (acts_on(Operation::read)) co_await wait();
    co_return co_await below().read(range);
  }
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                int registered_index) override {
    if (acts_on(Operation::write)) co_await wait();
    co_return co_await below().write(offset, data, flags, registered_index);
  }
  runtime::Task<Result<>> flush() override {
    if (acts_on(Operation::flush)) co_await wait();
    co_return co_await below().flush();
  }
  runtime::Task<Result<>> discard(ByteRange range) override {
    if (acts_on(Operation::discard)) co_await wait();
    co_return co_await below().discard(range);
  }
  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override {
    if (acts_on(Operation::write_zeroes)) co_await wait();
    co_return co_await below().write_zeroes(range, may_discard);
  }

 private:
  [[nodiscard]] bool acts_on(Operation operation) const noexcept {
    return (device_.options_.operations >> static_cast<unsigned>(operation) & 1U) != 0 &&
           device_.enabled_.load(std::memory_order_relaxed);
  }
  runtime::Task<> wait() {
    const DelayOptions& options = device_.options_;
    const std::uint64_t delay_ms = options.low_ms + draw_.below(options.high_ms - options.low_ms + 1);
    return worker_.sleep(delay_ms * 1'000'000);
  }

  const DelayDevice& device_;
  runtime::Worker& worker_;
  Draw draw_;
};

DelayDevice::DelayDevice(std::unique_ptr<BlockDevice> below, DelayOptions options)
    : FilterDevice(std::move(below)), options_(options), enabled_(options.enabled) {}

Result<std::unique_ptr<BlockChannel>> DelayDevice::open_channel(runtime::Worker& worker) {
  Result<std::unique_ptr<BlockChannel>> channel = below().open_channel(worker);
  if (channel.has_error()) return channel.error();
  return std::unique_ptr<BlockChannel>(std::make_unique<Channel>(std::move(*channel), *this, worker));
}

namespace {

DelayOptions read_options(const boost::json::object& options, std::vector<OptionProblem>& problems) {
  // Ten minutes: longer than any initiator waits.
  constexpr std::uint64_t delay_ms_max = 600'000;
  OptionReader reader(options, problems);
  reader.ignore("type");
  DelayOptions delay;
  const std::uint64_t fixed_ms = reader.number("ms", 0, delay_ms_max, 0);
  delay.low_ms = reader.number("ms_min", 0, delay_ms_max, fixed_ms);
  delay.high_ms = reader.number("ms_max", 0, delay_ms_max, std::max(fixed_ms, delay.low_ms));
  delay.operations = reader.choice_set("for", operation_names);
  delay.enabled = reader.flag("enabled", true);
  const bool has_range = reader.has("ms_min") || reader.has("ms_max");
  if (reader.has("ms") == has_range) reader.problem("ms", "give either \"ms\" or \"ms_min\" and \"ms_max\"");
  if (delay.low_ms > delay.high_ms) reader.problem("ms_min", "must not be above \"ms_max\"");
  reader.finish();
  return delay;
}

}  // namespace

std::vector<OptionProblem> check_delay(const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  read_options(options, problems);
  return problems;
}

std::unique_ptr<BlockDevice> stack_delay(std::unique_ptr<BlockDevice> below, const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  return std::make_unique<DelayDevice>(std::move(below), read_options(options, problems));
}

}  // namespace lunaris::backends
