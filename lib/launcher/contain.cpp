// The ordered list of containment steps. One rule for this whole file: between clone and exec no allocation, no locks, no logging.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/fail_point.hpp"
#include "isolation/lockdown.hpp"
#include "isolation/mount.hpp"
#include "isolation/syscalls.hpp"
#include "launcher/guest.hpp"
#include "launcher/plan.hpp"
#include "protocol/frame.hpp"

namespace svm::launcher {
namespace {

using isolation::kMountNoDev, isolation::kMountNoExec, isolation::kMountNoSuid, isolation::kMountReadOnly;
using protocol::RootKind, protocol::Step;

/// Kernel files that tell about, or act on, the whole machine: covered by /dev/null.
constexpr const char* kMaskedFiles[] = {"kcore", "keys", "key-users", "kallsyms", "kmsg", "sysrq-trigger", "timer_list", "timer_stats",
                                        "latency_stats", "sched_debug", "interrupts", "kpagecount", "kpageflags", "kpagecgroup",
                                        "config.gz", "vmallocinfo", "slabinfo", "modules"};
/// Covered by an empty directory.
constexpr const char* kMaskedDirectories[] = {"acpi", "asound", "scsi", "thermal", "driver", "pressure"};
/// Readable only. 1: rootless, root inside is the agent's own user, and could make it the first victim of the OOM killer.
constexpr const char* kReadOnlyDirectories[] = {"sys", "bus", "fs", "irq", "tty", "1"};

constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};

struct Link {
  const char* target;
  const char* name;
};
constexpr Link kDeviceLinks[] = {{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
                                 {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}};

int open_directory(int parent, const char* name, Fd& out) noexcept {
  const int fd = ::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  out.reset(fd);
  return 0;
}

int open_file(int parent, const char* name, Fd& out) noexcept {
  const int fd = ::openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  out.reset(fd);
  return 0;
}

int make_directory(int parent, const char* name, mode_t mode) noexcept {
  return ::mkdirat(parent, name, mode) < 0 && errno != EEXIST ? -errno : 0;  // an image's own directory keeps its mode
}

int make_file(int parent, const char* name, const char* text, size_t size) noexcept {
  Fd file(::openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
  if (!file) return -errno;
  return write_all(file.get(), text, size);
}

int make_link(int parent, const Link& link) noexcept {
  return ::symlinkat(link.target, parent, link.name) < 0 && errno != EEXIST ? -errno : 0;
}

/// Shows `source` (a path of the slim namespace) on `target`.
int bind(const char* source, int target, uint64_t attributes, bool recursive) noexcept {
  Fd mount;
  if (const int error = isolation::clone_mount(AT_FDCWD, source, recursive, mount)) return error;
  if (attributes != 0)
    if (const int error = isolation::set_mount_attributes(mount.get(), attributes, recursive)) return error;
  return isolation::attach_mount(mount.get(), target);
}

/// Builds one sandbox. Members are steps; each returns 0 or -errno.
class Containment {
 public:
  explicit Containment(const Plan& plan) noexcept : plan_(plan), spawn_(*plan.spawn) {}

  [[noreturn]] void run() noexcept {
    step(Step::sync, &Containment::wait_for_ids, SVM_FAIL_POINT("contain.sync"));
    step(Step::groups, &Containment::drop_groups, SVM_FAIL_POINT("contain.drop_groups"));
    step(Step::identity, &Containment::become_inside_root, SVM_FAIL_POINT("contain.set_identity"));
    step(Step::cgroup_namespace, &Containment::enter_cgroup_namespace, SVM_FAIL_POINT("contain.cgroup_namespace"));
    step(Step::disk, &Containment::mount_disk, SVM_FAIL_POINT("contain.mount_disk"));
    step(Step::rootfs, &Containment::make_root, SVM_FAIL_POINT("contain.mount_rootfs"));
    step(Step::skeleton, &Containment::make_skeleton, SVM_FAIL_POINT("contain.make_skeleton"));
    step(Step::usr, &Containment::show_host, SVM_FAIL_POINT("contain.mount_usr"));
    step(Step::proc, &Containment::mount_proc, SVM_FAIL_POINT("contain.mount_proc"));
    step(Step::inotify_share, &Containment::limit_inotify, SVM_FAIL_POINT("contain.limit_inotify"));
    step(Step::proc_mask, &Containment::mask_proc, SVM_FAIL_POINT("contain.mask_proc"));
    step(Step::dev, &Containment::make_devices, SVM_FAIL_POINT("contain.make_dev"));
    step(Step::devpts, &Containment::mount_devpts, SVM_FAIL_POINT("contain.mount_devpts"));
    step(Step::workspace, &Containment::make_workspace, SVM_FAIL_POINT("contain.make_workspace"));
    step(Step::user_mount, &Containment::show_user_mounts, SVM_FAIL_POINT("contain.mount_user"));
    step(Step::pivot_root, &Containment::change_root, SVM_FAIL_POINT("contain.pivot_root"));
    step(Step::hostname, &Containment::name_host, SVM_FAIL_POINT("contain.set_hostname"));
    step(Step::keyring, &Containment::leave_keyring, SVM_FAIL_POINT("contain.join_keyring"));
    step(Step::rlimits, &Containment::limit_resources, SVM_FAIL_POINT("contain.set_rlimits"));
    step(Step::keep_caps, &Containment::become_agent_user, SVM_FAIL_POINT("contain.keep_caps"));
    step(Step::close_fds, &Containment::arrange_fds, SVM_FAIL_POINT("contain.close_fds"));
    step(Step::exec_agent, &Containment::exec_agent, SVM_FAIL_POINT("contain.exec_agent"));
    ::_exit(kStepFailed);
  }

 private:
  static constexpr int kStepFailed = 3;

  void step(Step name, int (Containment::*action)() noexcept, int injected) noexcept {
    if (const int error = injected ? -injected : (this->*action)()) report(name, -error);
  }

  [[noreturn]] void report(Step name, int error) noexcept {
    char frame[protocol::kHeaderBytes + 6];
    char header[protocol::kHeaderBytes];
    protocol::encode_header(header, protocol::FrameType::failed, 0, 6);
    std::memcpy(frame, header, sizeof header);
    const auto number = static_cast<uint16_t>(name);
    const auto value = static_cast<uint32_t>(error);
    frame[12] = static_cast<char>(number & 0xff);
    frame[13] = static_cast<char>(number >> 8);
    for (int i = 0; i < 4; ++i) frame[14 + i] = static_cast<char>(value >> (8 * i) & 0xff);
    (void)write_all(channel_, frame, sizeof frame);  // no host any more: nobody to tell
    ::_exit(kStepFailed);
  }

  int wait_for_ids() noexcept {
    pollfd wait[] = {{plan_.go, POLLIN, 0}, {plan_.life, 0, 0}};
    while (::poll(wait, 2, -1) < 0)
      if (errno != EINTR) return -errno;
    uint64_t told = kGiveUp;  // as when the launcher has ended
    if ((wait[0].revents & POLLIN) != 0 && ::read(plan_.go, &told, sizeof told) != sizeof told) return -EIO;
    if (told != kGo) ::_exit(kStepFailed);  // the launcher says why itself
    enforced_ |= protocol::kEnforcedUserNamespace | protocol::kEnforcedMountNamespace | protocol::kEnforcedPidNamespace |
                 protocol::kEnforcedNetNamespace | protocol::kEnforcedIpcNamespace | protocol::kEnforcedUtsNamespace;
    if (!plan_.rootless) enforced_ |= protocol::kEnforcedIdRange;
    return 0;
  }

  int drop_groups() noexcept {
    if (plan_.rootless) {
      if (!plan_.groups_left) enforced_ |= protocol::kEnforcedGroupsDropped;
      return 0;
    }
    if (::syscall(SYS_setgroups, 0, nullptr) < 0) return -errno;
    enforced_ |= protocol::kEnforcedGroupsDropped;
    return 0;
  }

  /// Until now the process has ids that its user namespace does not map, and could own nothing.
  int become_inside_root() noexcept {
    if (plan_.rootless) return 0;  // its one id is mapped
    if (::syscall(SYS_setresgid, 0, 0, 0) < 0) return -errno;
    return ::syscall(SYS_setresuid, 0, 0, 0) < 0 ? -errno : 0;
  }

  /// After the process was put into its group: before, the group's host path would be visible inside.
  int enter_cgroup_namespace() noexcept {
    if (::unshare(CLONE_NEWCGROUP) < 0) return -errno;
    enforced_ |= protocol::kEnforcedCgroupNamespace;
    return 0;
  }

  /// The one writable file system of the sandbox: everything it may store is in here. As root the launcher made it, because one made in here
  /// would show the host id of its owner in mountinfo; rootless it is only ever seen through an overlay, for the same reason.
  int mount_disk() noexcept {
    Fd mount, target;
    if (plan_.rootless)
      if (const int error = new_disk(plan_, mount)) return error;
    if (const int error = open_directory(AT_FDCWD, "/stage", target)) return error;
    if (const int error = isolation::attach_mount(plan_.rootless ? mount.get() : plan_.disk.get(), target.get())) return error;
    enforced_ |= protocol::kEnforcedDiskLimit | protocol::kEnforcedInodeLimit;
    return open_directory(AT_FDCWD, "/stage", disk_);
  }

  /// Like /tmp, the root takes what the default user makes there, /app or /data, and lets nobody touch what is another's.
  static constexpr mode_t kRootMode = 01777;

  int make_root() noexcept {
    const bool image = spawn_.root == RootKind::directory;
    if (!image && !plan_.rootless) {
      root_.reset(::fcntl(disk_.get(), F_DUPFD_CLOEXEC, 3));
      if (!root_) return -errno;
      if (spawn_.root == RootKind::empty && ::fchownat(disk_.get(), "", spawn_.uid, spawn_.gid, AT_EMPTY_PATH) < 0) return -errno;
      if (spawn_.root == RootKind::host && ::fchmodat(disk_.get(), ".", kRootMode, 0) < 0) return -errno;
      return 0;
    }
    if (::mkdirat(disk_.get(), "l", 0755) < 0) return -errno;
    if (image && ::mkdirat(disk_.get(), "u", kRootMode) < 0) return -errno;
    if (!image) {
      // Only seen through an overlay, but made without it: that is four times as fast. make_skeleton covers it.
      if (::mkdirat(disk_.get(), "u", 0755) < 0) return -errno;
      return open_directory(disk_.get(), "u", root_);
    }
    Fd lower;
    if (const int error = open_directory(disk_.get(), "l", lower)) return error;
    if (const int error = isolation::attach_mount(plan_.rootfs.get(), lower.get())) return error;
    return mount_overlay("l", "u", "w", "r", root_);
  }

  /// An overlay of directories of the disk on its directory `target`. Relative names, so that mountinfo shows no host path.
  int mount_overlay(const char* lower, const char* upper, const char* work, const char* target, Fd& out) noexcept {
    for (const char* name : {upper, work, target})
      if (::mkdirat(disk_.get(), name, 0755) < 0 && errno != EEXIST) return -errno;
    if (::fchdir(disk_.get()) < 0) return -errno;
    const isolation::MountOption options[] = {{"lowerdir", lower}, {"upperdir", upper}, {"workdir", work}, {"userxattr", nullptr}};
    Fd overlay, point;
    int error = isolation::new_mount("overlay", options, 4, kMountNoSuid | kMountNoDev, overlay);
    if (error == -EINVAL) error = isolation::new_mount("overlay", options, 3, kMountNoSuid | kMountNoDev, overlay);  // before Linux 5.11
    if (::chdir("/") < 0 && !error) error = -errno;
    if (error) return error;
    if ((error = open_directory(disk_.get(), target, point))) return error;
    if ((error = isolation::attach_mount(overlay.get(), point.get()))) return error;
    return open_directory(disk_.get(), target, out);
  }

  int make_skeleton() noexcept {
    const int root = root_.get();
    for (const char* name : {"proc", "dev"})
      if (const int error = make_directory(root, name, 0755)) return error;
    if (const int error = make_directory(root, "tmp", 01777)) return error;
    if (spawn_.root == RootKind::directory) return 0;  // the rest is the image's
    Fd dev;
    if (const int error = open_directory(root, "dev", dev)) return error;
    if (const int error = make_device_entries(dev.get())) return error;
    if (spawn_.root == RootKind::host)
      if (const int error = make_host_skeleton(root)) return error;
    if (const int error = make_workspace()) return error;
    return plan_.rootless ? mount_overlay("l", "u", "w", "r", root_) : 0;
  }

  int make_host_skeleton(int root) noexcept {
    for (const char* name : {"run", "etc"})
      if (const int error = make_directory(root, name, 0755)) return error;
    for (const char* name : {"usr", "var", "home", "opt", "srv", "mnt", "var/lib", "var/log", "var/cache"})
      if (const int error = make_directory(root, name, 0755)) return error;
    if (const int error = make_directory(root, "root", 0700)) return error;
    if (const int error = make_directory(root, "var/tmp", 01777)) return error;
    if (const int error = make_link(root, {"/run", "var/run"})) return error;
    for (size_t i = 0; i < kHostDirectoryCount; ++i) {
      const char* name = kHostDirectories[i];
      if (plan_.host->links[i][0] != '\0')
        if (const int error = make_link(root, {plan_.host->links[i], name})) return error;
      if (plan_.host->directories[i])
        if (const int error = make_directory(root, name, 0755)) return error;
    }
    Fd etc;
    if (const int error = open_directory(root, "etc", etc)) return error;
    static constexpr char kNsswitch[] = "passwd: files\ngroup: files\nhosts: files\n";
    static constexpr char kShells[] = "/bin/sh\n/bin/bash\n";
    static constexpr char kProfile[] = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    const struct {
      const char* name;
      const char* text;
      size_t size;
    } files[] = {
        {"passwd", plan_.passwd.data(), plan_.passwd.size()},
        {"group", plan_.group.data(), plan_.group.size()},
        {"hosts", plan_.hosts.data(), plan_.hosts.size()},
        {"hostname", spawn_.hostname.data(), spawn_.hostname.size()},
        {"nsswitch.conf", kNsswitch, sizeof kNsswitch - 1},
        {"shells", kShells, sizeof kShells - 1},
        {"profile", kProfile, sizeof kProfile - 1},
        {"resolv.conf", "", 0},
    };
    for (const auto& file : files)
      if (const int error = make_file(etc.get(), file.name, file.text, file.size)) return error;
    if (plan_.host->alternatives)
      if (const int error = make_directory(etc.get(), "alternatives", 0755)) return error;
    if (plan_.host->linker_cache)
      if (const int error = make_file(etc.get(), "ld.so.cache", "", 0)) return error;
    return make_link(etc.get(), {"/proc/self/mounts", "mtab"});
  }

  int show_host() noexcept {
    if (spawn_.root != RootKind::host) return 0;
    Fd target;
    if (const int error = open_directory(root_.get(), "usr", target)) return error;
    if (const int error = bind("/usr", target.get(), 0, true)) return error;  // read-only already in the slim namespace
    for (size_t i = 0; i < kHostDirectoryCount; ++i) {
      if (!plan_.host->directories[i]) continue;
      if (const int error = open_directory(root_.get(), kHostDirectories[i], target)) return error;
      char source[16] = "/";
      std::strcat(source, kHostDirectories[i]);
      if (const int error = bind(source, target.get(), 0, true)) return error;
    }
    if (plan_.host->alternatives) {
      if (const int error = open_directory(root_.get(), "etc/alternatives", target)) return error;
      if (const int error = bind("/alternatives", target.get(), 0, false)) return error;
    }
    if (plan_.host->linker_cache) {
      if (const int error = open_file(root_.get(), "etc/ld.so.cache", target)) return error;
      // Replaced on the host since the launcher looked: the file that is there instead is empty, and loaders look in their directories.
      if (const int error = bind("/ld.so.cache", target.get(), 0, false); error && error != -ENOENT) return error;
    }
    return 0;
  }

  int mount_proc() noexcept {
    Fd mount, target;
    if (const int error = isolation::new_mount("proc", nullptr, 0, kMountNoSuid | kMountNoDev | kMountNoExec, mount)) return error;
    if (const int error = open_directory(root_.get(), "proc", target)) return error;
    if (const int error = isolation::attach_mount(mount.get(), target.get())) return error;
    enforced_ |= protocol::kEnforcedFreshProc;
    covered_ = std::move(target);
    return open_directory(root_.get(), "proc", proc_);
  }

  /// While all of proc is writable. What is set here holds for everybody inside, and nobody there may change it.
  int limit_inotify() noexcept { return isolation::set_inotify_share(proc_.get(), plan_.inotify); }

  /// What of the list this kernel does not have needs no mask. Names are resolved in a proc that nobody else has seen yet.
  int mask_proc() noexcept {
    if (::fchdir(proc_.get()) < 0) return -errno;
    const int error = mask_names();
    if (::chdir("/") < 0) return -errno;
    if (!error) enforced_ |= protocol::kEnforcedProcMasks;
    return error;
  }

  int mask_names() noexcept {
    constexpr unsigned long kReadOnly = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    for (const char* name : kMaskedFiles)
      if (::mount("/device/null", name, nullptr, MS_BIND, nullptr) < 0 && errno != ENOENT) return -errno;
    for (const char* name : kMaskedDirectories) {
      Fd target;
      const int error = open_directory(proc_.get(), name, target);
      if (error == -ENOENT) continue;
      if (error) return error;
      // What proc covers serves as the empty directory. From there each time: before Linux 6.15 a clone that is attached nowhere cannot
      // be cloned itself.
      Fd mask;
      if (const int cloned = isolation::clone_mount(covered_.get(), "", false, mask)) return cloned;
      if (const int set = isolation::set_mount_attributes(mask.get(), kMountReadOnly | kMountNoSuid | kMountNoDev | kMountNoExec, false)) return set;
      if (const int attached = isolation::attach_mount(mask.get(), target.get())) return attached;
    }
    for (const char* name : kReadOnlyDirectories) {
      if (::mount(name, name, nullptr, MS_BIND, nullptr) < 0) {
        if (errno == ENOENT) continue;
        return -errno;
      }
      if (::mount(nullptr, name, nullptr, kReadOnly, nullptr) < 0) return -errno;
    }
    return 0;
  }

  int make_devices() noexcept {
    if (spawn_.root == RootKind::directory) {
      // The image's own /dev is covered by a directory of the limited disk.
      Fd own, target, mount;
      if (::mkdirat(disk_.get(), "d", 0755) < 0) return -errno;
      if (const int error = open_directory(disk_.get(), "d", own)) return error;
      if (const int error = make_device_entries(own.get())) return error;
      if (plan_.rootless) {
        if (::mkdirat(disk_.get(), "e", 0755) < 0) return -errno;
        if (const int error = mount_overlay("e", "d", "x", "v", own)) return error;
      }
      if (const int error = isolation::clone_mount(own.get(), "", false, mount)) return error;
      if (const int error = open_directory(root_.get(), "dev", target)) return error;
      if (const int error = isolation::attach_mount(mount.get(), target.get())) return error;
    }
    if (const int error = open_directory(root_.get(), "dev", dev_)) return error;
    for (const char* name : kDevices) {
      Fd target;
      if (const int error = open_file(dev_.get(), name, target)) return error;
      char source[32] = "/device/";
      std::strcat(source, name);
      if (const int error = bind(source, target.get(), kMountNoSuid | kMountNoExec, false)) return error;
    }
    enforced_ |= protocol::kEnforcedMinimalDev;
    return 0;
  }

  /// What devices are mounted on, and the rest of /dev.
  static int make_device_entries(int dev) noexcept {
    for (const char* name : kDevices)
      if (::mknodat(dev, name, S_IFREG | 0644, 0) < 0) return -errno;
    for (const Link& link : kDeviceLinks)
      if (const int error = make_link(dev, link)) return error;
    if (const int error = make_directory(dev, "pts", 0755)) return error;
    return make_directory(dev, "shm", 01777);
  }

  int mount_devpts() noexcept {
    const isolation::MountOption options[] = {{"ptmxmode", "0666"}, {"mode", "0620"}, {"newinstance", nullptr}};
    Fd mount, target;
    if (const int error = isolation::new_mount("devpts", options, 3, kMountNoSuid | kMountNoExec, mount)) return error;
    if (const int error = open_directory(dev_.get(), "pts", target)) return error;
    return isolation::attach_mount(mount.get(), target.get());
  }

  /// Idempotent: an image may have one, and what is not an image has it from the skeleton.
  int make_workspace() noexcept {
    if (::mkdirat(root_.get(), "workspace", 0755) < 0 && errno != EEXIST) return -errno;
    Fd workspace;
    if (const int error = open_directory(root_.get(), "workspace", workspace)) return error;
    if (plan_.rootless) return 0;
    return ::fchownat(workspace.get(), "", spawn_.uid, spawn_.gid, AT_EMPTY_PATH) < 0 ? -errno : 0;
  }

  int show_user_mounts() noexcept {
    for (const PlannedMount& planned : plan_.mounts) {
      Fd target;
      if (const int error = isolation::open_mount_path(root_.get(), planned.guest.c_str(), planned.directory, target)) return error;
      if (const int error = isolation::attach_mount(planned.mount.get(), target.get())) return error;
    }
    return 0;
  }

  int change_root() noexcept {
    if (const int error = isolation::pivot_to(root_.get())) return error;
    enforced_ |= protocol::kEnforcedPrivateRoot;
    return 0;
  }

  int name_host() noexcept {
    const std::string& name = spawn_.hostname;
    if (!name.empty() && ::sethostname(name.data(), name.size()) < 0) return -errno;
    return ::setdomainname("(none)", 6) < 0 ? -errno : 0;
  }

  int leave_keyring() noexcept {
    const int error = isolation::join_new_session_keyring();
    if (error == -ENOSYS) return 0;  // a kernel without keys has none to leak
    if (error == 0) enforced_ |= protocol::kEnforcedKeyring;
    return error;
  }

  int limit_resources() noexcept {
    isolation::Rlimits limits;
    // The agent counts too where it shares the commands' only id.
    if (plan_.pids_by_rlimit) limits.processes = spawn_.pids + 1;
    if (const int error = isolation::set_rlimits(limits)) return error;
    enforced_ |= protocol::kEnforcedRlimits;
    if (plan_.pids_by_rlimit) enforced_ |= protocol::kEnforcedPids;
    return 0;
  }

  /// Leaves exactly the capabilities that the agent keeps, in the ambient set so that they survive its exec as an ordinary user.
  int become_agent_user() noexcept {
    const uint64_t profile = isolation::profile_capabilities(static_cast<isolation::Profile>(spawn_.profile));
    uint64_t keep = isolation::capability(CAP_KILL) | profile;
    if (!plan_.rootless) keep |= isolation::capability(CAP_SETUID) | isolation::capability(CAP_SETGID);
    if (!plan_.rootless) {
      if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -errno;
      if (::syscall(SYS_setresgid, kAgentId, kAgentId, kAgentId) < 0) return -errno;
      if (::syscall(SYS_setresuid, kAgentId, kAgentId, kAgentId) < 0) return -errno;
    }
    // Inheritable first: it cannot be raised beyond the bounding set later.
    const uint64_t dropping = keep | isolation::capability(CAP_SETPCAP);
    if (const int error = isolation::set_capabilities(dropping, dropping, keep)) return error;
    if (const int error = isolation::reduce_bounding_set(profile)) return error;
    if (const int error = isolation::set_capabilities(keep, keep, keep)) return error;
    return isolation::raise_ambient(keep);
  }

  /// The agent finds its descriptors at fixed numbers, and nothing else.
  int arrange_fds() noexcept {
    const int sources[] = {plan_.channel, plan_.life, plan_.agent, plan_.oom, plan_.command_groups[0], plan_.command_groups[1], plan_.command_groups[2], plan_.control};
    constexpr int kCount = sizeof sources / sizeof *sources;
    int high[kCount];
    // First above every target, so that no dup2 overwrites a source.
    for (int i = 0; i < kCount; ++i) {
      high[i] = sources[i] < 0 ? -1 : ::fcntl(sources[i], F_DUPFD_CLOEXEC, kFirstFreeFd);
      if (sources[i] >= 0 && high[i] < 0) return -errno;
    }
    channel_ = high[0];
    for (int fd = 0; fd < 3; ++fd) ::close(fd);
    for (int i = 0; i < kCount; ++i) {
      if (high[i] < 0)
        ::close(kChannelFd + i);
      else if (::dup2(high[i], kChannelFd + i) < 0)
        return -errno;
    }
    channel_ = kChannelFd;
    if (const long error = isolation::syscall_result(isolation::kSysCloseRange, kFirstFreeFd, ~0u, 0); error < 0) return static_cast<int>(error);
    if (::fcntl(kAgentFd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
    enforced_ |= protocol::kEnforcedFdsClosed;
    return 0;
  }

  int exec_agent() noexcept {
    uint64_t bits = enforced_ | plan_.enforced;
    char text[2 + 16 + 1] = "0x";
    for (int i = 0; i < 16; ++i) text[2 + i] = "0123456789abcdef"[bits >> (60 - 4 * i) & 15];
    char name[] = "stacyvm-agent";
    char mode[] = "guest";
    char* argv[] = {name, mode, text, nullptr};
#ifdef SVM_FAIL_POINTS
    char fail_point[fail_point::kEnvironmentBytes];
    char* envp[] = {const_cast<char*>(fail_point::environment_of("agent.", fail_point)), nullptr};
#else
    char* envp[] = {nullptr};
#endif
    ::syscall(SYS_execveat, kAgentFd, "", argv, envp, AT_EMPTY_PATH);
    return -errno;
  }

  const Plan& plan_;
  const protocol::Spawn& spawn_;
  int channel_ = plan_.channel;
  uint64_t enforced_ = 0;
  Fd disk_, root_, proc_, dev_;
  Fd covered_;  // the root's own directory proc, below the mount
};

}  // namespace

int new_disk(const Plan& plan, Fd& out) noexcept {
  const isolation::MountOption options[] = {{"size", plan.size.c_str()}, {"nr_inodes", plan.inodes.c_str()}, {"mode", "0755"}};
  return isolation::new_mount("tmpfs", options, 3, kMountNoSuid | kMountNoDev, out);
}

void contain(const Plan& plan) noexcept { Containment(plan).run(); }

}  // namespace svm::launcher
