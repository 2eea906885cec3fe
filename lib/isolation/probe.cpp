#include "isolation/probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "core/clock.hpp"
#include "core/process.hpp"
#include "isolation/cgroup_files.hpp"
#include "isolation/lockdown.hpp"
#include "isolation/probe_child.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

// --- rows about system calls

void probe_kernel(ProbeOutcome& out, const ProbeContext&) noexcept {
  utsname name;
  int major = 0, minor = 0;
  if (::uname(&name) < 0) return out.fail(errno, "uname");
  if (std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return out.fail(EPROTO, "release");
  out.value = major * 1000 + minor;
  out.describe(name.release);
}

void probe_openat2(ProbeOutcome& out, const ProbeContext&) noexcept {
  const Fd usr(::open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!usr) return out.fail(errno, "open");
  const OpenHow how{O_PATH | O_CLOEXEC, 0, kResolveBeneath | kResolveNoMagiclinks};
  const long inside = syscall_result(kSysOpenat2, usr.get(), ".", &how, sizeof how);
  if (inside < 0) return out.fail(static_cast<int>(-inside), "openat2");
  const Fd close_inside(static_cast<int>(inside));
  const long outside = syscall_result(kSysOpenat2, usr.get(), "..", &how, sizeof how);
  if (outside >= 0) ::close(static_cast<int>(outside));
  if (outside != -EXDEV) out.fail(EPROTO, "a path led outside");
}

int wait_for(pid_t pid) noexcept {
  int status;
  while (::waitpid(pid, &status, __WALL) < 0) {
    if (errno != EINTR) return -errno;
  }
  return status;
}

void clone3_and_wait(ProbeOutcome& out, CloneArgs args) noexcept {
  args.exit_signal = SIGCHLD;
  const long pid = syscall_result(kSysClone3, &args, sizeof args);
  if (pid < 0) return out.fail(static_cast<int>(-pid), "clone3");
  if (pid == 0) ::_exit(0);
  if (const int status = wait_for(static_cast<pid_t>(pid)); status != 0) out.fail(status < 0 ? -status : EIO, "wait");
}

void probe_clone3(ProbeOutcome& out, const ProbeContext&) noexcept { clone3_and_wait(out, {}); }

void probe_clone_into_cgroup(ProbeOutcome& out, const ProbeContext&) noexcept {
  CgroupTexts texts;
  Fd own;
  if (const int error = texts.load()) return out.fail(-error, "own group");
  if (const int error = open_own_group(texts, "", own)) return out.fail(-error, "unified hierarchy");
  CloneArgs args{};
  args.flags = kCloneIntoCgroup;
  args.cgroup = static_cast<uint64_t>(own.get());
  clone3_and_wait(out, args);
}

void probe_pidfd(ProbeOutcome& out, const ProbeContext&) noexcept {
  const pid_t pid = ::fork();
  if (pid < 0) return out.fail(errno, "fork");
  if (pid == 0) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) ::_exit(1);
    for (;;) ::pause();
  }
  Fd pidfd;
  int error = open_pidfd(pid, pidfd);
  if (error != 0) {
    out.fail(-error, "pidfd_open");
    ::kill(pid, SIGKILL);
  } else if ((error = signal_pidfd(pidfd.get(), SIGKILL)) != 0) {
    out.fail(-error, "pidfd_send_signal");
    ::kill(pid, SIGKILL);
  } else {
    pollfd event{pidfd.get(), POLLIN, 0};
    if (::poll(&event, 1, 1000) != 1) out.fail(EPROTO, "poll");
  }
  if (const int status = wait_for(pid); status < 0) out.fail(-status, "wait");
}

void probe_close_range(ProbeOutcome& out, const ProbeContext&) noexcept {
  constexpr unsigned kCloseRangeCloexec = 4;
  const int fd = ::open("/", O_PATH);
  if (fd < 0) return out.fail(errno, "open");
  const auto number = static_cast<unsigned>(fd);
  long result = syscall_result(kSysCloseRange, number, number, kCloseRangeCloexec);
  if (result == 0 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0) result = -EPROTO;
  if (result == 0) result = syscall_result(kSysCloseRange, number, number, 0u);
  if (result == 0 && ::fcntl(fd, F_GETFD) >= 0) result = -EPROTO;
  if (result < 0) out.fail(static_cast<int>(-result), "close_range");
}

void probe_no_new_privs(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (const int error = set_no_new_privs()) out.fail(-error, "prctl");
}

