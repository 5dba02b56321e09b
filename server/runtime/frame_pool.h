// FramePool: LIFO free lists for coroutine frames, one pool per worker: the frame freed last is the hottest next one.
// A worker makes its pool current in its thread; frames made where no pool is current come from the heap.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lunaris::runtime {

class FramePool {
 public:
  /// Size classes are multiples of 64 bytes up to 2 KiB; larger frames go to the heap.
  static constexpr std::size_t class_bytes = 64;
  static constexpr std::size_t class_count = 32;
  /// At most this many frames are kept per class; a full class gives `slack` of them back at once, so that a burst
  /// does not end in one heap call per frame.
  static constexpr std::uint32_t kept_max = 576;
  static constexpr std::uint32_t slack = 64;

  FramePool() = default;
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;
  ~FramePool();

  /// The pool of the calling thread, null outside a worker.
  static FramePool* current() noexcept;
  static void set_current(FramePool* pool) noexcept;

  /// Memory for a frame of `size` bytes from the current pool. `deallocate` may run in any thread: a frame that is
  /// freed away from its pool returns to the heap.
  static void* allocate(std::size_t size);
  static void deallocate(void* frame, std::size_t size) noexcept;

  /// Heap allocations this pool has made so far (a figure for tests and statistics).
  [[nodiscard]] std::uint64_t heap_allocations() const noexcept { return heap_allocations_; }

 private:
  struct Free {
    Free* next;
  };
  void give_back(std::size_t size_class, std::uint32_t count) noexcept;

  std::array<Free*, class_count> free_{};
  std::array<std::uint32_t, class_count> kept_{};
  std::uint64_t heap_allocations_ = 0;
};

}  // namespace lunaris::runtime
