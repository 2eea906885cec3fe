#include "launcher/slim.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/fail_point.hpp"
#include "isolation/mount.hpp"
#include "isolation/syscalls.hpp"

namespace svm::launcher {
namespace {

using isolation::kMountNoDev, isolation::kMountNoExec, isolation::kMountNoSuid, isolation::kMountReadOnly;

constexpr const char* kLinkerCache = "/etc/ld.so.cache";
constexpr uint64_t kCacheAttributes = kMountReadOnly | kMountNoSuid | kMountNoDev | kMountNoExec;

int write_text(int parent, const char* path, const char* text) noexcept {
  Fd file(::openat(parent, path, O_WRONLY | O_CLOEXEC));
  if (!file) return -errno;
  return write_all(file.get(), text, std::strlen(text));
}

int open_path(const char* path, Fd& out) noexcept {
  out.reset(::open(path, O_PATH | O_CLOEXEC));
  return out ? 0 : -errno;
}

/// A namespace of the launcher's own user, whose only mapped id is the user's.
int own_user_namespace() noexcept {
  const unsigned uid = ::geteuid(), gid = ::getegid();
  if (::unshare(CLONE_NEWUSER) < 0) return -errno;
  char map[48];
  if (const int error = write_text(AT_FDCWD, "/proc/self/setgroups", "deny"); error && error != -ENOENT) return error;
  std::snprintf(map, sizeof map, "0 %u 1\n", uid);
  if (const int error = write_text(AT_FDCWD, "/proc/self/uid_map", map)) return error;
  std::snprintf(map, sizeof map, "0 %u 1\n", gid);
  return write_text(AT_FDCWD, "/proc/self/gid_map", map);
}

/// Copies the host's `source` (with what is mounted below it) to `name` below `root`; a missing source is -ENOENT.
int show(int root, const char* source, const char* name, bool directory, uint64_t attributes) noexcept {
  Fd mount, target;
  if (const int error = isolation::clone_mount(AT_FDCWD, source, true, mount)) return error;
  if (attributes)
    if (const int error = isolation::set_mount_attributes(mount.get(), attributes, true)) return error;
  if (const int error = isolation::open_mount_path(root, name, directory, target)) return error;
  return isolation::attach_mount(mount.get(), target.get());
}

}  // namespace

int Namespaces::enter(bool rootless, HostLayout& layout, protocol::Step& step) noexcept {
  step = protocol::Step::user_namespace;
  if (rootless) {
    if (const int injected = SVM_FAIL_POINT("launcher.user_namespace")) return -injected;
    if (const int error = own_user_namespace()) return error;
  }
  step = protocol::Step::mount_private;
  if (const int injected = SVM_FAIL_POINT("launcher.mount_private")) return -injected;
  if (::unshare(CLONE_NEWNS) < 0) return -errno;
  // The full namespace still follows what the host mounts later, and tells the host nothing.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0) return -errno;
  full_.reset(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!full_) return -errno;
  etc_.reset(::open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (::unshare(CLONE_NEWNS) < 0) return -errno;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return -errno;
  if (const int error = build(layout)) return error;
  slim_.reset(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!slim_) return -errno;
  proc_.reset(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return proc_ ? 0 : -errno;
}

int Namespaces::build(HostLayout& layout) noexcept {
  Fd mount, root, target;
  const isolation::MountOption options[] = {{"size", "1m"}, {"mode", "0755"}};
  if (const int error = isolation::new_mount("tmpfs", options, 2, kMountNoSuid | kMountNoDev, mount)) return error;
  // Anywhere will do for a moment: it becomes the root, and what it covers goes with the old one.
  if (const int error = open_path("/proc", target)) return error;
  Fd host_proc;
  if (const int error = isolation::clone_mount(AT_FDCWD, "/proc", true, host_proc)) return error;
  const uint64_t read_only = kMountReadOnly | kMountNoSuid | kMountNoDev;
  if (const int error = isolation::attach_mount(mount.get(), target.get())) return error;
  if (const int error = open_path("/proc/.", root)) return error;
  if (const int error = isolation::open_mount_path(root.get(), "proc", true, target)) return error;
  if (const int error = isolation::attach_mount(host_proc.get(), target.get())) return error;
  if (::mkdirat(root.get(), "stage", 0755) < 0) return -errno;
  if (const int error = show(root.get(), "/dev", "device", true, 0)) return error;
  if (const int error = show(root.get(), "/usr", "usr", true, read_only)) return error;
  for (size_t i = 0; i < kHostDirectoryCount; ++i) {
    char path[16] = "/";
    std::strcat(path, kHostDirectories[i]);
    struct stat info;
    if (::fstatat(AT_FDCWD, path, &info, AT_SYMLINK_NOFOLLOW) < 0) continue;
    if (S_ISLNK(info.st_mode)) {
      const ssize_t n = ::readlink(path, layout.links[i], sizeof layout.links[i] - 1);
      if (n < 0) return -errno;
      layout.links[i][n] = '\0';
    } else if (S_ISDIR(info.st_mode)) {
      if (const int error = show(root.get(), path, kHostDirectories[i], true, read_only)) return error;
      layout.directories[i] = true;
    }
  }
  const int alternatives = show(root.get(), "/etc/alternatives", "alternatives", true, read_only | kMountNoExec);
  if (alternatives != 0 && alternatives != -ENOENT) return alternatives;
  layout.alternatives = alternatives == 0;
  const bool known = ::stat(kLinkerCache, &cache_) == 0;
  const int cache = show(root.get(), kLinkerCache, "ld.so.cache", false, kCacheAttributes);
  if (cache != 0 && cache != -ENOENT) return cache;
  layout.linker_cache = known && cache == 0;
  layout.bash = ::access("/usr/bin/bash", X_OK) == 0 || ::access("/bin/bash", X_OK) == 0;
  return isolation::pivot_to(root.get());
}

void Namespaces::renew_linker_cache(HostLayout& layout) noexcept {
  struct stat now {};
  const bool there = etc_ && ::fstatat(etc_.get(), "ld.so.cache", &now, 0) == 0;
  const bool same = now.st_dev == cache_.st_dev && now.st_ino == cache_.st_ino && now.st_mtim.tv_sec == cache_.st_mtim.tv_sec && now.st_mtim.tv_nsec == cache_.st_mtim.tv_nsec;
  if (there == layout.linker_cache && (!there || same)) return;
  if (layout.linker_cache) ::umount2("/ld.so.cache", MNT_DETACH);
  layout.linker_cache = false;
  if (!there) return;
  Fd mount, root, target;
  if (::setns(full_.get(), CLONE_NEWNS) < 0) return;
  const int error = isolation::clone_mount(AT_FDCWD, kLinkerCache, true, mount);
  if (::setns(slim_.get(), CLONE_NEWNS) < 0 || error) return;
  if (isolation::set_mount_attributes(mount.get(), kCacheAttributes, true) || open_path("/", root)) return;
  if (isolation::open_mount_path(root.get(), "ld.so.cache", false, target) || isolation::attach_mount(mount.get(), target.get())) return;
  cache_ = now;
  layout.linker_cache = true;
}

int Namespaces::clone_host_path(const char* path, uint64_t device, uint64_t inode, bool recursive, Fd& mount, bool& directory) noexcept {
  if (::setns(full_.get(), CLONE_NEWNS) < 0) return -errno;
  int error = isolation::clone_mount(AT_FDCWD, path, recursive, mount);
  if (::setns(slim_.get(), CLONE_NEWNS) < 0) return -errno;
  if (error) return error;
  struct stat info;
  if (::fstat(mount.get(), &info) < 0) return -errno;
  if (info.st_dev != device || info.st_ino != inode) {
    mount.reset();
    return -ESTALE;
  }
  directory = S_ISDIR(info.st_mode);
  return 0;
}

int write_id_maps(int proc, int pid, const protocol::Spawn& spawn, bool rootless) noexcept {
  char path[32], users[96], groups[96];
  if (rootless) {
    std::snprintf(users, sizeof users, "%u 0 1\n", spawn.uid);
    std::snprintf(groups, sizeof groups, "%u 0 1\n", spawn.gid);
  } else {
    std::snprintf(users, sizeof users, "0 %u %u\n%u %u 1\n", spawn.id_base, kImageIds, kAgentId, spawn.id_base + kImageIds);
    std::memcpy(groups, users, sizeof groups);
  }
  std::snprintf(path, sizeof path, "%d/uid_map", pid);
  if (const int error = write_text(proc, path, users)) return error;
  std::snprintf(path, sizeof path, "%d/gid_map", pid);
  if (const int error = write_text(proc, path, groups)) return error;
  if (rootless) return 0;  // the project id map takes no range of a user who has none, and stays closed to commands
  // A map can be written once, this one by anybody inside: taken before a command takes it.
  std::snprintf(path, sizeof path, "%d/projid_map", pid);
  return write_text(proc, path, users);
}

}  // namespace svm::launcher
