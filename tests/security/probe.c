// Tries the kernel's entry points from inside a sandbox and prints one line for each:
//
//   SAFE name detail      denied as it should be
//   OPEN name detail      it answered
//   WORKS / BROKEN name   what ordinary programs need
//
// Static, without dependencies, so that it runs on any root. Arguments are facts of the host that must not be found in here:
//   text=NEEDLE  file=PATH  abstract=NAME  port=NUMBER  shm=KEY  mq=NAME  host=NAME  pid=NUMBER
// Every call is made with arguments that do nothing should it get through; on a host it refuses to run.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static void say(const char *word, const char *name, const char *format, va_list arguments) {
  printf("%s %s ", word, name);
  vprintf(format, arguments);
  putchar('\n');
}
__attribute__((format(printf, 3, 4))) static void verdict(int safe, const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(safe ? "SAFE" : "OPEN", name, format, arguments);
  va_end(arguments);
}
__attribute__((format(printf, 3, 4))) static void works(int good, const char *name, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  say(good ? "WORKS" : "BROKEN", name, format, arguments);
  va_end(arguments);
}

/// The result or -errno.
static long result(long r) { return r == -1 ? -(long)errno : r; }
/// -1 in every argument: no address, no descriptor, no known flag. A call that is let through fails with another errno or does nothing.
static long call_with_nonsense(long number) { return result(syscall(number, -1L, -1L, -1L, -1L, -1L, -1L)); }
static void expect(const char *name, long got, int error) { verdict(got == -error, name, "%ld, expected %d", got, -error); }

/// Runs `action` in a child. The wait status.
static int in_child(void (*action)(void)) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    action();
    fflush(stdout);
    _exit(0);
  }
  int status = -1;
  if (child < 0 || waitpid(child, &status, 0) != child) return -1;
  return status;
}

// ---- calls that take no part in ordinary work

struct entry {
  const char *name;
  long number;
};
#define CALL(name) {#name, SYS_##name}
static const struct entry kRefused[] = {
    CALL(add_key), CALL(request_key), CALL(keyctl), CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(vmsplice), CALL(kexec_load),
    CALL(init_module), CALL(finit_module), CALL(delete_module), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot),
    CALL(open_by_handle_at), CALL(name_to_handle_at), CALL(fanotify_init), CALL(fanotify_mark), CALL(swapon), CALL(swapoff), CALL(quotactl),
    CALL(acct), CALL(setns), CALL(unshare), CALL(reboot), CALL(syslog), CALL(settimeofday), CALL(clock_settime), CALL(vhangup),
    CALL(sethostname), CALL(setdomainname), CALL(mbind), CALL(set_mempolicy), CALL(migrate_pages), CALL(move_pages), CALL(pidfd_getfd),
    CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(kcmp), {"lsm_set_self_attr", 460},
#ifdef SYS_kexec_file_load
    CALL(kexec_file_load),
#endif
#ifdef __x86_64__
    CALL(iopl), CALL(ioperm),
#endif
};
static const struct entry kAbsent[] = {
    {"clone3", 435}, {"io_uring_setup", 425}, {"io_uring_enter", 426}, {"io_uring_register", 427}, {"fsopen", 430}, {"fsconfig", 431},
    {"fsmount", 432}, {"fspick", 433}, {"move_mount", 429}, {"open_tree", 428}, {"mount_setattr", 442}, {"quotactl_fd", 443},
    {"memfd_secret", 447}, {"process_madvise", 440}, {"process_mrelease", 448}, {"set_mempolicy_home_node", 450}, {"cachestat", 451},
    {"map_shadow_stack", 453}, {"statmount", 457}, {"listmount", 458}, {"lsm_get_self_attr", 459}, {"lsm_list_modules", 461},
    {"setxattrat", 463}, {"getxattrat", 464}, {"listxattrat", 465}, {"removexattrat", 466}, {"open_tree_attr", 467}, {"file_setattr", 469},
    {"listns", 470},
#ifdef __x86_64__
    {"modify_ldt", 154}, {"ustat", 136}, {"sysfs", 139}, {"uselib", 134}, {"_sysctl", 156}, {"create_module", 174},
    {"get_kernel_syms", 177}, {"query_module", 178}, {"nfsservctl", 180}, {"getpmsg", 181}, {"putpmsg", 182}, {"afs_syscall", 183},
    {"tuxcall", 184}, {"security", 185}, {"set_thread_area", 205}, {"get_thread_area", 211}, {"lookup_dcookie", 212}, {"vserver", 236},
#endif
};

static void try_calls(void) {
  for (size_t i = 0; i < sizeof kRefused / sizeof *kRefused; ++i) expect(kRefused[i].name, call_with_nonsense(kRefused[i].number), EPERM);
  for (size_t i = 0; i < sizeof kAbsent / sizeof *kAbsent; ++i) expect(kAbsent[i].name, call_with_nonsense(kAbsent[i].number), ENOSYS);
  long open = 0;
  for (long number = 471; number < 1024; ++number)
    if (call_with_nonsense(number) != -ENOSYS) open = number;
  verdict(open == 0, "unknown_numbers", "%ld", open);
}

