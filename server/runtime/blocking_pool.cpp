// The pool's threads and their queue: a plain mutex and condition variable, because everything in here blocks anyway.
#include "server/runtime/blocking_pool.h"

#include <pthread.h>

#include <algorithm>

namespace lunaris::runtime {

BlockingPool::BlockingPool(unsigned thread_count, const std::string& name) {
  LUN_ASSERT(thread_count > 0);
  for (unsigned i = 0; i < thread_count; ++i) {
    threads_.emplace_back([this] { serve(); });
    ::pthread_setname_np(threads_.back().native_handle(), (name.substr(0, 12) + "-" + std::to_string(i % 100)).c_str());
  }
}

BlockingPool::~BlockingPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BlockingPool::submit(Job& job) {
  job.next_ = nullptr;
  {
    const std::lock_guard lock(mutex_);
    (first_ == nullptr ? first_ : last_->next_) = &job;
    last_ = &job;
  }
  work_.notify_one();
}

void BlockingPool::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    work_.wait(lock, [this] { return first_ != nullptr || closing_; });
    if (first_ == nullptr) return;
    Job& job = *first_;
    first_ = job.next_;
    lock.unlock();
    job.execute();
    lock.lock();
  }
}

}  // namespace lunaris::runtime
