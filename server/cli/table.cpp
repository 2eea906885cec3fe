#include "table.hpp"

#include <algorithm>

#include "printable.hpp"

namespace cli {

void Table::row(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = cell.empty() ? "-" : printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  constexpr size_t kGap = 2;
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], characters(row[i]));
  std::string out;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - characters(row[i]) + kGap, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace cli
