#include "agent/search_text.hpp"

#include <algorithm>

#include "protocol/message.hpp"

namespace svm::agent {

bool LineSearch::next(Line& out) {
  for (;;) {
    if (rest_.empty() && !(ended_ && begun_)) return false;
    const size_t newline = rest_.find('\n');
    take(rest_.substr(0, newline));
    if (newline == rest_.npos) {
      rest_ = {};
      if (!ended_) return false;
    } else {
      rest_.remove_prefix(newline + 1);
    }
    const bool found = found_;
    if (found) out = {number_, std::move(head_)};
    start_line();
    if (found) return true;
  }
}

void LineSearch::take(std::string_view piece) {
  begun_ = true;
  if (head_.size() < protocol::kMaxMatchBytes) head_ += piece.substr(0, protocol::kMaxMatchBytes - head_.size());
  if (found_) return;
  const size_t overlap = text_.size() - 1;
  // What began in an earlier piece; then what is whole in this one.
  if (!tail_.empty()) found_ = (tail_ + std::string(piece.substr(0, overlap))).find(text_) != std::string::npos;
  if (!found_) found_ = piece.find(text_) != piece.npos;
  if (piece.size() >= overlap) tail_ = piece.substr(piece.size() - overlap);
  else tail_ = (tail_ + std::string(piece)).substr(tail_.size() + piece.size() - std::min(tail_.size() + piece.size(), overlap));
}

void LineSearch::start_line() noexcept {
  ++number_;
  head_.clear();
  tail_.clear();
  found_ = begun_ = false;
}

void Replacer::feed(std::string_view bytes) {
  bytes_.erase(0, at_);
  at_ = 0;
  bytes_ += bytes;
}

bool Replacer::next(std::string& out, size_t most) {
  const size_t stop = out.size() + most;
  while (out.size() < stop) {
    const size_t found = bytes_.find(text_, at_);
    if (found == bytes_.npos) {
      // The last bytes may be the beginning of one.
      const size_t certain = ended_ ? bytes_.size() : std::max(at_, bytes_.size() - std::min(bytes_.size(), text_.size() - 1));
      out.append(bytes_, at_, certain - at_);
      at_ = certain;
      return false;
    }
    out.append(bytes_, at_, found - at_);
    out += replacement_;
    at_ = found + text_.size();
    ++count_;
  }
  return true;
}

}  // namespace svm::agent
