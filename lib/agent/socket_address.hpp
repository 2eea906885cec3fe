// Where something may listen inside: a TCP port of the loopback device, or a unix socket's path. Nothing else is ever connected to: no
// other host, no other namespace, and no name without a file.
#pragma once
#include <sys/socket.h>

#include <string>

#include "agent/path.hpp"
#include "core/fd.hpp"

namespace svm::agent {

class SocketAddress {
 public:
  /// 127.0.0.1 or ::1.
  static SocketAddress loopback(int family, uint32_t port) noexcept;
  /// Resolves the path as other file operations do, as whoever the thread acts as, and keeps hold of the socket found. 0, -errno, or a
  /// refusal of path.hpp.
  static int unix_socket(const Root& root, const std::string& path, SocketAddress& out);

  /// Begins to connect without waiting. 0: connected; -EINPROGRESS: `out` becomes writable when it is known; -EAGAIN: a unix socket whose
  /// backlog is full, to be tried again; otherwise -errno.
  int connect(Fd& out) const noexcept;

 private:
  sockaddr_storage address_{};
  socklen_t size_ = 0;
  Fd pinned_;
};

}  // namespace svm::agent
