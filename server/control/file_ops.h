// FileOps: the file operations that durable state needs, as a parameter: PosixFileOps in the server, a disk that fails
// or loses power at any step in tests. Blocking; management thread only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/runtime/result.h"

namespace lunaris::control {

class FileOps {
 public:
  virtual ~FileOps() = default;

  /// The whole file; at most `bytes_max`, else EFBIG. ENOENT when there is none.
  virtual runtime::Result<std::string> read(const std::string& path, std::size_t bytes_max) = 0;
  /// Makes or empties the file, for the owner only (0600), opens it for writing.
  virtual runtime::Result<int> create(const std::string& path) = 0;
  /// All of `bytes`.
  virtual runtime::Result<> write(int file, std::string_view bytes) = 0;
  virtual runtime::Result<> sync(int file) = 0;
  virtual void close(int file) noexcept = 0;
  virtual runtime::Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual runtime::Result<> remove(const std::string& path) = 0;
  /// What was created, renamed and removed in the folder survives a power cut afterwards.
  virtual runtime::Result<> sync_folder(const std::string& path) = 0;
  /// With its parents; no error when it is there.
  virtual runtime::Result<> make_folder(const std::string& path) = 0;
  /// Names of the entries, without . and .., in any order.
  virtual runtime::Result<std::vector<std::string>> list(const std::string& path) = 0;
};

class PosixFileOps final : public FileOps {
 public:
  runtime::Result<std::string> read(const std::string& path, std::size_t bytes_max) override;
  runtime::Result<int> create(const std::string& path) override;
  runtime::Result<> write(int file, std::string_view bytes) override;
  runtime::Result<> sync(int file) override;
  void close(int file) noexcept override;
  runtime::Result<> rename(const std::string& from, const std::string& to) override;
  runtime::Result<> remove(const std::string& path) override;
  runtime::Result<> sync_folder(const std::string& path) override;
  runtime::Result<> make_folder(const std::string& path) override;
  runtime::Result<std::vector<std::string>> list(const std::string& path) override;
};

/// Keeps a second lunaris away from a folder: an advisory lock on a file in it, held until destruction.
class FolderLock {
 public:
  /// Takes the lock; throws std::runtime_error in words when another process has it. At start-up only.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int file_ = -1;
};

}  // namespace lunaris::control