#ifdef __x86_64__
static void i386_getpid(void) {
  long number = 20;
  __asm__ volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
}
static void uprobe(void) { (void)syscall(336); }
static void uretprobe(void) { (void)syscall(335); }

static void try_other_entries(void) {
  int status = in_child(i386_getpid);
  verdict(WIFSIGNALED(status), "i386_int80", "status %d", status);
  static const int kX32[] = {39 /* getpid */, 512 /* rt_sigaction */, 520 /* execve */, 521 /* ptrace */, 539 /* process_vm_readv */, 165, 272};
  for (size_t i = 0; i < sizeof kX32 / sizeof *kX32; ++i) {
    char name[32];
    snprintf(name, sizeof name, "x32_%d", kX32[i]);
    expect(name, result(syscall(0x40000000L | kX32[i], -1L, -1L, -1L, -1L, -1L, -1L)), ENOSYS);
  }
  // Newer kernels run these two past every filter and end whoever is not their own trampoline.
  status = in_child(uprobe);
  verdict(status >= 0, "uprobe", "status %d", status);
  status = in_child(uretprobe);
  verdict(status >= 0, "uretprobe", "status %d", status);
}
#else
static void try_other_entries(void) {}
#endif

static void try_clone(void) {
  static const struct {
    const char *name;
    unsigned long flag;
  } kFlags[] = {{"newns", 0x20000}, {"newcgroup", 0x2000000}, {"newuts", 0x4000000}, {"newipc", 0x8000000},
                {"newuser", 0x10000000}, {"newpid", 0x20000000}, {"newnet", 0x40000000}, {"newuser_high_bits", 0x7f00000010000000}};
  for (size_t i = 0; i < sizeof kFlags / sizeof *kFlags; ++i) {
    char name[48];
    const long got = result(syscall(SYS_clone, kFlags[i].flag | SIGCHLD, 0L, 0L, 0L, 0L));
    if (got == 0) _exit(0);
    snprintf(name, sizeof name, "clone_%s", kFlags[i].name);
    expect(name, got, EPERM);
    snprintf(name, sizeof name, "unshare_%s", kFlags[i].name);
    expect(name, result(syscall(SYS_unshare, kFlags[i].flag)), EPERM);
  }
  expect("unshare_newtime", result(syscall(SYS_unshare, 0x80L)), EPERM);
}

static void try_sockets(void) {
  static const int kTypes[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, 10 /* SOCK_PACKET */};
  for (long family = 0; family <= 50; ++family) {
    if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
    long worst = -EAFNOSUPPORT;
    for (size_t i = 0; i < sizeof kTypes / sizeof *kTypes; ++i)
      for (long high = 0; high <= 1; ++high) {
        const long got = result(syscall(SYS_socket, family | high << 40, (long)kTypes[i], 0L));
        if (got != -EAFNOSUPPORT) worst = got;
      }
    char name[48];
    snprintf(name, sizeof name, "socket_family_%ld", family);
    expect(name, worst, EAFNOSUPPORT);
  }
  for (long protocol = 1; protocol <= 22; ++protocol) {
    char name[48];
    snprintf(name, sizeof name, "netlink_%ld", protocol);
    expect(name, result(syscall(SYS_socket, (long)AF_NETLINK, (long)SOCK_RAW, protocol)), EAFNOSUPPORT);
  }
  static const int kInternet[] = {AF_INET, AF_INET6};
  for (size_t i = 0; i < 2; ++i) {
    const char *version = kInternet[i] == AF_INET ? "inet" : "inet6";
    char name[48];
    snprintf(name, sizeof name, "socket_%s_raw", version);
    expect(name, result(socket(kInternet[i], SOCK_RAW, IPPROTO_ICMP)), EPERM);
    snprintf(name, sizeof name, "socket_%s_raw_flags", version);
    expect(name, result(socket(kInternet[i], SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW)), EPERM);
    snprintf(name, sizeof name, "socket_%s_packet", version);
    expect(name, result(socket(kInternet[i], 10, 0)), EPERM);
    snprintf(name, sizeof name, "socket_%s_seqpacket", version);
    expect(name, result(socket(kInternet[i], SOCK_SEQPACKET, 132)), EPERM);
    static const int kProtocols[] = {132 /* SCTP */, 262 /* MPTCP */, 136 /* UDPLITE */, 33 /* DCCP */, 47 /* GRE */, 50 /* ESP */, 255};
    for (size_t j = 0; j < sizeof kProtocols / sizeof *kProtocols; ++j) {
      snprintf(name, sizeof name, "socket_%s_protocol_%d", version, kProtocols[j]);
      expect(name, result(socket(kInternet[i], SOCK_STREAM, kProtocols[j])), EPROTONOSUPPORT);
    }
  }
  int pair[2];
  expect("socketpair_inet", result(socketpair(AF_INET, SOCK_STREAM, 0, pair)), EAFNOSUPPORT);
  expect("socketpair_tipc", result(socketpair(30, SOCK_STREAM, 0, pair)), EAFNOSUPPORT);
}

