// ReservationFile: where a volume keeps its reservations over a crash or a power loss (APTPL, SPC-5 5.13.5). One small
// file per volume; replaced as a whole, so the state before a change or the one after it is there, never none.
#pragma once

#include <cstdint>
#include <string>

#include "server/runtime/file_ops.h"
#include "server/volume/reservations.h"

namespace lunaris::volume {

/// Management worker only; blocking.
class ReservationFile {
 public:
  /// The folder is made when the first table is saved.
  ReservationFile(runtime::FileOps& files, std::string folder, std::string name);

  struct Loaded {
    ReservationTable table;  // empty: there was nothing to keep; `is_lost`: it cannot be read
    std::string problem;     // not empty when it is lost: what is wrong, and what to do
  };
  [[nodiscard]] Loaded load();

  /// Empty when `table` would be there after a power loss now; otherwise what failed. A table that need not survive
  /// leaves a file that says so, or none where there was none.
  [[nodiscard]] std::string save(const ReservationTable& table);

  [[nodiscard]] std::string path() const { return folder_ + "/" + name_; }

 private:
  runtime::FileOps& files_;
  std::string folder_;
  std::string name_;
  bool is_there_ = false;
};

}  // namespace lunaris::volume
