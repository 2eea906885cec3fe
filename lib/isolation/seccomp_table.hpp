// The policy of the system call filter, by number: every call this build knows and what becomes of it. A number that is in no list
// (removed calls, calls newer than this table, x32) answers ENOSYS, which every libc takes as "use the older way".
// Calls that old architectures have under another name stand in the x86-64 lists.
#pragma once
#include "isolation/syscalls.hpp"

namespace svm::isolation::table {

/// Linux 6.2 to 6.19, newer than the headers this must build with; the same number on every architecture.
inline constexpr long kCachestat = 451, kFchmodat2 = 452, kMapShadowStack = 453, kFutexWake = 454, kFutexWait = 455, kFutexRequeue = 456,
                      kStatmount = 457, kListmount = 458, kLsmGetSelfAttr = 459, kLsmSetSelfAttr = 460, kLsmListModules = 461, kMseal = 462,
                      kSetxattrat = 463, kGetxattrat = 464, kListxattrat = 465, kRemovexattrat = 466, kOpenTreeAttr = 467,
                      kFileGetattr = 468, kFileSetattr = 469, kListns = 470;
inline constexpr long kLastKnownCall = kListns;

/// Allowed whatever the arguments are.
inline constexpr long kAllowed[] = {
    SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_lseek, SYS_mmap, SYS_mprotect, SYS_munmap, SYS_brk, SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_sched_yield, SYS_mremap,
    SYS_msync, SYS_mincore, SYS_shmget, SYS_shmat, SYS_shmctl, SYS_dup, SYS_nanosleep, SYS_getitimer, SYS_setitimer, SYS_getpid,
    SYS_sendfile, SYS_connect, SYS_accept, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_bind,
    SYS_listen, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt, SYS_execve, SYS_exit, SYS_wait4, SYS_kill,
    SYS_uname, SYS_semget, SYS_semop, SYS_semctl, SYS_shmdt, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_fcntl,
    SYS_flock, SYS_fsync, SYS_fdatasync, SYS_truncate, SYS_ftruncate, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_fchmod, SYS_fchown,
    SYS_umask, SYS_gettimeofday, SYS_getrlimit, SYS_getrusage, SYS_sysinfo, SYS_times, SYS_getuid, SYS_getgid, SYS_setuid,
    SYS_setgid, SYS_geteuid, SYS_getegid, SYS_setpgid, SYS_getppid, SYS_setsid, SYS_setreuid, SYS_setregid, SYS_getgroups,
    SYS_setgroups, SYS_setresuid, SYS_getresuid, SYS_setresgid, SYS_getresgid, SYS_getpgid, SYS_setfsuid, SYS_setfsgid,
    SYS_getsid, SYS_capget, SYS_capset, SYS_rt_sigpending, SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo, SYS_rt_sigsuspend,
    SYS_sigaltstack, SYS_statfs, SYS_fstatfs, SYS_getpriority, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_mlock, SYS_munlock, SYS_mlockall,
    SYS_munlockall, SYS_adjtimex, SYS_setrlimit, SYS_sync, SYS_gettid, SYS_readahead, SYS_setxattr, SYS_lsetxattr,
    SYS_fsetxattr, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr, SYS_llistxattr, SYS_flistxattr, SYS_removexattr,
    SYS_lremovexattr, SYS_fremovexattr, SYS_tkill, SYS_futex, SYS_sched_getaffinity, SYS_io_setup, SYS_io_destroy,
    SYS_io_getevents, SYS_io_submit, SYS_io_cancel, SYS_remap_file_pages, SYS_getdents64, SYS_set_tid_address,
    SYS_restart_syscall, SYS_semtimedop, SYS_fadvise64, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime,
    SYS_timer_getoverrun, SYS_timer_delete, SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_exit_group,
    SYS_epoll_ctl, SYS_tgkill, SYS_get_mempolicy, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive,
    SYS_mq_notify, SYS_mq_getsetattr, SYS_waitid, SYS_ioprio_get, SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_openat,
    SYS_mkdirat, SYS_mknodat, SYS_fchownat, SYS_newfstatat, SYS_unlinkat, SYS_renameat, SYS_linkat, SYS_symlinkat,
    SYS_readlinkat, SYS_fchmodat, SYS_faccessat, SYS_pselect6, SYS_ppoll, SYS_set_robust_list, SYS_splice, SYS_tee,
    SYS_sync_file_range, SYS_utimensat, SYS_epoll_pwait, SYS_timerfd_create, SYS_fallocate, SYS_timerfd_settime,
    SYS_timerfd_gettime, SYS_accept4, SYS_signalfd4, SYS_eventfd2, SYS_epoll_create1, SYS_dup3, SYS_pipe2, SYS_inotify_init1,
    SYS_preadv, SYS_pwritev, SYS_rt_tgsigqueueinfo, SYS_recvmmsg, SYS_clock_adjtime, SYS_syncfs, SYS_sendmmsg, SYS_getcpu,
    SYS_sched_getattr, SYS_renameat2, SYS_seccomp, SYS_getrandom, SYS_memfd_create, SYS_execveat, SYS_membarrier, SYS_mlock2,
    SYS_copy_file_range, SYS_preadv2, SYS_pwritev2, SYS_pkey_mprotect, SYS_pkey_alloc, SYS_pkey_free, SYS_statx,
    SYS_io_pgetevents, SYS_rseq, SYS_pidfd_send_signal, SYS_pidfd_open, SYS_close_range, SYS_openat2, SYS_faccessat2,
    SYS_epoll_pwait2, SYS_landlock_create_ruleset, SYS_landlock_add_rule, SYS_landlock_restrict_self, SYS_futex_waitv,
    kFchmodat2, kFutexWake, kFutexWait, kFutexRequeue, kMseal, kFileGetattr,
#ifdef __x86_64__
    SYS_open, SYS_stat, SYS_lstat, SYS_poll, SYS_access, SYS_pipe, SYS_select, SYS_dup2, SYS_pause, SYS_alarm, SYS_fork,
    SYS_vfork, SYS_getdents, SYS_rename, SYS_mkdir, SYS_rmdir, SYS_creat, SYS_link, SYS_unlink, SYS_symlink, SYS_readlink,
    SYS_chmod, SYS_chown, SYS_lchown, SYS_getpgrp, SYS_utime, SYS_mknod, SYS_arch_prctl, SYS_time, SYS_epoll_create,
    SYS_epoll_wait, SYS_utimes, SYS_inotify_init, SYS_futimesat, SYS_signalfd, SYS_eventfd,
#endif
};

/// EPERM: the caller meant it, and no older call does the same.
inline constexpr long kRefused[] = {
    // keys are not namespaced
    SYS_add_key, SYS_request_key, SYS_keyctl,
    // programs, pages and events inside the kernel
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_vmsplice, SYS_kexec_load, SYS_kexec_file_load, SYS_init_module, SYS_finit_module,
    SYS_delete_module,
    // another view of files, or files past their path
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_fanotify_init,
    SYS_fanotify_mark, SYS_swapon, SYS_swapoff, SYS_quotactl, SYS_acct,
    // another namespace
    SYS_setns, SYS_unshare,
    // the machine
    SYS_reboot, SYS_syslog, SYS_settimeofday, SYS_clock_settime, SYS_vhangup, SYS_sethostname, SYS_setdomainname,
    // where memory lies
    SYS_mbind, SYS_set_mempolicy, SYS_migrate_pages, SYS_move_pages,
    // another process
    SYS_pidfd_getfd, kLsmSetSelfAttr,
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm,
#endif
};

/// ENOSYS like an unknown number, and listed so that "known and closed" differs from "forgotten": there is an older way (the mount
/// calls end at mount, clone3 at clone, the xattr and stat families at their elders), or the program can do without. Newer kernels pass
/// uretprobe and uprobe by every filter and end a caller that is not their own trampoline: listed for the older ones.
inline constexpr long kAbsent[] = {
    SYS_clone3, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_move_mount, SYS_open_tree, SYS_mount_setattr, kOpenTreeAttr,
    SYS_quotactl_fd, SYS_memfd_secret, SYS_process_madvise, SYS_process_mrelease, kSysSetMempolicyHomeNode, SYS_nfsservctl, SYS_lookup_dcookie,
    kStatmount, kListmount, kListns, kLsmGetSelfAttr, kLsmListModules, kCachestat, kMapShadowStack,
    kSetxattrat, kGetxattrat, kListxattrat, kRemovexattrat, kFileSetattr,
#ifdef __x86_64__
    SYS_modify_ldt, SYS_ustat, SYS_sysfs, SYS_uselib, SYS__sysctl, 335 /* uretprobe */, 336 /* uprobe */,
    SYS_create_module, SYS_query_module, SYS_get_kernel_syms, SYS_getpmsg, SYS_putpmsg, SYS_afs_syscall, SYS_tuxcall, SYS_security,
    SYS_vserver, SYS_epoll_ctl_old, SYS_epoll_wait_old, SYS_set_thread_area, SYS_get_thread_area,
#endif
};

/// The debug profile allows these, the others answer EPERM.
inline constexpr long kDebugOnly[] = {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp};

/// The first argument is a process and must be 0, the caller itself. glibc passes a thread's number for pthread_setaffinity_np and
/// pthread_setschedparam: those get EPERM, which callers treat as "not permitted to tune".
inline constexpr long kOwnProcessOnly[] = {SYS_get_robust_list, SYS_prlimit64, SYS_sched_setaffinity, SYS_sched_setattr,
                                           SYS_sched_setparam, SYS_sched_setscheduler};

}  // namespace svm::isolation::table
