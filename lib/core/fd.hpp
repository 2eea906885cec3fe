// Owned file descriptors. No exceptions: functions return 0 or a negative errno.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

namespace svm {

/// Owns one descriptor; closes it once.
class Fd {
 public:
  Fd() noexcept = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  bool valid() const noexcept { return fd_ >= 0; }
  explicit operator bool() const noexcept { return valid(); }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

/// Writes all bytes, retrying EINTR and short writes. 0 or -errno.
int write_all(int fd, const void* data, size_t size) noexcept;
/// Reads until `size` bytes or end of file; the count read, or -errno.
long read_all(int fd, void* data, size_t size) noexcept;
int set_nonblocking(int fd, bool on) noexcept;

/// A connected pair of sockets (AF_UNIX, CLOEXEC). `type` is SOCK_STREAM or SOCK_SEQPACKET. 0 or -errno.
int make_socketpair(int type, Fd& a, Fd& b) noexcept;
/// A pipe (CLOEXEC); `flags` are further O_* flags. 0 or -errno.
int make_pipe(Fd& read_end, Fd& write_end, int flags = 0) noexcept;

/// One datagram with descriptors over a SOCK_SEQPACKET socket. 0 or -errno (EAGAIN when it would block).
int send_message(int socket, const void* data, size_t size, const int* fds, size_t fd_count) noexcept;
/// Receives one datagram. Returns its size, 0 at end of file, or -errno; a truncated datagram or too many descriptors is
/// -EMSGSIZE (what came is closed). *fd_count holds the room on entry and what came on return.
long receive_message(int socket, void* data, size_t size, Fd* fds, size_t* fd_count, int flags = 0) noexcept;

/// A memfd holding a copy of the bytes, executable, sealed against every change. 0 or -errno.
int sealed_memfd(const char* name, const void* data, size_t size, Fd& out) noexcept;

}  // namespace svm
