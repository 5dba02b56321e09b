// The file back end: a file or a block device, read and written through the worker's ring.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <string>
#include <vector>

#include "backends/file/file_state.h"
#include "backends/registry.h"

namespace lunaris::backends {

class FileDevice final : public BlockDevice {
 public:
  explicit FileDevice(std::unique_ptr<FileState> state) : state_(std::move(state)) {}

  const Geometry& geometry() const noexcept override { return state_->geometry; }
  /// not_supported on a worker without a ring; gone when the file cannot be opened once more.
  Result<std::unique_ptr<BlockChannel>> open_channel(runtime::Worker& worker) override;
  /// A file grows. A block device must have grown already; its new size is taken over.
  Result<> resize(std::uint64_t size_bytes) override;
  std::uint64_t allocated_bytes() const override;

 private:
  std::unique_ptr<FileState> state_;
};

[[nodiscard]] std::vector<OptionProblem> check_file(const boost::json::object& options);
Result<std::unique_ptr<BlockDevice>> open_file(const OpenRequest& request, const boost::json::object& options,
                                               std::string& reason);

/// What an errno means for a read, a write or a change of the file's layout.
[[nodiscard]] BackendError read_error(int error) noexcept;
[[nodiscard]] BackendError write_error(int error) noexcept;

/// Bytes of the file or block device behind `fd`; blocking.
[[nodiscard]] Result<std::uint64_t> size_of_file(int fd, bool is_block_device) noexcept;

}  // namespace lunaris::backends
