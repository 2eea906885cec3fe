// What a sandbox's first process gives up, for itself and for everything it will start. Each function is one step: 0 or -errno.
// Installed once, in the agent, before the first command; inherited by every path there will ever be. No exceptions, no allocation.
#pragma once
#include <cstdint>

#include "core/fd.hpp"

namespace svm::isolation {

/// standard: nothing that a compiler, interpreter or server does not need. debug: ptrace and process_vm_readv among the sandbox's own
/// processes (gdb, strace, LeakSanitizer). build: root inside keeps CHOWN, DAC_OVERRIDE, FOWNER, SETUID and SETGID (package installs).
enum class Profile : uint8_t { standard = 0, debug = 1, build = 2 };

// --- capabilities (one file)
/// Bit set of capabilities the profile leaves to commands that run as root inside.
uint64_t profile_capabilities(Profile profile) noexcept;
/// Drops every capability outside `keep` from the bounding set, and clears the ambient set.
int reduce_bounding_set(uint64_t keep) noexcept;
/// Sets permitted, effective and inheritable of the calling thread.
int set_capabilities(uint64_t permitted, uint64_t effective, uint64_t inheritable) noexcept;
/// Raises `set` (must be permitted and inheritable) in the ambient set.
int raise_ambient(uint64_t set) noexcept;
inline constexpr uint64_t capability(int number) noexcept { return 1ull << number; }

// --- no_new_privs, dumpable, session keyring
int set_no_new_privs() noexcept;
int set_undumpable() noexcept;
/// A new anonymous session keyring, so that the launcher's cannot be read.
int join_new_session_keyring() noexcept;

// --- seccomp
/// Installs the profile's filter (TSYNC). Unknown system calls: ENOSYS. Needs no_new_privs.
int install_seccomp(Profile profile) noexcept;

// --- Landlock
/// The domain of the sandbox: everything below / as the file modes say, but no device nodes made, device ioctls only on /dev,
/// no mounts, and no abstract socket outside (ABI 6). Sets *abi to the kernel's Landlock ABI; -ENOSYS or -EOPNOTSUPP (with *abi 0) when
/// the kernel has none, or only ABI 1, which would refuse every rename to another directory. Needs no_new_privs.
int install_landlock(uint32_t* abi) noexcept;

// --- rlimits
struct Rlimits {
  uint64_t open_files = 1024 * 16;
  uint64_t processes = 0;  // 0: unchanged. Must be set after the user namespace exists, so that it counts the sandbox's own
};
/// Sets them with core 0, no memlock beyond 64 KiB, no realtime or nice, bounded message queues and pending signals.
int set_rlimits(const Rlimits& limits) noexcept;

}  // namespace svm::isolation
