#include "isolation/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "core/fail_point.hpp"
#include "isolation/cgroup_files.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

constexpr const char* kCommandLevel = "cmd";
constexpr const char* kAgentLevel = "agent";  // v2
constexpr mode_t kGroupMode = 0755;
constexpr CgroupLimits kProbeLimits{64ull << 20, 100, 64, 0};
constexpr const char* kProbeName = "probe";

void pause_ms(long ms) noexcept {
  const timespec time{0, ms * 1'000'000};
  ::nanosleep(&time, nullptr);
}

/// Removes a tree, giving what was killed (or has just ended) some time to be gone.
int remove_patiently(int parent, const char* name, bool kill, int budget_ms) {
  constexpr int kStep = 5;
  for (int waited = 0;; waited += kStep) {
    const int error = remove_tree(parent, name, kill);
    if (error != -EBUSY || waited >= budget_ms) return error;
    pause_ms(kStep);
  }
}

bool parent_name(const char* instance, char (&out)[kMaxCgroupName + 1]) noexcept {
  const int size = std::snprintf(out, sizeof out, "stacyvm-%s", instance);
  return size > 0 && static_cast<size_t>(size) < sizeof out && is_group_name(instance) && is_group_name(out);
}

int make_group(int parent, const char* name, Fd& out) noexcept {
  if (::mkdirat(parent, name, kGroupMode) < 0) return -errno;
  return open_directory(parent, name, out);
}

/// A sandbox's groups when nothing is left in them, which is the rule. False: they need more than that.
bool remove_empty(int parent, const char* name) noexcept {
  for (const char* level : {kCommandLevel, kAgentLevel}) {
    char path[2 * kMaxCgroupName];
    std::snprintf(path, sizeof path, "%s/%s", name, level);
    if (::unlinkat(parent, path, AT_REMOVEDIR) < 0 && errno != ENOENT) return false;
  }
  return ::unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/// A child born in the agent's level moves itself to the commands' level, as every command will.
int try_entering_v2(const Cgroup& group) noexcept {
  CloneArgs args{};
  args.flags = kCloneIntoCgroup;
  args.cgroup = static_cast<uint64_t>(group.into_fd());
  const long pid = syscall_result(kSysClone3, &args, sizeof args);  // no exit signal: the host application's SIGCHLD stays silent
  if (pid < 0) return static_cast<int>(pid);
  if (pid == 0) ::_exit(::write(group.command_fd(0), "0", 1) < 0 ? errno : 0);
  int status;
  while (::waitpid(static_cast<pid_t>(pid), &status, __WALL) < 0) {
    if (errno != EINTR) return -errno;
  }
  return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int try_entering_v1(Cgroup& group) noexcept {
  if (const int error = group.enter()) return error;
  int result = 0;
  for (size_t i = 0; i < group.command_fd_count() && result == 0; ++i) result = write_all(group.command_fd(i), "0", 1);
  const int error = group.leave();
  return result != 0 ? result : error;
}

/// Every directory called `name` below `directory`.
unsigned remove_named(int directory, const char* name, int depth) {
  constexpr int kDeepest = 32;
  unsigned removed = 0;
  struct stat status;
  if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode)) {
    constexpr int kBudgetMs = 2000;
    if (remove_patiently(directory, name, true, kBudgetMs) == 0) ++removed;
  }
  std::vector<std::string> children;
  if (depth == kDeepest || list_groups(directory, children) != 0) return removed;  // what cannot be read is not ours
  for (const std::string& child : children) {
    Fd below;
    if (open_directory(directory, child.c_str(), below) == 0) removed += remove_named(below.get(), name, depth + 1);
  }
  return removed;
}

}  // namespace

// --- one sandbox

