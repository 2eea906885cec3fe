// Kernel numbers and structures that the build host's headers may be too old to know, under names of our own so that a newer
// header cannot clash. All are part of the kernel's stable interface.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "stacyvm's isolation knows the system calls of x86-64 and aarch64 only; add this architecture to isolation/seccomp_table.hpp first"
#endif

namespace svm::isolation {

/// A system call that gives 0 or more, or -errno.
template <class... Args>
long syscall_result(long number, Args... args) noexcept {
  const long result = ::syscall(number, args...);
  return result < 0 ? -errno : result;
}

// --- numbers since 5.1 are the same on every architecture
inline constexpr long kSysOpenTree = 428, kSysMoveMount = 429, kSysFsopen = 430, kSysFsconfig = 431, kSysFsmount = 432,
                      kSysPidfdOpen = 434, kSysClone3 = 435, kSysCloseRange = 436, kSysOpenat2 = 437, kSysMountSetattr = 442,
                      kSysSetMempolicyHomeNode = 450,
                      kSysLandlockCreateRuleset = 444, kSysLandlockAddRule = 445, kSysLandlockRestrictSelf = 446;

// --- Landlock (linux/landlock.h)
inline constexpr uint64_t kLandlockFsExecute = 1u << 0, kLandlockFsWriteFile = 1u << 1, kLandlockFsReadFile = 1u << 2,
                          kLandlockFsReadDir = 1u << 3, kLandlockFsRemoveDir = 1u << 4, kLandlockFsRemoveFile = 1u << 5,
                          kLandlockFsMakeChar = 1u << 6, kLandlockFsMakeDir = 1u << 7, kLandlockFsMakeReg = 1u << 8,
                          kLandlockFsMakeSock = 1u << 9, kLandlockFsMakeFifo = 1u << 10, kLandlockFsMakeBlock = 1u << 11,
                          kLandlockFsMakeSym = 1u << 12, kLandlockFsRefer = 1u << 13, kLandlockFsTruncate = 1u << 14,
                          kLandlockFsIoctlDev = 1u << 15;
inline constexpr uint64_t kLandlockScopeAbstractUnixSocket = 1u << 0;
inline constexpr uint32_t kLandlockCreateRulesetVersion = 1u << 0;
inline constexpr int kLandlockRulePathBeneath = 1;
struct LandlockRuleset {
  uint64_t handled_access_fs, handled_access_net, scoped;
};
struct __attribute__((packed)) LandlockPathBeneath {
  uint64_t allowed_access;
  int32_t parent_fd;
};

// --- clone3 (linux/sched.h)
inline constexpr uint64_t kCloneIntoCgroup = 0x200000000ull, kCloneNewTime = 0x80;
struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

// --- mount_setattr (linux/mount.h)
struct MountAttr {
  uint64_t attr_set, attr_clr, propagation, userns_fd;
};
inline constexpr uint64_t kMountAttrIdmap = 0x00100000, kMountAttrReadOnly = 0x00000001;

// --- openat2 (linux/openat2.h)
struct OpenHow {
  uint64_t flags, mode, resolve;
};
inline constexpr uint64_t kResolveNoMagiclinks = 0x02, kResolveBeneath = 0x08, kResolveInRoot = 0x10;

}  // namespace svm::isolation
