// Keyrings are not namespaced: a child in a new user namespace still possesses, and can read, its parent's session keyring.
#include <linux/keyctl.h>

#include "isolation/lockdown.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {

int join_new_session_keyring() noexcept {
  const long result = syscall_result(SYS_keyctl, static_cast<long>(KEYCTL_JOIN_SESSION_KEYRING), nullptr);
  return result < 0 ? static_cast<int>(result) : 0;
}

}  // namespace svm::isolation