static void try_arguments(void) {
  static const struct {
    const char *name;
    unsigned long command;
  } kIoctls[] = {{"tiocsti", TIOCSTI}, {"tiocsti_high_bits", 0x5a5a5a5a00000000 | TIOCSTI}, {"tioclinux", TIOCLINUX},
                 {"tioclinux_high_bits", 0xffffffff00000000 | TIOCLINUX}, {"tioccons", TIOCCONS}};
  char byte = 'x';
  for (size_t i = 0; i < sizeof kIoctls / sizeof *kIoctls; ++i)
    expect(kIoctls[i].name, result(syscall(SYS_ioctl, 0L, kIoctls[i].command, &byte)), EPERM);
  static const unsigned long kPersonalities[] = {0x40000, 0x400000, 0x100000, 0x200000, 0x1000000, 0x8000000, 0x1};
  for (size_t i = 0; i < sizeof kPersonalities / sizeof *kPersonalities; ++i) {
    char name[48];
    snprintf(name, sizeof name, "personality_%lx", kPersonalities[i]);
    expect(name, result(syscall(SYS_personality, kPersonalities[i])), EPERM);
  }
  expect("prctl_set_mm", result(prctl(PR_SET_MM, PR_SET_MM_ARG_START, 0, 0, 0)), EPERM);
  expect("prctl_sched_core", result(prctl(62, 0, 0, 0, 0)), EPERM);
  expect("prctl_memory_merge", result(prctl(67, 1, 0, 0, 0)), EPERM);
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect("madvise_mergeable", result(madvise(page, 4096, MADV_MERGEABLE)), EINVAL);
  for (int advice = 100; advice <= 101; ++advice) {  // MADV_HWPOISON, MADV_SOFT_OFFLINE: EINVAL where the kernel has neither
    const long got = result(madvise(page, 4096, advice));
    verdict(got == -EPERM || got == -EINVAL, advice == 100 ? "madvise_hwpoison" : "madvise_soft_offline", "%ld", got);
  }
  struct timex time = {.modes = ADJ_TICK, .tick = 10000};
  expect("adjtimex", result(adjtimex(&time)), EPERM);
  expect("clock_adjtime", result(clock_adjtime(CLOCK_REALTIME, &time)), EPERM);
  expect("nice_raise", result(setpriority(PRIO_PROCESS, 0, -20)), EACCES);
  const struct sched_param urgent = {.sched_priority = 1};
  expect("sched_fifo", result(sched_setscheduler(0, SCHED_FIFO, &urgent)), EPERM);
  expect("ioprio_realtime", result(syscall(SYS_ioprio_set, 1L, 0L, 1L << 13)), EPERM);
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  verdict(limit.rlim_max == 0, "core_limit", "%llu", (unsigned long long)limit.rlim_max);
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max != RLIM_INFINITY) ++limit.rlim_max;
  expect("rlimit_raise", result(setrlimit(RLIMIT_NOFILE, &limit)), EPERM);
  getrlimit(RLIMIT_MEMLOCK, &limit);
  verdict(limit.rlim_max <= 64u << 20, "memlock_limit", "%llu", (unsigned long long)limit.rlim_max);
}

// ---- the sandbox's first process

