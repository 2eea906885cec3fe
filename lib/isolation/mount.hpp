// Mounts by descriptor (open_tree, fsmount, mount_setattr, move_mount: Linux 5.12): a target is an open directory, so that no path of a
// guest's tree is ever walked by name. No exceptions, no allocation; 0 or -errno.
#pragma once
#include <cstdint>

#include "core/fd.hpp"

namespace svm::isolation {

inline constexpr uint64_t kMountReadOnly = 0x1, kMountNoSuid = 0x2, kMountNoDev = 0x4, kMountNoExec = 0x8;

/// A detached copy of the mount at `path` (with what is mounted below it when `recursive`).
int clone_mount(int dirfd, const char* path, bool recursive, Fd& out) noexcept;
/// Sets attributes (kMount*) on a mount, and on all below it when `recursive`.
int set_mount_attributes(int mount, uint64_t attributes, bool recursive) noexcept;
/// Makes the owners of files on a detached mount appear through a user namespace's id map.
int idmap_mount(int mount, int user_namespace) noexcept;
/// Attaches a detached mount on what `target` is open on (O_PATH).
int attach_mount(int mount, int target) noexcept;

struct MountOption {
  const char* key;
  const char* value;  // nullptr: a flag
};
/// A new file system, detached.
int new_mount(const char* type, const MountOption* options, unsigned count, uint64_t attributes, Fd& out) noexcept;

/// Opens a slash-separated path below `root` as a mount point (O_PATH), never through a symlink. What is missing is made: directories (mode
/// 0755), and as the last component a directory or an empty file.
int open_mount_path(int root, const char* path, bool directory, Fd& out) noexcept;

/// Makes `new_root` the root of the mount namespace and detaches the old one.
int pivot_to(int new_root) noexcept;

}  // namespace svm::isolation
