#include "isolation/inotify_share.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "core/fd.hpp"

namespace svm::isolation {
namespace {

/// The smaller of what the user's namespace allows and what the machine does; a file that is not there allows everything.
int read_quota(const char* own, const char* machine, int64_t& out) noexcept {
  out = INT64_MAX;
  for (const char* path : {own, machine}) {
    const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) continue;
    if (!file) return -errno;
    char text[32];
    const ssize_t size = ::read(file.get(), text, sizeof text);
    if (size < 0) return -errno;
    int64_t value = -1;
    const auto [end, error] = std::from_chars(text, text + size, value);
    if (error != std::errc() || end == text || value < 0) return -EBADMSG;
    out = std::min(out, value);
  }
  return 0;
}

void spell(int64_t quota, int64_t most, char (&out)[24]) noexcept {
  if (quota != INT64_MAX) std::snprintf(out, sizeof out, "%lld", static_cast<long long>(share_of(quota, most)));
}

int set(int proc, const char* path, const char* value) noexcept {
  if (value[0] == '\0') return 0;
  const Fd file(::openat(proc, path, O_WRONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? 0 : -errno;  // a kernel that does not count per namespace
  return write_all(file.get(), value, std::strlen(value));
}

}  // namespace

int64_t share_of(int64_t quota, int64_t most) noexcept { return std::clamp<int64_t>(quota / kInotifyShares, 1, most); }

int read_inotify_share(InotifyShare& out) noexcept {
  int64_t instances, watches;
  if (const int error = read_quota("/proc/sys/user/max_inotify_instances", "/proc/sys/fs/inotify/max_user_instances", instances)) return error;
  if (const int error = read_quota("/proc/sys/user/max_inotify_watches", "/proc/sys/fs/inotify/max_user_watches", watches)) return error;
  spell(instances, kMaxSandboxInotifyInstances, out.instances);
  spell(watches, kMaxSandboxInotifyWatches, out.watches);
  return 0;
}

int set_inotify_share(int proc, const InotifyShare& share) noexcept {
  if (const int error = set(proc, "sys/user/max_inotify_instances", share.instances)) return error;
  return set(proc, "sys/user/max_inotify_watches", share.watches);
}

}  // namespace svm::isolation
