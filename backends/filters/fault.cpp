// Failing on purpose.
#include "backends/filters/fault.h"

#include <algorithm>
#include <utility>

#include "backends/filters/draw.h"
#include "backends/options.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

class FaultDevice::Channel final : public FilterChannel {
 public:
  Channel(std::unique_ptr<BlockChannel> channel, FaultDevice& device, const runtime::Worker& worker)
      : FilterChannel(std::move(channel)), device_(device), draw_(device.options_.seed + worker.index()) {}

  runtime::Task<Result<Payload>> read(ByteRange range) override {
    if (fails(Operation::read, range)) co_return error();
    co_return co_await below().read(range);
  }
  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags flags,
                                int registered_index) override {
    std::uint64_t length = 0;
    for (const iovec& segment : data) length += segment.iov_len;
    if (!fails(Operation::write, {offset, length})) {
      co_return co_await below().write(offset, data, flags, registered_index);
    }
    if (device_.options_.short_write) co_await write_half(offset, data, length, registered_index);
    co_return error();
  }
  runtime::Task<Result<>> flush() override {
    if (fails(Operation::flush, {})) co_return error();
    co_return co_await below().flush();
  }
  runtime::Task<Result<>> discard(ByteRange range) override {
    if (fails(Operation::discard, range)) co_return error();
    co_return co_await below().discard(range);
  }
  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override {
    if (fails(Operation::write_zeroes, range)) co_return error();
    co_return co_await below().write_zeroes(range, may_discard);
  }

 private:
  [[nodiscard]] boost::system::error_code error() const noexcept { return make_error_code(device_.options_.error); }

  /// A flush has no place: a rule with a range lets it pass.
  bool fails(Operation operation, ByteRange range) noexcept {
    const FaultOptions& rule = device_.options_;
    if (operation != rule.operation || !device_.enabled_.load(std::memory_order_relaxed)) return false;
    if (rule.range.length > 0 && (range.end() <= rule.range.offset || rule.range.end() <= range.offset)) return false;
    const std::uint64_t number = device_.matching_.fetch_add(1, std::memory_order_relaxed) + 1;
    if (number <= rule.after) return false;
    const bool hit = rule.every > 0 ? (number - rule.after) % rule.every == 0 : draw_.fraction() < rule.probability;
    if (hit) device_.injected_.fetch_add(1, std::memory_order_relaxed);
    return hit;
  }

  runtime::Task<> write_half(std::uint64_t offset, std::span<const iovec> data, std::uint64_t length,
                             int registered_index) {
    std::uint64_t left = length / 2 / below_alignment() * below_alignment();
    std::array<iovec, Payload::segments_max> half;
    std::size_t count = 0;
    for (const iovec& segment : data) {
      if (left == 0) break;
      const std::uint64_t part = std::min<std::uint64_t>(left, segment.iov_len);
      half[count++] = {segment.iov_base, part};
      left -= part;
    }
    if (count == 0) co_return;
    static_cast<void>(co_await below().write(offset, {half.data(), count}, {}, registered_index));
  }
  [[nodiscard]] std::uint64_t below_alignment() const noexcept {
    return std::max<std::uint64_t>(device_.geometry().io_alignment, 512);
  }

  FaultDevice& device_;
  Draw draw_;
};

FaultDevice::FaultDevice(std::unique_ptr<BlockDevice> below, const FaultOptions& options)
    : FilterDevice(std::move(below)), options_(options), enabled_(options.enabled) {}

Result<std::unique_ptr<BlockChannel>> FaultDevice::open_channel(runtime::Worker& worker) {
  Result<std::unique_ptr<BlockChannel>> channel = below().open_channel(worker);
  if (channel.has_error()) return channel.error();
  return std::unique_ptr<BlockChannel>(std::make_unique<Channel>(std::move(*channel), *this, worker));
}

namespace {

struct NamedError {
  std::string_view name;
  BackendError error;
};
constexpr std::array errors{
    NamedError{"read_failed", BackendError::read_failed},
    NamedError{"write_failed", BackendError::write_failed},
    NamedError{"flush_failed", BackendError::flush_failed},
    NamedError{"out_of_space", BackendError::out_of_space},
    NamedError{"out_of_memory", BackendError::out_of_memory},
    NamedError{"not_supported", BackendError::not_supported},
    NamedError{"gone", BackendError::gone},
    NamedError{"timed_out", BackendError::timed_out},
    NamedError{"short_write", BackendError::write_failed},
};

BackendError usual_error(Operation operation) noexcept {
  switch (operation) {
    case Operation::read:
      return BackendError::read_failed;
    case Operation::flush:
      return BackendError::flush_failed;
    case Operation::write:
    case Operation::discard:
    case Operation::write_zeroes:
      return BackendError::write_failed;
  }
  __builtin_unreachable();
}

FaultOptions read_options(const boost::json::object& options, std::vector<OptionProblem>& problems) {
  constexpr std::uint64_t any = INT64_MAX;
  std::array<std::string_view, errors.size()> names;
  std::ranges::transform(errors, names.begin(), &NamedError::name);
  OptionReader reader(options, problems);
  reader.ignore("type");
  FaultOptions rule;
  rule.operation = static_cast<Operation>(reader.choice("operation", operation_names, 0));
  rule.error = usual_error(rule.operation);
  if (const std::size_t index = reader.choice("error", names, errors.size()); index < errors.size()) {
    rule.error = errors[index].error;
    rule.short_write = errors[index].name == "short_write";
  }
  rule.every = reader.number("every", 1, any, 0);
  rule.probability = reader.real("probability", 0, 1, 0);
  rule.after = reader.number("after", 0, any, 0);
  rule.range.offset = reader.number("offset", 0, any, 0);
  rule.range.length = reader.number("length", 1, any, reader.has("offset") ? any : 0);
  rule.seed = reader.number("seed", 0, any, 1);
  rule.enabled = reader.flag("enabled", true);
  if (!reader.has("operation")) reader.problem("operation", "is missing");
  if (reader.has("every") && reader.has("probability")) {
    reader.problem("probability", "give either \"every\" or \"probability\", not both");
  }
  if (!reader.has("every") && !reader.has("probability")) rule.every = 1;
  if (rule.short_write && rule.operation != Operation::write) {
    reader.problem("error", "\"short_write\" is for the operation \"write\"");
  }
  reader.finish();
  return rule;
}

}  // namespace

std::vector<OptionProblem> check_fault(const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  read_options(options, problems);
  return problems;
}

std::unique_ptr<BlockDevice> stack_fault(std::unique_ptr<BlockDevice> below, const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  return std::make_unique<FaultDevice>(std::move(below), read_options(options, problems));
}

}  // namespace lunaris::backends
