#include "agent/proc_self.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "core/fd.hpp"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452  // Linux 6.6
#endif

namespace svm::agent {

bool have_proc() noexcept {
  const Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct statfs fs;
  return proc && ::fstatfs(proc.get(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

FdPath::FdPath(int fd) noexcept { ::snprintf(text_, sizeof text_, "/proc/self/fd/%d", fd); }

int chmod_handle(int fd, mode_t mode) noexcept {
  if (::syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0) return 0;
  if (errno != ENOSYS || !have_proc()) return -errno;
  return ::fchmodat(AT_FDCWD, FdPath(fd).c_str(), mode, 0) < 0 ? -errno : 0;
}

}  // namespace svm::agent
