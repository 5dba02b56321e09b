// ChunkMap: the sparse memory behind a memory device, shared by the channels of all workers without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace lunaris::backends {

/// A chunk is 64 KiB: a transfer touches at most five, and the first write of 4 KiB costs little (a chunk's pages are
/// zeroed by the kernel one by one, as they are touched).
inline constexpr std::uint32_t chunk_bytes = 64 << 10;

/// One chunk's entry. `memory` goes from null to an address once and stays: payloads that were handed out point there
/// until the device is closed. `mapped` says that the chunk holds data, for extents and the space count.
struct Chunk {
  std::atomic<std::byte*> memory{nullptr};
  std::atomic<bool> mapped{false};
};

/// Memory for chunks in slabs of 2 MiB, one allocator per channel, so that chunks lie on the node of the worker that
/// wrote them first. The slabs belong to the map and outlive the channel; what a closing channel has not used of its
/// last slab is address space only.
class ChunkMap;
class ChunkAllocator {
 public:
  ChunkAllocator(ChunkMap& map, int numa_node) noexcept : map_(map), numa_node_(numa_node) {}
  /// A chunk of zeros; null when the system has no memory.
  [[nodiscard]] std::byte* allocate() noexcept;
  /// Takes back a chunk that nobody has written to, for the next `allocate`.
  void give_back(std::byte* chunk) noexcept { spare_ = chunk; }

 private:
  ChunkMap& map_;
  int numa_node_;
  std::byte* spare_ = nullptr;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
};

/// Two levels: a fixed directory of leaves, each leaf with the chunks of 256 MiB, so that growing moves nothing.
class ChunkMap {
 public:
  static constexpr std::size_t leaf_chunks = 4096;
  static constexpr std::size_t leaf_count = std::size_t{64} << 10;
  static constexpr std::uint64_t size_bytes_max = std::uint64_t{leaf_chunks} * leaf_count * chunk_bytes;  // 16 TiB
  static constexpr std::size_t slab_bytes = std::size_t{2} << 20;

  ChunkMap();
  ChunkMap(const ChunkMap&) = delete;
  ChunkMap& operator=(const ChunkMap&) = delete;
  /// Unmaps everything; no payload may point here any more.
  ~ChunkMap();

  /// Any worker. The entry of chunk number `index`, null when nothing near it was ever written.
  [[nodiscard]] Chunk* find(std::uint64_t index) noexcept;
  /// Any worker. As `find`, but makes the entry and its memory; null when the system has no memory.
  [[nodiscard]] Chunk* find_or_make(std::uint64_t index, ChunkAllocator& allocator) noexcept;

  /// After the bytes were written: counts the chunk as holding data.
  void mark_mapped(Chunk& chunk) noexcept;
  /// The whole chunk reads as zeros afterwards and its pages are the kernel's again; its address stays valid.
  void empty(Chunk& chunk) noexcept;

  [[nodiscard]] std::uint64_t mapped_bytes() const noexcept {
    return mapped_chunks_.load(std::memory_order_relaxed) * chunk_bytes;
  }

 private:
  friend class ChunkAllocator;
  struct Leaf {
    std::array<Chunk, leaf_chunks> chunks;
  };
  struct Slab {
    std::byte* memory;
    Slab* next;
  };
  [[nodiscard]] std::byte* make_slab(int numa_node) noexcept;
  [[nodiscard]] Leaf* find_or_make_leaf(std::uint64_t index) noexcept;

  std::unique_ptr<std::array<std::atomic<Leaf*>, leaf_count>> leaves_;
  std::atomic<Slab*> slabs_{nullptr};
  std::atomic<std::uint64_t> mapped_chunks_{0};
};

}  // namespace lunaris::backends
