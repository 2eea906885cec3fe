#include "agent/proc_self.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "core/fd.hpp"

namespace svm::agent {

bool have_proc() noexcept {
  const Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct statfs fs;
  return proc && ::fstatfs(proc.get(), &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

FdPath::FdPath(int fd) noexcept { ::snprintf(text_, sizeof text_, "/proc/self/fd/%d", fd); }

int chmod_through_proc(int fd, mode_t mode) noexcept {
  if (!have_proc()) {
    errno = ENOSYS;
    return -1;
  }
  return ::fchmodat(AT_FDCWD, FdPath(fd).c_str(), mode, 0);
}

}  // namespace svm::agent
