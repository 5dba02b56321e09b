// FileOps on the real file system.
#include "server/control/file_ops.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <stdexcept>

namespace lunaris::control {

using runtime::errno_error;
using runtime::Result;

namespace {

/// Closes a descriptor at the end of a scope.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Result<> from_status(int status) {
  if (status == 0) return {};
  return errno_error(errno);
}

}  // namespace

Result<std::string> PosixFileOps::read(const std::string& path, std::size_t bytes_max) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return errno_error(errno);
  std::string text;
  std::array<char, 65536> chunk{};
  for (;;) {
    const ssize_t count = ::read(file.fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno);
    if (count == 0) return text;
    text.append(chunk.data(), static_cast<std::size_t>(count));
    if (text.size() > bytes_max) return errno_error(EFBIG);
  }
}

Result<int> PosixFileOps::create(const std::string& path) {
  // What a crash has left under this name may have other permissions: it is replaced, not reused.
  ::unlink(path.c_str());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return errno_error(errno);
  return fd;
}

Result<> PosixFileOps::write(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<> PosixFileOps::sync(int file) {
  return from_status(::fsync(file));
}

void PosixFileOps::close(int file) noexcept {
  ::close(file);
}

Result<> PosixFileOps::rename(const std::string& from, const std::string& to) {
  return from_status(::rename(from.c_str(), to.c_str()));
}

Result<> PosixFileOps::remove(const std::string& path) {
  return from_status(::unlink(path.c_str()));
}

Result<> PosixFileOps::sync_folder(const std::string& path) {
  const Descriptor folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (folder.fd < 0) return errno_error(errno);
  return from_status(::fsync(folder.fd));
}

Result<> PosixFileOps::make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return errno_error(error.value());
  return {};
}

Result<std::vector<std::string>> PosixFileOps::list(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return errno_error(errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) return errno_error(errno);
  return names;
}

FolderLock::FolderLock(const std::string& folder) {
  const std::string path = folder + "/lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) {
    throw std::runtime_error("cannot write to " + folder + " (" + std::strerror(errno) +
                             "): name a folder that this user may write to with --data.");
  }
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw std::runtime_error(folder + " is in use by another lunaris: stop it, or use another folder with --data.");
  }
}

FolderLock::~FolderLock() {
  ::close(file_);
}

}  // namespace lunaris::control
