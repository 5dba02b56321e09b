// ReceiveBuffer: the memory a connection receives into. Busy connections get counted chunks from the worker's pool, so
// that data may be used where it lies; idle ones make do with a small piece of their own.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

#include "server/iscsi/limits.h"
#include "server/runtime/buffer_pool.h"

namespace lunaris::iscsi_server {

/// A share in a pool buffer; the last one gives it back. One worker, no atomics. The count lives in the buffer's first
/// bytes, so sharing allocates nothing.
class ChunkRef {
 public:
  ChunkRef() = default;
  explicit ChunkRef(runtime::BufferLease lease) noexcept;
  ChunkRef(const ChunkRef& other) noexcept : chunk_(other.chunk_) {
    if (chunk_ != nullptr) ++chunk_->count;
  }
  ChunkRef(ChunkRef&& other) noexcept : chunk_(std::exchange(other.chunk_, nullptr)) {}
  ChunkRef& operator=(ChunkRef other) noexcept {
    std::swap(chunk_, other.chunk_);
    return *this;
  }
  ~ChunkRef() { reset(); }

  void reset() noexcept;
  [[nodiscard]] explicit operator bool() const noexcept { return chunk_ != nullptr; }
  [[nodiscard]] bool is_only_one() const noexcept { return chunk_->count == 1; }
  /// The buffer without the count.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return chunk_->lease.bytes().subspan(overhead); }
  [[nodiscard]] int registered_index() const noexcept { return chunk_->lease.registered_index(); }

 private:
  struct Chunk {
    runtime::BufferLease lease;
    std::uint32_t count = 1;
  };
  static constexpr std::size_t overhead = 64;
  static_assert(sizeof(Chunk) <= overhead);
  Chunk* chunk_ = nullptr;
};

/// Hands out room for the next read and shares of what was read last. Owned by a connection.
class ReceiveBuffer {
 public:
  explicit ReceiveBuffer(runtime::BufferPool& pool)
      : pool_(pool), own_(std::make_unique_for_overwrite<std::byte[]>(limits::receive_bytes_min)) {}

  /// Room for the next read, never empty; everything received earlier has been consumed or is shared.
  [[nodiscard]] std::span<std::byte> room();
  /// `count` bytes of room() were filled.
  void filled(std::size_t count) noexcept;
  /// Keeps what was received last where it lies; empty when it lies in the connection's own memory and must be copied.
  [[nodiscard]] ChunkRef share() const noexcept { return chunk_; }

 private:
  void adapt(std::size_t offered, std::size_t count) noexcept;

  runtime::BufferPool& pool_;
  std::unique_ptr<std::byte[]> own_;
  ChunkRef chunk_;
  std::size_t used_ = 0;      // of the chunk
  std::size_t offered_ = 0;   // by the last room()
  std::uint32_t wanted_ = 0;  // size of the next chunk; 0: own memory is enough
  std::uint32_t small_reads_ = 0;
};

}  // namespace lunaris::iscsi_server
