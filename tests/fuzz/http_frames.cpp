// What a client sends after an upgrade. The first byte is the size of the pieces in which it comes: whatever it is, the messages are the same.
#include "http/frames.hpp"

#include <algorithm>
#include <vector>

#include "harness.hpp"
#include "text/text.hpp"

namespace {

using Came = http::MessageReader::Came;

std::vector<std::string> read(std::string_view in, size_t piece) {
  std::vector<std::string> seen;
  http::MessageReader reader;
  while (!in.empty()) {
    std::string_view part = in.substr(0, piece);
    in.remove_prefix(part.size());
    while (!part.empty()) {
      const size_t before = part.size();
      const Came came = reader.take(part);
      SVM_INVARIANT(part.size() < before);
      if (came == Came::nothing_yet) continue;
      seen.push_back(std::string(1, static_cast<char>(came)) + (came == Came::text || came == Came::binary || came == Came::ping ? reader.payload() : std::to_string(reader.code())));
      SVM_INVARIANT(came != Came::text || text::is_utf8(reader.payload()));
      SVM_INVARIANT(seen.back().size() <= 1 + http::kMaxMessageBytes);
      if (came == Came::close || came == Came::broken) return seen;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = std::max<size_t>(data[0], 1);
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  SVM_INVARIANT(read(in, piece) == read(in, in.size() + 1));
  return 0;
}
