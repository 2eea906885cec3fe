// Lines that hold a text, and replacing it: whatever the pieces, as if all had come at once. The first line is the text; the first byte the
// size of the pieces.
#include "agent/search_text.hpp"

#include <algorithm>
#include <vector>

#include "harness.hpp"
#include "protocol/message.hpp"

using namespace svm::agent;

namespace {

template <class Each>
void in_pieces(std::string_view bytes, size_t size, Each each) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) each(bytes.substr(0, size));
}

void check_lines(const std::string& text, std::string_view bytes, size_t piece) {
  std::vector<LineSearch::Line> expected;
  uint64_t number = 0;
  for (std::string_view rest = bytes; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    ++number;
    if (line.find(text) != line.npos) expected.push_back({number, std::string(line.substr(0, svm::protocol::kMaxMatchBytes))});
  }
  size_t got = 0;
  LineSearch search(text);
  LineSearch::Line line;
  const auto take = [&] {
    while (search.next(line)) {
      SVM_INVARIANT(got < expected.size() && line.number == expected[got].number && line.head == expected[got].head);
      ++got;
    }
  };
  in_pieces(bytes, piece, [&](std::string_view part) {
    search.feed(part);
    take();
  });
  search.end();
  take();
  SVM_INVARIANT(got == expected.size());
}

void check_replacing(const std::string& text, const std::string& replacement, std::string_view bytes, size_t piece) {
  std::string expected;
  uint64_t count = 0;
  for (size_t at = 0;;) {
    const size_t found = bytes.find(text, at);
    expected += bytes.substr(at, found == bytes.npos ? found : found - at);
    if (found == bytes.npos) break;
    expected += replacement;
    at = found + text.size();
    ++count;
  }
  Replacer replacer(text, replacement);
  std::string out;
  const auto take = [&] {
    while (replacer.next(out, piece)) {
    }
  };
  in_pieces(bytes, piece, [&](std::string_view part) {
    replacer.feed(part);
    take();
  });
  replacer.end();
  take();
  SVM_INVARIANT(out == expected && replacer.count() == count);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view in = svm::fuzz::text(data + 1, std::min<size_t>(size - 1, 4096));
  const size_t end = in.find('\n');
  if (end == in.npos || end == 0 || end > svm::protocol::kMaxSearchBytes) return 0;
  const std::string text(in.substr(0, end));
  const size_t piece = std::max<size_t>(data[0], 1);
  check_lines(text, in.substr(end + 1), piece);
  check_replacing(text, text + text.substr(0, text.size() / 2), in.substr(end + 1), piece);
  check_replacing(text, "", in.substr(end + 1), piece);
  return 0;
}
