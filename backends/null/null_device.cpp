// A device without a medium.
#include "backends/null/null_device.h"

#include "backends/checked_device.h"
#include "backends/options.h"
#include "backends/zero_page.h"

namespace lunaris::backends {

namespace {

class NullChannel final : public BlockChannel {
 public:
  runtime::Task<Result<Payload>> read(ByteRange range) override {
    Payload payload;
    append_zeros(payload, range.length);
    co_return std::move(payload);
  }
  runtime::Task<Result<>> write(std::uint64_t, std::span<const iovec>, WriteFlags, int) override {
    co_return Result<>{};
  }
  runtime::Task<Result<>> flush() override { co_return Result<>{}; }
  runtime::Task<Result<>> discard(ByteRange) override { co_return Result<>{}; }
  runtime::Task<Result<>> write_zeroes(ByteRange, bool) override { co_return Result<>{}; }
  runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) override {
    co_return std::vector<Extent>{{range, ExtentState::deallocated}};
  }
};

class NullDevice final : public BlockDevice {
 public:
  explicit NullDevice(const OpenRequest& request) {
    geometry_.size_bytes = request.size_bytes;
    geometry_.discard_granularity = 4096;
    geometry_.discard_reads_zero = true;
    geometry_.thin = true;
    geometry_.read_only = request.read_only;
  }
  const Geometry& geometry() const noexcept override { return geometry_; }
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker&) override {
    return std::unique_ptr<BlockChannel>(std::make_unique<NullChannel>());
  }
  Result<> resize(std::uint64_t size_bytes) override {
    set_size(geometry_, size_bytes);
    return {};
  }
  std::uint64_t allocated_bytes() const override { return 0; }

 private:
  Geometry geometry_;
};

}  // namespace

std::vector<OptionProblem> check_null(const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  OptionReader reader(options, problems);
  reader.ignore("type");
  reader.ignore("filters");
  reader.finish();
  return problems;
}

Result<std::unique_ptr<BlockDevice>> open_null(const OpenRequest& request, const boost::json::object&,
                                               std::string& reason) {
  if (request.size_bytes == 0) {
    reason = "volume \"" + request.name + "\" needs a size: a null back end has none of its own";
    return make_error_code(BackendError::not_supported);
  }
  return std::unique_ptr<BlockDevice>(std::make_unique<NullDevice>(request));
}

}  // namespace lunaris::backends
