// The worker's loop: Asio's scheduler runs completions, one embedded operation ends the turn, one ring read of an
// eventfd announces mail, one timer drives the wheel.
#include "server/runtime/asio_loop.h"

#include <sys/eventfd.h>

#include <boost/asio/detail/scheduler.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <optional>

#include "server/runtime/asio_ring.h"
#include "server/runtime/assert.h"
#include "server/runtime/unique_fd.h"
#include "server/runtime/worker.h"
#include "server/runtime/worker_context.h"

namespace lunaris::runtime {
namespace asio = boost::asio;

class AsioLoop::Impl {
 public:
  explicit Impl(Mode mode) : mode_(mode), wake_fd_(::eventfd(0, EFD_CLOEXEC)) {
    LUN_ASSERT(wake_fd_);
    if (mode == Mode::management) shared_context_.emplace();
  }
  ~Impl() { release(); }

  void attach(Worker& worker);
  void run();
  void request_turn();
  void wake() noexcept;
  void stop_waking();
  void resume_waking();
  void arm_tick(std::uint64_t deadline_ns);

  asio::io_context& context() {
    LUN_ASSERT(mode_ == Mode::management);
    return *shared_context_;
  }
  Ring* ring() noexcept { return ring_ ? &*ring_ : nullptr; }

 private:
  /// Posted at most once at a time; runs the worker's end of turn.
  class TurnOperation final : public asio::detail::operation {
   public:
    explicit TurnOperation(Impl& loop) : asio::detail::operation(&finish), loop_(loop) {}

   private:
    static void finish(void* owner, asio::detail::operation* base, const boost::system::error_code&, std::size_t) {
      if (owner == nullptr) return;
      Impl& loop = static_cast<TurnOperation*>(base)->loop_;
      loop.turn_requested_ = false;
      loop.worker_->run_turn();
    }
    Impl& loop_;
  };

  /// The read of the eventfd; in flight as long as the worker listens for mail.
  class WakeOperation final : public asio::detail::io_uring_operation {
   public:
    explicit WakeOperation(Impl& loop)
        : io_uring_operation(boost::system::error_code(), &prepare, &perform, &finish), loop_(loop) {}
    asio::detail::io_uring_service::per_io_object_data object = nullptr;

   private:
    static void prepare(io_uring_operation* base, io_uring_sqe* entry) {
      auto* self = static_cast<WakeOperation*>(base);
      ::io_uring_prep_read(entry, self->loop_.wake_fd_.get(), &self->count_, sizeof self->count_, 0);
    }
    static bool perform(io_uring_operation*, bool after_completion) { return after_completion; }
    static void finish(void* owner, asio::detail::operation* base, const boost::system::error_code&, std::size_t) {
      if (owner != nullptr) static_cast<WakeOperation*>(base)->loop_.woken();
    }
    Impl& loop_;
    std::uint64_t count_ = 0;
  };

  void listen_for_wakes();
  void woken();
  void release();

  Mode mode_;
  UniqueFd wake_fd_;
  Worker* worker_ = nullptr;
  std::optional<asio::io_context> shared_context_;  // Mode::management
  std::optional<WorkerContext> own_context_;        // Mode::worker, from attach to the end of run
  asio::io_context* context_ = nullptr;             // one of the two
  asio::detail::scheduler* scheduler_ = nullptr;
  asio::detail::io_uring_service* service_ = nullptr;
  std::optional<Ring> ring_;
  std::optional<asio::steady_timer> timer_;
  TurnOperation turn_operation_{*this};
  WakeOperation wake_operation_{*this};
  std::uint64_t tick_number_ = 0;  // tells a replaced tick's handler from the current one's
  bool turn_requested_ = false;
  bool waking_ = false;
  bool wake_pending_ = false;
};

void AsioLoop::Impl::attach(Worker& worker) {
  worker_ = &worker;
  if (mode_ == Mode::worker) own_context_.emplace();
  context_ = mode_ == Mode::worker ? &own_context_->get() : &*shared_context_;
  scheduler_ = &asio::use_service<asio::detail::scheduler>(*context_);
  service_ = &asio::use_service<asio::detail::io_uring_service>(*context_);
  ring_.emplace(std::make_unique<Ring::Implementation>(*context_));
  timer_.emplace(*context_);
  service_->register_io_object(wake_operation_.object);
  resume_waking();
}

void AsioLoop::Impl::run() {
  LUN_ASSERT(worker_ != nullptr);
  context_->run();
  LUN_ASSERT(worker_->is_stopping());
  LUN_ASSERT(!wake_pending_);
  // The ring belongs to this thread, so it ends here. A management context may have users that end later.
  if (mode_ == Mode::worker) release();
}

void AsioLoop::Impl::release() {
  timer_.reset();
  ring_.reset();
  if (wake_operation_.object != nullptr) {
    service_->deregister_io_object(wake_operation_.object);
    service_->cleanup_io_object(wake_operation_.object);
  }
  own_context_.reset();
  shared_context_.reset();
}

void AsioLoop::Impl::request_turn() {
  if (turn_requested_) return;
  turn_requested_ = true;
  scheduler_->post_immediate_completion(&turn_operation_, false);
}

void AsioLoop::Impl::wake() noexcept {
  constexpr std::uint64_t one = 1;
  // The counter cannot overflow: a wake is written only after the reader has emptied the mailbox.
  while (::write(wake_fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void AsioLoop::Impl::listen_for_wakes() {
  wake_pending_ = true;
  service_->start_op(asio::detail::io_uring_service::read_op, wake_operation_.object, &wake_operation_, false);
}

void AsioLoop::Impl::woken() {
  wake_pending_ = false;
  worker_->drain_mailbox();
  if (waking_ && !wake_pending_) listen_for_wakes();
}

void AsioLoop::Impl::stop_waking() {
  waking_ = false;
  if (wake_pending_) wake();  // ends the read; nothing has to be cancelled
}

void AsioLoop::Impl::resume_waking() {
  waking_ = true;
  if (!wake_pending_) listen_for_wakes();
}

void AsioLoop::Impl::arm_tick(std::uint64_t deadline_ns) {
  const std::uint64_t number = ++tick_number_;
  if (deadline_ns == 0) {
    timer_->cancel();
    return;
  }
  // SystemClock and steady_clock are both CLOCK_MONOTONIC.
  using Time = std::chrono::steady_clock::time_point;
  timer_->expires_at(Time(std::chrono::nanoseconds(deadline_ns)));
  timer_->async_wait([this, number](const boost::system::error_code& error) {
    if (!error && number == tick_number_) worker_->on_tick();
  });
}

AsioLoop::AsioLoop(Mode mode) : impl_(std::make_unique<Impl>(mode)) {}
AsioLoop::~AsioLoop() = default;
asio::io_context& AsioLoop::context() noexcept {
  return impl_->context();
}
void AsioLoop::attach(Worker& worker) {
  impl_->attach(worker);
}
void AsioLoop::run() {
  impl_->run();
}
void AsioLoop::request_turn() {
  impl_->request_turn();
}
void AsioLoop::wake() noexcept {
  impl_->wake();
}
void AsioLoop::stop_waking() {
  impl_->stop_waking();
}
void AsioLoop::resume_waking() {
  impl_->resume_waking();
}
void AsioLoop::arm_tick(std::uint64_t deadline_ns) {
  impl_->arm_tick(deadline_ns);
}
Ring* AsioLoop::ring() noexcept {
  return impl_->ring();
}

}  // namespace lunaris::runtime
