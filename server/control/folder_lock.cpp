// Takes the lock of a data folder.
#include "server/control/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace lunaris::control {

FolderLock::FolderLock(const std::string& folder)
    : file_(::open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  if (!file_) {
    throw std::runtime_error("the data folder " + folder + " cannot be written to (" + std::strerror(errno) +
                             "): name one that this user may write to with --data.");
  }
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw std::runtime_error("the data folder " + folder +
                             " is in use by another lunaris: stop it, or name another folder with --data.");
  }
}

}  // namespace lunaris::control
