// THE table of back ends and filters, and the two functions that go through it: check and open.
#include "backends/registry.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "backends/checked_device.h"
#include "backends/file/file_device.h"
#include "backends/filters/delay.h"
#include "backends/filters/fault.h"
#include "backends/memory/memory_device.h"
#include "backends/null/null_device.h"
#include "backends/options.h"

namespace lunaris::backends {

namespace {

constexpr std::array backend_table{
    BackendKind{.name = "file",
                .summary = "a file or a block device",
                .check = check_file,
                .open = open_file,
                .keeps_data = true,
                .example = R"({"type": "file", "path": "example.img"})"},
    BackendKind{.name = "memory",
                .summary = "memory of this process, gone when it ends",
                .check = check_memory,
                .open = open_memory,
                .keeps_data = true,
                .example = R"({"type": "memory"})"},
    BackendKind{.name = "null",
                .summary = "reads zeros, forgets writes; for measurements",
                .check = check_null,
                .open = open_null,
                .keeps_data = false,
                .example = R"({"type": "null"})"},
};

constexpr std::array filter_table{
    FilterKind{.name = "delay",
               .summary = "makes operations take longer",
               .check = check_delay,
               .stack = stack_delay,
               .example = R"({"type": "delay", "ms": 100, "for": ["flush"]})"},
    FilterKind{.name = "fault",
               .summary = "makes operations fail",
               .check = check_fault,
               .stack = stack_fault,
               .example = R"({"type": "fault", "operation": "write", "every": 1, "enabled": false})"},
};

/// The row that object["type"] names; otherwise null, and the problem is told.
template <class Row>
const Row* find_row(const boost::json::object& object, std::span<const Row> table, const std::string& pointer,
                    std::vector<OptionProblem>& problems) {
  std::vector<std::string_view> names;
  for (const Row& row : table) names.push_back(row.name);
  const boost::json::value* type = object.if_contains("type");
  if (type == nullptr) {
    problems.push_back({pointer + "/type", "is missing"});
    return nullptr;
  }
  std::string detail = "must be one of";
  for (const std::string_view name : names) detail += " \"" + std::string(name) + "\"";
  if (const boost::json::string* name = type->if_string()) {
    const auto row = std::ranges::find(table, std::string_view(*name), &Row::name);
    if (row != table.end()) return &*row;
    const std::string_view hint = nearest_name(*name, names);
    if (!hint.empty()) detail += "; did you mean \"" + std::string(hint) + "\"?";
  }
  problems.push_back({pointer + "/type", std::move(detail)});
  return nullptr;
}

void append(std::vector<OptionProblem>& problems, const std::string& prefix, std::vector<OptionProblem> more) {
  for (OptionProblem& problem : more) problems.push_back({prefix + problem.pointer, std::move(problem.detail)});
}

void check_filters(const boost::json::value& filters, std::vector<OptionProblem>& problems) {
  const boost::json::array* list = filters.if_array();
  if (list == nullptr || list->size() > filters_max) {
    problems.push_back({"/filters", "must be a list of at most " + std::to_string(filters_max) + " filters"});
    return;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string pointer = "/filters/" + std::to_string(i);
    const boost::json::object* filter = (*list)[i].if_object();
    if (filter == nullptr) {
      problems.push_back({pointer, "must be an object with a \"type\""});
      continue;
    }
    const FilterKind* kind = find_row(*filter, filter_kinds(), pointer, problems);
    if (kind != nullptr) append(problems, pointer, kind->check(*filter));
  }
}

}  // namespace

std::span<const BackendKind> backend_kinds() noexcept {
  return backend_table;
}
std::span<const FilterKind> filter_kinds() noexcept {
  return filter_table;
}

std::vector<OptionProblem> check_backend(const boost::json::object& backend) {
  std::vector<OptionProblem> problems;
  const BackendKind* kind = find_row(backend, backend_kinds(), "", problems);
  if (kind != nullptr) append(problems, "", kind->check(backend));
  if (const boost::json::value* filters = backend.if_contains("filters")) check_filters(*filters, problems);
  return problems;
}

Result<std::unique_ptr<BlockDevice>> open_backend(const OpenRequest& request, const boost::json::object& backend,
                                                  std::string& reason) {
  std::vector<OptionProblem> problems = check_backend(backend);
  if (!problems.empty()) {
    reason = in_one_line(problems);
    return make_error_code(BackendError::not_supported);
  }
  const BackendKind* kind = find_row(backend, backend_kinds(), "", problems);
  Result<std::unique_ptr<BlockDevice>> opened = kind->open(request, backend, reason);
  if (opened.has_error()) return opened.error();
  std::unique_ptr<BlockDevice> device = std::move(*opened);
  if (const boost::json::value* filters = backend.if_contains("filters")) {
    for (const boost::json::value& filter : filters->get_array()) {
      const FilterKind* row = find_row(filter.get_object(), filter_kinds(), "", problems);
      device = row->stack(std::move(device), filter.get_object());
    }
  }
  return std::unique_ptr<BlockDevice>(std::make_unique<CheckedDevice>(std::move(device)));
}

}  // namespace lunaris::backends
