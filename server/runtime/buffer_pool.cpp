// The pool's memory: slabs of 2 MiB, each cut into buffers of one class; free buffers are linked through themselves.
#include "server/runtime/buffer_pool.h"

#include <numaif.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "server/runtime/assert.h"
#include "server/runtime/ring.h"
#include "server/runtime/worker.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define LUN_POISON(address, size) ASAN_POISON_MEMORY_REGION(address, size)
#define LUN_UNPOISON(address, size) ASAN_UNPOISON_MEMORY_REGION(address, size)
#endif
#endif
#ifndef LUN_POISON
#define LUN_POISON(address, size) static_cast<void>(0)
#define LUN_UNPOISON(address, size) static_cast<void>(0)
#endif

namespace lunaris::runtime {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;
/// The kernel takes at most this much in one registered buffer.
constexpr std::size_t registered_vector_bytes_max = std::size_t{1} << 30;

std::size_t class_for(std::uint32_t size) noexcept {
  LUN_ASSERT(size > 0 && size <= BufferPool::buffer_bytes_max);
  std::size_t size_class = 0;
  while (BufferPool::class_bytes[size_class] < size) ++size_class;
  return size_class;
}

std::size_t class_index(std::uint32_t buffer_bytes) noexcept {
  return class_for(buffer_bytes);
}

std::string in_mebibytes(std::size_t bytes) {
  return std::to_string(bytes / mebibyte);
}

/// What RLIMIT_MEMLOCK leaves, in words and bytes. A process with CAP_IPC_LOCK is not bound by it, which only trying
/// shows.
std::size_t memlock_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return limit.rlim_cur;
}

}  // namespace

void BufferLease::reset() noexcept {
  if (BufferPool* const pool = std::exchange(pool_, nullptr)) pool->release(data_, size_, id_);
}

int BufferLease::registered_index() const noexcept {
  return pool_ == nullptr ? -1 : pool_->slabs_[id_ >> 16].registered_index;
}

BufferPool::BufferPool(BufferPoolOptions options) : options_(options) {}

BufferPool::~BufferPool() {
  LUN_ASSERT(bytes_in_use_ == 0);
  LUN_ASSERT(waiting_ == 0);
  for (const Mapping& mapping : mappings_) {
    LUN_UNPOISON(mapping.address, mapping.size_bytes);
    ::munmap(mapping.address, mapping.size_bytes);
  }
}

std::string BufferPool::register_with(Ring& ring) {
  const std::size_t wanted = std::min(options_.registered_bytes_max, options_.bytes_max) / slab_bytes * slab_bytes;
  if (wanted == 0) return "no buffers registered with the ring: none asked for";
  LUN_ASSERT(slabs_.empty());
  if (!map_slabs(wanted / slab_bytes)) {
    return "no buffers registered with the ring: " + in_mebibytes(wanted) + " MiB of memory are not to be had";
  }
  // Trying beats reading the limit: it does not bind privileged processes, and other rings may have used it up.
  std::byte* const base = slabs_.front().memory;
  std::size_t registered = wanted;
  int error = 0;
  for (; registered >= slab_bytes; registered = registered / 2 / slab_bytes * slab_bytes) {
    std::vector<iovec> vectors;
    for (std::size_t at = 0; at < registered; at += registered_vector_bytes_max) {
      vectors.push_back({base + at, std::min(registered_vector_bytes_max, registered - at)});
    }
    error = ring.register_buffers(vectors);
    if (error != -ENOMEM) break;
  }
  if (error != 0) registered = 0;
  bytes_registered_ = registered;
  for (std::size_t i = 0; i < registered / slab_bytes; ++i) {
    slabs_[i].registered_index = static_cast<int>(i * slab_bytes / registered_vector_bytes_max);
  }
  std::string note =
      in_mebibytes(registered) + " of " + in_mebibytes(wanted) + " MiB of buffers registered with the ring";
  if (registered == wanted) return note;
  if (error != 0 && error != -ENOMEM) return note + ": " + std::strerror(-error);
  const std::size_t limit = memlock_limit();
  if (limit == SIZE_MAX) return note + ": not enough memory can be pinned";
  return note + ": RLIMIT_MEMLOCK is " + std::to_string(limit / 1024) +
         " KiB; raise it (docker run --ulimit memlock=-1, systemd LimitMEMLOCK=infinity) for faster file I/O";
}

// --- slabs --------------------------------------------------------------------------------------------------------

