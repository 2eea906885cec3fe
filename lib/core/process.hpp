// Processes by pidfd. No exceptions.
#pragma once
#include <sys/types.h>

#include "core/fd.hpp"

namespace svm {

/// 0 or -errno.
int open_pidfd(pid_t pid, Fd& out) noexcept;
int signal_pidfd(int pidfd, int signal) noexcept;

}  // namespace svm
