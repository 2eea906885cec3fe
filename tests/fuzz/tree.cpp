// A tree of files as both sides read it of the other. The first byte is the size of the pieces it comes in.
#include <algorithm>

#include "harness.hpp"
#include "protocol/tree.hpp"

using namespace svm::protocol;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = std::max<size_t>(data[0], 1);
  const std::string_view all = svm::fuzz::text(data + 1, size - 1);
  TreeParser parser;
  std::string again;
  uint64_t content_owed = 0;
  for (size_t at = 0; at < all.size(); at += piece) {
    std::string_view in = all.substr(at, piece);
    for (;;) {
      TreeEntry entry;
      std::string_view content;
      const TreeParser::Item item = parser.next(in, entry, content);
      if (item == TreeParser::Item::malformed) return 0;
      if (item == TreeParser::Item::need_more) break;
      if (item == TreeParser::Item::content) {
        SVM_INVARIANT(!content.empty() && content.size() <= content_owed);
        content_owed -= content.size();
        again += content;
        continue;
      }
      SVM_INVARIANT(content_owed == 0 && is_tree_path(entry.path));
      content_owed = entry.size;
      encode(again, entry);
    }
    SVM_INVARIANT(in.empty() && parser.content_left() == content_owed);
  }
  SVM_INVARIANT(all.starts_with(again));
  SVM_INVARIANT(parser.complete() == (again.size() == all.size() && content_owed == 0));
  return 0;
}