static void try_first_process(void) {
  expect("ptrace_attach", result(ptrace(PTRACE_ATTACH, 1, 0, 0)), EPERM);
  expect("ptrace_seize", result(ptrace(PTRACE_SEIZE, 1, 0, 0)), EPERM);
  expect("ptrace_traceme", result(ptrace(PTRACE_TRACEME, 0, 0, 0)), EPERM);
  char bytes[16];
  struct iovec local = {bytes, sizeof bytes}, remote = {(void *)0x400000, sizeof bytes};
  expect("vm_readv", result(process_vm_readv(1, &local, 1, &remote, 1, 0)), EPERM);
  expect("vm_writev", result(process_vm_writev(1, &local, 1, &remote, 1, 0)), EPERM);
  const int pidfd = (int)syscall(SYS_pidfd_open, 1, 0);
  expect("pidfd_getfd_3", result(syscall(SYS_pidfd_getfd, pidfd, 3, 0)), EPERM);
  expect("kcmp_files", result(syscall(SYS_kcmp, 1, getpid(), 2, 0, 0)), EPERM);
  struct rlimit limit = {1, 1};
  expect("prlimit64_set", result(syscall(SYS_prlimit64, 1, RLIMIT_CPU, &limit, NULL)), EPERM);
  expect("prlimit64_get", result(syscall(SYS_prlimit64, 1, RLIMIT_CPU, NULL, &limit)), EPERM);
  expect("prlimit64_high_bits", result(syscall(SYS_prlimit64, 0x100000001L, RLIMIT_CPU, NULL, &limit)), EPERM);
  expect("setpriority_1", result(setpriority(PRIO_PROCESS, 1, 19)), EPERM);
  expect("setpriority_group", result(setpriority(PRIO_PGRP, 1, 19)), EPERM);
  expect("setpriority_user", result(setpriority(PRIO_USER, 0, 19)), EPERM);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  expect("sched_setaffinity_1", result(sched_setaffinity(1, sizeof cpus, &cpus)), EPERM);
  const struct sched_param idle = {0};
  expect("sched_setscheduler_1", result(sched_setscheduler(1, SCHED_IDLE, &idle)), EPERM);
  expect("sched_setparam_1", result(sched_setparam(1, &idle)), EPERM);
  uint32_t attributes[12] = {48, SCHED_IDLE};
  expect("sched_setattr_1", result(syscall(SYS_sched_setattr, 1, attributes, 0)), EPERM);
  expect("ioprio_set_1", result(syscall(SYS_ioprio_set, 1, 1, 3 << 13)), EPERM);
  long head = 0, length = 0;
  expect("get_robust_list_1", result(syscall(SYS_get_robust_list, 1, &head, &length)), EPERM);
  const long group = result(setpgid(1, 1));
  verdict(group < 0, "setpgid_1", "%ld", group);

  // A signal is refused, or reaches a process that has none of them unblocked: that it lives is seen by this one going on.
  long delivered = 0;
  for (int number = 1; number <= 64; ++number) {
    if (kill(1, number) == 0) ++delivered;
    siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};
    info.si_pid = 1;
    if (syscall(SYS_rt_sigqueueinfo, 1, number, &info) == 0) ++delivered;
    if (syscall(SYS_rt_tgsigqueueinfo, 1, 1, number, &info) == 0) ++delivered;
    if (syscall(SYS_tgkill, 1, 1, number) == 0) ++delivered;
    if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) == 0) ++delivered;
  }
  siginfo_t forged = {.si_signo = SIGCHLD, .si_code = CLD_KILLED};
  forged.si_pid = 1;
  expect("forged_kernel_signal", result(syscall(SYS_rt_sigqueueinfo, 1, SIGCHLD, &forged)), EPERM);
  usleep(50000);
  verdict(1, "signals_1", "%ld delivered, still here", delivered);
}

/// Whether an entry of a directory of links can be followed. How many there are is no secret: a process's root may list its descriptors.
static void try_entries(const char *title, const char *path, int directory) {
  DIR *d = fdopendir(dup(directory));
  int listed = 0, followed = 0;
  for (struct dirent *entry; d && (entry = readdir(d));) {
    if (entry->d_name[0] == '.') continue;
    char name[400], target[256];
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    ++listed;
    followed += readlink(name, target, sizeof target) >= 0;
    const int fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    followed += fd >= 0;
    if (fd >= 0) close(fd);
  }
  if (d) closedir(d);
  verdict(followed == 0, title, "%d listed, %d followed", listed, followed);
}

/// One of the first process's files or directories: a byte that is read or written, or an entry that can be followed, is open. Some files are
/// checked when they are opened, others when they are used.
static void try_process_file(const char *name, int flags) {
  char path[64], title[80], bytes[64];
  snprintf(path, sizeof path, "/proc/1/%s", name);
  snprintf(title, sizeof title, "proc_1_%s_%s", name, flags == O_RDONLY ? "read" : "write");
  const int fd = open(path, flags | O_CLOEXEC);
  if (fd < 0) return verdict(1, title, "errno %d", errno);
  struct stat info;
  if (flags == O_RDONLY && fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    try_entries(title, path, fd);
  } else if (flags == O_RDONLY) {
    const long got = result(read(fd, bytes, sizeof bytes));
    verdict(got <= 0, title, "read %ld", got);
  } else {
    const long got = result(write(fd, "1", 1));
    verdict(got < 0, title, "write %ld", got);
  }
  close(fd);
}

/// Not patch_state, which says of every process alike, and to its own uid, whether the kernel is being patched.
static void try_process_files(void) {
  static const char *const kRead[] = {"mem", "environ", "maps", "smaps", "smaps_rollup", "numa_maps", "pagemap", "auxv", "stack", "syscall",
                                      "personality", "io", "fd", "fdinfo", "map_files", "ns/net", "ns/user", "task/1/mem", "task/1/environ",
                                      "root", "cwd", "exe", "timers"};
  static const char *const kWrite[] = {"mem", "comm", "task/1/comm", "oom_score_adj", "oom_adj", "clear_refs", "coredump_filter", "autogroup",
                                       "timerslack_ns", "attr/current", "attr/exec", "uid_map", "gid_map", "projid_map", "setgroups", "loginuid",
                                       "make-it-fail", "fail-nth", "sched", "latency", "timens_offsets"};
  for (size_t i = 0; i < sizeof kRead / sizeof *kRead; ++i) try_process_file(kRead[i], O_RDONLY);
  for (size_t i = 0; i < sizeof kWrite / sizeof *kWrite; ++i) try_process_file(kWrite[i], O_WRONLY);
  static const char *const kLinks[] = {"root", "cwd", "exe", "ns/net", "ns/mnt", "ns/pid", "ns/user", "fd/0", "fd/3", "fd/4"};
  for (size_t i = 0; i < sizeof kLinks / sizeof *kLinks; ++i) {
    char path[64], name[80], target[256];
    snprintf(path, sizeof path, "/proc/1/%s", kLinks[i]);
    snprintf(name, sizeof name, "proc_1_%s_link", kLinks[i]);
    const long got = result(readlink(path, target, sizeof target));
    verdict(got < 0, name, "%ld", got);
  }
  const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  const long lowered = result(write(score, "-1000", 5));
  verdict(lowered < 0, "oom_score_lower", "%ld", lowered);
  static const char *const kMaps[] = {"/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/projid_map"};
  for (size_t i = 0; i < 3; ++i) {
    const int fd = open(kMaps[i], O_WRONLY | O_CLOEXEC);
    const long got = fd < 0 ? -errno : result(write(fd, "0 0 1\n", 6));
    verdict(got < 0, kMaps[i], "%ld", got);
  }
}

