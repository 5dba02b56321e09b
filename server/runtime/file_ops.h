// FileOps: the file system as a parameter, for configuration, persistent reservations and back ends. SystemFileOps is
// the real one; tests pass one that fails at the step they choose.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/runtime/result.h"
#include "server/runtime/unique_fd.h"

namespace lunaris::runtime {

struct FileStatus {
  std::uint64_t size_bytes = 0;
  std::uint64_t allocated_bytes = 0;
  bool is_regular = false;
  bool is_folder = false;
  bool is_block_device = false;
  unsigned mode = 0;  // permission bits
};

/// Every call blocks: at start, on the management thread or on a BlockingPool. Errors are errno values.
class FileOps {
 public:
  virtual ~FileOps() = default;

  /// open(2); O_CLOEXEC is added.
  virtual Result<UniqueFd> open(const std::string& path, int flags, unsigned mode) = 0;
  virtual Result<FileStatus> status(int fd) = 0;
  virtual Result<FileStatus> status(const std::string& path) = 0;
  /// All of `bytes`, at the descriptor's position.
  virtual Result<> write(int fd, std::string_view bytes) = 0;
  /// From the descriptor's position to the end of the file; EFBIG when that is more than `size_max`.
  virtual Result<std::string> read(int fd, std::size_t size_max) = 0;
  virtual Result<> sync(int fd) = 0;
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& path) = 0;
  virtual Result<> make_folder(const std::string& path, unsigned mode) = 0;
  /// Names in a folder, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;
};

class SystemFileOps final : public FileOps {
 public:
  Result<UniqueFd> open(const std::string& path, int flags, unsigned mode) override;
  Result<FileStatus> status(int fd) override;
  Result<FileStatus> status(const std::string& path) override;
  Result<> write(int fd, std::string_view bytes) override;
  Result<std::string> read(int fd, std::size_t size_max) override;
  Result<> sync(int fd) override;
  Result<> rename(const std::string& from, const std::string& to) override;
  Result<> remove(const std::string& path) override;
  Result<> make_folder(const std::string& path, unsigned mode) override;
  Result<std::vector<std::string>> list(const std::string& folder) override;
};

/// Reads a whole file of at most `size_max` bytes.
[[nodiscard]] Result<std::string> read_file(FileOps& files, const std::string& path, std::size_t size_max);

/// Replaces `path` by `bytes` so that after a crash at any point the old content or the new one is there, and after
/// success the new one: a temporary file beside it, fsync, rename, fsync of the folder. A failure before the rename
/// leaves the old content; one of the folder's fsync is reported although the new content is already in place.
[[nodiscard]] Result<> write_file_durably(FileOps& files, const std::string& path, std::string_view bytes,
                                          unsigned mode = 0600);

}  // namespace lunaris::runtime
