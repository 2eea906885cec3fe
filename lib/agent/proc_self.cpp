#include "agent/proc_self.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>

#include "core/fd.hpp"

namespace svm::agent {

int chmod_through_proc(int fd, mode_t mode) noexcept {
  const Fd proc(::open("/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct statfs fs;
  if (!proc || ::fstatfs(proc.get(), &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
    errno = ENOSYS;
    return -1;
  }
  char path[32];
  ::snprintf(path, sizeof path, "self/fd/%d", fd);
  return ::fchmodat(proc.get(), path, mode, 0);
}

}  // namespace svm::agent
