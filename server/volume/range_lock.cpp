// The table of range claims and the lists of ordinary calls under way.
#include "server/volume/range_lock.h"

#include <utility>

#include "server/runtime/assert.h"
#include "server/volume/volume.h"

namespace lunaris::volume {

using backends::ByteRange;
using runtime::Task;
using runtime::Worker;

// --- RangeClaim ---

RangeClaim::~RangeClaim() {
  if (queued_) lock_.remove(*this);
}

bool RangeClaim::enqueue(std::coroutine_handle<> caller) {
  LUN_ASSERT(!queued_);
  worker_ = Worker::current();
  ready_.coroutine = caller;
  {
    const std::lock_guard guard(lock_.mutex_);
    previous_ = lock_.last_;
    (lock_.last_ == nullptr ? lock_.first_ : lock_.last_->next_) = this;
    lock_.last_ = this;
    queued_ = true;
    if (kind_ == Kind::exclusive) lock_.exclusive_.fetch_add(1, std::memory_order_relaxed);
    granted_ = !lock_.must_wait(*this);
    if (granted_) return false;
    // Until the answer is here this worker keeps listening, even when it stops meanwhile.
    worker_->hold();
    awaited_ = true;
  }
  return true;
}

void RangeClaim::wake() noexcept {
  worker_->send(*this);
}

void RangeClaim::run() {
  worker_->release();
  ready_.coroutine.resume();
}

void RangeClaim::refuse() noexcept {
  LUN_ASSERT(worker_ == nullptr);  // never: a worker that is held keeps listening
}

// --- RangeLock ---

RangeLock::~RangeLock() {
  LUN_ASSERT(first_ == nullptr);
}

bool RangeLock::is_claimed(ByteRange range) const {
  const std::lock_guard guard(mutex_);
  for (const RangeClaim* claim = first_; claim != nullptr; claim = claim->next_) {
    if (claim->kind_ == RangeClaim::Kind::exclusive && overlap(claim->range_, range)) return true;
  }
  return false;
}

bool RangeLock::must_wait(const RangeClaim& claim) const noexcept {
  for (const RangeClaim* before = claim.previous_; before != nullptr; before = before->previous_) {
    if (claim.conflicts(*before)) return true;
  }
  return false;
}

void RangeLock::remove(RangeClaim& claim) {
  // Woken outside the mutex and by mail: each is on a worker of its own, and none runs inside this call. Until its mail
  // has run a granted claim stays where it is, so `woken` stays valid.
  constexpr std::size_t batch = 32;
  for (bool more = true; more;) {
    RangeClaim* woken[batch];
    std::size_t count = 0;
    {
      const std::lock_guard guard(mutex_);
      if (std::exchange(claim.queued_, false)) {
        (claim.previous_ == nullptr ? first_ : claim.previous_->next_) = claim.next_;
        (claim.next_ == nullptr ? last_ : claim.next_->previous_) = claim.previous_;
        if (claim.kind_ == RangeClaim::Kind::exclusive) exclusive_.fetch_sub(1, std::memory_order_relaxed);
      }
      for (RangeClaim* waiting = first_; waiting != nullptr && count < batch; waiting = waiting->next_) {
        if (waiting->granted_ || must_wait(*waiting)) continue;
        waiting->granted_ = true;
        woken[count++] = waiting;
      }
      more = count == batch;
    }
    for (std::size_t index = 0; index < count; ++index) woken[index]->wake();
  }
}

// --- RangeUses ---

RangeUses::~RangeUses() {
  LUN_ASSERT(first_ == nullptr && first_drain_ == nullptr);
}

Task<bool> RangeUses::drained(ByteRange range) {
  Drain drain;
  drain.range = range;
  for (const RangeUse* use = first_; use != nullptr; use = use->next_) {
    if (overlap(use->range_, range)) ++drain.remaining;
  }
  if (drain.remaining != 0) {
    drain.next = std::exchange(first_drain_, &drain);
    co_await drain.done.wait();
  }
  co_return true;
}

void RangeUses::ended(ByteRange range) noexcept {
  for (Drain** link = &first_drain_; *link != nullptr;) {
    Drain& drain = **link;
    // No use that overlaps an exclusive claim enters the list, so every one that ends was counted.
    if (overlap(drain.range, range) && --drain.remaining == 0) {
      *link = drain.next;
      drain.done.set();
    } else {
      link = &drain.next;
    }
  }
}

// --- RangeUse ---

void RangeUse::link() noexcept {
  next_ = uses_.first_;
  if (next_ != nullptr) next_->previous_ = this;
  uses_.first_ = this;
  linked_ = true;
}

void RangeUse::unlink() noexcept {
  (previous_ == nullptr ? uses_.first_ : previous_->next_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
  if (uses_.first_drain_ != nullptr) uses_.ended(range_);
}

// --- ExclusiveRange ---

ExclusiveRange::ExclusiveRange(Volume& volume, ByteRange range) noexcept
    : volume_(volume), range_(range), claim_(volume.range_lock(), range, RangeClaim::Kind::exclusive) {}

Task<> ExclusiveRange::acquire() {
  co_await claim_.wait();
  // A port that is opened later finds the claim; a worker that has stopped has no call under way.
  co_await volume_.drain_uses(range_);
}

}  // namespace lunaris::volume
