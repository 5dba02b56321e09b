// Allocation, publication and emptying of chunks.
#include "backends/memory/chunk_map.h"

#include <numa.h>
#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

#include "server/runtime/assert.h"

namespace lunaris::backends {

std::byte* ChunkAllocator::allocate() noexcept {
  if (spare_ != nullptr) return std::exchange(spare_, nullptr);
  if (next_ == end_) {
    next_ = map_.make_slab(numa_node_);
    end_ = next_ == nullptr ? nullptr : next_ + ChunkMap::slab_bytes;
    if (next_ == nullptr) return nullptr;
  }
  return std::exchange(next_, next_ + chunk_bytes);
}

ChunkMap::ChunkMap() : leaves_(std::make_unique<std::array<std::atomic<Leaf*>, leaf_count>>()) {}

ChunkMap::~ChunkMap() {
  for (std::atomic<Leaf*>& leaf : *leaves_) delete leaf.load(std::memory_order_relaxed);
  Slab* slab = slabs_.load(std::memory_order_acquire);
  while (slab != nullptr) {
    LUN_ASSERT(::munmap(slab->memory, slab_bytes) == 0);
    delete std::exchange(slab, slab->next);
  }
}

std::byte* ChunkMap::make_slab(int numa_node) noexcept {
  auto* slab = new (std::nothrow) Slab{};
  if (slab == nullptr) return nullptr;
  void* memory =
      ::mmap(nullptr, slab_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    delete slab;
    return nullptr;
  }
  // Preferred, not strict: on a full node memory from another one is better than none.
  if (numa_node >= 0 && ::numa_available() >= 0) {
    ::numa_tonode_memory(memory, slab_bytes, numa_node);
  }
  slab->memory = static_cast<std::byte*>(memory);
  slab->next = slabs_.load(std::memory_order_relaxed);
  while (!slabs_.compare_exchange_weak(slab->next, slab, std::memory_order_release, std::memory_order_relaxed)) {
  }
  return slab->memory;
}

Chunk* ChunkMap::find(std::uint64_t index) noexcept {
  Leaf* leaf = (*leaves_)[index / leaf_chunks].load(std::memory_order_acquire);
  return leaf == nullptr ? nullptr : &leaf->chunks[index % leaf_chunks];
}

ChunkMap::Leaf* ChunkMap::find_or_make_leaf(std::uint64_t index) noexcept {
  std::atomic<Leaf*>& slot = (*leaves_)[index / leaf_chunks];
  Leaf* leaf = slot.load(std::memory_order_acquire);
  if (leaf != nullptr) return leaf;
  std::unique_ptr<Leaf> fresh(new (std::nothrow) Leaf);
  if (fresh == nullptr) return nullptr;
  // Whoever comes second uses the other's leaf, which the failed exchange has loaded.
  if (slot.compare_exchange_strong(leaf, fresh.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    leaf = fresh.release();
  }
  return leaf;
}

Chunk* ChunkMap::find_or_make(std::uint64_t index, ChunkAllocator& allocator) noexcept {
  Leaf* leaf = find_or_make_leaf(index);
  if (leaf == nullptr) return nullptr;
  Chunk& chunk = leaf->chunks[index % leaf_chunks];
  if (chunk.memory.load(std::memory_order_acquire) != nullptr) return &chunk;
  std::byte* fresh = allocator.allocate();
  if (fresh == nullptr) return nullptr;
  std::byte* other = nullptr;
  // Published while it is all zeros and filled afterwards: a reader sees zeros or the new bytes.
  if (!chunk.memory.compare_exchange_strong(other, fresh, std::memory_order_acq_rel)) allocator.give_back(fresh);
  return &chunk;
}

void ChunkMap::mark_mapped(Chunk& chunk) noexcept {
  // The load spares the cache line on all writes but the first. It could miss an `empty` of the same chunk only while
  // that runs at the same time as the write, and then madvise's shootdown of the page orders the two.
  if (chunk.mapped.load(std::memory_order_acquire)) return;
  if (!chunk.mapped.exchange(true, std::memory_order_acq_rel)) mapped_chunks_.fetch_add(1, std::memory_order_relaxed);
}

void ChunkMap::empty(Chunk& chunk) noexcept {
  std::byte* memory = chunk.memory.load(std::memory_order_acquire);
  if (memory == nullptr) return;
  // First the mark, then the bytes: a write in between marks the chunk again, and a chunk with data in it is never
  // taken for an empty one.
  if (chunk.mapped.exchange(false, std::memory_order_acq_rel)) mapped_chunks_.fetch_sub(1, std::memory_order_relaxed);
  // MADV_DONTNEED swaps private anonymous pages for the zero page. Where memory is locked (mlockall) it is refused.
  if (::madvise(memory, chunk_bytes, MADV_DONTNEED) != 0) std::memset(memory, 0, chunk_bytes);
}

}  // namespace lunaris::backends