// ---- files of the whole machine

static int is_null_device(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

static unsigned long g_sysctls;
static void try_write_tree(const char *directory, int depth) {
  DIR *d = opendir(directory);
  if (!d) return;
  for (struct dirent *entry; (entry = readdir(d));) {
    if (entry->d_name[0] == '.') continue;
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    if (entry->d_type == DT_DIR) {
      if (depth < 12) try_write_tree(path, depth + 1);
      continue;
    }
    if (entry->d_type != DT_REG) continue;
    ++g_sysctls;
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) continue;
    if (!is_null_device(fd)) verdict(0, path, "opened for writing");
    close(fd);
  }
  closedir(d);
}

static void try_machine_files(void) {
  static const char *const kMasked[] = {"kcore", "keys", "key-users", "kallsyms", "kmsg", "sysrq-trigger", "timer_list", "sched_debug", "kpagecount",
                                        "kpageflags", "kpagecgroup", "config.gz", "vmallocinfo", "slabinfo", "modules", "interrupts"};
  for (size_t i = 0; i < sizeof kMasked / sizeof *kMasked; ++i) {
    for (int write = 0; write < 2; ++write) {
      char path[64], name[80];
      snprintf(path, sizeof path, "/proc/%s", kMasked[i]);
      snprintf(name, sizeof name, "proc_%s_%s", kMasked[i], write ? "write" : "read");
      const int fd = open(path, (write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
      verdict(fd < 0 || is_null_device(fd), name, "%d", fd < 0 ? -errno : fd);
      if (fd >= 0) close(fd);
    }
  }
  static const char *const kTrees[] = {"/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/tty", "/proc/driver", "/proc/scsi", "/proc/acpi"};
  for (size_t i = 0; i < sizeof kTrees / sizeof *kTrees; ++i) {
    g_sysctls = 0;
    try_write_tree(kTrees[i], 0);
    verdict(1, kTrees[i], "%lu files tried", g_sysctls);
  }
  static const char *const kSysctls[] = {"kernel/core_pattern", "kernel/modprobe", "kernel/hotplug", "kernel/sysrq", "kernel/ns_last_pid",
                                         "kernel/hostname", "kernel/shmmax", "kernel/msgmax", "kernel/sem", "vm/panic_on_oom", "vm/overcommit_memory",
                                         "vm/drop_caches", "fs/binfmt_misc/register", "fs/mqueue/msg_max", "net/ipv4/ip_forward",
                                         "net/core/somaxconn", "user/max_user_namespaces"};
  for (size_t i = 0; i < sizeof kSysctls / sizeof *kSysctls; ++i) {
    char path[80];
    snprintf(path, sizeof path, "/proc/sys/%s", kSysctls[i]);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    verdict(fd < 0, kSysctls[i], "%d", fd < 0 ? -errno : fd);
  }
  for (const char *const *path = (const char *const[]){"/proc/mtrr", "/proc/latency_stats", "/proc/mounts", "/proc/self/sched", "/proc/pressure/memory", NULL}; *path;
       ++path) {
    if (strcmp(*path, "/proc/self/sched") == 0) continue;  // a process's own statistics may be reset by it
    const int fd = open(*path, O_WRONLY | O_CLOEXEC);
    verdict(fd < 0 || is_null_device(fd), *path, "%d", fd < 0 ? -errno : fd);
  }
  // The kernel's own tree, its control groups and configuration are not mounted.
  static const char *const kAbsentTrees[] = {"/sys/kernel", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cgroup.procs", "/sys/class", "/sys/firmware", "/boot/grub"};
  for (size_t i = 0; i < sizeof kAbsentTrees / sizeof *kAbsentTrees; ++i)
    verdict(access(kAbsentTrees[i], F_OK) != 0, kAbsentTrees[i], "errno %d", errno);
  static const char *const kSecrets[] = {"/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_rsa_key", "/etc/machine-id", "/root/.ssh", "/root/.bashrc",
                                         "/var/lib/dpkg/status", "/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"};
  for (size_t i = 0; i < sizeof kSecrets / sizeof *kSecrets; ++i) verdict(access(kSecrets[i], F_OK) != 0, kSecrets[i], "errno %d", errno);
}

static void try_devices(void) {
  static const char *const kExpected[] = {"null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"};
  DIR *d = opendir("/dev");
  if (!d) return verdict(0, "dev", "errno %d", errno);
  for (struct dirent *entry; (entry = readdir(d));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int known = 0;
    for (size_t i = 0; i < sizeof kExpected / sizeof *kExpected; ++i) known |= strcmp(entry->d_name, kExpected[i]) == 0;
    char name[300];
    snprintf(name, sizeof name, "dev_%s", entry->d_name);
    verdict(known, name, "%s", known ? "expected" : "unexpected");
  }
  closedir(d);
  static const struct {
    const char *name;
    mode_t type;
    unsigned major, minor;
  } kNodes[] = {{"mem", S_IFCHR, 1, 1}, {"kmsg", S_IFCHR, 1, 11}, {"loop", S_IFBLK, 7, 0}, {"virtual_disk", S_IFBLK, 254, 0},
                {"fuse", S_IFCHR, 10, 229}, {"kvm", S_IFCHR, 10, 232}, {"tun", S_IFCHR, 10, 200}, {"tty0", S_IFCHR, 4, 0}, {"null", S_IFCHR, 1, 3}};
  for (size_t i = 0; i < sizeof kNodes / sizeof *kNodes; ++i) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/tmp/probe-node-%s", kNodes[i].name);
    snprintf(name, sizeof name, "mknod_%s", kNodes[i].name);
    const long made = result(mknod(path, kNodes[i].type | 0666, makedev(kNodes[i].major, kNodes[i].minor)));
    verdict(made == -EPERM || made == -EACCES, name, "%ld", made);
    if (made == 0) unlink(path);
  }
}

static void try_mount_flags(void) {
  static const char *const kWritable[] = {"/", "/tmp", "/workspace", "/dev", "/dev/shm"};
  for (size_t i = 0; i < sizeof kWritable / sizeof *kWritable; ++i) {
    struct statvfs info;
    char name[32];
    snprintf(name, sizeof name, "nosuid_%s", kWritable[i]);
    if (statvfs(kWritable[i], &info) != 0) return verdict(0, name, "errno %d", errno);
    verdict((info.f_flag & ST_NOSUID) != 0, name, "%lx", info.f_flag);
    snprintf(name, sizeof name, "nodev_%s", kWritable[i]);
    verdict((info.f_flag & ST_NODEV) != 0, name, "%lx", info.f_flag);
  }
  static const char *const kReadOnly[] = {"/usr/probe", "/usr/bin/probe", "/usr/lib/probe", "/etc/alternatives/probe", "/proc/probe"};
  for (size_t i = 0; i < sizeof kReadOnly / sizeof *kReadOnly; ++i) {
    const int fd = open(kReadOnly[i], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    verdict(fd < 0, kReadOnly[i], "%d", fd < 0 ? -errno : fd);
    if (fd >= 0) unlink(kReadOnly[i]);
  }
}

// ---- rights

static void try_rights(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}, {0}};
  syscall(SYS_capget, &header, data);
  verdict((data[0].effective | data[1].effective) == 0, "cap_effective", "%x", data[0].effective);
  verdict((data[0].permitted | data[1].permitted) == 0, "cap_permitted", "%x", data[0].permitted);
  verdict((data[0].inheritable | data[1].inheritable) == 0, "cap_inheritable", "%x", data[0].inheritable);
  int bounding = 0, ambient = 0;
  for (int cap = 0; cap < 64; ++cap) {
    bounding += prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1;
    ambient += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1;
  }
  verdict(bounding == 0, "cap_bounding", "%d", bounding);
  verdict(ambient == 0, "cap_ambient", "%d", ambient);
  verdict(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  verdict(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2, "seccomp", "%d", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
  const uid_t me = getuid();
  for (const uid_t *id = (const uid_t[]){0, 1, 999, 1000, 65533, 65534, 2000000000, (uid_t)-1}; *id != (uid_t)-1; ++id) {
    if (*id == me) continue;
    char name[48];
    snprintf(name, sizeof name, "setuid_%u", *id);
    const long got = result(syscall(SYS_setresuid, *id, *id, *id));
    verdict(got < 0, name, "%ld", got);
    snprintf(name, sizeof name, "setgid_%u", *id);
    const gid_t mine = getgid();
    if (*id == mine) continue;
    const long gid = result(syscall(SYS_setresgid, *id, *id, *id));
    verdict(gid < 0, name, "%ld", gid);
  }
  const gid_t group = 0;
  const long groups = result(syscall(SYS_setgroups, 1, &group));
  verdict(groups < 0, "setgroups", "%ld", groups);
  verdict(chown("/etc/passwd", 1000, 1000) != 0 || me == 1000, "chown", "errno %d", errno);
}

// ---- what tells about, or leads to, the host

static void scan_file(const char *path, const char *needle, int *found) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  static char text[1 << 20];
  size_t size = 0;
  for (ssize_t n; size < sizeof text - 1 && (n = read(fd, text + size, sizeof text - 1 - size)) > 0;) size += (size_t)n;
  close(fd);
  if (memmem(text, size, needle, strlen(needle))) {
    verdict(0, path, "tells %s", needle);
    *found = 1;
  }
}

static void try_text(const char *needle) {
  static const char *const kFiles[] = {
      "/proc/self/mountinfo", "/proc/self/mounts", "/proc/self/mountstats", "/proc/self/cgroup", "/proc/self/environ", "/proc/self/status",
      "/proc/self/maps", "/proc/self/cmdline", "/proc/1/mountinfo", "/proc/1/mounts", "/proc/1/cgroup", "/proc/1/status", "/proc/1/cmdline", "/proc/1/stat",
      "/proc/1/comm", "/proc/net/unix", "/proc/net/tcp", "/proc/net/dev", "/proc/locks", "/proc/swaps", "/proc/cgroups", "/proc/filesystems", "/etc/passwd",
      "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab", "/etc/profile", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname",
      "/proc/keys", "/proc/sysvipc/shm", "/proc/sysvipc/msg", "/proc/sysvipc/sem"};
  int found = 0;
  for (size_t i = 0; i < sizeof kFiles / sizeof *kFiles; ++i)
    if (strncmp(kFiles[i], "/proc/self/cmdline", 18) != 0) scan_file(kFiles[i], needle, &found);  // its own arguments hold it
  for (char **variable = environ; *variable; ++variable)
    if (strstr(*variable, needle)) {
      verdict(0, "environment", "tells %s", needle);
      found = 1;
    }
  verdict(!found, "text", "%s", needle);
}

static void try_host_file(const char *path) {
  char other[4200], target[4200];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  verdict(fd < 0, "host_file", "%d", fd < 0 ? -errno : fd);
  static const char *const kPrefixes[] = {"/proc/1/root", "/proc/self/root/../..", "/../../..", "/proc/self/cwd/../../..", "/dev/fd/../../..", "/proc/thread-self/root"};
  for (size_t i = 0; i < sizeof kPrefixes / sizeof *kPrefixes; ++i) {
    snprintf(other, sizeof other, "%s%s", kPrefixes[i], path);
    fd = open(other, O_RDONLY | O_CLOEXEC);
    verdict(fd < 0, kPrefixes[i], "%d", fd < 0 ? -errno : fd);
  }
  snprintf(target, sizeof target, "/tmp/probe-link-%d", getpid());
  if (symlink(path, target) == 0) {
    fd = open(target, O_RDONLY | O_CLOEXEC);
    verdict(fd < 0, "host_file_symlink", "%d", fd < 0 ? -errno : fd);
    unlink(target);
  }
  verdict(link(path, target) != 0, "host_file_hardlink", "errno %d", errno);
  struct stat info;
  verdict(stat(path, &info) != 0, "host_file_stat", "errno %d", errno);
}

static void try_abstract(const char *name) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t length = strlen(name) < sizeof address.sun_path - 1 ? strlen(name) : sizeof address.sun_path - 1;
  memcpy(address.sun_path + 1, name, length);
  expect("abstract_socket", result(connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length))), ECONNREFUSED);
  close(fd);
}

