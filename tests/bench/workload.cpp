// Workload: choice of blocks, stamps and their check. See workload.h.
#include "tests/bench/workload.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace lunaris::bench {
namespace {

constexpr std::size_t stamp_bytes = 512;
constexpr std::size_t stamp_words = stamp_bytes / 8;
constexpr std::uint64_t stamp_magic = 0x4c554e4152495331;  // "LUNARIS1"
constexpr unsigned choices_max = 64;                       // tries before a session waits for others to finish

// The 64 words of one stamp: four that say what they are, then a sequence that depends on all four.
struct Stamp {
  std::uint64_t position;  // in units of 512 bytes
  std::uint64_t seed;
  std::uint32_t generation;

  std::uint64_t word(std::size_t index) const {
    switch (index) {
      case 0:
        return stamp_magic;
      case 1:
        return position;
      case 2:
        return seed;
      case 3:
        return generation;
      default:
        return ((position * 0x9e3779b97f4a7c15U) ^ (seed * 0xbf58476d1ce4e5b9U) ^ (std::uint64_t{generation} << 32)) +
               index * 0x94d049bb133111ebU;
    }
  }
};

std::uint64_t load_word(const std::byte* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

std::string describe_found(const std::byte* from, const Stamp& due) {
  if (load_word(from) != stamp_magic) return "no stamp at all";
  bool same = true;
  for (std::size_t i = 1; i < 4; ++i) same = same && load_word(from + i * 8) == due.word(i);
  if (same) return "that stamp, but other bytes after it";
  return "the stamp of block " + std::to_string(load_word(from + 8)) + ", seed " +
         std::to_string(load_word(from + 16)) + ", generation " + std::to_string(load_word(from + 24));
}

}  // namespace

Workload::Workload(const Options& options, std::uint64_t capacity_bytes, unsigned session_count)
    : block_bytes_(options.block_bytes),
      session_count_(session_count),
      read_percent_(options.read_percent),
      sequential_(options.sequential),
      seed_(options.seed),
      random_state_(options.seed * 0x9e3779b97f4a7c15U | 1U) {
  const std::uint64_t region =
      options.region_bytes == 0 ? capacity_bytes : std::min(options.region_bytes, capacity_bytes);
  unit_count_ = region / block_bytes_;
  if (unit_count_ == 0) throw std::runtime_error("the volume is smaller than one block of the workload");
  for (unsigned i = 0; i < session_count; ++i) cursors_.push_back(unit_count_ * i / session_count);
  if (options.verify == Verify::off) return;
  generations_.assign(unit_count_, options.verify == Verify::existing ? 1 : 0);
  in_flight_.assign(unit_count_, false);
}

std::uint64_t Workload::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_ * 0x2545f4914f6cdd1dU;
}

std::optional<std::uint64_t> Workload::choose(unsigned session) {
  if (filling_) {
    if (filled()) return std::nullopt;
    return fill_at_++;
  }
  for (unsigned attempt = 0; attempt < choices_max; ++attempt) {
    std::uint64_t unit;
    if (sequential_) {
      std::uint64_t& cursor = cursors_[session];
      unit = cursor;
      const std::uint64_t end = unit_count_ * (session + 1) / session_count_;
      if (++cursor >= end) cursor = unit_count_ * session / session_count_;
      if (unit >= end) continue;  // a part without a single unit
    } else {
      unit = static_cast<std::uint64_t>((static_cast<unsigned __int128>(random()) * unit_count_) >> 64);
    }
    if (!verifying() || !in_flight_[unit]) return unit;
  }
  return std::nullopt;
}

std::optional<Io> Workload::next(unsigned session) {
  const std::optional<std::uint64_t> unit = choose(session);
  if (!unit) return std::nullopt;
  Io io{.unit = *unit, .write = filling_ || (read_percent_ < 100 && random() % 100 >= read_percent_)};
  if (verifying()) {
    in_flight_[io.unit] = true;
    io.generation = generations_[io.unit] + (io.write ? 1U : 0U);
  }
  return io;
}

void Workload::stamp(const Io& io, std::span<std::byte> block) const {
  if (!verifying()) return;
  for (std::size_t at = 0; at < block.size(); at += stamp_bytes) {
    const Stamp stamp{(io.unit * block_bytes_ + at) / stamp_bytes, seed_, io.generation};
    for (std::size_t i = 0; i < stamp_words; ++i) {
      const std::uint64_t word = stamp.word(i);
      std::memcpy(block.data() + at + i * 8, &word, sizeof word);
    }
  }
}

void Workload::ended(const Io& io, bool good, std::span<const std::byte> block) {
  if (!verifying()) return;
  in_flight_[io.unit] = false;
  if (io.write) {
    generations_[io.unit] = good ? io.generation : 0;  // a failed write may have left either content
    return;
  }
  if (good && io.generation != 0) check(io, block);
}

void Workload::check(const Io& io, std::span<const std::byte> block) {
  ++checked_;
  for (std::size_t at = 0; at < block.size(); at += stamp_bytes) {
    const Stamp stamp{(io.unit * block_bytes_ + at) / stamp_bytes, seed_, io.generation};
    std::uint64_t difference = 0;
    for (std::size_t i = 0; i < stamp_words; ++i) difference |= load_word(block.data() + at + i * 8) ^ stamp.word(i);
    if (difference == 0) continue;
    if (mismatches_++ == 0)
      first_mismatch_ = "block " + std::to_string(stamp.position) + " (of 512 bytes) must carry generation " +
                        std::to_string(io.generation) + " of seed " + std::to_string(seed_) + ", found " +
                        describe_found(block.data() + at, stamp);
    return;
  }
}

}  // namespace lunaris::bench
