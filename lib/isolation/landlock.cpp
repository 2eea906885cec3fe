// One Landlock domain for the whole sandbox: a second lock on device nodes, mounts and abstract sockets, behind the namespaces.
#include <fcntl.h>

#include "isolation/lockdown.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

constexpr uint32_t kFirstUsableAbi = 2;  // ABI 1 refuses every rename to another directory, which breaks package managers

/// The file rights that a kernel of this ABI knows; asking for others is EINVAL.
uint64_t known_rights(uint32_t abi) noexcept {
  uint64_t rights = kLandlockFsMakeSym * 2 - 1;  // ABI 1: bits 0..12
  if (abi >= 2) rights |= kLandlockFsRefer;
  if (abi >= 3) rights |= kLandlockFsTruncate;
  if (abi >= 5) rights |= kLandlockFsIoctlDev;
  return rights;
}

int allow_beneath(int ruleset, const char* directory, uint64_t rights) noexcept {
  if (rights == 0) return 0;
  const Fd parent(::open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) return -errno;
  const LandlockPathBeneath rule{rights, parent.get()};
  return static_cast<int>(syscall_result(kSysLandlockAddRule, ruleset, kLandlockRulePathBeneath, &rule, 0u));
}

}  // namespace

int install_landlock(uint32_t* abi) noexcept {
  *abi = 0;
  const long version = syscall_result(kSysLandlockCreateRuleset, nullptr, size_t{0}, kLandlockCreateRulesetVersion);
  if (version < 0) return static_cast<int>(version);
  if (version < kFirstUsableAbi) return -EOPNOTSUPP;
  const auto kernel_abi = static_cast<uint32_t>(version);

  LandlockRuleset attributes{known_rights(kernel_abi), 0, kernel_abi >= 6 ? kLandlockScopeAbstractUnixSocket : 0};
  const long fd = syscall_result(kSysLandlockCreateRuleset, &attributes, sizeof attributes, 0u);
  if (fd < 0) return static_cast<int>(fd);
  const Fd ruleset(static_cast<int>(fd));

  const uint64_t everywhere =
      attributes.handled_access_fs & ~(kLandlockFsMakeChar | kLandlockFsMakeBlock | kLandlockFsIoctlDev);
  if (const int error = allow_beneath(ruleset.get(), "/", everywhere)) return error;
  // A root without /dev has no device to control.
  const int error = allow_beneath(ruleset.get(), "/dev", attributes.handled_access_fs & kLandlockFsIoctlDev);
  if (error != 0 && error != -ENOENT) return error;

  if (const long result = syscall_result(kSysLandlockRestrictSelf, ruleset.get(), 0u); result < 0) {
    return static_cast<int>(result);
  }
  *abi = kernel_abi;
  return 0;
}

}  // namespace svm::isolation
