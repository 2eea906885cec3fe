// The one use of /proc by the file operations, for kernels before 6.6.
#pragma once
#include <sys/types.h>

namespace svm::agent {

/// Changes the mode of what an O_PATH descriptor refers to, through /proc/self/fd, after making sure that /proc is procfs.
/// 0, or -1 with errno.
int chmod_through_proc(int fd, mode_t mode) noexcept;

}  // namespace svm::agent