int Cgroup::enter() noexcept {
  if (!parent_ || parent_->version_ != 1) return 0;
  for (size_t i = 0; i < parent_->slot_count_; ++i) {
    if ((made_ & 1u << i) == 0) continue;
    Fd group;
    int error = open_directory(parent_->slots_[i].directory.get(), name_, group);
    if (error == 0) error = write_control(group.get(), "tasks", "0");
    if (error != 0) {
      (void)leave();  // the caller gets the reason; what cannot be left here shows again in remove()
      return error;
    }
  }
  return 0;
}

int Cgroup::leave() noexcept {
  if (!parent_ || parent_->version_ != 1) return 0;
  int result = 0;
  for (size_t i = 0; i < parent_->slot_count_; ++i) {
    if ((made_ & 1u << i) == 0) continue;
    const int error = write_all(parent_->slots_[i].own_tasks.get(), "0", 1);
    if (error != 0 && result == 0) result = error;
  }
  return result;
}

void Cgroup::close_fds() noexcept {
  into_.reset();
  oom_.reset();
  for (Fd& fd : command_fds_) fd.reset();
  command_fd_count_ = 0;
}

uint64_t Cgroup::oom_kills() const noexcept {
  if (!parent_) return 0;
  for (size_t i = 0; i < parent_->slot_count_; ++i) {
    if ((parent_->slots_[i].controllers & kMemory) == 0 || (made_ & 1u << i) == 0) continue;
    Fd group, commands;
    std::string text;
    if (open_directory(parent_->slots_[i].directory.get(), name_, group) != 0 ||
        open_directory(group.get(), kCommandLevel, commands) != 0 ||
        read_control(commands.get(), parent_->version_ == 1 ? "memory.oom_control" : "memory.events", text) != 0) {
      return 0;  // removed already
    }
    return parse_oom_kills(text.data(), text.size());
  }
  return 0;
}

int Cgroup::remove() noexcept {
  if (!parent_) return 0;
  close_fds();
  int result = 0;
  for (size_t i = 0; i < parent_->slot_count_; ++i) {
    if ((made_ & 1u << i) == 0) continue;
    const int directory = parent_->slots_[i].directory.get();
    const int error = remove_empty(directory, name_) ? 0 : remove_tree(directory, name_, true);
    if (error == 0) made_ = static_cast<uint8_t>(made_ & ~(1u << i));
    if (error != 0 && result == 0) result = error;
  }
  if (result == 0) parent_ = nullptr;
  return result;
}

// --- the parent

int32_t* CgroupParent::support_error(unsigned bit) noexcept {
  int32_t* const errors[] = {&support_.memory_error, &support_.cpu_error, &support_.pids_error};
  return errors[bit];
}

void CgroupParent::open(const char* instance, CgroupSupport& support) noexcept {
  support_ = {};
  CgroupTexts texts;
  int error = parent_name(instance, name_) ? texts.load() : -EINVAL;
  if (error == 0) {
    char own[PATH_MAX];
    bool v1 = false;  // a controller serves one version only
    for (const char* controller : kControllerNames) {
      v1 = v1 || parse_own_cgroup(texts.own.data(), texts.own.size(), controller, own, sizeof own);
    }
    if (v1) {
      open_v1(texts);
    } else {
      open_v2(texts);
    }
    if (slot_count_ > 0) try_limits();
  } else {
    support_.memory_error = support_.cpu_error = support_.pids_error = -error;
  }
  // Swap is limited beside memory.
  if (support_.memory_error != 0) support_.swap_error = support_.memory_error;
  support = support_;
}