static void try_port(const char *number) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(number)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  expect("host_port", result(connect(fd, (struct sockaddr *)&address, sizeof address)), ECONNREFUSED);
  close(fd);
  static const char *const kAddresses[] = {"169.254.169.254", "10.0.0.1", "172.17.0.1", "192.168.0.1", "8.8.8.8"};
  for (size_t i = 0; i < sizeof kAddresses / sizeof *kAddresses; ++i) {
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, kAddresses[i], &address.sin_addr);
    expect(kAddresses[i], result(connect(fd, (struct sockaddr *)&address, sizeof address)), ENETUNREACH);
    close(fd);
  }
}

static void try_network(void) {
  FILE *f = fopen("/proc/net/dev", "re");
  if (!f) return verdict(0, "network", "errno %d", errno);
  char line[512];
  int others = 0, row = 0;
  while (fgets(line, sizeof line, f))
    if (++row > 2 && !strstr(line, " lo:")) ++others;
  fclose(f);
  verdict(others == 0 && row > 2, "network_interfaces", "%d besides lo", others);
  f = fopen("/proc/net/unix", "re");
  int foreign = 0;
  while (f && fgets(line, sizeof line, f))
    if (strchr(line, '@') || strchr(line, '/')) ++foreign;
  if (f) fclose(f);
  verdict(f && foreign == 0, "network_unix", "%d foreign sockets", foreign);
}

