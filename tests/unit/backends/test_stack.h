// TestWorker and TestStack: a worker in a thread of its own, and an open device with a channel on each of two workers,
// used from the test's thread as if it were blocking.
#pragma once

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "backends/registry.h"
#include "server/runtime/asio_loop.h"
#include "server/runtime/worker.h"

namespace lunaris::backends::test {

using Bytes = std::vector<std::byte>;

class TestWorker {
 public:
  explicit TestWorker(unsigned index = 0, std::size_t registered_bytes = 0) {
    runtime::WorkerOptions options;
    options.index = index;
    options.name = "worker " + std::to_string(index);
    options.buffers.bytes_max = std::size_t{16} << 20;
    options.buffers.registered_bytes_max = registered_bytes;
    worker_ = std::make_unique<runtime::Worker>(
        std::move(options), std::make_unique<runtime::AsioLoop>(runtime::AsioLoop::Mode::worker),
        std::make_unique<runtime::SystemClock>(), std::make_unique<runtime::SystemRng>());
    thread_ = std::thread([this] { worker_->run(); });
  }
  TestWorker(const TestWorker&) = delete;
  TestWorker& operator=(const TestWorker&) = delete;
  ~TestWorker() {
    runtime::Worker& worker = *worker_;
    worker.post([&worker] { worker.stop(); });
    thread_.join();
  }

  runtime::Worker& operator*() { return *worker_; }
  runtime::Worker* operator->() { return worker_.get(); }

  /// Starts what `function` returns, a Task<Value>, on the worker.
  template <class Function>
  auto start(Function function) {
    using Value = typename runtime::detail::IsTask<std::invoke_result_t<Function&>>::Value;
    auto promise = std::make_shared<std::promise<Value>>();
    std::future<Value> future = promise->get_future();
    worker_->post([promise, function] { return finish<Value>(promise, function()); });
    return future;
  }
  /// The same, and waits for the end of it.
  template <class Function>
  auto call(Function function) {
    return start(std::move(function)).get();
  }
  /// Runs an ordinary function there.
  template <class Function>
  auto run(Function function) {
    using Value = std::invoke_result_t<Function&>;
    std::promise<Value> promise;
    worker_->post([&promise, &function] {
      if constexpr (std::is_void_v<Value>) {
        function();
        promise.set_value();
      } else {
        promise.set_value(function());
      }
    });
    return promise.get_future().get();
  }

 private:
  template <class Value>
  static runtime::Task<> finish(std::shared_ptr<std::promise<Value>> promise, runtime::Task<Value> task) {
    if constexpr (std::is_void_v<Value>) {
      co_await std::move(task);
      promise->set_value();
    } else {
      promise->set_value(co_await std::move(task));
    }
  }

  std::unique_ptr<runtime::Worker> worker_;
  std::thread thread_;
};

/// An empty folder, gone at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lunaris-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline boost::json::object object(std::string_view text) {
  return boost::json::parse(text).as_object();
}

/// The bytes a read gives, copied.
inline runtime::Task<Result<Bytes>> read_bytes(BlockChannel& channel, ByteRange range) {
  Result<Payload> payload = co_await channel.read(range);
  if (payload.has_error()) co_return payload.error();
  Bytes bytes(payload->size_bytes());
  payload->copy_to(bytes);
  co_return bytes;
}

inline iovec segment_of(std::span<const std::byte> bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}

/// One segment.
inline runtime::Task<Result<>> write_bytes(BlockChannel& channel, std::uint64_t offset,
                                           std::span<const std::byte> bytes, WriteFlags flags = {}) {
  const iovec segment = segment_of(bytes);
  co_return co_await channel.write(offset, {&segment, 1}, flags, -1);
}

/// Bytes that differ from place to place and from `salt` to `salt`.
inline Bytes pattern(std::size_t size, std::uint64_t salt) {
  std::mt19937_64 random(salt);
  Bytes bytes(size);
  for (std::byte& one : bytes) one = static_cast<std::byte>(random());
  return bytes;
}

/// From LUNARIS_TEST_SEED, else fresh; the caller prints it.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("LUNARIS_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
}

/// An open device with a channel on the first of its workers, and on the second when asked for.
class TestStack {
 public:
  TestStack(const boost::json::object& backend, std::uint64_t size_bytes) {
    OpenRequest request{"test", size_bytes, false, true, folder_.path()};
    Result<std::unique_ptr<BlockDevice>> opened = open_backend(request, backend, reason_);
    INFO(reason_);
    REQUIRE(opened.has_value());
    take(std::move(*opened));
  }
  explicit TestStack(std::unique_ptr<BlockDevice> device) { take(std::move(device)); }
  TestStack(const TestStack&) = delete;
  TestStack& operator=(const TestStack&) = delete;
  ~TestStack() {
    for (std::size_t i = 0; i < channels_.size(); ++i) {
      if (channels_[i]) workers_[i]->run([this, i] { channels_[i].reset(); });
    }
  }

  BlockDevice& device() { return *device_; }
  const TestFolder& folder() const { return folder_; }
  const Geometry& geometry() { return device_->geometry(); }
  TestWorker& worker(std::size_t i = 0) {
    channel(i);
    return *workers_[i];
  }
  BlockChannel& channel(std::size_t i = 0) {
    if (workers_[i] == nullptr) workers_[i] = std::make_unique<TestWorker>(static_cast<unsigned>(i));
    if (channels_[i] == nullptr) {
      auto opened = workers_[i]->run([this, i] { return device_->open_channel(**workers_[i]); });
      REQUIRE(opened.has_value());
      channels_[i] = std::move(*opened);
    }
    return *channels_[i];
  }

  Result<Bytes> read(std::uint64_t offset, std::uint64_t length, std::size_t i = 0) {
    BlockChannel& on = channel(i);
    return worker(i).call([&on, offset, length] { return read_bytes(on, {offset, length}); });
  }
  Result<> write(std::uint64_t offset, std::span<const std::byte> bytes, WriteFlags flags = {}, std::size_t i = 0) {
    BlockChannel& on = channel(i);
    return worker(i).call([&on, offset, bytes, flags] { return write_bytes(on, offset, bytes, flags); });
  }
  Result<> write_segments(std::uint64_t offset, std::span<const iovec> segments) {
    BlockChannel& on = channel();
    return worker().call([&on, offset, segments] { return on.write(offset, segments, {}, -1); });
  }
  Result<> flush(std::size_t i = 0) {
    BlockChannel& on = channel(i);
    return worker(i).call([&on] { return on.flush(); });
  }
  Result<> discard(ByteRange range) {
    BlockChannel& on = channel();
    return worker().call([&on, range] { return on.discard(range); });
  }
  Result<> write_zeroes(ByteRange range, bool may_discard) {
    BlockChannel& on = channel();
    return worker().call([&on, range, may_discard] { return on.write_zeroes(range, may_discard); });
  }
  Result<std::vector<Extent>> extents(ByteRange range) {
    BlockChannel& on = channel();
    return worker().call([&on, range] { return on.extents(range); });
  }

 private:
  void take(std::unique_ptr<BlockDevice> device) { device_ = std::move(device); }

  TestFolder folder_;
  std::string reason_;
  std::unique_ptr<BlockDevice> device_;
  std::array<std::unique_ptr<TestWorker>, 2> workers_;
  std::array<std::unique_ptr<BlockChannel>, 2> channels_;
};

}  // namespace lunaris::backends::test
