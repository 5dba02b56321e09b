// FileState: an open file or block device and what is known about it; shared by the device and its channels.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "backends/block_device.h"
#include "server/runtime/unique_fd.h"

namespace lunaris::backends {

enum class Allocation : std::uint8_t {
  sparse,  // space is taken as it is written
  full,    // all of it at once: a write never finds the file system full, and a discard gives nothing back
};

struct FileState {
  runtime::UniqueFd fd;  // holds the lock on the file; channels have descriptors of their own
  std::string path;      // absolute, for messages
  Geometry geometry;
  Allocation allocation = Allocation::sparse;
  std::uint32_t queue_depth = 128;
  bool direct_io = false;
  bool is_block_device = false;
  /// A flush has failed: the kernel has dropped what it could not write and would report success next time, so every
  /// call fails from here on until the device is opened again.
  std::atomic<bool> flush_failed{false};
  /// Cleared by the first channel that is told otherwise.
  std::atomic<bool> zero_range_works{true};
};

}  // namespace lunaris::backends
