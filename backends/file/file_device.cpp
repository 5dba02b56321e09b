// What the management thread does with an open file, and the meaning of errno.
#include "backends/file/file_device.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "backends/checked_device.h"
#include "backends/file/file_channel.h"
#include "server/runtime/worker.h"

namespace lunaris::backends {

BackendError read_error(int error) noexcept {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
      return BackendError::out_of_memory;
    case EBADF:
    case ENODEV:
    case ENXIO:
    case ESHUTDOWN:
    case ESTALE:
      return BackendError::gone;
    case ETIMEDOUT:
      return BackendError::timed_out;
    case EOPNOTSUPP:
      return BackendError::not_supported;
    default:
      return BackendError::read_failed;
  }
}

BackendError write_error(int error) noexcept {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return BackendError::out_of_space;  // EFBIG: the file system's limit, or RLIMIT_FSIZE
    case EPERM:
    case EROFS:
      return BackendError::read_only;
    default: {
      const BackendError general = read_error(error);
      return general == BackendError::read_failed ? BackendError::write_failed : general;
    }
  }
}

Result<std::uint64_t> size_of_file(int fd, bool is_block_device) noexcept {
  if (is_block_device) {
    std::uint64_t size = 0;
    if (::ioctl(fd, BLKGETSIZE64, &size) != 0) return make_error_code(read_error(errno));
    return size;
  }
  struct stat facts{};
  if (::fstat(fd, &facts) != 0) return make_error_code(read_error(errno));
  return static_cast<std::uint64_t>(facts.st_size);
}

namespace {

/// The same file once more. Each channel has a descriptor of its own because the kernel reports a lost write once per
/// open file: on a shared one, another worker's flush could succeed after this one's had taken the report.
runtime::UniqueFd reopen(const FileState& state) {
  const std::string self = "/proc/self/fd/" + std::to_string(state.fd.get());
  const int flags = (state.geometry.read_only ? O_RDONLY : O_RDWR) | (state.direct_io ? O_DIRECT : 0) | O_CLOEXEC;
  runtime::UniqueFd fd(::open(self.c_str(), flags));
  // Where there is no /proc, or rights were dropped after the file was opened.
  if (!fd) fd = runtime::UniqueFd(::fcntl(state.fd.get(), F_DUPFD_CLOEXEC, 0));
  return fd;
}

}  // namespace

Result<std::unique_ptr<BlockChannel>> FileDevice::open_channel(runtime::Worker& worker) {
  if (worker.loop().ring() == nullptr) return make_error_code(BackendError::not_supported);
  runtime::UniqueFd fd = reopen(*state_);
  if (!fd) return make_error_code(BackendError::gone);
  return std::unique_ptr<BlockChannel>(std::make_unique<FileChannel>(*state_, std::move(fd), worker));
}

Result<> FileDevice::resize(std::uint64_t size_bytes) {
  const int fd = state_->fd.get();
  const Result<std::uint64_t> size = size_of_file(fd, state_->is_block_device);
  if (size.has_error()) return size.error();
  if (state_->is_block_device) {
    if (*size < size_bytes) return make_error_code(BackendError::out_of_range);
  } else {
    if (*size < size_bytes && ::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0) {
      return make_error_code(write_error(errno));
    }
    if (state_->allocation == Allocation::full && ::fallocate(fd, 0, 0, static_cast<off_t>(size_bytes)) != 0) {
      const int error = errno;
      // Nobody has been told of the new size yet. Should this fail as well, the file is longer than the volume.
      static_cast<void>(::ftruncate(fd, static_cast<off_t>(*size)));
      return make_error_code(write_error(error));
    }
    if (::fsync(fd) != 0) {
      state_->flush_failed.store(true, std::memory_order_relaxed);
      return make_error_code(BackendError::flush_failed);
    }
  }
  set_size(state_->geometry, size_bytes);
  return {};
}

std::uint64_t FileDevice::allocated_bytes() const {
  struct stat facts{};
  if (state_->is_block_device || ::fstat(state_->fd.get(), &facts) != 0) return size_now(state_->geometry);
  constexpr std::uint64_t stat_block_bytes = 512;  // stat(2): st_blocks counts these, whatever the file system's are
  return static_cast<std::uint64_t>(facts.st_blocks) * stat_block_bytes;
}

}  // namespace lunaris::backends
