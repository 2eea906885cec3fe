// Finding and replacing a text in bytes that come in pieces. Pure: no files.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::agent {

/// The lines that hold a text. Feed a piece, take lines until there are none, feed the next one.
class LineSearch {
 public:
  /// `text`: literal, not empty, no newline.
  explicit LineSearch(std::string text) : text_(std::move(text)) {}

  struct Line {
    uint64_t number = 0;  // from 1
    std::string head;     // its first protocol::kMaxMatchBytes bytes, without the newline
  };
  /// `bytes` must live until next() has answered false.
  void feed(std::string_view bytes) noexcept { rest_ = bytes; }
  /// No more bytes: what is left is a line, too.
  void end() noexcept { ended_ = true; }
  /// The next line that holds the text; false: none in what was fed.
  bool next(Line& out);

 private:
  void take(std::string_view piece);
  void start_line() noexcept;

  std::string text_;
  std::string_view rest_;
  uint64_t number_ = 1;
  std::string head_;  // of the line that has not ended
  std::string tail_;  // its last bytes, too few to hold the text
  bool found_ = false, begun_ = false, ended_ = false;
};

/// Puts one text in the place of another wherever it is found, from left to right and not in what was put there.
class Replacer {
 public:
  /// `text`: literal, not empty.
  Replacer(std::string text, std::string replacement) : text_(std::move(text)), replacement_(std::move(replacement)) {}

  /// Only after next() has answered false.
  void feed(std::string_view bytes);
  void end() noexcept { ended_ = true; }
  /// Appends to `out` what is certain, stopping soon after `most` bytes of it; false: it wants more bytes, or, after end(), has no more.
  bool next(std::string& out, size_t most);
  uint64_t count() const noexcept { return count_; }

 private:
  std::string text_, replacement_, bytes_;
  size_t at_ = 0;  // what is before it has gone out
  uint64_t count_ = 0;
  bool ended_ = false;
};

}  // namespace svm::agent