void CgroupParent::open_v1(const CgroupTexts& texts) noexcept {
  version_ = support_.version = 1;
  for (unsigned bit = 0; bit < kMaxHierarchies; ++bit) {
    Slot slot;
    slot.controllers = static_cast<uint8_t>(1u << bit);
    int error = open_own_group(texts, kControllerNames[bit], slot.base);
    if (error == 0) error = open_for_write(slot.base.get(), "tasks", slot.own_tasks);
    if (error == 0) {
      bool shared = false;  // mounted together with one we have
      for (size_t i = 0; i < slot_count_; ++i) {
        if (!same_directory(slots_[i].base.get(), slot.base.get())) continue;
        slots_[i].controllers = static_cast<uint8_t>(slots_[i].controllers | slot.controllers);
        shared = true;
      }
      if (shared) continue;
      error = make_group(slot.base.get(), name_, slot.directory);
      if (error == -EEXIST) error = open_directory(slot.base.get(), name_, slot.directory);
    }
    if (error != 0) {
      *support_error(bit) = -error;
      continue;
    }
    slots_[slot_count_++] = std::move(slot);
  }
}

void CgroupParent::open_v2(const CgroupTexts& texts) noexcept {
  Fd own, top;
  Slot& slot = slots_[0];
  int controller_error = 0;
  int error = open_own_group(texts, "", own, &top);
  if (error != -EOPNOTSUPP) version_ = support_.version = 2;
  if (error == 0) error = find_base_v2(std::move(own), top.get(), slot.base, slot.controllers, controller_error);
  if (error == 0) {
    error = make_group(slot.base.get(), name_, slot.directory);
    if (error == -EEXIST) error = open_directory(slot.base.get(), name_, slot.directory);
  }
  if (error == 0) {
    slot.controllers = pass_controllers_v2(slot.directory.get(), slot.controllers, error);
    if (controller_error == 0) controller_error = error;
    slot_count_ = 1;
    error = controller_error != 0 ? controller_error : -EOPNOTSUPP;
  } else {
    slot.controllers = 0;
  }
  for (unsigned bit = 0; bit < kMaxHierarchies; ++bit) {
    if ((slot.controllers & 1u << bit) == 0) *support_error(bit) = -error;
  }
}

void CgroupParent::try_limits() noexcept {
  char name[32];
  std::snprintf(name, sizeof name, "%s-%d", kProbeName, ::getpid());
  Cgroup group;
  int error = create(name, kProbeLimits, group);
  if (error == 0) {
    support_.memory_error = group.memory_error;
    support_.swap_error = group.swap_error;
    support_.cpu_error = group.cpu_error;
    support_.pids_error = group.pids_error;
    error = version_ == 1 ? try_entering_v1(group) : try_entering_v2(group);
  }
  if (error != 0) {
    for (unsigned bit = 0; bit < kMaxHierarchies; ++bit) {
      if (*support_error(bit) == 0) *support_error(bit) = -error;
    }
  }
  constexpr int kBudgetMs = 100;
  for (size_t i = 0; i < slot_count_; ++i) {
    // What stays is removed by close(), or by the next owner.
    (void)remove_patiently(slots_[i].directory.get(), name, true, kBudgetMs);
  }
  // A group that nothing can enter would fail every spawn, also one that asked for no limit.
  if (error != 0) close();
}

int CgroupParent::make_v1(size_t slot_number, const char* name, Cgroup& out) noexcept {
  const Slot& slot = slots_[slot_number];
  Fd group, commands, tasks, oom;
  if (const int error = make_group(slot.directory.get(), name, group)) return error;
  int error = make_group(group.get(), kCommandLevel, commands);
  if (error == 0) error = open_for_write(commands.get(), "tasks", tasks);
  if (error == 0 && (slot.controllers & kMemory) != 0) {
    oom.reset(::openat(commands.get(), "memory.oom_control", O_RDONLY | O_CLOEXEC));
    if (!oom) error = -errno;
  }
  if (error != 0) {
    (void)remove_tree(slot.directory.get(), name, false);
    return error;
  }
  out.command_fds_[out.command_fd_count_++] = std::move(tasks);
  if (oom) out.oom_ = std::move(oom);
  out.made_ = static_cast<uint8_t>(out.made_ | 1u << slot_number);
  return 0;
}

