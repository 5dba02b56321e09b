// BlockingPool: threads for calls that block (password hashing, opening devices, configuration files), so that no
// worker ever does. Used by control, back ends and web through `co_await pool.run(worker, function)`.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/runtime/foreign_completion.h"

namespace lunaris::runtime {

/// Destroyed after every worker that uses it has stopped. The queue needs no bound of its own: each entry is a
/// coroutine that waits, and those are bounded where they start.
class BlockingPool {
 public:
  explicit BlockingPool(unsigned thread_count, const std::string& name = "blocking");
  /// Runs what is queued, then ends the threads.
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  /// Something to run in one of the threads; intrusive.
  class Job {
   public:
    virtual ~Job() = default;
    virtual void execute() = 0;

   private:
    friend class BlockingPool;
    Job* next_ = nullptr;
  };
  /// Any thread.
  void submit(Job& job);

  /// On `worker`: runs `function()` in the pool and yields its result (or nothing) on `worker`. It must not throw.
  template <class Function>
  [[nodiscard]] auto run(Worker& worker, Function function) {
    return Run<Function>(*this, worker, std::move(function));
  }

 private:
  template <class Function>
  class Run final : public ForeignCompletion, private Job {
   public:
    Run(BlockingPool& pool, Worker& worker, Function function)
        : ForeignCompletion(worker), pool_(pool), function_(std::move(function)) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      begin(caller);
      pool_.submit(*this);
    }
    auto await_resume() {
      if constexpr (!std::is_void_v<Returned>) return std::move(*value_);
    }

   private:
    using Returned = std::invoke_result_t<Function&>;
    struct Nothing {};

    void execute() override {
      if constexpr (std::is_void_v<Returned>) {
        function_();
      } else {
        value_.emplace(function_());
      }
      complete(0);
    }

    BlockingPool& pool_;
    Function function_;
    std::optional<std::conditional_t<std::is_void_v<Returned>, Nothing, Returned>> value_;
  };

  void serve();

  std::mutex mutex_;
  std::condition_variable work_;
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace lunaris::runtime
