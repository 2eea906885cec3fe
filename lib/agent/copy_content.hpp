// The bytes of one regular file on their way to another, in bounded pieces and inside the kernel where it can. Holes stay holes.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "core/fd.hpp"

namespace svm::agent {

class ContentCopy {
 public:
  /// `to` is new and empty, and has `mode` in the end. As many bytes are copied as `from` has now: one that grows meanwhile is not
  /// followed, one that shrinks gives a shorter copy.
  void start(Fd from, Fd to, int64_t size, mode_t mode) noexcept;
  bool active() const noexcept { return static_cast<bool>(from_); }
  /// Copies a piece of at most `limit` bytes through the kernel, or through `buffer`, and takes from `limit` what it was. 1: there is
  /// more to do, 0: all is there and both are closed, -errno.
  int step(int64_t& limit, char* buffer, size_t buffer_size) noexcept;

 private:
  int find_data() noexcept;
  int64_t copy_piece(int64_t size, char* buffer, size_t buffer_size) noexcept;
  int end() noexcept;

  Fd from_, to_;
  int64_t at_ = 0, data_end_ = 0, size_ = 0;
  mode_t mode_ = 0;
  bool tells_holes_ = true, in_kernel_ = true;
};

}  // namespace svm::agent
