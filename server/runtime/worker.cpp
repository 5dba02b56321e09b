// The worker's turn, its mailbox and the way it stops.
#include "server/runtime/worker.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#include "server/runtime/ring.h"

namespace lunaris::runtime {
namespace {

constinit thread_local Worker* current_worker = nullptr;

}  // namespace

void Worker::ReadyList::push(Ready& ready) noexcept {
  ready.next = nullptr;
  (first == nullptr ? first : last->next) = &ready;
  last = &ready;
}

void Worker::ReadyList::append(ReadyList& other) noexcept {
  if (other.first == nullptr) return;
  (first == nullptr ? first : last->next) = other.first;
  last = other.last;
  other = {};
}

Ready* Worker::ReadyList::pop() noexcept {
  Ready* const ready = first;
  if (ready != nullptr) first = ready->next;
  return ready;
}

void Worker::HookList::push(TurnHook& hook) noexcept {
  hook.next_ = nullptr;
  (first == nullptr ? first : last->next_) = &hook;
  last = &hook;
}

TurnHook* Worker::HookList::pop() noexcept {
  TurnHook* const hook = first;
  if (hook != nullptr) first = hook->next_;
  return hook;
}

void Worker::HookList::remove(TurnHook& hook) noexcept {
  TurnHook* before = nullptr;
  for (TurnHook* each = first; each != nullptr; before = each, each = each->next_) {
    if (each != &hook) continue;
    (before == nullptr ? first : before->next_) = hook.next_;
    if (last == &hook) last = before;
    return;
  }
}

TurnHook::~TurnHook() {
  if (!scheduled_) return;
  Worker* const worker = Worker::current();
  LUN_ASSERT(worker != nullptr);
  worker->hooks_.remove(*this);
  worker->running_hooks_.remove(*this);
}

Worker::Worker(WorkerOptions options, std::unique_ptr<Loop> loop, std::unique_ptr<Clock> clock,
               std::unique_ptr<Rng> rng)
    : options_(std::move(options)),
      clock_(std::move(clock)),
      rng_(std::move(rng)),
      loop_(std::move(loop)),
      buffers_(options_.buffers) {}

Worker::~Worker() {
  // The mail that let this worker end may have been sent a moment ago: its sender still has to leave `send`.
  while (senders_.load() != 0) std::this_thread::yield();
  // A worker that never ran may have mail.
  state_.store(State::closed);
  refuse_all();
  LUN_ASSERT(held_ == 0);
}

Worker* Worker::current() noexcept {
  return current_worker;
}

Worker* Worker::exchange_current(Worker* worker) noexcept {
  FramePool::set_current(worker != nullptr ? &worker->frames_ : nullptr);
  return std::exchange(current_worker, worker);
}

Ring& Worker::ring() noexcept {
  Ring* const ring = loop_->ring();
  LUN_ASSERT(ring != nullptr);
  return *ring;
}

void Worker::prepare_thread() {
  // The kernel's limit is 15 characters.
  ::pthread_setname_np(::pthread_self(), options_.name.substr(0, 15).c_str());
  if (options_.cpu < 0) return;
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<unsigned>(options_.cpu), &cpus);
  if (::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus) != 0) {
    start_note_ = "not pinned: CPU " + std::to_string(options_.cpu) + " is not available to this process. ";
  }
}

void Worker::run() {
  struct Current {
    explicit Current(Worker& worker) { exchange_current(&worker); }
    ~Current() { exchange_current(nullptr); }
  };
  const Current current(*this);
  prepare_thread();
  loop_->attach(*this);
  if (Ring* const ring = loop_->ring(); ring != nullptr) {
    const std::string registered = buffers_.register_with(*ring);
    if (buffers_.registration_is_short()) start_note_ += registered;
  }
  loop_->run();
}

void Worker::stop() {
  LUN_ASSERT(current() == this);
  if (stopping_) return;
  stopping_ = true;
  state_.store(State::stopping);
  arm_tick_while_stopping();
  close_mailbox_when_idle();
}

// --- turns --------------------------------------------------------------------------------------------------------

void Worker::request_turn() {
  if (turn_requested_) return;
  turn_requested_ = true;
  loop_->request_turn();
}

void Worker::at_end_of_turn(TurnHook& hook) noexcept {
  if (hook.scheduled_) return;
  hook.scheduled_ = true;
  hooks_.push(hook);
  request_turn();
}

void Worker::schedule(Ready& ready) noexcept {
  if (ready.scheduled) return;
  ready.scheduled = true;
  ready_.push(ready);
  request_turn();
}

void Worker::schedule_later(Ready& ready) noexcept {
  if (ready.scheduled) return;
  ready.scheduled = true;
  later_.push(ready);
  request_turn();
}

