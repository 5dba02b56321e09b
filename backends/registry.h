// The back-end table: what kinds of device and filter there are and how each is opened from its JSON options.
#pragma once

#include <boost/json/object.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/block_device.h"

namespace lunaris::backends {

/// One thing wrong with the options of a back end: where (a JSON pointer below the options object) and what to do.
struct OptionProblem {
  std::string pointer;
  std::string detail;
};

/// What a volume asks of its back end, beside the back end's own options.
struct OpenRequest {
  std::string name{};            // the volume's, for messages
  std::uint64_t size_bytes = 0;  // 0: whatever is there
  bool read_only = false;
  bool create = false;        // may make what does not exist yet
  std::string data_folder{};  // relative paths start here
};

/// A row of the table. `check` is pure (no file is touched): all problems at once. `open` blocks; management thread.
struct BackendKind {
  std::string_view name;
  std::string_view summary;
  std::vector<OptionProblem> (*check)(const boost::json::object& options);
  Result<std::unique_ptr<BlockDevice>> (*open)(const OpenRequest& request, const boost::json::object& options,
                                               std::string& reason);
  /// What is written can be read back. Only a device for measurements says no.
  bool keeps_data = true;
  /// Options that work as they stand with `create` in an empty data folder: the document's sample, and what the
  /// contract test opens.
  std::string_view example;
};

/// A filter stands before a device and passes calls on.
struct FilterKind {
  std::string_view name;
  std::string_view summary;
  std::vector<OptionProblem> (*check)(const boost::json::object& options);
  std::unique_ptr<BlockDevice> (*stack)(std::unique_ptr<BlockDevice> below, const boost::json::object& options);
  /// Options that change nothing about the results: the contract test stacks every filter with them.
  std::string_view example;
};

/// At most this many filters on one device: each costs a frame per call, and nobody needs more.
inline constexpr std::size_t filters_max = 8;

[[nodiscard]] std::span<const BackendKind> backend_kinds() noexcept;
[[nodiscard]] std::span<const FilterKind> filter_kinds() noexcept;

/// Checks {"type": KIND, ...options, "filters": [{"type": FILTER, ...}]} as the configuration has it.
[[nodiscard]] std::vector<OptionProblem> check_backend(const boost::json::object& backend);

/// Opens it, filters stacked in order (the first stands next to the device), the whole wrapped by CheckedDevice. On
/// failure `reason` says in one sentence what is wrong and what to do.
Result<std::unique_ptr<BlockDevice>> open_backend(const OpenRequest& request, const boost::json::object& backend,
                                                  std::string& reason);

}  // namespace lunaris::backends
