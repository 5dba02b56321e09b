// BufferPool: a worker's I/O memory. Slabs bound to the worker's NUMA node, cut into four size classes, handed out
// last-freed-first, registered with the worker's ring as far as RLIMIT_MEMLOCK allows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/runtime/completion.h"

namespace lunaris::runtime {

class BufferPool;
class Ring;

/// One buffer, given back when the lease ends. Move-only; ends on the worker it came from.
class [[nodiscard]] BufferLease {
 public:
  BufferLease() = default;
  BufferLease(BufferLease&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(other.data_), size_(other.size_), id_(other.id_) {}
  BufferLease& operator=(BufferLease&& other) noexcept {
    reset();
    pool_ = std::exchange(other.pool_, nullptr);
    data_ = other.data_;
    size_ = other.size_;
    id_ = other.id_;
    return *this;
  }
  ~BufferLease() { reset(); }

  void reset() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_, size_}; }
  /// The class size, at least what was asked for.
  [[nodiscard]] std::uint32_t size_bytes() const noexcept { return size_; }
  /// The ring's registered-buffer index that covers this buffer, -1 when it is not registered.
  [[nodiscard]] int registered_index() const noexcept;

 private:
  friend class BufferPool;
  BufferLease(BufferPool& pool, std::byte* data, std::uint32_t size, std::uint32_t id) noexcept
      : pool_(&pool), data_(data), size_(size), id_(id) {}

  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t id_ = 0;  // slab << 16 | buffer in slab
};

struct BufferPoolOptions {
  /// Memory this pool may take in all; slabs are taken as they are needed.
  std::size_t bytes_max = std::size_t{64} << 20;
  /// Bytes it may register with the ring; shrunk to what RLIMIT_MEMLOCK leaves.
  std::size_t registered_bytes_max = std::size_t{64} << 20;
  /// Node to bind to; -1: wherever the kernel likes.
  int numa_node = -1;
};

class BufferPool {
 public:
  static constexpr std::array<std::uint32_t, 4> class_bytes{4096, 16384, 65536, 262144};
  static constexpr std::uint32_t buffer_bytes_max = class_bytes.back();
  static constexpr std::size_t slab_bytes = std::size_t{2} << 20;

  explicit BufferPool(BufferPoolOptions options);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  /// Asserts that every lease has ended.
  ~BufferPool();

  /// Registers slabs with the ring, as many as the limit allows; says in words what it got ("8 of 64 MiB registered:
  /// RLIMIT_MEMLOCK is 8 MiB; raise it with --ulimit memlock=-1"). Never fails.
  std::string register_with(Ring& ring);

  /// The smallest class that holds `size` (1 to buffer_bytes_max); nothing when the pool is at its limit.
  [[nodiscard]] std::optional<BufferLease> try_acquire(std::uint32_t size);

  /// As `try_acquire`, but waits its turn (first come, first served) until a buffer comes free.
  class [[nodiscard]] Acquire {
   public:
    Acquire(BufferPool& pool, std::uint32_t size) noexcept : pool_(pool), size_(size) {}
    bool await_ready();
    void await_suspend(std::coroutine_handle<> caller);
    BufferLease await_resume() { return std::move(*lease_); }

   private:
    friend class BufferPool;
    BufferPool& pool_;
    std::uint32_t size_;
    std::optional<BufferLease> lease_;
    Ready ready_;
    Acquire* next_ = nullptr;
  };
  [[nodiscard]] Acquire acquire(std::uint32_t size) noexcept { return {*this, size}; }

  [[nodiscard]] std::size_t bytes_in_use() const noexcept { return bytes_in_use_; }
  [[nodiscard]] std::size_t bytes_reserved() const noexcept { return slabs_.size() * slab_bytes; }
  /// Of bytes_reserved, what is registered with the ring.
  [[nodiscard]] std::size_t bytes_registered() const noexcept { return bytes_registered_; }
  /// True when `register_with` got less than was asked for.
  [[nodiscard]] bool registration_is_short() const noexcept {
    return bytes_registered_ < options_.registered_bytes_max / slab_bytes * slab_bytes;
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  /// True when less than an eighth is left: command windows shrink (RFC 7143 4.2.2.1).
  [[nodiscard]] bool under_pressure() const noexcept { return bytes_in_use_ > options_.bytes_max / 8 * 7; }

 private:
  friend class BufferLease;
  struct Slab {
    std::byte* memory = nullptr;
    std::uint32_t buffer_bytes = 0;  // 0: not cut into buffers yet
    std::uint32_t in_use = 0;        // buffers handed out
    int registered_index = -1;
  };
  /// One mapping of whole slabs.
  struct Mapping {
    void* address = nullptr;
    std::size_t size_bytes = 0;
  };
  struct FreeBuffer {
    FreeBuffer* next;
    std::uint32_t id;
  };
  std::optional<BufferLease> take(std::uint32_t size);
  bool grow(std::size_t size_class);
  /// A slab that holds nothing: uncut, newly mapped, or one whose buffers are all free, in this order.
  Slab* find_empty_slab(std::size_t size_class);
  bool map_slabs(std::size_t count);
  void cut(Slab& slab, std::size_t size_class) noexcept;
  void forget_free_buffers(const Slab& slab) noexcept;
  void release(std::byte* data, std::uint32_t size, std::uint32_t id) noexcept;
  void serve_waiters();

  BufferPoolOptions options_;
  std::vector<Slab> slabs_;
  std::vector<Mapping> mappings_;
  std::size_t first_uncut_ = 0;
  std::array<FreeBuffer*, class_bytes.size()> free_{};
  std::size_t bytes_in_use_ = 0;
  std::size_t bytes_registered_ = 0;
  std::size_t waiting_ = 0;
  Acquire* first_waiter_ = nullptr;
  Acquire* last_waiter_ = nullptr;
};

}  // namespace lunaris::runtime