static void try_processes(const char *host_pid) {
  DIR *d = opendir("/proc");
  int count = 0;
  for (struct dirent *entry; d && (entry = readdir(d));)
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') ++count;
  if (d) closedir(d);
  verdict(d && count <= 4, "processes", "%d visible", count);
  const long got = result(kill((pid_t)atoi(host_pid), 0));
  verdict(got == -ESRCH || atoi(host_pid) < 64, "host_pid", "%ld", got);
}

static void try_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int extra = 0;
  for (struct dirent *entry; d && (entry = readdir(d));) {
    const int fd = atoi(entry->d_name);
    if (fd > 2 && fd != dirfd(d)) ++extra;
  }
  verdict(d && extra == 0, "descriptors", "%d besides 0 to 2", extra);
  if (d) closedir(d);
  for (int fd = 0; fd < 3; ++fd) {
    char path[32], target[128] = "", name[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    snprintf(name, sizeof name, "descriptor_%d", fd);
    if (readlink(path, target, sizeof target - 1) < 0) target[0] = '\0';
    verdict(strncmp(target, "pipe:", 5) == 0 || strcmp(target, "/dev/null") == 0, name, "%s", target);
  }
}

static void try_argument(const char *argument) {
  const char *value = strchr(argument, '=');
  if (!value) return verdict(0, "argument", "%s is not understood", argument);
  ++value;
  const size_t key = (size_t)(value - argument);
#define IS(name) (key == sizeof name && memcmp(argument, name "=", key) == 0)
  if (IS("text")) return try_text(value);
  if (IS("file")) return try_host_file(value);
  if (IS("abstract")) return try_abstract(value);
  if (IS("port")) return try_port(value);
  if (IS("shm")) return expect("sysv_shm", result(shmget((key_t)atoi(value), 0, 0)), ENOENT);
  if (IS("mq")) return expect("posix_mq", result(mq_open(value, O_RDONLY)), ENOENT);
  if (IS("pid")) return try_processes(value);
  if (IS("host")) {
    struct utsname name;
    uname(&name);
    return verdict(strcmp(name.nodename, value) != 0, "hostname", "%s", name.nodename);
  }
#undef IS
  verdict(0, "argument", "%s is not understood", argument);
}

