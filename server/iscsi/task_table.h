// TaskTable: finds a session's command by its initiator task tag. Open addressing, fixed size, no allocation. Used by
// Session; tested by itself.
#pragma once

#include <array>
#include <cstdint>

#include "server/iscsi/limits.h"
#include "server/runtime/assert.h"

namespace lunaris::iscsi_server {

/// Maps up to limits::command_slots tags to indices. At least half of the cells stay empty, so probes are short.
class TaskTable {
 public:
  static constexpr std::uint16_t none = 0xffff;

  TaskTable() noexcept { cells_.fill({0, none}); }

  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

  [[nodiscard]] std::uint16_t find(std::uint32_t tag) const noexcept {
    for (std::uint32_t at = home(tag); cells_[at].index != none; at = next(at))
      if (cells_[at].tag == tag) return cells_[at].index;
    return none;
  }

  /// The tag must not be there yet.
  void insert(std::uint32_t tag, std::uint16_t index) noexcept {
    LUN_ASSERT(size_ < limits::command_slots && index != none);
    std::uint32_t at = home(tag);
    for (; cells_[at].index != none; at = next(at)) LUN_ASSERT(cells_[at].tag != tag);
    cells_[at] = {tag, index};
    ++size_;
  }

  /// The tag must be there. Later cells of the run move up, so that no search meets a hole.
  void erase(std::uint32_t tag) noexcept {
    std::uint32_t hole = home(tag);
    while (cells_[hole].index == none || cells_[hole].tag != tag) {
      LUN_ASSERT(cells_[hole].index != none);
      hole = next(hole);
    }
    for (std::uint32_t at = next(hole); cells_[at].index != none; at = next(at)) {
      const std::uint32_t wanted = home(cells_[at].tag);
      if (((at - wanted) & mask) >= ((at - hole) & mask)) {
        cells_[hole] = cells_[at];
        hole = at;
      }
    }
    cells_[hole].index = none;
    --size_;
  }

 private:
  struct Cell {
    std::uint32_t tag;
    std::uint16_t index;
  };
  static constexpr std::uint32_t cell_count = 512;
  static constexpr std::uint32_t mask = cell_count - 1;
  static_assert(cell_count >= 2 * limits::command_slots && (cell_count & mask) == 0);

  // Initiators count their tags up or use array indices; multiplying spreads both.
  static constexpr std::uint32_t home(std::uint32_t tag) noexcept { return (tag * 0x9e3779b1U) >> 23; }
  static constexpr std::uint32_t next(std::uint32_t at) noexcept { return (at + 1) & mask; }

  std::array<Cell, cell_count> cells_;
  std::uint32_t size_ = 0;
};

}  // namespace lunaris::iscsi_server
