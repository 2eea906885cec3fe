#include "isolation/mount.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

constexpr unsigned kOpenTreeClone = 1, kOpenTreeCloexec = O_CLOEXEC, kAtRecursive = 0x8000;
constexpr unsigned kMoveFromEmptyPath = 0x4, kMoveToEmptyPath = 0x40;
constexpr unsigned kFsopenCloexec = 1, kFsmountCloexec = 1;
constexpr unsigned kFsconfigSetFlag = 0, kFsconfigSetString = 1, kFsconfigCreate = 6;
constexpr size_t kMaxComponent = 255;  // NAME_MAX

int take(long result, Fd& out) noexcept {
  if (result < 0) return static_cast<int>(result);
  out.reset(static_cast<int>(result));
  return 0;
}

/// Makes the directory if it is missing.
int open_mount_point(int parent, const char* name, Fd& out) noexcept {
  if (::mkdirat(parent, name, 0755) < 0 && errno != EEXIST) return -errno;
  return take(syscall_result(SYS_openat, parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out);
}

}  // namespace

int clone_mount(int dirfd, const char* path, bool recursive, Fd& out) noexcept {
  unsigned flags = kOpenTreeClone | kOpenTreeCloexec | AT_EMPTY_PATH;
  if (recursive) flags |= kAtRecursive;
  return take(syscall_result(kSysOpenTree, dirfd, path, flags), out);
}

int set_mount_attributes(int mount, uint64_t attributes, bool recursive) noexcept {
  const MountAttr attr{attributes, 0, 0, 0};
  return static_cast<int>(syscall_result(kSysMountSetattr, mount, "", AT_EMPTY_PATH | (recursive ? kAtRecursive : 0), &attr, sizeof attr));
}

int idmap_mount(int mount, int user_namespace) noexcept {
  const MountAttr attr{kMountAttrIdmap, 0, 0, static_cast<uint64_t>(user_namespace)};
  return static_cast<int>(syscall_result(kSysMountSetattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr));
}

int attach_mount(int mount, int target) noexcept {
  return static_cast<int>(syscall_result(kSysMoveMount, mount, "", target, "", kMoveFromEmptyPath | kMoveToEmptyPath));
}

int new_mount(const char* type, const MountOption* options, unsigned count, uint64_t attributes, Fd& out) noexcept {
  Fd context;
  if (const int error = take(syscall_result(kSysFsopen, type, kFsopenCloexec), context)) return error;
  for (unsigned i = 0; i < count; ++i) {
    const long set = options[i].value ? syscall_result(kSysFsconfig, context.get(), kFsconfigSetString, options[i].key, options[i].value, 0)
                                      : syscall_result(kSysFsconfig, context.get(), kFsconfigSetFlag, options[i].key, nullptr, 0);
    if (set < 0) return static_cast<int>(set);
  }
  if (const long created = syscall_result(kSysFsconfig, context.get(), kFsconfigCreate, nullptr, nullptr, 0); created < 0)
    return static_cast<int>(created);
  return take(syscall_result(kSysFsmount, context.get(), kFsmountCloexec, attributes), out);
}

int open_mount_path(int root, const char* path, bool directory, Fd& out) noexcept {
  Fd at;
  if (const int error = take(syscall_result(SYS_openat, root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), at)) return error;
  for (;;) {
    while (*path == '/') ++path;
    const char* end = std::strchr(path, '/');
    const size_t size = end ? static_cast<size_t>(end - path) : std::strlen(path);
    if (size == 0 || size > kMaxComponent) return size ? -ENAMETOOLONG : -EINVAL;
    char name[kMaxComponent + 1] = {};
    std::memcpy(name, path, size);
    if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) return -EINVAL;
    path += size;
    while (*path == '/') ++path;
    const bool last = *path == '\0';
    if (last && !directory) {
      Fd made;
      // Not O_TRUNC: what an image has there is only covered.
      if (const int error = take(syscall_result(SYS_openat, at.get(), name, O_CREAT | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644), made);
          error && error != -EACCES)
        return error;
      return take(syscall_result(SYS_openat, at.get(), name, O_PATH | O_NOFOLLOW | O_CLOEXEC), out);
    }
    Fd next;
    if (const int error = open_mount_point(at.get(), name, next)) return error;
    if (last) {
      out = std::move(next);
      return 0;
    }
    at = std::move(next);
  }
}

int pivot_to(int new_root) noexcept {
  if (::fchdir(new_root) < 0) return -errno;
  // The old root is stacked below the new one and then detached: no directory is needed to hold it (pivot_root(2), notes).
  if (::syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
  if (::umount2(".", MNT_DETACH) < 0) return -errno;
  return ::chdir("/") < 0 ? -errno : 0;
}

}  // namespace svm::isolation
