#include "launcher/network.hpp"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "core/fd.hpp"

namespace svm::launcher {
namespace {

int raise_loopback() noexcept {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return -errno;
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

}  // namespace

int NextNetwork::prepare(protocol::Step& step) noexcept {
  if (!fresh_) {
    step = protocol::Step::network;
    if (::unshare(CLONE_NEWNET) < 0) return -errno;
    fresh_ = true;
  }
  if (!up_) {
    step = protocol::Step::loopback;
    if (const int error = raise_loopback()) return error;
    up_ = true;
  }
  return 0;
}

}  // namespace svm::launcher
