// The last bytes that commands wrote: bounded, in order of arrival, each byte knowing which output it came from.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "protocol/frame.hpp"

namespace svm::agent {

inline constexpr size_t kRingStartBytes = 4 * 1024;      // what a ring takes with its first byte; it doubles from there
inline constexpr size_t kConsoleBytes = 64 * 1024;       // of everything a sandbox's commands wrote
inline constexpr size_t kRingTotalBytes = 32 * 1024 * 1024;  // all rings of a sandbox; beyond it none grows past kRingStartBytes

/// What all rings of an agent share.
struct RingBudget {
  size_t used = 0;
  size_t most = kRingTotalBytes;
};

/// Positions count every byte that was ever appended, from 0. Pure: no I/O.
class Ring {
 public:
  Ring(RingBudget& budget, size_t capacity) noexcept : budget_(budget), capacity_(capacity) {}
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// `kind`: out or err. Beyond the capacity, or a smaller size that the budget allows, the oldest bytes go.
  void append(protocol::DataKind kind, std::string_view bytes);
  /// The first position that is still there, and the one after the last. The bytes before begin() are lost.
  uint64_t begin() const noexcept { return end_ - held_; }
  uint64_t end() const noexcept { return end_; }
  size_t capacity() const noexcept { return capacity_; }

  /// Copies bytes of one kind from `position` (begin() to end()) on, as many as there are in a row and `room` takes. 0: at the end.
  size_t read(uint64_t position, char* to, size_t room, protocol::DataKind& kind) const noexcept;
  /// The position of the `lines`-th line from the end, or begin(). A last line without a line feed counts.
  uint64_t last_lines(uint64_t lines) const noexcept;

 private:
  void grow(size_t wanted);
  bool is_err(size_t index) const noexcept { return errs_ && (errs_[index / 64] >> (index % 64) & 1); }
  void mark(size_t index, size_t size, bool err) noexcept;
  size_t run(size_t index, size_t most) const noexcept;
  static size_t words(size_t size) noexcept { return (size + 63) / 64; }

  RingBudget& budget_;
  const size_t capacity_;
  size_t size_ = 0, held_ = 0;  // allocated; of it in use
  uint64_t end_ = 0;
  std::unique_ptr<char[]> bytes_;       // a position's byte is at position % size_
  std::unique_ptr<uint64_t[]> errs_;    // a bit for each byte: it is err. None until one is
};

}  // namespace svm::agent
