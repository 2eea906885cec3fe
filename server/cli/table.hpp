// Columns for people. Pure.
#pragma once
#include <string>
#include <vector>

namespace cli {

class Table {
 public:
  explicit Table(std::vector<std::string> titles) { row(std::move(titles)); }
  /// As many cells as there are titles; they are made printable here, and an empty one becomes "-".
  void row(std::vector<std::string> cells);
  /// A line each, without blanks at the end.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cli