void probe_seccomp_filter(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (const int error = set_no_new_privs()) return out.fail(-error, "no_new_privs");
  if (const int error = install_seccomp(Profile::standard)) return out.fail(-error, "seccomp");
  // A bad pointer: the kernel itself would say EFAULT, or EINVAL for the size.
  if (syscall_result(kSysClone3, nullptr, size_t{0}) != -ENOSYS) out.fail(EPROTO, "the filter does not decide");
}

void probe_landlock(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (const int error = set_no_new_privs()) return out.fail(-error, "no_new_privs");
  uint32_t abi = 0;
  if (const int error = install_landlock(&abi)) return out.fail(-error, "landlock");
  out.value = abi;
}

void probe_keyring(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (const int error = join_new_session_keyring()) out.fail(-error, "keyctl");
}

void probe_memfd_exec(ProbeOutcome& out, const ProbeContext&) noexcept {
  constexpr char kNoProgram[] = "this is no program";
  Fd memfd;
  if (const int error = sealed_memfd("probe", kNoProgram, sizeof kNoProgram, memfd)) return out.fail(-error, "memfd_create");
  char* const nothing[] = {nullptr};
  ::execveat(memfd.get(), "", nothing, nothing, AT_EMPTY_PATH);
  // The kernel looks at the bytes only after it has allowed the file to be executed.
  if (errno != ENOEXEC) out.fail(errno, "execveat");
}

// --- rows about control groups: tried once, in find_cgroups

void find_cgroups(ProbeContext& context) noexcept {
  char instance[32];
  std::snprintf(instance, sizeof instance, "probe-%d", ::getpid());
  CgroupParent parent;
  parent.open(instance, context.cgroups);
  Cgroup group;
  const int error = parent.create("any", {}, group);
  context.cgroup_error = -error;
  if (error == 0) (void)group.remove();  // empty; close() would meet it again
  parent.close();
}

void cgroup_row(ProbeOutcome& out, int32_t error, const char* step) noexcept {
  if (error != 0) out.fail(error, step);
}
void probe_cgroup_version(ProbeOutcome& out, const ProbeContext& c) noexcept {
  out.value = c.cgroups.version;
  if (c.cgroups.version == 0) out.fail(EOPNOTSUPP, "no control groups");
}
void probe_cgroup_memory(ProbeOutcome& out, const ProbeContext& c) noexcept { cgroup_row(out, c.cgroups.memory_error, "memory limit"); }
void probe_cgroup_swap(ProbeOutcome& out, const ProbeContext& c) noexcept { cgroup_row(out, c.cgroups.swap_error, "swap limit"); }
void probe_cgroup_cpu(ProbeOutcome& out, const ProbeContext& c) noexcept { cgroup_row(out, c.cgroups.cpu_error, "cpu limit"); }
void probe_cgroup_pids(ProbeOutcome& out, const ProbeContext& c) noexcept { cgroup_row(out, c.cgroups.pids_error, "pids limit"); }
void probe_cgroup_delegation(ProbeOutcome& out, const ProbeContext& c) noexcept { cgroup_row(out, c.cgroup_error, "make a group"); }

// --- rows about devices and budgets

void probe_kvm(ProbeOutcome& out, const ProbeContext&) noexcept {
  constexpr unsigned long kKvmGetApiVersion = 0xAE00;
  const Fd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  if (!kvm) return out.fail(errno, "open");
  const int version = ::ioctl(kvm.get(), kKvmGetApiVersion, 0);
  if (version < 0) return out.fail(errno, "api version");
  out.value = version;
}

void probe_fuse(ProbeOutcome& out, const ProbeContext&) noexcept {
  const Fd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (!fuse) out.fail(errno, "open");
}

void probe_inotify_instances(ProbeOutcome& out, const ProbeContext&) noexcept {
  const Fd inotify(::inotify_init1(IN_CLOEXEC));
  if (!inotify) return out.fail(errno, "inotify_init1");
  (void)read_proc_number("/proc/sys/fs/inotify/max_user_instances", out.value, out);
}

void probe_inotify_watches(ProbeOutcome& out, const ProbeContext&) noexcept {
  const Fd inotify(::inotify_init1(IN_CLOEXEC));
  if (!inotify) return out.fail(errno, "inotify_init1");
  if (::inotify_add_watch(inotify.get(), "/", IN_CREATE) < 0) return out.fail(errno, "inotify_add_watch");
  (void)read_proc_number("/proc/sys/fs/inotify/max_user_watches", out.value, out);
}

