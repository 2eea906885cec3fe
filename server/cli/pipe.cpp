#include "pipe.hpp"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "waiting.hpp"

namespace cli {
namespace {

bool write_pieces(int fd, const char* at, size_t left, size_t piece, bool wait_first, Signals& signals) {
  while (left > 0) {
    if (wait_first) wait_for(fd, POLLOUT, signals);
    const ssize_t n = ::write(fd, at, std::min(left, piece));
    if (n > 0) {
      at += n;
      left -= static_cast<size_t>(n);
    } else if (n < 0 && errno == EPIPE) {
      return false;
    } else if (n < 0 && errno == EAGAIN) {
      wait_for(fd, POLLOUT, signals);
    } else if (n < 0 && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "cannot write");
    }
  }
  return true;
}

}  // namespace

Pipe::Pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) throw std::system_error(errno, std::generic_category(), "cannot make a pipe");
  read.reset(ends[0]);
  write.reset(ends[1]);
}

size_t read_some(int fd, void* into, size_t most, Signals& signals) {
  for (;;) {
    wait_for(fd, POLLIN, signals);
    const ssize_t n = ::read(fd, into, most);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR && errno != EAGAIN) throw std::system_error(errno, std::generic_category(), "cannot read");
  }
}

bool write_all(int fd, const void* bytes, size_t size, Signals& signals) {
  return write_pieces(fd, static_cast<const char*>(bytes), size, SSIZE_MAX, false, signals);
}

bool write_shared(int fd, const void* bytes, size_t size, Signals& signals) {
  struct stat info;
  const bool file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  // What poll calls writable has room for a page at least.
  return write_pieces(fd, static_cast<const char*>(bytes), size, file ? SSIZE_MAX : PIPE_BUF, !file, signals);
}

}  // namespace cli
