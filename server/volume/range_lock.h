// RangeLock: lets a command read, decide and write a range of a volume with nobody between (COMPARE AND WRITE, ORWRITE,
// WRITE ATOMIC). Used by server/scsi; ordinary reads and writes announce themselves to it through their Port.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <mutex>

#include "backends/block_device.h"
#include "server/runtime/mailbox.h"
#include "server/runtime/worker.h"

namespace lunaris::volume {

class ExclusiveRange;
class RangeLock;
class RangeUse;
class Volume;

/// Whether two ranges have a byte in common.
[[nodiscard]] constexpr bool overlap(const backends::ByteRange& one, const backends::ByteRange& other) noexcept {
  return one.offset < other.offset + other.length && other.offset < one.offset + one.length;
}

/// A place in the volume's table, from `wait` until it is destroyed. It is granted when no claim before it that
/// overlaps it stands against it; two shared claims never do. Waiting is not cancellable: whoever is before it holds
/// its range for device calls only.
class RangeClaim final : private runtime::Mail {
 public:
  enum class Kind : std::uint8_t { shared, exclusive };
  RangeClaim(RangeLock& lock, backends::ByteRange range, Kind kind) noexcept
      : lock_(lock), range_(range), kind_(kind) {}
  ~RangeClaim() override;
  RangeClaim(const RangeClaim&) = delete;
  RangeClaim& operator=(const RangeClaim&) = delete;

  /// Waits on the calling worker until the claim is granted. Once.
  [[nodiscard]] auto wait() noexcept {
    struct Awaiter {
      RangeClaim& claim;
      bool await_ready() const noexcept { return false; }
      bool await_suspend(std::coroutine_handle<> caller) { return claim.enqueue(caller); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }

 private:
  friend class RangeLock;
  [[nodiscard]] bool enqueue(std::coroutine_handle<> caller);
  [[nodiscard]] bool conflicts(const RangeClaim& other) const noexcept {
    return (kind_ == Kind::exclusive || other.kind_ == Kind::exclusive) && overlap(range_, other.range_);
  }
  void wake() noexcept;
  void run() override;
  void refuse() noexcept override;

  RangeLock& lock_;
  const backends::ByteRange range_;
  const Kind kind_;
  bool queued_ = false;
  bool granted_ = false;
  runtime::Worker* worker_ = nullptr;
  runtime::Ready ready_;
  RangeClaim* next_ = nullptr;  // in the table, or in the list of those to be woken
  RangeClaim* previous_ = nullptr;
};

/// The volume's table of claims, in the order of their arrival: first come, first served. Any thread. The mutex is
/// taken by claims only, so never by a read or a write while there is no exclusive one.
class RangeLock {
 public:
  RangeLock() = default;
  ~RangeLock();  // asserts that it is empty
  RangeLock(const RangeLock&) = delete;
  RangeLock& operator=(const RangeLock&) = delete;

  /// Whether there is an exclusive claim: one relaxed load, see RangeUses for why that is enough.
  [[nodiscard]] bool is_in_use() const noexcept { return exclusive_.load(std::memory_order_relaxed) != 0; }
  /// Whether an exclusive claim, granted or not, overlaps `range`.
  [[nodiscard]] bool is_claimed(backends::ByteRange range) const;

 private:
  friend class RangeClaim;
  [[nodiscard]] bool must_wait(const RangeClaim& claim) const noexcept;
  void remove(RangeClaim& claim);

  mutable std::mutex mutex_;
  RangeClaim* first_ = nullptr;
  RangeClaim* last_ = nullptr;
  std::atomic<std::uint32_t> exclusive_{0};
};

/// One worker's ordinary device calls that are under way; belongs to that worker (to its Port). Who makes an exclusive
/// claim asks every worker by mail to wait for the calls that overlap it. A call that began before the mail is in the
/// list; one that begins after it happens after the claim was made, so its relaxed load of RangeLock::is_in_use sees
/// it.
class RangeUses {
 public:
  explicit RangeUses(RangeLock& lock) noexcept : lock_(lock) {}
  ~RangeUses();  // asserts that it is empty
  RangeUses(const RangeUses&) = delete;
  RangeUses& operator=(const RangeUses&) = delete;

  /// True when the calls that overlap `range` and are in the list now have ended.
  runtime::Task<bool> drained(backends::ByteRange range);

 private:
  friend class RangeUse;
  struct Drain {
    backends::ByteRange range;
    std::uint32_t remaining = 0;
    runtime::Signal done;
    Drain* next = nullptr;
  };
  void ended(backends::ByteRange range) noexcept;

  RangeLock& lock_;
  RangeUse* first_ = nullptr;
  Drain* first_drain_ = nullptr;
};

/// Around one ordinary device call:
///   RangeUse use(port.uses(), range);
///   if (use.must_wait()) co_await use.turn();
/// Where nobody holds a range this is a list insertion and a load; else a call that overlaps waits in the table.
class RangeUse {
 public:
  RangeUse(RangeUses& uses, backends::ByteRange range) noexcept
      : uses_(uses), range_(range), claim_(uses.lock_, range, RangeClaim::Kind::shared) {}
  ~RangeUse() {
    if (linked_) unlink();
  }
  RangeUse(const RangeUse&) = delete;
  RangeUse& operator=(const RangeUse&) = delete;

  /// False: the call may begin. True: after `turn`.
  [[nodiscard]] bool must_wait() noexcept {
    if (uses_.lock_.is_in_use() && uses_.lock_.is_claimed(range_)) return true;
    link();
    return false;
  }
  [[nodiscard]] auto turn() noexcept { return claim_.wait(); }

 private:
  friend class RangeUses;
  void link() noexcept;
  void unlink() noexcept;

  RangeUses& uses_;
  const backends::ByteRange range_;
  RangeClaim claim_;
  bool linked_ = false;
  RangeUse* next_ = nullptr;
  RangeUse* previous_ = nullptr;
};

/// Sole use of a range of a volume from `acquire` until it is destroyed: no ordinary call of any worker that overlaps
/// it is under way or begins, and no other ExclusiveRange. Its holder makes device calls without RangeUse. Must not
/// wait for its initiator or for memory that ordinary calls may hold while it has the range; lives under a Port::Pass.
class ExclusiveRange {
 public:
  ExclusiveRange(Volume& volume, backends::ByteRange range) noexcept;
  ExclusiveRange(const ExclusiveRange&) = delete;
  ExclusiveRange& operator=(const ExclusiveRange&) = delete;

  runtime::Task<> acquire();

 private:
  Volume& volume_;
  const backends::ByteRange range_;
  RangeClaim claim_;
};

}  // namespace lunaris::volume
