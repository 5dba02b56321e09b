// Prints aligned columns.
#include "server/cli/table.h"

#include <algorithm>

namespace lunaris::cli {

void print_table(std::ostream& out, const Row& heading, const std::vector<Row>& rows) {
  if (rows.empty()) return;
  std::vector<std::size_t> widths;
  for (std::size_t column = 0; column < heading.size(); ++column) {
    std::size_t width = heading[column].size();
    for (const Row& row : rows) width = std::max(width, row[column].size());
    widths.push_back(width);
  }
  const auto print = [&](const Row& row) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      line += row[column];
      if (column + 1 < row.size()) line.append(widths[column] - row[column].size() + 2, ' ');
    }
    out << line << "\n";
  };
  print(heading);
  for (const Row& row : rows) print(row);
}

}  // namespace lunaris::cli
