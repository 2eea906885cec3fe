#include "agent/ring.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace svm::agent {

Ring::~Ring() { budget_.used -= size_; }

void Ring::append(protocol::DataKind kind, std::string_view bytes) {
  if (bytes.empty() || capacity_ == 0) {
    end_ += bytes.size();
    return;
  }
  if (size_ < capacity_ && held_ + bytes.size() > size_) grow(held_ + bytes.size());
  if (bytes.size() > size_) {
    end_ += bytes.size() - size_;
    bytes.remove_prefix(bytes.size() - size_);
  }
  const bool err = kind == protocol::DataKind::err;
  if (err && !errs_) errs_ = std::make_unique<uint64_t[]>(words(size_));
  const size_t index = static_cast<size_t>(end_ % size_);
  const size_t first = std::min(bytes.size(), size_ - index);
  std::memcpy(bytes_.get() + index, bytes.data(), first);
  std::memcpy(bytes_.get(), bytes.data() + first, bytes.size() - first);
  mark(index, first, err);
  mark(0, bytes.size() - first, err);
  end_ += bytes.size();
  held_ = std::min(size_, held_ + bytes.size());
}

void Ring::grow(size_t wanted) {
  size_t size = std::max(size_, std::min(kRingStartBytes, capacity_));
  while (size < wanted && size < capacity_) size = std::min(size * 2, capacity_);
  const size_t others = budget_.used - size_;
  if (others + size > budget_.most) {
    if (size_ > 0) return;
    size = std::min(kRingStartBytes, capacity_);  // a few last words are always kept
  }
  std::unique_ptr<char[]> bytes(new char[size]);
  std::unique_ptr<uint64_t[]> errs = errs_ ? std::make_unique<uint64_t[]>(words(size)) : nullptr;
  // Every byte moves to where its position belongs now.
  errs.swap(errs_);
  bytes.swap(bytes_);
  for (uint64_t at = begin(); at < end_;) {
    const auto from = static_cast<size_t>(at % size_), to = static_cast<size_t>(at % size);
    const size_t piece = std::min({static_cast<size_t>(end_ - at), size_ - from, size - to});
    std::memcpy(bytes_.get() + to, bytes.get() + from, piece);
    if (errs)
      for (size_t i = 0; i < piece; ++i)
        if (errs[(from + i) / 64] >> ((from + i) % 64) & 1) mark(to + i, 1, true);
    at += piece;
  }
  budget_.used = others + size;
  size_ = size;
}

void Ring::mark(size_t index, size_t size, bool err) noexcept {
  if (!errs_) return;
  while (size > 0) {
    const size_t bit = index % 64, count = std::min(size, 64 - bit);
    const uint64_t mask = (count == 64 ? ~0ull : (1ull << count) - 1) << bit;
    if (err)
      errs_[index / 64] |= mask;
    else
      errs_[index / 64] &= ~mask;
    index += count;
    size -= count;
  }
}

/// How many bytes from `index` on, at most `most` and not around the end, are of one kind.
size_t Ring::run(size_t index, size_t most) const noexcept {
  most = std::min(most, size_ - index);
  if (!errs_) return most;
  const bool err = is_err(index);
  for (size_t done = 0; done < most;) {
    const size_t bit = (index + done) % 64;
    uint64_t word = errs_[(index + done) / 64] >> bit;
    if (err) word = ~word;  // ones where the kind changes; what was shifted in is beyond the word
    const size_t same = std::min<size_t>(static_cast<size_t>(std::countr_zero(word)), 64 - bit);
    done += same;
    if (same < 64 - bit) return std::min(done, most);
  }
  return most;
}

size_t Ring::read(uint64_t position, char* to, size_t room, protocol::DataKind& kind) const noexcept {
  const size_t there = position < begin() || position > end_ ? 0 : static_cast<size_t>(end_ - position);
  size_t done = 0;
  const size_t most = std::min(there, room);
  while (done < most) {
    const auto index = static_cast<size_t>((position + done) % size_);
    const protocol::DataKind here = is_err(index) ? protocol::DataKind::err : protocol::DataKind::out;
    if (done == 0)
      kind = here;
    else if (here != kind)
      break;
    const size_t piece = run(index, most - done);
    std::memcpy(to + done, bytes_.get() + index, piece);
    done += piece;
    if (index + piece < size_) break;  // the kind changes here, or all is read
  }
  return done;
}

uint64_t Ring::last_lines(uint64_t lines) const noexcept {
  if (lines == 0) return end_;
  uint64_t at = end_;
  while (at > begin()) {
    const char byte = bytes_[static_cast<size_t>((at - 1) % size_)];
    if (byte == '\n' && at != end_ && --lines == 0) return at;
    --at;
  }
  return at;
}

}  // namespace svm::agent