void Worker::run_turn() {
  turn_requested_ = false;
  if (backlog_ != nullptr) drain_mailbox();
  ready_.append(later_);
  for (unsigned count = 0; count < ready_per_turn_max; ++count) {
    Ready* const ready = ready_.pop();
    if (ready == nullptr) break;
    ready->scheduled = false;
    ready->coroutine.resume();
  }
  // Hooks scheduled from here on belong to the next turn.
  LUN_ASSERT(running_hooks_.first == nullptr);
  running_hooks_ = std::exchange(hooks_, {});
  while (TurnHook* const hook = running_hooks_.pop()) {
    hook->scheduled_ = false;
    hook->run_at_end_of_turn();
  }
  ++turn_;
  if (ready_.first != nullptr) request_turn();
}

// --- timers -------------------------------------------------------------------------------------------------------

void Worker::arm(Timer& timer, std::uint64_t delay_ns) {
  timers_.arm(timer, clock_->now_ns(), delay_ns);
  const std::uint64_t deadline_ns = TimerWheel::deadline_ns(timer);
  // Cancelling leaves the tick alone: it fires in vain, which is cheaper than moving it for every command.
  if (tick_at_ns_ != 0 && tick_at_ns_ <= deadline_ns) return;
  tick_at_ns_ = deadline_ns;
  loop_->arm_tick(deadline_ns);
}

void Worker::on_tick() {
  tick_at_ns_ = 0;
  timers_.advance(clock_->now_ns());
  if (stopping_) {
    arm_tick_while_stopping();
  } else if (const std::uint64_t next_ns = timers_.next_deadline_ns();
             next_ns != 0 && (tick_at_ns_ == 0 || next_ns < tick_at_ns_)) {
    tick_at_ns_ = next_ns;
    loop_->arm_tick(next_ns);
  }
}

// Timers that their owners cancel leave the loop's tick behind. A stopping worker looks again soon, so that `run`
// returns within a tick of the last timer's end.
void Worker::arm_tick_while_stopping() {
  tick_at_ns_ = timers_.armed() == 0 ? 0 : std::min(timers_.next_deadline_ns(), clock_->now_ns() + TimerWheel::tick_ns);
  loop_->arm_tick(tick_at_ns_);
}

Task<> Worker::sleep(std::uint64_t delay_ns) {
  class Sleep final : public Timer {
   public:
    Sleep(Worker& worker, std::uint64_t delay_ns) : worker_(worker), delay_ns_(delay_ns) {}
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      waiter_ = caller;
      worker_.arm(*this, delay_ns_);
    }
    void await_resume() const noexcept {}

   private:
    void fire() override { waiter_.resume(); }
    Worker& worker_;
    std::uint64_t delay_ns_;
    std::coroutine_handle<> waiter_;
  };
  Sleep sleep(*this, delay_ns);
  co_await sleep;
}

// --- mail ---------------------------------------------------------------------------------------------------------

void Worker::send(Mail& mail) noexcept {
  if (!mail.awaited_ && state_.load() != State::open) {
    mail.refuse();
    return;
  }
  senders_.fetch_add(1);
  if (mailbox_.push(mail)) loop_->wake();
  // The push and this load are ordered against `closed` and the last look into the box: one side sees the other.
  if (state_.load() == State::closed) refuse_all();
  senders_.fetch_sub(1);  // from here on the worker may be gone
}

void Worker::drain_mailbox() {
  for (unsigned count = 0; count < mail_per_turn_max; ++count) {
    if (backlog_ == nullptr) backlog_ = mailbox_.take_all();
    if (backlog_ == nullptr) return;
    Mail& mail = *backlog_;
    backlog_ = Mailbox::next(mail);
    if (stopping_ && !mail.awaited_) {
      mail.refuse();
    } else {
      mail.run();
    }
  }
  // More may have come; without this turn nobody would look, because the box was not empty for its senders.
  if (backlog_ == nullptr) backlog_ = mailbox_.take_all();
  if (backlog_ != nullptr) request_turn();
}

void Worker::hold() {
  LUN_ASSERT(current() == this);
  held_.store(held_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (state_.load(std::memory_order_relaxed) == State::closed) {
    state_.store(State::stopping);
    loop_->resume_waking();
  }
}

void Worker::release() {
  const std::uint32_t held = held_.load(std::memory_order_relaxed);
  LUN_ASSERT(held > 0);
  held_.store(held - 1, std::memory_order_relaxed);
  close_mailbox_when_idle();
}

void Worker::close_mailbox_when_idle() {
  if (!stopping_ || held_.load(std::memory_order_relaxed) > 0 ||
      state_.load(std::memory_order_relaxed) == State::closed)
    return;
  state_.store(State::closed);
  loop_->stop_waking();
  refuse_all();
}

std::string Worker::describe_pending() const {
  const Ring* const ring = loop_->ring();
  return std::to_string(ring != nullptr ? ring->in_flight() : 0) + " ring operations, " +
         std::to_string(held_.load(std::memory_order_relaxed)) + " awaited answers and posted tasks";
}

void Worker::refuse_all() noexcept {
  Mail* mail = mailbox_.take_all();
  while (mail != nullptr) {
    Mail* const next = Mailbox::next(*mail);
    if (mail->awaited_) {
      // Somebody holds the worker again and waits for this one.
      if (mailbox_.push(*mail)) loop_->wake();
    } else {
      mail->refuse();
    }
    mail = next;
  }
}

}  // namespace lunaris::runtime