void probe_max_user_namespaces(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (read_proc_number("/proc/sys/user/max_user_namespaces", out.value, out) && out.value == 0) out.fail(ENOSPC, "none allowed");
}

void probe_pid_max(ProbeOutcome& out, const ProbeContext&) noexcept {
  (void)read_proc_number("/proc/sys/kernel/pid_max", out.value, out);
}

void probe_pid_headroom(ProbeOutcome& out, const ProbeContext&) noexcept {
  int64_t most = 0;
  if (!read_proc_number("/proc/sys/kernel/pid_max", most, out)) return;
  std::string load;  // "0.00 0.01 0.05 1/234 5678": threads that run, threads there are
  if (const int error = read_control(AT_FDCWD, "/proc/loadavg", load)) return out.fail(-error, "threads");
  const size_t slash = load.find('/');
  if (slash == std::string::npos) return out.fail(EPROTO, "threads");
  out.value = most - std::strtoll(load.c_str() + slash + 1, nullptr, 10);
  if (out.value <= 0) out.fail(EAGAIN, "none left");
}

void probe_open_files(ProbeOutcome& out, const ProbeContext&) noexcept {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) return out.fail(errno, "getrlimit");
  out.value = limit.rlim_max > INT64_MAX ? INT64_MAX : static_cast<int64_t>(limit.rlim_max);
}

void probe_io_uring_disabled(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (!read_proc_number("/proc/sys/kernel/io_uring_disabled", out.value, out)) return;
  char parameters[120] = {};  // struct io_uring_params
  const long fd = syscall_result(SYS_io_uring_setup, 1u, parameters);
  if (fd >= 0) ::close(static_cast<int>(fd));
  out.describe(fd >= 0 ? "open to this process" : "closed to this process");
}

void probe_yama_ptrace_scope(ProbeOutcome& out, const ProbeContext&) noexcept {
  (void)read_proc_number("/proc/sys/kernel/yama/ptrace_scope", out.value, out);
}

// --- the table

struct Row {
  const char* name;
  const char* meaning;
  ProbeFunction probe;
};

constexpr Row kRows[] = {
    {"kernel", "version of the kernel, major * 1000 + minor", probe_kernel},
    {"user_namespace", "root inside is nobody outside", probe_user_namespace},
    {"mount_namespace", "a file tree of its own", probe_mount_namespace},
    {"pid_namespace", "sees and signals its own processes only", probe_pid_namespace},
    {"net_namespace", "network interfaces and ports of its own", probe_net_namespace},
    {"ipc_namespace", "shared memory and message queues of its own", probe_ipc_namespace},
    {"uts_namespace", "a host name of its own", probe_uts_namespace},
    {"cgroup_namespace", "does not see where its limits hang", probe_cgroup_namespace},
    {"time_namespace", "could have a boot time of its own (not used)", probe_time_namespace},
    {"id_range", "65,536 user ids of its own: users differ inside, and from other sandboxes", probe_id_range},
    {"subordinate_ids", "a range of ids without root, through newuidmap", probe_subordinate_ids},
    {"overlay", "image layers shared between sandboxes, made by root", probe_overlay},
    {"overlay_in_user_namespace", "image layers shared between sandboxes, made without root", probe_overlay_in_user_namespace},
    {"tmpfs_in_user_namespace", "a writable root in memory", probe_tmpfs_in_user_namespace},
    {"idmapped_mount", "host-owned files of the base system appear with inside ids", probe_idmapped_mount},
    {"proc_mount", "a /proc of its own", probe_proc_mount},
    {"mount_setattr", "a whole mount tree made read-only at once", probe_mount_setattr},
    {"openat2", "paths that cannot lead out of their root", probe_openat2},
    {"clone3", "the kernel's current way of starting processes", probe_clone3},
    {"clone_into_cgroup", "processes are born inside their limits", probe_clone_into_cgroup},
    {"pidfd", "processes are named without races", probe_pidfd},
    {"close_range", "no descriptor is inherited by accident", probe_close_range},
    {"no_new_privs", "set-user-id programs give no rights", probe_no_new_privs},
    {"seccomp_filter", "most of the kernel is out of reach", probe_seccomp_filter},
    {"landlock", "a second lock on devices, mounts and abstract sockets; the value is its ABI", probe_landlock},
    {"keyring", "the host's keys are out of reach", probe_keyring},
    {"cgroup_version", "0 none, 1 (also hybrid), 2", probe_cgroup_version},
    {"cgroup_memory", "a memory limit holds", probe_cgroup_memory},
    {"cgroup_swap", "swap is limited with memory", probe_cgroup_swap},
    {"cgroup_cpu", "a cpu limit holds", probe_cgroup_cpu},
    {"cgroup_pids", "a process limit holds; without root one holds also without this", probe_cgroup_pids},
    {"cgroup_delegation", "this user may make control groups", probe_cgroup_delegation},
    {"disk_limit", "a limit on bytes and files written", probe_disk_limit},
    {"project_quota", "a disk limit that costs no memory", probe_project_quota},
    {"memfd_exec", "the agent starts from memory", probe_memfd_exec},
    {"kvm", "virtual machines; the value is the interface's version", probe_kvm},
    {"fuse", "file systems in user space", probe_fuse},
    {"inotify_instances", "file watchers per user id", probe_inotify_instances},
    {"inotify_watches", "watched files per user id", probe_inotify_watches},
    {"max_user_namespaces", "user namespaces the kernel allows", probe_max_user_namespaces},
    {"pid_max", "process ids the kernel has", probe_pid_max},
    {"pid_headroom", "process ids that are free now", probe_pid_headroom},
    {"open_files", "descriptors this process may hold", probe_open_files},
    {"io_uring_disabled", "0 open to all, 1 privileged only, 2 closed", probe_io_uring_disabled},
    {"yama_ptrace_scope", "who may trace whom, where Yama is present", probe_yama_ptrace_scope},
};
constexpr unsigned kRowCount = sizeof kRows / sizeof kRows[0];
static_assert(kRowCount <= kMaxProbeRows);

