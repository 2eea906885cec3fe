// The one-way flags of a process: no privilege gained by exec, no memory shown to its equals.
#include <sys/prctl.h>

#include <cerrno>

#include "isolation/lockdown.hpp"

namespace svm::isolation {

int set_no_new_privs() noexcept { return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0; }

int set_undumpable() noexcept { return ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0; }

}  // namespace svm::isolation
