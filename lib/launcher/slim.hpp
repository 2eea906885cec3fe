// The launcher's two mount namespaces: `full` sees what the host sees (for rootfs directories and mounts that callers name), `slim`
// holds only what every sandbox needs, because each clone copies the table of its parent.
#pragma once
#include <sys/stat.h>

#include <cstdint>

#include "core/fd.hpp"
#include "launcher/plan.hpp"

namespace svm::launcher {

class Namespaces {
 public:
  /// Leaves the host's mount namespace (rootless: after making a user namespace of its own) and enters the slim one. 0, or -errno and the step.
  int enter(bool rootless, HostLayout& layout, protocol::Step& step) noexcept;
  /// A detached copy of the host's `path`, which must still be what the host resolved (device, inode); -ESTALE otherwise.
  int clone_host_path(const char* path, uint64_t device, uint64_t inode, bool recursive, Fd& mount, bool& directory) noexcept;
  /// Shows the host's linker cache as it is now. Whoever installs a library on the host replaces that file, and of one that is gone the kernel makes no
  /// further mount. What goes wrong here leaves sandboxes without a cache, which loaders can do without, and is tried again the next time.
  void renew_linker_cache(HostLayout& layout) noexcept;
  int proc() const noexcept { return proc_.get(); }

 private:
  int build(HostLayout& layout) noexcept;
  Fd full_, slim_, proc_, etc_;  // etc_: the host's
  struct stat cache_ {};         // the linker cache that is shown
};

/// Writes "inside outside count" lines for a process; `proc` is a directory descriptor of /proc. 0 or -errno.
int write_id_maps(int proc, int pid, const protocol::Spawn& spawn, bool rootless) noexcept;

}  // namespace svm::launcher
