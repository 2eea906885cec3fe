#include "agent/socket_address.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "agent/proc_self.hpp"

namespace svm::agent {

SocketAddress SocketAddress::loopback(int family, uint32_t port) noexcept {
  SocketAddress out;
  if (family == AF_INET) {
    auto& address = reinterpret_cast<sockaddr_in&>(out.address_);
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    out.size_ = sizeof address;
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(out.address_);
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(static_cast<uint16_t>(port));
    address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    out.size_ = sizeof address;
  }
  return out;
}

int SocketAddress::unix_socket(const Root& root, const std::string& request_path, SocketAddress& out) {
  std::string path;
  struct stat info;
  if (const int error = root.absolute(request_path, path)) return error;
  if (const int error = root.handle(path, true, out.pinned_, info)) return error;
  if (!S_ISSOCK(info.st_mode)) return kNotSocket;
  if (!have_proc()) return -ENOSYS;
  // Not by its name: that may be longer than sun_path, and may be another file's by now.
  const FdPath name(out.pinned_.get());
  auto& address = reinterpret_cast<sockaddr_un&>(out.address_);
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, name.c_str());
  out.size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(name.c_str()) + 1);
  return 0;
}

int SocketAddress::connect(Fd& out) const noexcept {
  const int family = address_.ss_family;
  Fd socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return -errno;
  if (family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // what is asked for is what is sent, as it comes
  }
  int result;
  do {
    result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address_), size_);
  } while (result < 0 && errno == EINTR);
  if (result < 0 && errno != EINPROGRESS) return -errno;
  const int error = result < 0 ? -EINPROGRESS : 0;
  out = std::move(socket);
  return error;
}

}  // namespace svm::agent
