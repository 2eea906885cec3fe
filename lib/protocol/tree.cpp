#include "protocol/tree.hpp"

#include <algorithm>

#include "core/bytes.hpp"
#include "protocol/fields.hpp"

namespace svm::protocol {
namespace {

constexpr size_t kSizeBytes = sizeof(uint32_t);
constexpr uint32_t kMaxTreeMode = 07777;

template <class V>
void fields(V& v, typename V::template Of<TreeEntry>& s) {
  v.choice(s.type, TreeType::chmod);
  v.text(s.path, 1, kMaxPathBytes);
  v.text(s.target, 0, kMaxPathBytes);
  v.range(s.mode, uint32_t{0}, kMaxTreeMode);
  v.range(s.size, uint64_t{0}, kMaxTreeFile);
  v.number(s.mtime_ns);
  v.number(s.uid);
  v.number(s.gid);
  v.require([&] {
    if (!is_tree_path(s.path) || (s.size != 0 && s.type != TreeType::file)) return false;
    switch (s.type) {
      case TreeType::symlink: return !s.target.empty();
      case TreeType::hardlink: return is_tree_path(s.target);
      default: return s.target.empty();
    }
  });
}

}  // namespace

bool is_tree_path(std::string_view path) noexcept {
  if (path.empty() || path.size() > kMaxPathBytes || path.find('\0') != std::string_view::npos) return false;
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, slash - at);
    if (name.empty() || name == "." || name == ".." || name.size() > kMaxTreeComponent) return false;
    at = slash + 1;
  }
  return true;
}

void encode(std::string& out, const TreeEntry& entry) {
  const size_t at = out.size();
  ByteWriter(out).u32(0);
  FieldWriter writer(out);
  fields(writer, entry);
  std::string size;
  ByteWriter(size).u32(static_cast<uint32_t>(out.size() - at - kSizeBytes));
  out.replace(at, kSizeBytes, size);
}

TreeParser::Item TreeParser::next(std::string_view& in, TreeEntry& entry, std::string_view& content) {
  if (in.empty()) return Item::need_more;
  if (content_left_ > 0) {
    content = in.substr(0, static_cast<size_t>(std::min<uint64_t>(content_left_, in.size())));
    in.remove_prefix(content.size());
    content_left_ -= content.size();
    return Item::content;
  }
  const auto take = [&](size_t size) {  // until header_ has that many
    const size_t n = std::min(size - header_.size(), in.size());
    header_ += in.substr(0, n);
    in.remove_prefix(n);
    return header_.size() == size;
  };
  if (header_.size() < kSizeBytes && !take(kSizeBytes)) return Item::need_more;
  const uint32_t size = ByteReader(std::string_view(header_).substr(0, kSizeBytes)).u32();
  if (size == 0 || size > kMaxTreeHeader) return Item::malformed;
  if (!take(kSizeBytes + size)) return Item::need_more;
  FieldReader reader(std::string_view(header_).substr(kSizeBytes));
  fields(reader, entry);
  if (!reader.done()) return Item::malformed;
  header_.clear();
  content_left_ = entry.size;
  return Item::entry;
}

}  // namespace svm::protocol
