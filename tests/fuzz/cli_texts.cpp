// What servers, sandboxes and their names put on our terminal: nothing of it acts there.
#include "cli/copy_side.hpp"
#include "cli/printable.hpp"
#include "cli/records.hpp"
#include "cli/table.hpp"
#include "cli/tail.hpp"
#include "harness.hpp"
#include "text.hpp"

#include <algorithm>
#include <stdexcept>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string in(svm::fuzz::text(data, size));
  const std::string shown = cli::printable(in);
  SVM_INVARIANT(text::is_utf8(shown) && cli::printable(shown) == shown);
  SVM_INVARIANT(std::none_of(shown.begin(), shown.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }));
  SVM_INVARIANT(shown.find("\xc2\x9b") == shown.npos && cli::characters(shown) <= shown.size());

  cli::Table table({"A", "B"});
  table.row({in, ""});
  const std::string lines = table.text();
  SVM_INVARIANT(std::count(lines.begin(), lines.end(), '\n') == 2);

  const std::string_view tail = cli::last_lines(in, 3);
  SVM_INVARIANT(in.ends_with(tail) && std::count(tail.begin(), tail.end(), '\n') <= 3);

  try {
    for (const cli::Record& record : cli::records_of(in))
      for (const auto& [name, value] : record) SVM_INVARIANT(cli::member(record, name.c_str()) == value || name.find('\0') != name.npos);
  } catch (const std::runtime_error&) {
  }
  try {
    const cli::CopySide side = cli::parse_side(in);
    SVM_INVARIANT(!side.inside() || side.path.starts_with('/'));
    SVM_INVARIANT(side.leaf() != "." && side.leaf() != ".." && side.leaf().find('/') == std::string_view::npos);
  } catch (const std::invalid_argument&) {
  }
  return 0;
}
