// FakeDisk: a FileOps in memory that fails at the step a test chooses, and knows what a power cut would leave.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "server/runtime/file_ops.h"

namespace lunaris::control::test {

/// One folder level is enough: names are whole paths, "/s" is the folder of "/s/config.json".
class FakeDisk final : public runtime::FileOps {
 public:
  /// The step (counted from 1) that answers `error`, and all after it; 0: none. A step is a call that changes
  /// something.
  unsigned failing_step = 0;
  bool fails_once = false;
  int error = 28;  // ENOSPC
  unsigned steps = 0;

  enum class Survivor {
    everything,  // the process was killed: the kernel writes the rest
    synced,      // power cut: only what was synced
    names_only,  // power cut, unluckier: names reached the disk, contents that were not synced did not
  };
  /// The disk after the end of the process.
  [[nodiscard]] std::unique_ptr<FakeDisk> after(Survivor survivor) const;

  void put(const std::string& path, const std::string& content);
  [[nodiscard]] std::set<std::string> names() const;

  runtime::Result<runtime::UniqueFd> open(const std::string& path, int flags, unsigned mode) override;
  runtime::Result<runtime::FileStatus> status(int fd) override;
  runtime::Result<runtime::FileStatus> status(const std::string& path) override;
  runtime::Result<> write(int fd, std::string_view bytes) override;
  runtime::Result<std::string> read(int fd, std::size_t size_max) override;
  runtime::Result<> sync(int fd) override;
  runtime::Result<> rename(const std::string& from, const std::string& to) override;
  runtime::Result<> remove(const std::string& path) override;
  runtime::Result<> make_folder(const std::string& path, unsigned mode) override;
  runtime::Result<std::vector<std::string>> list(const std::string& folder) override;

 private:
  struct File {
    std::string content;
    std::string synced;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  [[nodiscard]] bool fails();

  Names names_;         // as processes see them
  Names synced_names_;  // as the last sync of the folder left them
  std::map<int, std::string> open_;
  std::set<std::string> folders_;
};

}  // namespace lunaris::control::test
