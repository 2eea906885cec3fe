// How much of its user's inotify quota one sandbox may take: rootless, all sandboxes are the same user, whose quota is one.
#pragma once
#include <cstdint>

namespace svm::isolation {

/// Of what the user may have, one sandbox gets a quarter.
inline constexpr int64_t kInotifyShares = 4;
inline constexpr int64_t kMaxSandboxInotifyInstances = 256, kMaxSandboxInotifyWatches = 65'536;

struct InotifyShare {
  char instances[24] = "", watches[24] = "";  // as the kernel's files take them; "": there is no such quota
};

/// From this process's view of /proc. 0 or -errno.
int read_inotify_share(InotifyShare& out) noexcept;
/// What one sandbox gets where the user may have so many, at most `most`, at least 1. Pure.
int64_t share_of(int64_t quota, int64_t most) noexcept;
/// Sets the share for the user namespace of this process, which needs CAP_SYS_RESOURCE there. `proc`: a mount of proc with a writable sys.
/// 0 or -errno. Allocates nothing.
int set_inotify_share(int proc, const InotifyShare& share) noexcept;

}  // namespace svm::isolation
