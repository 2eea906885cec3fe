// What a sandbox's first process needs to build its boundary: prepared by the launcher before it clones, so that nothing is
// allocated, formatted or looked up afterwards.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/fd.hpp"
#include "isolation/inotify_share.hpp"
#include "protocol/launch.hpp"

namespace svm::launcher {

/// The agent's own user inside: outside every range an image uses, so that no command shares it, not even root.
inline constexpr uint32_t kAgentId = 2'000'000'000;
/// Ids mapped for the sandbox itself, from 0; the last id of its range is the agent's.
inline constexpr uint32_t kRangeIds = 65'536, kImageIds = kRangeIds - 1;

/// Top-level directories that on a host may be symlinks into /usr or directories of their own.
inline constexpr const char* kHostDirectories[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};
inline constexpr size_t kHostDirectoryCount = 6;

/// How the host's root looks, read once when the launcher starts. Neutral names in the launcher's slim mount namespace:
/// /usr, /alternatives, /ld.so.cache, /bin ..., /device, /proc, /stage.
struct HostLayout {
  char links[kHostDirectoryCount][64] = {};    // symlink text, e.g. "usr/bin"
  bool directories[kHostDirectoryCount] = {};  // a directory of its own, bound in the slim namespace
  bool alternatives = false, linker_cache = false, bash = false;
};

struct PlannedMount {
  Fd mount;  // detached
  std::string guest;
  bool directory = true;
};

/// What the launcher tells the process it cloned: its ids are mapped, or it shall end. An event counter, because the kernel takes a writer to a pipe
/// for one about to sleep and leaves the reader on its cpu, where it would wait for what the launcher does next.
inline constexpr uint64_t kGo = 1, kGiveUp = 2;

struct Plan {
  const HostLayout* host = nullptr;
  const protocol::Spawn* spawn = nullptr;
  bool rootless = false;
  bool groups_left = false;   // rootless: supplementary groups of the user that could not be dropped
  bool pids_by_rlimit = false;
  int agent = -1;             // the agent's memfd
  int channel = -1, life = -1, control = -1, oom = -1;
  int command_groups[3] = {-1, -1, -1};
  size_t command_group_count = 0;
  int go = -1;                // an event counter that becomes kGo or kGiveUp
  Fd rootfs;                  // RootKind::directory: detached
  Fd disk;                    // not rootless: the sandbox's tmpfs, detached
  std::vector<PlannedMount> mounts;
  uint64_t enforced = 0;      // bits of the launcher's own steps
  std::string size, inodes;   // tmpfs options as text
  isolation::InotifyShare inotify;  // rootless; else each sandbox is a user of its own with a quota of its own
  std::string passwd, group, hosts;  // contents for a generated /etc
};

/// The sandbox's tmpfs, detached, with its limits. 0 or -errno.
int new_disk(const Plan& plan, Fd& out) noexcept;

/// Builds the boundary step by step and becomes the agent. Runs in the new process 1; on failure tells the host over the channel which step
/// failed (a `failed` frame) and exits. Never returns.
[[noreturn]] void contain(const Plan& plan) noexcept;

}  // namespace svm::launcher
