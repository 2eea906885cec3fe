#include "agent/copy_content.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace svm::agent {

void ContentCopy::start(Fd from, Fd to, int64_t size, mode_t mode) noexcept {
  from_ = std::move(from);
  to_ = std::move(to);
  size_ = size;
  mode_ = mode;
  at_ = data_end_ = 0;
  tells_holes_ = in_kernel_ = true;
}

int ContentCopy::step(int64_t& limit, char* buffer, size_t buffer_size) noexcept {
  if (at_ == data_end_)
    if (const int error = find_data()) return error;
  if (at_ >= size_) return end();
  const int64_t n = copy_piece(std::min(limit, data_end_ - at_), buffer, buffer_size);
  if (n == -EINTR) return 1;
  if (n < 0) return static_cast<int>(n);
  if (n == 0) size_ = data_end_ = at_;  // it has become shorter
  at_ += n;
  limit -= n;
  return 1;
}

/// Moves at_ to the next bytes that are none of a hole, or to the end.
int ContentCopy::find_data() noexcept {
  int64_t hole = size_;
  if (tells_holes_ && at_ < size_) {
    const off_t data = ::lseek(from_.get(), at_, SEEK_DATA);
    if (data >= 0) {
      at_ = std::min<int64_t>(data, size_);
      const off_t next = ::lseek(from_.get(), at_, SEEK_HOLE);
      if (next > at_) hole = std::min<int64_t>(next, size_);
    } else if (errno == ENXIO) {
      at_ = size_;  // a hole up to the end
    } else if (errno == EINVAL || errno == EOPNOTSUPP) {
      tells_holes_ = false;
    } else {
      return -errno;
    }
  }
  data_end_ = hole;
  return 0;
}

int64_t ContentCopy::copy_piece(int64_t size, char* buffer, size_t buffer_size) noexcept {
  if (in_kernel_) {
    off_t in = at_, out = at_;
    const ssize_t n = ::copy_file_range(from_.get(), &in, to_.get(), &out, static_cast<size_t>(size), 0);
    if (n > 0) return n;
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM) return -errno;
    in_kernel_ = false;  // two file systems, or one that cannot; 0 is also what some say that cannot
  }
  const ssize_t n = ::pread(from_.get(), buffer, std::min(static_cast<size_t>(size), buffer_size), at_);
  if (n < 0) return -errno;
  for (ssize_t done = 0; done < n;) {
    const ssize_t written = ::pwrite(to_.get(), buffer + done, static_cast<size_t>(n - done), at_ + done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return -errno;
    done += written;
  }
  return n;
}

int ContentCopy::end() noexcept {
  // A hole at the end is length alone.
  if (::ftruncate(to_.get(), size_) < 0 || ::fchmod(to_.get(), mode_) < 0) return -errno;
  from_.reset();
  to_.reset();
  return 0;
}

}  // namespace svm::agent
