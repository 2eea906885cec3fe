// A tree of files as bytes: for each entry the size of its header (u32), the header, and a file's content. Spoken both ways in
// DATA(bytes), so that ten thousand small files cost one stream and no round trips. Pure code: no I/O; fuzzed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::protocol {

enum class TreeType : uint8_t {
  file = 0,
  directory = 1,
  symlink = 2,
  hardlink = 3,   // another name of a file that came before
  chmod = 4,      // the mode of a directory that came before (towards the agent alone)
};

struct TreeEntry {
  TreeType type{};
  std::string path;      // see is_tree_path
  std::string target;    // symlink: its text, not empty; hardlink: the path of a file that came before; otherwise empty
  uint32_t mode = 0;     // within 07777
  uint64_t size = 0;     // bytes that follow; 0 but for a file
  int64_t mtime_ns = 0;
  uint32_t uid = 0, gid = 0;
  bool operator==(const TreeEntry&) const = default;
};

inline constexpr uint32_t kMaxTreeHeader = 9 * 1024;      // bytes: two paths and the numbers
inline constexpr uint64_t kMaxTreeFile = 1ull << 60;      // bytes of one file
inline constexpr size_t kMaxTreeComponent = 255;          // NAME_MAX

/// Whether it names something below a directory and nothing else: at most kMaxPathBytes, components of 1 to 255 bytes without NUL, neither
/// "." nor "..", and no slash at either end.
bool is_tree_path(std::string_view path) noexcept;

/// Appends the header with its size. The content is the caller's to send.
void encode(std::string& out, const TreeEntry& entry);

/// Takes the bytes apart as they come, in pieces of any size.
class TreeParser {
 public:
  enum class Item { entry, content, need_more, malformed };
  /// Takes from the front of `in`. entry: `entry` is filled. content: `content` is a piece of the last file's, borrowed from `in`.
  /// need_more: `in` is empty. malformed: there is no going on.
  Item next(std::string_view& in, TreeEntry& entry, std::string_view& content);
  /// Whether the bytes so far are whole entries.
  bool complete() const noexcept { return content_left_ == 0 && header_.empty(); }
  /// Bytes of the current file that are still to come.
  uint64_t content_left() const noexcept { return content_left_; }

 private:
  std::string header_;  // its beginning, size included
  uint64_t content_left_ = 0;
};

}  // namespace svm::protocol