// ---- what ordinary programs need

static void exit_at_once(void) {}
static void try_ordinary(void) {
  works(in_child(exit_at_once) == 0, "fork", "-");
  const int memory = (int)syscall(SYS_memfd_create, "x", 0);
  works(memory >= 0 && write(memory, "x", 1) == 1, "memfd", "%d", memory);
  works(inotify_init1(IN_CLOEXEC) >= 0, "inotify", "errno %d", errno);
  int pair[2];
  works(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && write(pair[0], "x", 1) == 1, "socketpair", "-");
  works(socket(AF_NETLINK, SOCK_RAW, 0) >= 0, "netlink_route", "errno %d", errno);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  const int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  works(bind(server, (struct sockaddr *)&address, length) == 0 && listen(server, 1) == 0 &&
            getsockname(server, (struct sockaddr *)&address, &length) == 0 && connect(client, (struct sockaddr *)&address, length) == 0,
        "tcp_loopback", "errno %d", errno);
  void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  works(code != MAP_FAILED, "mmap_exec", "-");
  works(posix_openpt(O_RDWR | O_NOCTTY) >= 0, "pty", "errno %d", errno);
  works(open("/dev/urandom", O_RDONLY) >= 0 && open("/dev/null", O_RDWR) >= 0, "devices", "errno %d", errno);
  works(mkfifo("/tmp/probe-fifo", 0600) == 0 && unlink("/tmp/probe-fifo") == 0, "fifo", "errno %d", errno);
  const int shared = open("/dev/shm/probe", O_CREAT | O_RDWR, 0600);
  works(shared >= 0 && unlink("/dev/shm/probe") == 0, "dev_shm", "errno %d", errno);
  works(shmget(IPC_PRIVATE, 4096, 0600) >= 0, "sysv_shm_own", "errno %d", errno);
  works(prctl(PR_SET_NAME, "probe", 0, 0, 0) == 0, "prctl_set_name", "-");
  works(setpriority(PRIO_PROCESS, 0, 5) == 0, "nice_lower", "errno %d", errno);
  struct rlimit limit;
  works(getrlimit(RLIMIT_NOFILE, &limit) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0, "rlimit_own", "errno %d", errno);
  works(personality(0xffffffff) >= 0, "personality_query", "errno %d", errno);
}

/// The initial user namespace maps every id to itself.
static int on_a_host(void) {
  unsigned inside = 0, outside = 0, count = 0;
  FILE *f = fopen("/proc/self/uid_map", "re");
  if (!f) return 1;
  const int fields = fscanf(f, "%u %u %u", &inside, &outside, &count);
  fclose(f);
  return fields != 3 || count == 4294967295u;
}

int main(int argc, char **argv) {
  if (on_a_host()) {
    fputs("this is not a sandbox\n", stderr);
    return 2;
  }
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  try_descriptors();
  for (int i = 1; i < argc; ++i) try_argument(argv[i]);
  try_network();
  try_calls();
  try_other_entries();
  try_clone();
  try_sockets();
  try_arguments();
  try_process_files();
  try_machine_files();
  try_devices();
  try_mount_flags();
  try_ordinary();
  try_first_process();
  try_rights();
  return fflush(stdout) == 0 ? 0 : 1;
}
