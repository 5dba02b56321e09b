// The system calls behind FileOps, and the durable replacement of a file made of them.
#include "server/runtime/file_ops.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

namespace lunaris::runtime {
namespace {

Result<> checked(int result) {
  if (result != 0) return errno_error(errno);
  return {};
}

FileStatus status_of(const struct stat& raw) {
  FileStatus status;
  status.size_bytes = static_cast<std::uint64_t>(raw.st_size);
  status.allocated_bytes = static_cast<std::uint64_t>(raw.st_blocks) * 512;  // st_blocks counts 512 bytes, always
  status.is_regular = S_ISREG(raw.st_mode);
  status.is_folder = S_ISDIR(raw.st_mode);
  status.is_block_device = S_ISBLK(raw.st_mode);
  status.mode = raw.st_mode & 07777U;
  return status;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<> write_and_sync(FileOps& files, const std::string& path, std::string_view bytes, unsigned mode) {
  Result<UniqueFd> file = files.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
  if (!file) return file.error();
  if (Result<> written = files.write(file->get(), bytes); !written) return written;
  return files.sync(file->get());
}

}  // namespace

Result<UniqueFd> SystemFileOps::open(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) return errno_error(errno);
  }
}

Result<FileStatus> SystemFileOps::status(int fd) {
  struct stat raw{};
  if (::fstat(fd, &raw) != 0) return errno_error(errno);
  return status_of(raw);
}

Result<FileStatus> SystemFileOps::status(const std::string& path) {
  struct stat raw{};
  if (::stat(path.c_str(), &raw) != 0) return errno_error(errno);
  return status_of(raw);
}

Result<> SystemFileOps::write(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> SystemFileOps::read(int fd, std::size_t size_max) {
  std::string content;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t count = ::read(fd, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno);
    if (count == 0) return content;
    if (static_cast<std::size_t>(count) > size_max - content.size()) return errno_error(EFBIG);
    content.append(chunk.data(), static_cast<std::size_t>(count));
  }
}

Result<> SystemFileOps::sync(int fd) {
  return checked(::fsync(fd));
}

Result<> SystemFileOps::rename(const std::string& from, const std::string& to) {
  return checked(::rename(from.c_str(), to.c_str()));
}

Result<> SystemFileOps::remove(const std::string& path) {
  return checked(::unlink(path.c_str()));
}

Result<> SystemFileOps::make_folder(const std::string& path, unsigned mode) {
  return checked(::mkdir(path.c_str(), mode));
}

Result<std::vector<std::string>> SystemFileOps::list(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(::opendir(folder.c_str()), &::closedir);
  if (!open_folder) return errno_error(errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open_folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return errno_error(errno);
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> read_file(FileOps& files, const std::string& path, std::size_t size_max) {
  const Result<UniqueFd> file = files.open(path, O_RDONLY, 0);
  if (!file) return file.error();
  return files.read(file->get(), size_max);
}

Result<> write_file_durably(FileOps& files, const std::string& path, std::string_view bytes, unsigned mode) {
  const std::string temporary = path + ".new";
  if (Result<> written = write_and_sync(files, temporary, bytes, mode); !written) {
    static_cast<void>(files.remove(temporary));  // best effort: what failed first is what the caller hears
    return written;
  }
  if (Result<> renamed = files.rename(temporary, path); !renamed) {
    static_cast<void>(files.remove(temporary));
    return renamed;
  }
  const Result<UniqueFd> folder = files.open(folder_of(path), O_RDONLY | O_DIRECTORY, 0);
  if (!folder) return folder.error();
  return files.sync(folder->get());
}

}  // namespace lunaris::runtime