struct Shared {
  ProbeContext context;
  ProbeOutcome outcome;
  bool finished = false;
};

/// Waits up to `budget_ms`, then kills. Polls, because pidfds are among the things in question. True when the child ended by itself.
bool reap(pid_t pid, int64_t budget_ms) noexcept {
  const int64_t deadline = monotonic_us() + budget_ms * 1000;
  long nap_ns = 100'000;
  for (;;) {
    const pid_t ended = ::waitpid(pid, nullptr, WNOHANG);
    if (ended == pid) return true;
    if (ended < 0 && errno != EINTR) return errno == ECHILD;  // somebody ignores SIGCHLD
    if (monotonic_us() >= deadline) break;
    const timespec nap{0, nap_ns};
    ::nanosleep(&nap, nullptr);
    if (nap_ns < 5'000'000) nap_ns *= 2;
  }
  ::kill(pid, SIGKILL);
  (void)wait_for(pid);
  return false;
}

/// Runs `body` in a child; 0, ETIMEDOUT, or what kept it from running.
template <class Body>
int in_child(Shared& shared, Body body) noexcept {
  constexpr int64_t kBudgetMs = 2000;
  shared.finished = false;
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    body();
    shared.finished = true;
    ::_exit(0);
  }
  if (!reap(pid, kBudgetMs)) return ETIMEDOUT;
  return shared.finished ? 0 : EIO;  // it was ended, by a filter for instance
}

}  // namespace

unsigned probe_host(ProbeRow (&rows)[kMaxProbeRows]) noexcept {
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const int memory_error = memory == MAP_FAILED ? errno : 0;
  auto* shared = memory_error != 0 ? nullptr : new (memory) Shared{};
  int cgroup_error = 0;
  if (shared) cgroup_error = in_child(*shared, [&] { find_cgroups(shared->context); });
  if (cgroup_error != 0) {
    CgroupSupport& c = shared->context.cgroups;
    c.memory_error = c.swap_error = c.cpu_error = c.pids_error = shared->context.cgroup_error = cgroup_error;
  }
  for (unsigned i = 0; i < kRowCount; ++i) {
    ProbeRow& row = rows[i] = {};
    row.name = kRows[i].name;
    row.meaning = kRows[i].meaning;
    if (!shared) {
      row.error = memory_error;
      continue;
    }
    shared->outcome = {};
    const int error = in_child(*shared, [&] { kRows[i].probe(shared->outcome, shared->context); });
    if (error != 0) shared->outcome.fail(error, error == ETIMEDOUT ? "no answer" : "ended early");
    row.error = shared->outcome.error;
    row.value = shared->outcome.value;
    std::memcpy(row.detail, shared->outcome.detail, sizeof row.detail);
  }
  if (shared) ::munmap(memory, sizeof(Shared));
  return kRowCount;
}

}  // namespace svm::isolation
