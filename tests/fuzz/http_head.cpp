// What a client sends: a head and what follows it. The first byte is the size of the pieces in which a chunked body comes: whatever it is, the content is
// the same. What is accepted leaves no room for a second reading.
#include "http/head.hpp"

#include <algorithm>

#include "harness.hpp"
#include "http/ranges.hpp"
#include "serve/routes.hpp"

namespace {

struct Content {
  std::string bytes;
  size_t used = 0;
  bool ended = false, malformed = false;
  bool operator==(const Content&) const = default;
};

Content unchunked(std::string_view in, size_t piece_size) {
  Content content;
  http::ChunkDecoder decoder;
  while (!in.empty() && !decoder.ended() && !decoder.malformed()) {
    const std::string_view piece = in.substr(0, piece_size);
    const size_t used = decoder.feed(piece, content.bytes);
    SVM_INVARIANT(used <= piece.size() && (used == piece.size() || decoder.ended() || decoder.malformed()));
    content.used += used;
    in.remove_prefix(piece.size());
  }
  content.ended = decoder.ended();
  content.malformed = decoder.malformed();
  SVM_INVARIANT(!content.ended || !content.malformed);
  SVM_INVARIANT(content.bytes.size() <= content.used);
  return content;
}

void check_ranges(std::string_view field) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{10}, ~uint64_t{0}})
    for (const auto& [first, last] : http::parse_ranges(field, size).value_or(std::vector<http::Range>())) SVM_INVARIANT(first <= last && last < size);
}

void check_target(std::string_view head) {
  const size_t start = head.find(' ') + 1;
  const std::string_view method = head.substr(0, start - 1), target = head.substr(start, head.find(' ', start) - start);
  SVM_INVARIANT(!target.empty() && target.size() <= http::kMaxTargetBytes);
  const serve::Match match = serve::find_route(method, target.substr(0, target.find('?')));
  SVM_INVARIANT(match.route || match.pairs.empty());
  for (const auto& [name, value] : match.pairs) SVM_INVARIANT(match.malformed || (!value.empty() && value.find('\0') == value.npos));
  std::string decoded;
  if (!http::percent_decode(target, true, decoded)) return;
  SVM_INVARIANT(decoded.size() <= target.size() && decoded.find('\0') == decoded.npos);
}

void check_head(std::string_view bytes) {
  http::Head head;
  if (http::check_head(bytes, head)) return;
  SVM_INVARIANT(bytes.ends_with("\r\n\r\n") && http::find_head_end(bytes) == bytes.size());
  SVM_INVARIANT(bytes.find('\0') == bytes.npos);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] == '\r') SVM_INVARIANT(i + 1 < bytes.size() && bytes[i + 1] == '\n');
    if (bytes[i] == '\n') SVM_INVARIANT(i > 0 && bytes[i - 1] == '\r');
  }
  SVM_INVARIANT(bytes.find("\r\n ") == bytes.npos && bytes.find("\r\n\t") == bytes.npos);
  SVM_INVARIANT(head.length == 0 || head.framing == http::Framing::length);
  SVM_INVARIANT(head.length < 1'000'000'000'000'000'000u);
  check_target(bytes);
  for (const auto& [name, value] : http::fields_of(bytes)) {
    SVM_INVARIANT(!name.empty() && name.find_first_of(": \t\r\n") == name.npos && value == http::trimmed(value) && value.find_first_of("\r\n") == value.npos);
    check_ranges(value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = std::max<size_t>(data[0], 1);
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  const size_t end = http::find_head_end(in);
  check_head(in.substr(0, end == 0 ? in.size() : end));
  const std::string_view body = in.substr(end);
  SVM_INVARIANT(unchunked(body, piece) == unchunked(body, body.size() + 1));
  return 0;
}
