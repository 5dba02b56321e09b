#include "server/iscsi/receive_buffer.h"

#include <algorithm>
#include <new>

namespace lunaris::iscsi_server {

ChunkRef::ChunkRef(runtime::BufferLease lease) noexcept {
  std::byte* memory = lease.bytes().data();
  chunk_ = new (memory) Chunk{std::move(lease)};
}

void ChunkRef::reset() noexcept {
  Chunk* chunk = std::exchange(chunk_, nullptr);
  if (chunk == nullptr || --chunk->count > 0) return;
  // The lease must leave the buffer before it gives the buffer back.
  const runtime::BufferLease lease = std::move(chunk->lease);
  chunk->~Chunk();
}

std::span<std::byte> ReceiveBuffer::room() {
  // Less than this is not worth a system call.
  constexpr std::size_t useful_bytes = 2048;
  if (chunk_) {
    if (chunk_.is_only_one()) used_ = 0;
    const bool fits = chunk_.bytes().size() + 64 >= wanted_ && wanted_ != 0;
    if (fits && chunk_.bytes().size() - used_ >= useful_bytes) {
      const auto rest = chunk_.bytes().subspan(used_);
      offered_ = rest.size();
      return rest;
    }
    chunk_.reset();
    used_ = 0;
  }
  // Under pressure the rest of the pool is for I/O, whose buffers always come back.
  if (wanted_ != 0 && !pool_.under_pressure()) {
    if (auto lease = pool_.try_acquire(wanted_)) {
      chunk_ = ChunkRef(std::move(*lease));
      offered_ = chunk_.bytes().size();
      return chunk_.bytes();
    }
  }
  offered_ = limits::receive_bytes_min;
  return {own_.get(), limits::receive_bytes_min};
}

void ReceiveBuffer::filled(std::size_t count) noexcept {
  if (chunk_) used_ += count;
  adapt(offered_, count);
}

void ReceiveBuffer::adapt(std::size_t offered, std::size_t count) noexcept {
  // Full reads ask for more at once; it takes a while of small ones to give it back.
  constexpr std::uint32_t patience = 64;
  if (count >= offered) {
    wanted_ = std::min(wanted_ == 0 ? limits::receive_bytes_min * 4 : wanted_ * 4, limits::receive_bytes_max);
    small_reads_ = 0;
  } else if (wanted_ != 0 && count < wanted_ / 8 && ++small_reads_ >= patience) {
    wanted_ = wanted_ <= limits::receive_bytes_min * 4 ? 0 : wanted_ / 4;
    small_reads_ = 0;
  } else if (wanted_ != 0 && count >= wanted_ / 8) {
    small_reads_ = 0;
  }
}

}  // namespace lunaris::iscsi_server
