// FolderLock: keeps a second lunaris away from a data folder. Taken by App and by nobody else.
#pragma once

#include <string>

#include "server/runtime/unique_fd.h"

namespace lunaris::control {

/// An advisory lock on the file `lock` in the folder, held until destruction; the kernel gives it back when the process
/// dies, however it dies.
class FolderLock {
 public:
  /// Throws std::runtime_error with what to do when the folder cannot be written to or another process has the lock.
  explicit FolderLock(const std::string& folder);

 private:
  runtime::UniqueFd file_;
};

}  // namespace lunaris::control
