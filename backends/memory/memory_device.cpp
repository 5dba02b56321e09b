// The memory device and its channels. Reads hand out the chunks themselves; nothing is copied but a write's bytes.
#include "backends/memory/memory_device.h"

#include <algorithm>
#include <cstring>

#include "backends/checked_device.h"
#include "backends/memory/chunk_map.h"
#include "backends/options.h"
#include "backends/zero_page.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

namespace {

/// Long discards and zeroings let others run after this many bytes.
constexpr std::uint64_t bytes_per_turn = std::uint64_t{64} << 20;
/// Answer of one `extents` call; the caller asks again from where it ends.
constexpr std::size_t extents_max = 128;

/// The part of `range` that lies in the chunk of its first byte.
struct Piece {
  std::uint64_t chunk;
  std::uint32_t offset;
  std::uint32_t length;
  [[nodiscard]] bool is_whole_chunk() const noexcept { return length == chunk_bytes; }
};

Piece first_piece(ByteRange range) noexcept {
  const auto offset = static_cast<std::uint32_t>(range.offset % chunk_bytes);
  const std::uint64_t room = chunk_bytes - offset;
  return {range.offset / chunk_bytes, offset, static_cast<std::uint32_t>(std::min(room, range.length))};
}

void advance(ByteRange& range, const Piece& piece) noexcept {
  range.offset += piece.length;
  range.length -= piece.length;
}

static_assert(BlockChannel::transfer_bytes_max / chunk_bytes + 1 <= Payload::segments_max);

class MemoryChannel final : public BlockChannel {
 public:
  MemoryChannel(ChunkMap& map, runtime::Worker& worker)
      : map_(map), worker_(worker), allocator_(map, worker.numa_node()) {}

  runtime::Task<Result<Payload>> read(ByteRange range) override {
    Payload payload;
    while (range.length > 0) {
      const Piece piece = first_piece(range);
      const Chunk* chunk = map_.find(piece.chunk);
      const std::byte* memory = chunk == nullptr ? nullptr : chunk->memory.load(std::memory_order_acquire);
      if (memory == nullptr) memory = zero_page.data();
      payload.append({memory + piece.offset, piece.length});
      advance(range, piece);
    }
    co_return std::move(payload);
  }

  runtime::Task<Result<>> write(std::uint64_t offset, std::span<const iovec> data, WriteFlags, int) override {
    for (const iovec& segment : data) {
      if (!put(offset, {static_cast<const std::byte*>(segment.iov_base), segment.iov_len})) {
        co_return make_error_code(BackendError::out_of_space);
      }
      offset += segment.iov_len;
    }
    co_return Result<>{};
  }

  runtime::Task<Result<>> flush() override { co_return Result<>{}; }

  runtime::Task<Result<>> discard(ByteRange range) override { return clear(range, true); }

  runtime::Task<Result<>> write_zeroes(ByteRange range, bool may_discard) override { return clear(range, may_discard); }

  runtime::Task<Result<std::vector<Extent>>> extents(ByteRange range) override {
    std::vector<Extent> found;
    while (range.length > 0) {
      const Piece piece = first_piece(range);
      const Chunk* chunk = map_.find(piece.chunk);
      const bool mapped = chunk != nullptr && chunk->mapped.load(std::memory_order_acquire);
      const ExtentState state = mapped ? ExtentState::mapped : ExtentState::deallocated;
      if (!found.empty() && found.back().state == state) {
        found.back().range.length += piece.length;
      } else if (found.size() == extents_max) {
        break;
      } else {
        found.push_back({{range.offset, piece.length}, state});
      }
      advance(range, piece);
      if (range.offset % bytes_per_turn == 0) co_await worker_.yield();
    }
    co_return std::move(found);
  }

 private:
  /// Several workers may copy into and out of one chunk at once. Overlapping commands that run at the same time have
  /// no order in SCSI (SAM-5 8.2), so bytes of both may be seen; that data race on plain bytes is accepted here.
  bool put(std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
    while (!bytes.empty()) {
      const Piece piece = first_piece({offset, bytes.size()});
      Chunk* chunk = map_.find_or_make(piece.chunk, allocator_);
      if (chunk == nullptr) return false;
      std::memcpy(chunk->memory.load(std::memory_order_acquire) + piece.offset, bytes.data(), piece.length);
      map_.mark_mapped(*chunk);
      offset += piece.length;
      bytes = bytes.subspan(piece.length);
    }
    return true;
  }

  /// Zeros in place: payloads that were handed out may still point here, so chunks keep their addresses.
  runtime::Task<Result<>> clear(ByteRange range, bool may_discard) {
    while (range.length > 0) {
      const Piece piece = first_piece(range);
      Chunk* chunk = may_discard ? map_.find(piece.chunk) : map_.find_or_make(piece.chunk, allocator_);
      if (chunk == nullptr && !may_discard) co_return make_error_code(BackendError::out_of_space);
      if (chunk != nullptr) clear_piece(*chunk, piece, may_discard);
      advance(range, piece);
      if (range.offset % bytes_per_turn == 0) co_await worker_.yield();
    }
    co_return Result<>{};
  }

  void clear_piece(Chunk& chunk, const Piece& piece, bool may_discard) noexcept {
    std::byte* memory = chunk.memory.load(std::memory_order_acquire);
    if (piece.is_whole_chunk()) {
      map_.empty(chunk);
    } else if (memory != nullptr) {
      std::memset(memory + piece.offset, 0, piece.length);
    }
    // Zeros that were written, rather than space that was given back, count as data (SBC-4 4.7.4.4: mapped).
    if (!may_discard) map_.mark_mapped(chunk);
  }

  ChunkMap& map_;
  runtime::Worker& worker_;
  ChunkAllocator allocator_;
};

class MemoryDevice final : public BlockDevice {
 public:
  explicit MemoryDevice(const OpenRequest& request) {
    geometry_.size_bytes = request.size_bytes;
    geometry_.discard_granularity = chunk_bytes;
    geometry_.discard_reads_zero = true;
    geometry_.thin = true;
    geometry_.read_only = request.read_only;
  }
  const Geometry& geometry() const noexcept override { return geometry_; }
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) override {
    return std::unique_ptr<BlockChannel>(std::make_unique<MemoryChannel>(map_, worker));
  }
  Result<> resize(std::uint64_t size_bytes) override {
    if (size_bytes > ChunkMap::size_bytes_max) return make_error_code(BackendError::out_of_space);
    set_size(geometry_, size_bytes);
    return {};
  }
  std::uint64_t allocated_bytes() const override { return map_.mapped_bytes(); }

 private:
  Geometry geometry_;
  ChunkMap map_;
};

}  // namespace

std::vector<OptionProblem> check_memory(const boost::json::object& options) {
  std::vector<OptionProblem> problems;
  OptionReader reader(options, problems);
  reader.ignore("type");
  reader.ignore("filters");
  reader.finish();
  return problems;
}

Result<std::unique_ptr<BlockDevice>> open_memory(const OpenRequest& request, const boost::json::object&,
                                                 std::string& reason) {
  if (request.size_bytes == 0 || request.size_bytes > ChunkMap::size_bytes_max) {
    reason = request.size_bytes == 0
                 ? "volume \"" + request.name + "\" needs a size: a memory back end has none of its own"
                 : "volume \"" + request.name + "\" is larger than the 16 TiB a memory back end can have";
    return make_error_code(BackendError::not_supported);
  }
  return std::unique_ptr<BlockDevice>(std::make_unique<MemoryDevice>(request));
}

}  // namespace lunaris::backends
