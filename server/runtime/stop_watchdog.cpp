// A thread that waits for the stop to end, or ends it.
#include "server/runtime/stop_watchdog.h"

#include <unistd.h>

#include <cstdio>

namespace lunaris::runtime {

StopWatchdog::StopWatchdog(std::chrono::milliseconds deadline, std::function<std::string()> describe,
                           std::function<void()> before_exit)
    : deadline_(deadline),
      describe_(std::move(describe)),
      before_exit_(std::move(before_exit)),
      thread_([this] { watch(); }) {}

StopWatchdog::~StopWatchdog() {
  {
    const std::lock_guard lock(mutex_);
    is_done_ = true;
  }
  done_.notify_one();
  thread_.join();
}

void StopWatchdog::watch() {
  std::unique_lock lock(mutex_);
  if (done_.wait_for(lock, deadline_, [this] { return is_done_; })) return;
  const std::string pending = describe_ ? describe_() : std::string();
  std::fprintf(stderr, "lunaris: not stopped after %lld ms, leaving; still pending:\n%s",
               static_cast<long long>(deadline_.count()), pending.c_str());
  std::fflush(stderr);
  if (before_exit_) before_exit_();
  ::_exit(exit_status);
}

}  // namespace lunaris::runtime
