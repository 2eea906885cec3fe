#include "core/fd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/memfd.hpp"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U  // Linux 6.3
#endif

namespace svm {

void Fd::reset(int fd) noexcept {
  if (fd_ >= 0) {
    const int saved = errno;
    ::close(fd_);  // Linux closes the descriptor even when it reports EINTR or EIO
    errno = saved;
  }
  fd_ = fd;
}

int write_all(int fd, const void* data, size_t size) noexcept {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(fd, at, size);
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    at += n;
    size -= static_cast<size_t>(n);
  }
  return 0;
}

long read_all(int fd, void* data, size_t size) noexcept {
  auto* at = static_cast<char*>(data);
  size_t done = 0;
  while (done < size) {
    const ssize_t n = ::read(fd, at + done, size - done);
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return static_cast<long>(done);
}

int set_nonblocking(int fd, bool on) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return -errno;
  return ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

int make_socketpair(int type, Fd& a, Fd& b) noexcept {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) return -errno;
  a.reset(fds[0]);
  b.reset(fds[1]);
  return 0;
}

int make_pipe(Fd& read_end, Fd& write_end, int flags) noexcept {
  int fds[2];
  if (::pipe2(fds, flags | O_CLOEXEC) < 0) return -errno;
  read_end.reset(fds[0]);
  write_end.reset(fds[1]);
  return 0;
}

namespace {
constexpr size_t kMaxMessageFds = 16;
}

int send_message(int socket, const void* data, size_t size, const int* fds, size_t fd_count) noexcept {
  if (fd_count > kMaxMessageFds) return -EINVAL;
  iovec iov{const_cast<void*>(data), size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (fd_count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
    std::memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
  }
  for (;;) {
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n >= 0) return 0;
    if (errno != EINTR) return -errno;
  }
}

long receive_message(int socket, void* data, size_t size, Fd* fds, size_t* fd_count, int flags) noexcept {
  const size_t room = fd_count ? *fd_count : 0;
  if (fd_count) *fd_count = 0;
  iovec iov{data, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)] = {};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n;
  do {
    n = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  bool bad = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  size_t taken = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      if (taken < room) {
        fds[taken++].reset(fd);
      } else {
        ::close(fd);
        bad = true;
      }
    }
  }
  if (bad) {
    for (size_t i = 0; i < taken; ++i) fds[i].reset();
    return -EMSGSIZE;
  }
  if (fd_count) *fd_count = taken;
  return n;
}

int sealed_memfd(const char* name, const void* data, size_t size, Fd& out) noexcept {
  int fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return -errno;
  Fd memfd(fd);
  if (const int error = write_all(fd, data, size)) return error;
  if (const int error = seal_memfd(fd)) return error;
  out = std::move(memfd);
  return 0;
}

}  // namespace svm
