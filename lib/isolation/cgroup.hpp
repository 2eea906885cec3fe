// Control groups, v1 and v2, two levels per sandbox: NAME holds the agent with headroom, NAME/cmd holds the commands with the
// limits, so that the agent is never the victim of what its commands do. No exceptions; 0 or -errno. Used by the launcher
// (single-threaded). All paths are opened once as directory descriptors, so a later change of mount namespace is harmless.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.hpp"

namespace svm::isolation {

/// Which limits work on this host, each proved by making a group and writing the limit. errno 0: works.
struct CgroupSupport {
  uint8_t version = 0;  // 0 none, 1 (also hybrid: v1 controllers), 2
  int32_t memory_error = 0, swap_error = 0, cpu_error = 0, pids_error = 0;
};

struct CgroupLimits {
  uint64_t memory = 0;      // bytes; 0: no limit. Swap is limited to none beside it where swap accounting exists
  uint32_t milli_cpus = 0;  // 1000 is one cpu; 0: no limit
  uint32_t pids = 0;        // 0: no limit
};

inline constexpr size_t kMaxCommandFds = 3;

/// One sandbox's groups.
class Cgroup {
 public:
  /// v1: moves the calling process into the sandbox's agent level, so that what it clones is born inside; leave() undoes it.
  /// v2: nothing to do (clone with into_fd()).
  int enter() noexcept;
  int leave() noexcept;
  /// v2: directory for CLONE_INTO_CGROUP; -1 on v1.
  int into_fd() const noexcept { return into_.get(); }
  /// Descriptors (opened for writing by the launcher) through which a command moves itself into the limited level by writing "0".
  size_t command_fd_count() const noexcept { return command_fd_count_; }
  int command_fd(size_t i) const noexcept { return command_fds_[i].get(); }
  /// File that says how many processes of the limited level the OOM killer ended (memory.oom_control or memory.events): see
  /// parse_oom_kills. -1 without a memory controller.
  int oom_fd() const noexcept { return oom_.get(); }
  /// Kills what is left inside (v2: cgroup.kill; v1: by signals) and removes both levels. -EBUSY while a process is still going: call again.
  int remove() noexcept;
  /// Which limits were applied: errno per limit, 0 applied, -1 not asked.
  int32_t memory_error = -1, swap_error = -1, cpu_error = -1, pids_error = -1;

 private:
  friend class CgroupParent;
  // one slot per hierarchy: v1 memory, cpu, pids; v2 only slot 0
  Fd parent_[3];
  Fd own_tasks_[3];    // v1: the launcher's own group, to go back
  Fd agent_tasks_[3];
  char name_[80] = {};
  Fd into_, oom_, command_fds_[kMaxCommandFds];
  size_t command_fd_count_ = 0;
};

/// `stacyvm-<instance>` in each hierarchy.
class CgroupParent {
 public:
  /// Finds where this process may make groups (its own group, or the nearest delegated ancestor on v2) and makes the parent.
  /// Never fails as a whole: what does not work is in `support`.
  void open(const char* instance, CgroupSupport& support) noexcept;
  /// Makes a sandbox's groups. A limit that fails is recorded in out.*_error and the rest goes on; -errno only when nothing could be made.
  int create(const char* name, const CgroupLimits& limits, Cgroup& out) noexcept;
  /// Removes the parent and every group below it whose processes are gone.
  void close() noexcept;

 private:
  Fd base_[3];    // where the parent was made
  Fd parent_[3];
  Fd own_tasks_[3];
  char name_[80] = {};
  CgroupSupport support_;
};

/// Removes every `stacyvm-<instance>` this process can see, killing what runs inside: what a SIGKILLed owner left behind.
/// Returns how many groups were removed.
unsigned remove_stale_cgroups(const char* instance) noexcept;

/// The oom_kill counter in the text of memory.oom_control (v1) or memory.events (v2); 0 when absent. Pure; fuzzed.
uint64_t parse_oom_kills(const char* text, size_t size) noexcept;
/// The path of `controller` ("" for v2) in the text of /proc/PID/cgroup; false when absent. Pure; fuzzed.
bool parse_own_cgroup(const char* text, size_t size, const char* controller, char* out, size_t out_size) noexcept;

}  // namespace svm::isolation
