// System calls that take a path, for what is known by a descriptor. A path that was resolved once is not resolved again: the link that
// is followed is the kernel's own.
#pragma once
#include <sys/types.h>

namespace svm::agent {

/// Whether /proc is procfs. A mount: nothing inside the sandbox can put another directory in its place.
bool have_proc() noexcept;

/// "/proc/self/fd/N", which leads to what `fd` refers to. Only where have_proc().
class FdPath {
 public:
  explicit FdPath(int fd) noexcept;
  const char* c_str() const noexcept { return text_; }

 private:
  char text_[32];
};

/// Changes the mode of what an O_PATH descriptor refers to. 0 or -errno.
int chmod_handle(int fd, mode_t mode) noexcept;

}  // namespace svm::agent
