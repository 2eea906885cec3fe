// Rows about namespaces and ids. Each namespace is made the way the launcher makes it: by clone, beside a new user namespace.
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "isolation/cgroup_files.hpp"
#include "isolation/id_range.hpp"
#include "isolation/probe_child.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {

/// The second field of the line `key:...` (a name or a number) in /etc/subuid's format; 0 when there is none.
struct SubordinateRange {
  unsigned long base = 0, count = 0;
};
SubordinateRange find_range(const std::string& text, const std::string& name, const std::string& number) noexcept {
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, colon);
    if (key != number && (name.empty() || key != name)) continue;
    SubordinateRange range;
    char* next;
    range.base = std::strtoul(line.c_str() + colon + 1, &next, 10);
    if (*next == ':') range.count = std::strtoul(next + 1, nullptr, 10);
    if (range.count > 0) return range;
  }
  return {};
}

/// The login name of a uid from /etc/passwd: NSS cannot be used from a static executable. Empty when it is not listed there.
std::string login_name(const std::string& uid) noexcept {
  std::string text;
  if (read_control(AT_FDCWD, "/etc/passwd", text) != 0) return {};
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find('\n', at);
    if (end == std::string::npos) end = text.size();
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    const size_t name = line.find(':');
    const size_t password = name == std::string::npos ? name : line.find(':', name + 1);
    if (password == std::string::npos) continue;
    if (line.compare(password + 1, uid.size() + 1, uid + ":") == 0) return line.substr(0, name);
  }
  return {};
}

void map_subordinate_ids(ProbeOutcome& out, int target) noexcept {
  const std::string uid = std::to_string(::getuid());
  std::string text;
  if (const int error = read_control(AT_FDCWD, "/etc/subuid", text)) return out.fail(-error, "subuid");
  const SubordinateRange range = find_range(text, login_name(uid), uid);
  if (range.count == 0) return out.fail(ENOENT, "no subordinate ids for this user");
  out.value = static_cast<int64_t>(range.count);
  const pid_t pid = ::fork();
  if (pid < 0) return out.fail(errno, "fork");
  if (pid == 0) {
    const std::string process = std::to_string(target), base = std::to_string(range.base), count = std::to_string(range.count);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
      ::dup2(null, 1);
      ::dup2(null, 2);
    }
    ::execl("/usr/bin/newuidmap", "newuidmap", process.c_str(), "0", uid.c_str(), "1", "1", base.c_str(), count.c_str(), nullptr);
    ::_exit(127);
  }
  int status;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return out.fail(errno, "wait");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return out.fail(ENOENT, "newuidmap");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) out.fail(EPERM, "newuidmap refused");
}

void succeed(ProbeOutcome&) {}

}  // namespace

void probe_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER, IdMap::own, out, [](ProbeOutcome& o) {
    if (::getuid() != 0) o.fail(EPROTO, "the mapped id");
  });
}

void probe_mount_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNS, IdMap::own, out, [](ProbeOutcome& o) { (void)enter_scratch(o); });
}

void probe_pid_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWPID, IdMap::own, out, [](ProbeOutcome& o) {
    if (syscall_result(SYS_getpid) != 1) o.fail(EPROTO, "not process 1");
  });
}

void probe_net_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWNET, IdMap::own, out, [](ProbeOutcome& o) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) o.fail(errno, "socket");
  });
}

void probe_ipc_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWIPC, IdMap::own, out, succeed);
}

void probe_uts_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWUTS, IdMap::own, out, [](ProbeOutcome& o) {
    if (::sethostname("sandbox", 7) < 0) o.fail(errno, "sethostname");
  });
}

void probe_cgroup_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER | CLONE_NEWCGROUP, IdMap::own, out, succeed);
}

void probe_time_namespace(ProbeOutcome& out, const ProbeContext&) noexcept {
  in_namespaces(CLONE_NEWUSER, IdMap::own, out, [](ProbeOutcome& o) {
    if (::unshare(static_cast<int>(kCloneNewTime)) < 0) o.fail(errno, "unshare");
  });
}

void probe_id_range(ProbeOutcome& out, const ProbeContext&) noexcept {
  if (const char* why = why_no_id_ranges()) return out.fail(EPERM, why);
  in_namespaces(CLONE_NEWUSER, IdMap::range, out, [](ProbeOutcome& o) {
    constexpr unsigned kLast = 65'535;
    // libc's functions would look for other threads, which this process may have been cloned from.
    if (::syscall(SYS_setresgid, kLast, kLast, kLast) < 0 || ::syscall(SYS_setresuid, kLast, kLast, kLast) < 0)
      o.fail(errno, "the last id of the range");
  });
  if (out.error == 0) out.value = 65'536;
}

void probe_subordinate_ids(ProbeOutcome& out, const ProbeContext&) noexcept {
  with_user_namespace(IdMap::none, out, map_subordinate_ids);
}

}  // namespace svm::isolation