/// As make_v1, with what prepare() made. -ENOENT when there is nothing.
int CgroupParent::rename_v1(size_t slot_number, const char* name, Cgroup& out) noexcept {
  Cgroup& next = next_[slot_number];
  const int directory = slots_[slot_number].directory.get();
  if (next.made_ == 0) return -ENOENT;
  if (::renameat(directory, next.name_, directory, name) < 0) return -errno;
  out.command_fds_[out.command_fd_count_++] = std::move(next.command_fds_[0]);
  if (next.oom_) out.oom_ = std::move(next.oom_);
  out.made_ = static_cast<uint8_t>(out.made_ | next.made_);
  next = Cgroup{};
  return 0;
}

int CgroupParent::limit_v1(size_t slot_number, const char* name, const CgroupLimits& limits, LimitErrors& errors) noexcept {
  const Slot& slot = slots_[slot_number];
  Fd group, commands;
  if (const int injected = SVM_FAIL_POINT("isolation.cgroup_limit")) return -injected;
  if (const int error = open_directory(slot.directory.get(), name, group)) return error;
  if (const int error = open_directory(group.get(), kCommandLevel, commands)) return error;
  apply_limits_v1(commands.get(), slot.controllers, limits, errors);
  if ((slot.controllers & kMemory) != 0 && limits.memory != 0 && limits.headroom != 0 && errors.memory == 0) {
    LimitErrors whole;
    apply_limits_v1(group.get(), kMemory, {limits.memory + limits.headroom, 0, 0, 0}, whole);
    errors.memory = whole.memory;
  }
  return 0;
}

int CgroupParent::prepare() noexcept {
  if (version_ != 1) return 0;
  int result = 0;
  for (size_t i = 0; i < slot_count_; ++i) {
    Cgroup& next = next_[i];
    if (next.made_ != 0) continue;
    // No sandbox is called so: their ids have no dot. A launcher that was killed may have left one, to be removed with the rest.
    std::snprintf(next.name_, sizeof next.name_, "next.%d", ::getpid());
    const int error = make_v1(i, next.name_, next);
    if (error != 0 && result == 0) result = error;
  }
  return result;
}

int CgroupParent::make_v2(const char* name, const CgroupLimits& limits, LimitErrors& errors, Cgroup& out) noexcept {
  const Slot& slot = slots_[0];
  Fd group, agent, commands, procs, oom;
  if (const int error = make_group(slot.directory.get(), name, group)) return error;
  int pass_error = 0;
  const uint8_t controllers = pass_controllers_v2(group.get(), slot.controllers, pass_error);
  int error = make_group(group.get(), kAgentLevel, agent);
  if (error == 0) error = make_group(group.get(), kCommandLevel, commands);
  if (error == 0) error = open_for_write(commands.get(), "cgroup.procs", procs);
  if (error == 0 && (controllers & kMemory) != 0) {
    oom.reset(::openat(commands.get(), "memory.events", O_RDONLY | O_CLOEXEC));
    if (!oom) error = -errno;
  }
  if (error == 0) error = -SVM_FAIL_POINT("isolation.cgroup_limit");
  if (error != 0) {
    (void)remove_tree(slot.directory.get(), name, false);
    return error;
  }
  apply_limits_v2(commands.get(), controllers, limits, errors);
  if ((controllers & kMemory) != 0 && limits.memory != 0 && limits.headroom != 0 && errors.memory == 0) {
    LimitErrors whole;
    apply_limits_v2(group.get(), kMemory, {limits.memory + limits.headroom, 0, 0, 0}, whole);
    errors.memory = whole.memory;
  }
  out.into_ = std::move(agent);
  out.command_fds_[out.command_fd_count_++] = std::move(procs);
  if (oom) out.oom_ = std::move(oom);
  out.made_ = 1;
  return 0;
}

