// Table: rows of text in aligned columns, for people.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace lunaris::cli {

using Row = std::vector<std::string>;

/// The heading and the rows, each column as wide as its widest cell; nothing when there are no rows.
void print_table(std::ostream& out, const Row& heading, const std::vector<Row>& rows);

}  // namespace lunaris::cli
