// Control groups, v1 and v2, two levels per sandbox: NAME holds the agent, NAME/cmd holds the commands with the limits, so that
// the agent is never the victim of what its commands do. No exceptions; 0 or -errno. Used by the launcher (single-threaded).
// Everything is reached from directory descriptors opened once, so a later change of mount namespace is harmless.
//
// On v2 a group that passes controllers on may hold no process, so the agent lives in NAME/agent, beside NAME/cmd.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/fd.hpp"

namespace svm::isolation {

/// Which limits work on this host, each proved by making a group, writing the limit and entering the group. An errno; 0: works.
struct CgroupSupport {
  uint8_t version = 0;  // 0 none, 1 (also hybrid: v1 controllers), 2
  int32_t memory_error = 0, swap_error = 0, cpu_error = 0, pids_error = 0;
};

struct CgroupLimits {
  uint64_t memory = 0;      // bytes; 0: no limit. Swap is limited to none beside it where swap accounting exists
  uint32_t milli_cpus = 0;  // 1000 is one cpu; 0: no limit
  uint32_t pids = 0;        // processes and threads of the commands; 0: no limit
  /// Bytes that the whole sandbox may use beyond `memory`; 0: no limit there. Files that the agent itself writes to a tmpfs are
  /// charged to the agent's level: give at least the disk limit and what the agent needs, or the agent is what gets killed.
  uint64_t headroom = 0;
};

inline constexpr size_t kMaxHierarchies = 3;  // v1: memory, cpu, pids
inline constexpr size_t kMaxCommandFds = kMaxHierarchies;
inline constexpr size_t kMaxCgroupName = 79;

class CgroupParent;
struct CgroupTexts;
struct LimitErrors;

/// One sandbox's groups. Its parent must outlive it and stay where it is.
class Cgroup {
 public:
  /// v1: moves the calling thread into the sandbox's agent level, so that what it clones is born inside; leave() undoes it. A failed
  /// enter() has left already. v2: nothing to do (clone with into_fd()).
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
  /// Closes every descriptor above, once the sandbox's first process has its copies: a thousand sandboxes then cost none.
  void close_fds() noexcept;
  /// Reads the counter of oom_fd() now, also after close_fds(); 0 without a memory controller. Before remove().
  uint64_t oom_kills() const noexcept;
  /// Kills what is left inside (v2: cgroup.kill; v1: by signals) and removes both levels. -EBUSY while a process is still going: call
  /// again. 0 also when there is nothing to remove.
  int remove() noexcept;
  /// Which limits were applied: an errno per limit, 0 applied, -1 not asked.
  int32_t memory_error = -1, swap_error = -1, cpu_error = -1, pids_error = -1;

 private:
  friend class CgroupParent;
  const CgroupParent* parent_ = nullptr;
  char name_[kMaxCgroupName + 1] = {};
  uint8_t made_ = 0;  // bit per slot of the parent
  Fd into_, oom_, command_fds_[kMaxCommandFds];
  size_t command_fd_count_ = 0;
};

/// `stacyvm-<instance>` in each hierarchy.
class CgroupParent {
 public:
  CgroupParent() = default;
  CgroupParent(const CgroupParent&) = delete;  // Cgroup points here
  CgroupParent& operator=(const CgroupParent&) = delete;

  /// Finds where this process may make groups (its own group, or the nearest delegated ancestor on v2) and makes the parent.
  /// Never fails as a whole: what does not work is in `support`. An instance that is no file name: EINVAL everywhere.
  void open(const char* instance, CgroupSupport& support) noexcept;
  /// Makes a sandbox's groups. A limit that fails is recorded in out.*_error and the rest goes on; -errno (and nothing is left) when no
  /// group could be made or -EEXIST when the name is taken.
  int create(const char* name, const CgroupLimits& limits, Cgroup& out) noexcept;
  /// Makes the groups of the next create() ahead of time, under a name that it then changes; v1 only, for v2 cannot rename groups, and has
  /// a third as many to make. 0 also when they are there already; a failure costs create() the time and nothing else.
  int prepare() noexcept;
  /// Removes the parent and every group below it whose processes are gone. Kills nothing, and touches no other parent that has its name now.
  void close() noexcept;

 private:
  friend class Cgroup;
  void open_v1(const CgroupTexts& texts) noexcept;
  void open_v2(const CgroupTexts& texts) noexcept;
  void try_limits() noexcept;
  int32_t* support_error(unsigned bit) noexcept;
  int make_v1(size_t slot, const char* name, Cgroup& out) noexcept;
  int rename_v1(size_t slot, const char* name, Cgroup& out) noexcept;
  int limit_v1(size_t slot, const char* name, const CgroupLimits& limits, LimitErrors& errors) noexcept;
  int make_v2(const char* name, const CgroupLimits& limits, LimitErrors& errors, Cgroup& out) noexcept;

  // One slot per hierarchy: v1 up to three (controllers mounted together share one), v2 one.
  struct Slot {
    Fd base;       // where the parent was made
    Fd directory;  // the parent
    Fd own_tasks;  // v1: the launcher's own group, to go back
    uint8_t controllers = 0;
  };
  Slot slots_[kMaxHierarchies];
  size_t slot_count_ = 0;
  uint8_t version_ = 0;
  char name_[kMaxCgroupName + 1] = {};
  CgroupSupport support_;
  Cgroup next_[kMaxHierarchies];  // by slot, each with that slot's groups only; made_ is 0 where there are none
};

/// Removes every `stacyvm-<instance>` this process can see, killing what runs inside: what a SIGKILLed owner left behind.
/// Waits up to two seconds for what it killed. Returns how many groups named so were removed.
unsigned remove_stale_cgroups(const char* instance);

/// The oom_kill counter in the text of memory.oom_control (v1) or memory.events (v2); 0 when absent. Pure; fuzzed.
uint64_t parse_oom_kills(const char* text, size_t size) noexcept;
/// The path of `controller` ("" for v2) in the text of /proc/PID/cgroup; false when absent, cut off, or longer than out. Pure; fuzzed.
bool parse_own_cgroup(const char* text, size_t size, const char* controller, char* out, size_t out_size) noexcept;

}  // namespace svm::isolation
