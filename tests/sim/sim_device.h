// SimDevice: a block device in memory whose calls take (virtual) time, fail or hang as the simulation says.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "backends/block_device.h"
#include "server/runtime/worker.h"
#include "tests/sim/sim_worker.h"

namespace lunaris::sim {

/// What the simulation does to the device; shared with the test.
struct SimMedium {
  explicit SimMedium(SimWorld& the_world, std::size_t size_bytes) : world(the_world), bytes(size_bytes) {}
  SimWorld& world;
  std::vector<std::byte> bytes;
  std::uint64_t delay_ns_max = 0;  // 0: calls complete at once
  bool hanging = false;            // calls wait until this is cleared
  bool uses_pool = true;           // reads fill a pool buffer, as a file's do; else they point into `bytes`
  std::uint64_t running = 0;
};

class SimChannel final : public backends::BlockChannel {
 public:
  SimChannel(std::shared_ptr<SimMedium> medium, runtime::Worker& worker)
      : medium_(std::move(medium)), worker_(worker) {}

  runtime::Task<backends::Result<backends::Payload>> read(backends::ByteRange range) override {
    ++medium_->running;
    co_await pass_time();
    backends::Payload payload;
    const auto source = std::span(medium_->bytes).subspan(range.offset, range.length);
    if (medium_->uses_pool) {
      runtime::BufferLease lease = co_await worker_.buffers().acquire(static_cast<std::uint32_t>(range.length));
      std::memcpy(lease.bytes().data(), source.data(), source.size());
      payload = backends::Payload(std::move(lease), range.length);
    } else {
      payload.append(source);
    }
    --medium_->running;
    co_return payload;
  }
  runtime::Task<backends::Result<>> write(std::uint64_t offset, std::span<const iovec> data,
                                          backends::WriteFlags /*flags*/, int /*registered_index*/) override {
    ++medium_->running;
    co_await pass_time();
    for (const iovec& segment : data) {
      std::memcpy(medium_->bytes.data() + offset, segment.iov_base, segment.iov_len);
      offset += segment.iov_len;
    }
    --medium_->running;
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<>> flush() override {
    ++medium_->running;
    co_await pass_time();
    --medium_->running;
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<>> discard(backends::ByteRange range) override { return write_zeroes(range, true); }
  runtime::Task<backends::Result<>> write_zeroes(backends::ByteRange range, bool /*may_discard*/) override {
    ++medium_->running;
    co_await pass_time();
    std::memset(medium_->bytes.data() + range.offset, 0, range.length);
    --medium_->running;
    co_return backends::Result<>{};
  }
  runtime::Task<backends::Result<std::vector<backends::Extent>>> extents(backends::ByteRange range) override {
    co_return std::vector<backends::Extent>{{range, backends::ExtentState::mapped}};
  }

 private:
  // Suspends until the medium is done; at once when it takes no time.
  struct Passing {
    SimMedium& medium;
    runtime::Worker& worker;
    bool await_ready() const noexcept { return medium.delay_ns_max == 0 && !medium.hanging; }
    void await_suspend(std::coroutine_handle<> caller) { again(caller); }
    void await_resume() const noexcept {}
    void again(std::coroutine_handle<> caller) {
      const std::uint64_t delay = medium.hanging ? 50'000'000 : 1 + medium.world.below(medium.delay_ns_max);
      medium.world.after(delay, [this, caller] {
        if (medium.hanging) return again(caller);
        run_on(worker, [caller] { caller.resume(); });
      });
    }
  };
  [[nodiscard]] Passing pass_time() noexcept { return {*medium_, worker_}; }

  std::shared_ptr<SimMedium> medium_;
  runtime::Worker& worker_;
};

class SimDevice final : public backends::BlockDevice {
 public:
  explicit SimDevice(std::shared_ptr<SimMedium> medium) : medium_(std::move(medium)) {
    geometry_.size_bytes = medium_->bytes.size();
  }
  [[nodiscard]] const backends::Geometry& geometry() const noexcept override { return geometry_; }
  backends::Result<std::unique_ptr<backends::BlockChannel>> open_channel(runtime::Worker& worker) override {
    return std::unique_ptr<backends::BlockChannel>(std::make_unique<SimChannel>(medium_, worker));
  }
  backends::Result<> resize(std::uint64_t /*size_bytes*/) override {
    return make_error_code(backends::BackendError::not_supported);
  }
  [[nodiscard]] std::uint64_t allocated_bytes() const override { return geometry_.size_bytes; }

 private:
  std::shared_ptr<SimMedium> medium_;
  backends::Geometry geometry_;
};

}  // namespace lunaris::sim
