// WorkerThread: a real worker (Asio's ring) in a thread of its own, and small helpers for tests that talk to it.
#pragma once

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <future>
#include <memory>
#include <thread>

#include "server/runtime/asio_loop.h"
#include "server/runtime/unique_fd.h"
#include "server/runtime/worker.h"

namespace lunaris::runtime::test {

inline BufferPoolOptions small_buffers() {
  BufferPoolOptions options;
  options.bytes_max = std::size_t{8} << 20;
  options.registered_bytes_max = 0;
  return options;
}

class WorkerThread {
 public:
  explicit WorkerThread(std::string name = "test", BufferPoolOptions buffers = small_buffers(),
                        AsioLoop::Mode mode = AsioLoop::Mode::worker) {
    WorkerOptions options;
    options.name = std::move(name);
    options.buffers = buffers;
    worker_ = std::make_unique<Worker>(std::move(options), std::make_unique<AsioLoop>(mode),
                                       std::make_unique<SystemClock>(), std::make_unique<SystemRng>());
    thread_ = std::thread([this] { worker_->run(); });
  }
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;
  ~WorkerThread() { stop(); }

  Worker& operator*() { return *worker_; }
  Worker* operator->() { return worker_.get(); }

  /// Runs `function` (a value, or a Task of one) on the worker and waits for it.
  template <class Function>
  auto call(Function function) {
    using Returned = std::invoke_result_t<Function&>;
    if constexpr (detail::IsTask<Returned>::value) {
      using Value = typename detail::IsTask<Returned>::Value;
      std::promise<Value> promise;
      auto future = promise.get_future();
      worker_->post([&promise, &function] { return finish<Value>(promise, function); });
      return future.get();
    } else {
      std::promise<Returned> promise;
      auto future = promise.get_future();
      worker_->post([&promise, &function] {
        if constexpr (std::is_void_v<Returned>) {
          function();
          promise.set_value();
        } else {
          promise.set_value(function());
        }
      });
      return future.get();
    }
  }

  void stop() {
    if (!thread_.joinable()) return;
    Worker& worker = *worker_;
    worker.post([&worker] { worker.stop(); });
    thread_.join();
  }

 private:
  template <class Value, class Function>
  static Task<> finish(std::promise<Value>& promise, Function& function) {
    if constexpr (std::is_void_v<Value>) {
      co_await function();
      promise.set_value();
    } else {
      Value value = co_await function();
      promise.set_value(std::move(value));
    }
  }

  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

/// A connected pair of stream sockets.
inline std::pair<UniqueFd, UniqueFd> socket_pair() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

}  // namespace lunaris::runtime::test
