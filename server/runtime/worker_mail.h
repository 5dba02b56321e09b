// Definitions of Worker's templates: post, ask, ask_task. Included by worker.h, by nobody else.
#pragma once

#include <optional>

namespace lunaris::runtime {
namespace detail {

template <class T>
struct IsTask : std::false_type {};
template <class T>
struct IsTask<Task<T>> : std::true_type {
  using Value = T;
};

template <class Function>
class PostedMail final : public Mail {
 public:
  explicit PostedMail(Function function) : function_(std::move(function)) {}

  void run() override {
    const std::unique_ptr<PostedMail> self(this);
    if constexpr (IsTask<std::invoke_result_t<Function&>>::value) {
      Worker& worker = *Worker::current();
      worker.hold();
      run_task(worker, std::move(function_));
    } else {
      function_();
    }
  }
  void refuse() noexcept override { delete this; }

 private:
  // The function is a parameter: what its coroutine refers to in it lives as long as the coroutine.
  static Spawned run_task(Worker& worker, Function function) {
    {
      Task<> running = function();
      co_await std::move(running);
    }
    worker.release();
  }

  Function function_;
};

/// The question travels to `target`, is answered there and travels back: one object, in the asking coroutine's frame.
/// `Value` is void or what the function (or its task) returns.
template <class Function, class Value>
class AskMail final : public Mail {
 public:
  AskMail(Worker& target, Function function) : target_(target), function_(std::move(function)) {}
  AskMail(const AskMail&) = delete;
  AskMail& operator=(const AskMail&) = delete;

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    origin_ = Worker::current();
    LUN_ASSERT(origin_ != nullptr);
    caller_ = caller;
    origin_->hold();
    target_.send(*this);
  }
  auto await_resume() {
    if constexpr (std::is_void_v<Value>) {
      return answered_;
    } else {
      return std::move(value_);
    }
  }

 private:
  using Returned = std::invoke_result_t<Function&>;
  struct Nothing {};
  using Stored = std::conditional_t<std::is_void_v<Value>, Nothing, Value>;

  void run() override {
    if (awaited_) {  // back at the asker
      const std::coroutine_handle<> caller = caller_;
      origin_->release();
      caller.resume();
    } else if constexpr (IsTask<Returned>::value) {
      target_.hold();
      run_task(*this);
    } else {
      if constexpr (std::is_void_v<Value>) {
        function_();
      } else {
        value_.emplace(function_());
      }
      answer();
    }
  }
  void refuse() noexcept override { send_back(); }

  static Spawned run_task(AskMail& self) {
    Worker& target = self.target_;
    {
      Task<Value> running = self.function_();
      if constexpr (std::is_void_v<Value>) {
        co_await std::move(running);
      } else {
        self.value_.emplace(co_await std::move(running));
      }
    }
    self.answer();  // the asker may be gone afterwards
    target.release();
  }

  void answer() noexcept {
    answered_ = true;
    send_back();
  }
  void send_back() noexcept {
    awaited_ = true;
    origin_->send(*this);
  }

  Worker& target_;
  Worker* origin_ = nullptr;
  std::coroutine_handle<> caller_;
  Function function_;
  std::optional<Stored> value_;
  bool answered_ = false;
};

}  // namespace detail

template <class Function>
void Worker::post(Function function) {
  send(*new detail::PostedMail<Function>(std::move(function)));
}

template <class Function>
auto Worker::ask(Function function) {
  using Value = std::invoke_result_t<Function&>;
  return detail::AskMail<Function, Value>(*this, std::move(function));
}

template <class Function>
auto Worker::ask_task(Function function) {
  using Value = typename detail::IsTask<std::invoke_result_t<Function&>>::Value;
  return detail::AskMail<Function, Value>(*this, std::move(function));
}

}  // namespace lunaris::runtime
