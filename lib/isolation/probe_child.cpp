#include "isolation/probe_child.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "isolation/cgroup_files.hpp"
#include "isolation/id_range.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

constexpr unsigned kRangeSize = 65'536;

int write_map(int pid, const char* file, const char* text) noexcept {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  return write_control(AT_FDCWD, path, text);
}

int map_ids(int pid, IdMap map) noexcept {
  if (map == IdMap::none) return 0;
  char uids[64], gids[64];
  if (map == IdMap::range) {
    std::snprintf(uids, sizeof uids, "0 %u %u", kFirstHostId, kRangeSize);
    std::snprintf(gids, sizeof gids, "0 %u %u", kFirstHostId, kRangeSize);
  } else {
    std::snprintf(uids, sizeof uids, "0 %u 1", ::geteuid());
    std::snprintf(gids, sizeof gids, "0 %u 1", ::getegid());
    // An ordinary user may map a group only after giving up setgroups.
    if (const int error = write_map(pid, "setgroups", "deny")) return error;
  }
  if (const int error = write_map(pid, "uid_map", uids)) return error;
  return write_map(pid, "gid_map", gids);
}

/// A child made with clone(flags) that waits for a byte before it goes on; 0 in the child, once the byte has come.
int clone_waiting(int flags, Fd& go) noexcept {
  Fd read_end;
  if (const int error = make_pipe(read_end, go)) return error;
  const long pid = syscall_result(SYS_clone, static_cast<unsigned long>(flags) | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid != 0) return static_cast<int>(pid);
  go.reset();
  char byte;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::read(read_end.get(), &byte, 1) != 1) ::_exit(1);
  return 0;
}

}  // namespace

void ProbeOutcome::fail(int error_number, const char* step) noexcept {
  if (error != 0) return;
  error = error_number != 0 ? error_number : EIO;
  describe(step);
}

void ProbeOutcome::describe(const char* text) noexcept { std::snprintf(detail, sizeof detail, "%s", text); }

void in_namespaces(int flags, IdMap map, ProbeOutcome& out, void (*body)(ProbeOutcome& out)) noexcept {
  Fd go;
  const int pid = clone_waiting(flags, go);
  if (pid < 0) return out.fail(-pid, "clone");
  if (pid == 0) {
    body(out);
    ::_exit(0);
  }
  const int mapped = map_ids(pid, map);
  if (mapped != 0) {
    out.fail(-mapped, "id map");
    go.reset();  // the child sees the end and exits
  } else if (const int error = write_all(go.get(), "g", 1)) {
    out.fail(-error, "child");
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return out.fail(errno, "wait");
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) out.fail(EIO, "child ended early");
}

void with_user_namespace(IdMap map, ProbeOutcome& out, void (*body)(ProbeOutcome& out, int pid)) noexcept {
  Fd go;
  const int pid = clone_waiting(CLONE_NEWUSER, go);
  if (pid < 0) return out.fail(-pid, "clone");
  if (pid == 0) ::_exit(0);
  if (const int error = map_ids(pid, map)) {
    out.fail(-error, "id map");
  } else {
    body(out, pid);
  }
  go.reset();
  while (::waitpid(pid, nullptr, 0) < 0) {
    if (errno != EINTR) return out.fail(errno, "wait");
  }
}

bool enter_scratch(ProbeOutcome& out, const char* options) noexcept {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) {
    out.fail(errno, "private mounts");
    return false;
  }
  // Any directory will do: only this namespace sees the mount.
  for (const char* place : {"/tmp", "/run", "/mnt", "/var", "/usr"}) {
    struct stat status;
    if (::stat(place, &status) < 0 || !S_ISDIR(status.st_mode)) continue;
    if (::mount("tmpfs", place, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) {
      out.fail(errno, "tmpfs");
      return false;
    }
    if (::chdir(place) < 0) {
      out.fail(errno, "chdir");
      return false;
    }
    return true;
  }
  out.fail(ENOENT, "no directory to mount on");
  return false;
}

bool read_proc_number(const char* path, int64_t& value, ProbeOutcome& out) noexcept {
  std::string text;
  if (const int error = read_control(AT_FDCWD, path, text)) {
    out.fail(-error, "the kernel's setting");
    return false;
  }
  char* end;
  errno = 0;
  value = std::strtoll(text.c_str(), &end, 10);
  if (end == text.c_str() || errno != 0) {
    out.fail(EPROTO, "the kernel's setting is no number");
    return false;
  }
  return true;
}

}  // namespace svm::isolation
