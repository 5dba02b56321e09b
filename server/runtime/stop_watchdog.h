// StopWatchdog: the end of a stop that does not end. Armed by app.cpp when stopping begins.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace lunaris::runtime {

/// When `deadline` passes before it is destroyed: calls `describe`, prints what it says, calls `before_exit` (shut down
/// the listening sockets, so that a successor can bind) and leaves the process by _exit. Nothing is destroyed: a
/// context that was not drained must be left alone, the kernel may still write into its buffers.
class StopWatchdog {
 public:
  static constexpr int exit_status = 70;  // EX_SOFTWARE

  StopWatchdog(std::chrono::milliseconds deadline, std::function<std::string()> describe,
               std::function<void()> before_exit);
  ~StopWatchdog();
  StopWatchdog(const StopWatchdog&) = delete;
  StopWatchdog& operator=(const StopWatchdog&) = delete;

 private:
  void watch();

  std::chrono::milliseconds deadline_;
  std::function<std::string()> describe_;
  std::function<void()> before_exit_;
  std::mutex mutex_;
  std::condition_variable done_;
  bool is_done_ = false;
  std::thread thread_;
};

}  // namespace lunaris::runtime