int CgroupParent::create(const char* name, const CgroupLimits& limits, Cgroup& out) noexcept {
  if (!is_group_name(name)) return -EINVAL;
  if (out.parent_) return -EBUSY;  // it still owns groups
  out = Cgroup{};
  LimitErrors errors;
  int first_error = 0;
  for (size_t i = 0; i < slot_count_; ++i) {
    int error = 0;
    if (version_ == 1) {
      if (rename_v1(i, name, out) != 0) error = make_v1(i, name, out);
      if (error == 0 && (error = limit_v1(i, name, limits, errors)) != 0) {
        (void)remove_tree(slots_[i].directory.get(), name, false);
        out.made_ = static_cast<uint8_t>(out.made_ & ~(1u << i));
        out.command_fds_[--out.command_fd_count_].reset();
        if ((slots_[i].controllers & kMemory) != 0) out.oom_.reset();
      }
    } else {
      error = make_v2(name, limits, errors, out);
    }
    if (error == 0) continue;
    if (first_error == 0) first_error = error;
    if (error == -EEXIST) {
      // Somebody else's group of that name: leave it, and undo what this call made.
      for (size_t j = 0; j < i; ++j) {
        if ((out.made_ & 1u << j) != 0) (void)remove_tree(slots_[j].directory.get(), name, false);
      }
      out = Cgroup{};
      return error;
    }
    if ((slots_[i].controllers & kMemory) != 0) errors.memory = errors.swap = -error;
    if ((slots_[i].controllers & kCpu) != 0) errors.cpu = -error;
    if ((slots_[i].controllers & kPids) != 0) errors.pids = -error;
  }
  const auto outcome = [](bool asked, int32_t applied, int32_t support) -> int32_t {
    if (!asked) return -1;
    if (applied != -1) return applied;
    return support != 0 ? support : EOPNOTSUPP;  // no hierarchy took it
  };
  out.memory_error = outcome(limits.memory != 0, errors.memory, support_.memory_error);
  out.swap_error = outcome(limits.memory != 0, errors.swap, support_.swap_error);
  out.cpu_error = outcome(limits.milli_cpus != 0, errors.cpu, support_.cpu_error);
  out.pids_error = outcome(limits.pids != 0, errors.pids, support_.pids_error);
  if (out.made_ == 0) {
    if (first_error != 0) return first_error;
    return support_.memory_error != 0 ? -support_.memory_error : -EOPNOTSUPP;  // open() found no place: why not
  }
  out.parent_ = this;
  std::snprintf(out.name_, sizeof out.name_, "%s", name);
  return 0;
}

void CgroupParent::close() noexcept {
  for (size_t i = 0; i < slot_count_; ++i) {
    next_[i] = Cgroup{};
    // Groups with processes stay for remove_stale_cgroups. If that was here already, a next owner of the instance may have made a parent
    // with this name: what is removed is ours by its descriptor, and not by its name.
    std::vector<std::string> groups;
    (void)list_groups(slots_[i].directory.get(), groups);
    for (const std::string& group : groups) (void)remove_tree(slots_[i].directory.get(), group.c_str(), false);
    Fd named;
    if (open_directory(slots_[i].base.get(), name_, named) == 0 && same_directory(named.get(), slots_[i].directory.get()))
      (void)::unlinkat(slots_[i].base.get(), name_, AT_REMOVEDIR);
    slots_[i] = Slot{};
  }
  slot_count_ = 0;
}

unsigned remove_stale_cgroups(const char* instance) {
  char name[kMaxCgroupName + 1];
  CgroupTexts texts;
  if (!parent_name(instance, name) || texts.load() != 0) return 0;
  unsigned removed = 0;
  for (const char* controller : {kControllerNames[0], kControllerNames[1], kControllerNames[2], ""}) {
    CgroupMount mount;
    Fd top;
    if (parse_cgroup_mount(texts.mounts, controller, mount) && open_directory(AT_FDCWD, mount.point.c_str(), top) == 0) {
      removed += remove_named(top.get(), name, 0);
    }
  }
  return removed;
}

}  // namespace svm::isolation
