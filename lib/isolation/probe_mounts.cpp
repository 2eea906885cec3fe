// Rows about file systems.
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/quota.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "isolation/probe_child.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

constexpr unsigned kOpenTreeClone = 1, kOpenTreeCloexec = O_CLOEXEC, kAtEmptyPath = 0x1000;
constexpr long kSysQuotactlFd = 443;

/// An overlay that shows a file of its lower layer and takes a new one.
void try_overlay(ProbeOutcome& out) {
  if (!enter_scratch(out)) return;
  for (const char* name : {"lower", "upper", "work", "merged"}) {
    if (::mkdir(name, 0755) < 0) return out.fail(errno, "mkdir");
  }
  if (Fd file{::open("lower/old", O_CREAT | O_WRONLY | O_CLOEXEC, 0644)}; !file) return out.fail(errno, "create");
  if (::mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work") < 0) return out.fail(errno, "mount");
  if (::access("merged/old", R_OK) < 0) return out.fail(errno, "lower file");
  const Fd file(::open("merged/new", O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  if (!file) out.fail(errno, "create");
}

void try_disk_limit(ProbeOutcome& out) {
  if (!enter_scratch(out, "size=1m,nr_inodes=8")) return;
  const Fd file(::open("large", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  if (!file) return out.fail(errno, "create");
  static const char block[64 * 1024] = {};
  size_t written = 0;
  for (; written < 4u << 20; written += sizeof block) {
    const ssize_t n = ::write(file.get(), block, sizeof block);
    if (n == static_cast<ssize_t>(sizeof block)) continue;
    if (n < 0 && errno != ENOSPC) return out.fail(errno, "write");
    break;
  }
  if (written != 1u << 20) return out.fail(EPROTO, "bytes are not limited");
  int made = 1;  // the file; the directory takes one more
  for (; made < 16; ++made) {
    char name[16];
    std::snprintf(name, sizeof name, "f%d", made);
    if (::mkdir(name, 0700) == 0) continue;
    if (errno != ENOSPC) return out.fail(errno, "mkdir");
    break;
  }
  if (made >= 8) out.fail(EPROTO, "inodes are not limited");
}

void try_idmapped_usr(ProbeOutcome& out, int pid) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  const Fd user_namespace(::open(path, O_RDONLY | O_CLOEXEC));
  if (!user_namespace) return out.fail(errno, "user namespace");
  const long fd = syscall_result(kSysOpenTree, AT_FDCWD, "/usr", kOpenTreeClone | kOpenTreeCloexec);
  if (fd < 0) return out.fail(static_cast<int>(-fd), "open_tree");
  const Fd tree(static_cast<int>(fd));
  MountAttr attributes{kMountAttrIdmap, 0, 0, static_cast<uint64_t>(user_namespace.get())};
  const long result = syscall_result(kSysMountSetattr, tree.get(), "", kAtEmptyPath, &attributes, sizeof attributes);
  if (result < 0) return out.fail(static_cast<int>(-result), "mount_setattr");
  struct stat status;
  if (::fstatat(tree.get(), ".", &status, 0) < 0) return out.fail(errno, "stat");
  if (status.st_uid == 0) out.fail(EPROTO, "ids are not mapped");
}

}  // namespace

void probe_overlay(ProbeOutcome& out, const ProbeContext&) noexcept { in_namespaces(CLONE_NEWNS, IdMap::none, out, try_overlay); }

void probe_overlay_in_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, IdMap::own, out, try_overlay);
}

void probe_tmpfs_in_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, IdMap::own, out, [](ProbeOutcome& o) {
    if (!enter_scratch(o)) return;
    if (Fd file{::open("x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)}; !file) o.fail(errno, "create");
  });
}

void probe_idmapped_mount(ProbeOutcome& out, const ProbeContext&) noexcept { with_user_namespace(IdMap::range, out, try_idmapped_usr); }

void probe_proc_mount(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID, IdMap::own, out, [](ProbeOutcome& o) {
    if (!enter_scratch(o)) return;
    if (::mkdir("proc", 0755) < 0) return o.fail(errno, "mkdir");
    if (::mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) < 0) return o.fail(errno, "mount");
    if (::access("proc/1/status", R_OK) < 0) o.fail(errno, "process 1");
  });
}

void probe_mount_setattr(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, IdMap::own, out, [](ProbeOutcome& o) {
    if (!enter_scratch(o)) return;
    MountAttr attributes{kMountAttrReadOnly, 0, 0, 0};
    const long result = syscall_result(kSysMountSetattr, AT_FDCWD, ".", 0u, &attributes, sizeof attributes);
    if (result < 0) return o.fail(static_cast<int>(-result), "mount_setattr");
    const Fd file(::open("x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    if (file || errno != EROFS) o.fail(EPROTO, "still writable");
  });
}

void probe_disk_limit(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, IdMap::own, out, try_disk_limit);
}

void probe_project_quota(ProbeOutcome& out, const ProbeContext&) noexcept {
  const Fd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return out.fail(errno, "open");
  fs_quota_stat state{};
  const long result = syscall_result(kSysQuotactlFd, root.get(), QCMD(Q_XGETQSTAT, PRJQUOTA), 0, &state);
  if (result < 0) return out.fail(static_cast<int>(-result), "quotactl");
  if ((state.qs_flags & FS_QUOTA_PDQ_ENFD) == 0) out.fail(EOPNOTSUPP, "project quotas are not enforced");
}

}  // namespace svm::isolation
