#include "core/process.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace svm {

int open_pidfd(pid_t pid, Fd& out) noexcept {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return -errno;
  out.reset(static_cast<int>(fd));
  return 0;
}

int signal_pidfd(int pidfd, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0 ? -errno : 0;
}

}  // namespace svm