bool BufferPool::map_slabs(std::size_t count) {
  if ((slabs_.size() + count) * slab_bytes > options_.bytes_max) return false;
  // Aligned to a slab, so that each can be one huge page: take more, give back both ends.
  const std::size_t size = count * slab_bytes;
  void* const raw = ::mmap(nullptr, size + slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return false;
  const auto address = reinterpret_cast<std::uintptr_t>(raw);
  const std::size_t before = (slab_bytes - address % slab_bytes) % slab_bytes;
  auto* const memory = static_cast<std::byte*>(raw) + before;
  if (before != 0) ::munmap(raw, before);
  if (before != slab_bytes) ::munmap(memory + size, slab_bytes - before);
  ::madvise(memory, size, MADV_HUGEPAGE);  // a wish: without huge pages it works as well
  if (options_.numa_node >= 0 && options_.numa_node < 64) {
    const unsigned long nodes = 1UL << static_cast<unsigned>(options_.numa_node);
    // Preferred, not strict: memory of another node is better than none.
    ::mbind(memory, size, MPOL_PREFERRED, &nodes, sizeof nodes * 8, 0);
  }
  mappings_.push_back({memory, size});
  for (std::size_t i = 0; i < count; ++i) {
    Slab slab;
    slab.memory = memory + i * slab_bytes;
    slabs_.push_back(slab);
  }
  return true;
}

BufferPool::Slab* BufferPool::find_empty_slab(std::size_t size_class) {
  while (first_uncut_ < slabs_.size() && slabs_[first_uncut_].buffer_bytes != 0) ++first_uncut_;
  if (first_uncut_ < slabs_.size()) return &slabs_[first_uncut_];
  if (map_slabs(1)) return &slabs_.back();
  for (Slab& slab : slabs_) {
    if (slab.in_use == 0 && slab.buffer_bytes != class_bytes[size_class]) {
      forget_free_buffers(slab);
      return &slab;
    }
  }
  return nullptr;
}

void BufferPool::forget_free_buffers(const Slab& slab) noexcept {
  const auto slab_number = static_cast<std::uint32_t>(&slab - slabs_.data());
  FreeBuffer** link = &free_[class_index(slab.buffer_bytes)];
  while (*link != nullptr) {
    if ((*link)->id >> 16 == slab_number) {
      *link = (*link)->next;
    } else {
      link = &(*link)->next;
    }
  }
}

void BufferPool::cut(Slab& slab, std::size_t size_class) noexcept {
  const std::uint32_t size = class_bytes[size_class];
  const auto slab_number = static_cast<std::uint32_t>(&slab - slabs_.data());
  slab.buffer_bytes = size;
  // Highest first, so that the list starts with the lowest address.
  for (auto i = static_cast<std::uint32_t>(slab_bytes / size); i-- > 0;) {
    std::byte* const data = slab.memory + std::size_t{i} * size;
    LUN_UNPOISON(data, size);
    free_[size_class] = new (data) FreeBuffer{free_[size_class], slab_number << 16 | i};
    LUN_POISON(data + sizeof(FreeBuffer), size - sizeof(FreeBuffer));
  }
}

bool BufferPool::grow(std::size_t size_class) {
  Slab* const slab = find_empty_slab(size_class);
  if (slab == nullptr) return false;
  cut(*slab, size_class);
  return true;
}

// --- buffers ------------------------------------------------------------------------------------------------------

std::optional<BufferLease> BufferPool::take(std::uint32_t size) {
  const std::size_t size_class = class_for(size);
  if (free_[size_class] == nullptr && !grow(size_class)) return std::nullopt;
  FreeBuffer* const buffer = free_[size_class];
  free_[size_class] = buffer->next;
  const std::uint32_t id = buffer->id;
  const std::uint32_t bytes = class_bytes[size_class];
  LUN_UNPOISON(buffer, bytes);
  ++slabs_[id >> 16].in_use;
  bytes_in_use_ += bytes;
  return BufferLease(*this, reinterpret_cast<std::byte*>(buffer), bytes, id);
}

std::optional<BufferLease> BufferPool::try_acquire(std::uint32_t size) {
  if (first_waiter_ != nullptr) return std::nullopt;  // nobody overtakes
  return take(size);
}

void BufferPool::release(std::byte* data, std::uint32_t size, std::uint32_t id) noexcept {
  const std::size_t size_class = class_for(size);
  Slab& slab = slabs_[id >> 16];
  LUN_ASSERT(slab.in_use > 0 && slab.buffer_bytes == size);
  --slab.in_use;
  bytes_in_use_ -= size;
  free_[size_class] = new (data) FreeBuffer{free_[size_class], id};
  LUN_POISON(data + sizeof(FreeBuffer), size - sizeof(FreeBuffer));
  if (first_waiter_ != nullptr) serve_waiters();
}

void BufferPool::serve_waiters() {
  while (first_waiter_ != nullptr) {
    Acquire& waiter = *first_waiter_;
    waiter.lease_ = take(waiter.size_);
    if (!waiter.lease_) return;
    first_waiter_ = waiter.next_;
    --waiting_;
    Worker::current()->schedule(waiter.ready_);
  }
}

bool BufferPool::Acquire::await_ready() {
  lease_ = pool_.try_acquire(size_);
  return lease_.has_value();
}

void BufferPool::Acquire::await_suspend(std::coroutine_handle<> caller) {
  LUN_ASSERT(Worker::current() != nullptr);
  ready_.coroutine = caller;
  (pool_.first_waiter_ == nullptr ? pool_.first_waiter_ : pool_.last_waiter_->next_) = this;
  pool_.last_waiter_ = this;
  ++pool_.waiting_;
}

}  // namespace lunaris::runtime
