#include "isolation/cgroup_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/process.hpp"

namespace svm::isolation {
namespace {

constexpr int kMaxDepth = 8;  // ours are three deep; nothing inside can make more
constexpr int kMaxKillRounds = 64;

struct CloseDirectory {
  DIR* stream;
  ~CloseDirectory() { ::closedir(stream); }
};

/// Process ids, one a line. 0 stands for a process of another pid namespace and cannot be signalled from here.
std::vector<pid_t> parse_pids(const std::string& text) {
  std::vector<pid_t> pids;
  for (const char* at = text.c_str(); *at;) {
    char* end;
    const long pid = std::strtol(at, &end, 10);
    if (end == at) break;
    if (pid > 0 && pid <= INT_MAX) pids.push_back(static_cast<pid_t>(pid));
    at = *end == '\n' ? end + 1 : end;
  }
  return pids;
}

int remove_below(int parent, const char* name, bool kill, int depth) {
  if (depth > kMaxDepth) return -ELOOP;
  Fd directory;
  if (const int error = open_directory(parent, name, directory)) return error == -ENOENT ? 0 : error;
  int result = 0;
  if (kill) {
    // v2 ends a whole tree atomically; older kernels and v1 take signals.
    if (write_control(directory.get(), "cgroup.kill", "1") != 0) {
      if (const int error = kill_members(directory.get())) result = error;
    }
  }
  std::vector<std::string> names;
  if (const int error = list_groups(directory.get(), names)) result = error;
  for (const std::string& child : names) {
    if (const int error = remove_below(directory.get(), child.c_str(), kill, depth + 1)) result = error;
  }
  if (::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  return result != 0 ? result : -errno;
}

}  // namespace

int CgroupTexts::load() {
  if (const int error = read_control(AT_FDCWD, "/proc/self/cgroup", own)) return error;
  return read_control(AT_FDCWD, "/proc/self/mountinfo", mounts);
}

int open_own_group(const CgroupTexts& texts, const char* controller, Fd& out, Fd* top) {
  char own[PATH_MAX];
  if (!parse_own_cgroup(texts.own.data(), texts.own.size(), controller, own, sizeof own)) return -EOPNOTSUPP;
  CgroupMount mount;
  if (!parse_cgroup_mount(texts.mounts, controller, mount)) return -ENOENT;
  if (top) {
    if (const int error = open_directory(AT_FDCWD, mount.point.c_str(), *top)) return error;
  }
  if (const int error = open_directory(AT_FDCWD, path_in_mount(mount, own).c_str(), out)) return error;
  // Something may be mounted over it, where directories can be made just as well but limit nothing.
  struct statfs file_system;
  if (::fstatfs(out.get(), &file_system) < 0) return -errno;
  if (file_system.f_type == (*controller == '\0' ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC)) return 0;
  out.reset();
  return -ENOENT;
}

int open_directory(int parent, const char* name, Fd& out) noexcept {
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -errno;
  out.reset(fd);
  return 0;
}

int open_for_write(int directory, const char* name, Fd& out) noexcept {
  const int fd = ::openat(directory, name, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  out.reset(fd);
  return 0;
}

int write_control(int directory, const char* name, std::string_view text) noexcept {
  Fd file;
  if (const int error = open_for_write(directory, name, file)) return error;
  // One write: a control file takes its value whole or not at all.
  const ssize_t n = ::write(file.get(), text.data(), text.size());
  if (n < 0) return -errno;
  return static_cast<size_t>(n) == text.size() ? 0 : -EIO;
}

int write_number(int directory, const char* name, uint64_t value) noexcept {
  char text[24];
  const int size = std::snprintf(text, sizeof text, "%llu", static_cast<unsigned long long>(value));
  return write_control(directory, name, {text, static_cast<size_t>(size)});
}

int read_control(int directory, const char* name, std::string& out) {
  out.clear();
  const Fd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!file) return -errno;
  char buffer[4096];
  for (;;) {
    const long n = read_all(file.get(), buffer, sizeof buffer);
    if (n < 0) return static_cast<int>(n);
    out.append(buffer, static_cast<size_t>(n));
    if (static_cast<size_t>(n) < sizeof buffer) return 0;
  }
}

bool is_group_name(const char* name) noexcept {
  const size_t size = std::strlen(name);
  if (size == 0 || size > kMaxCgroupName || name[0] == '.') return false;
  for (size_t i = 0; i < size; ++i) {
    const char c = name[i];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

bool same_directory(int a, int b) noexcept {
  struct stat sa, sb;
  return ::fstat(a, &sa) == 0 && ::fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

int list_groups(int directory, std::vector<std::string>& out) {
  Fd copy;
  if (const int error = open_directory(directory, ".", copy)) return error;
  DIR* stream = ::fdopendir(copy.get());
  if (!stream) return -errno;
  (void)copy.release();  // the stream owns it now
  const CloseDirectory close{stream};
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (!entry) return -errno;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    // d_type may be unknown on a stand-in file system; a plain file then fails to open as a directory and is left alone.
    if (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) out.emplace_back(name);
  }
}

int kill_members(int directory) {
  std::string before, after;
  for (int round = 0; round < kMaxKillRounds; ++round) {
    if (const int error = read_control(directory, "cgroup.procs", before)) return error;
    const std::vector<pid_t> pids = parse_pids(before);
    if (pids.empty()) return 0;
    bool signalled = false;
    for (const pid_t pid : pids) {
      if (pid == ::getpid()) continue;  // a launcher that could not leave must not end itself
      // The number may have gone to another process since it was read. A pidfd pins one process; if the number is still listed
      // after that, the pinned process is a member (or has ended, and the signal goes nowhere).
      Fd pidfd;
      if (open_pidfd(pid, pidfd) != 0) continue;  // ended
      if (const int error = read_control(directory, "cgroup.procs", after)) return error;
      bool member = false;
      for (const pid_t again : parse_pids(after)) member = member || again == pid;
      if (!member) continue;
      const int error = signal_pidfd(pidfd.get(), SIGKILL);
      if (error == 0) signalled = true;
      if (error != 0 && error != -ESRCH) return error;
    }
    if (!signalled) return 0;
    if (before == after) return 0;  // nobody was born meanwhile; the dead leave in their own time
  }
  return -EBUSY;
}

int remove_tree(int parent, const char* name, bool kill) { return remove_below(parent, name, kill, 0); }

}  // namespace svm::isolation
