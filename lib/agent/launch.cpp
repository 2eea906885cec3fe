#include "agent/launch.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "isolation/lockdown.hpp"
#include "protocol/message.hpp"

namespace svm::agent {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr char kDefaultTerm[] = "xterm-256color";
constexpr char kShell[] = "/bin/sh";
constexpr int kReportFd = 3;

/// Later values win; the order of first appearance stays.
class Environment {
 public:
  void set(const std::string& name, const std::string& value) {
    for (auto& entry : entries_)
      if (entry.first == name) {
        entry.second = value;
        return;
      }
    entries_.emplace_back(name, value);
  }
  const std::string* find(const std::string& name) const {
    for (const auto& entry : entries_)
      if (entry.first == name) return &entry.second;
    return nullptr;
  }
  std::vector<std::string> strings() const {
    std::vector<std::string> out;
    out.reserve(entries_.size());
    for (const auto& entry : entries_) out.push_back(entry.first + "=" + entry.second);
    return out;
  }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

std::vector<const char*> pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& text : strings) out.push_back(text.c_str());
  out.push_back(nullptr);
  return out;
}

char** mutable_pointers(const std::vector<const char*>& strings) noexcept { return const_cast<char**>(strings.data()); }

int result_of(long status) noexcept { return status < 0 ? errno : 0; }

}  // namespace

Launch::Launch(const AgentOptions& options, const Rights& rights, const protocol::Hello& hello, const Identity& who,
               const protocol::ExecRequest& request)
    : options_(options), rights_(rights), who_(who) {
  if (who.uid == 0) capabilities_ = rights.command_root;
  cwd_ = request.cwd.empty() ? hello.workdir : request.cwd;
  if (cwd_[0] != '/') cwd_ = hello.workdir + "/" + cwd_;
  if (request.argv.empty()) {
    argv_ = {kShell, "-c", request.shell};
  } else {
    argv_ = request.argv;
  }
  Environment env;
  for (const auto& variable : hello.env) env.set(variable.first, variable.second);
  if (who.named) {
    env.set("HOME", who.home.empty() ? "/" : who.home);
    if (!who.name.empty()) {
      env.set("USER", who.name);
      env.set("LOGNAME", who.name);
    }
  }
  for (const auto& variable : request.env) env.set(variable.first, variable.second);
  if (request.terminal && !env.find("TERM")) env.set("TERM", kDefaultTerm);
  const std::string* path = env.find("PATH");
  path_ = path ? *path : kDefaultPath;
  env_ = env.strings();
  argv_pointers_ = pointers(argv_);
  env_pointers_ = pointers(env_);
  script_pointers_ = {kShell, nullptr};
  script_pointers_.insert(script_pointers_.end(), argv_pointers_.begin() + 1, argv_pointers_.end());
}

int Launch::start(const ChildFds& fds, pid_t& pid, Fd& report) const noexcept {
  Fd write_end;
  if (const int error = make_pipe(report, write_end, O_NONBLOCK)) return error;
  // The system call itself: no atfork handlers and no locks; the agent has one thread.
  const long child_pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child_pid < 0) return -errno;
  if (child_pid == 0) child(fds, write_end.get());
  pid = static_cast<pid_t>(child_pid);
  return 0;
}

void Launch::child(const ChildFds& fds, int report) const noexcept {
  int report_fd = report;
  const auto check = [&report_fd](LaunchStep step, int error) noexcept {
    if (error == 0) return;
    const LaunchReport failed{step, error};
    (void)!::write(report_fd, &failed, sizeof failed);  // nobody else could be told
    ::_exit(127);
  };
  check(LaunchStep::session, result_of(::setsid()));
  for (size_t i = 0; i < options_.command_group_count; ++i)
    check(LaunchStep::group, result_of(::write(options_.command_groups[i], "0", 1)));

  check(LaunchStep::stdio, result_of(::dup2(fds.in ? fds.in.get() : fds.null, STDIN_FILENO)));
  if (!fds.out) check(LaunchStep::stdio, result_of(::ioctl(STDIN_FILENO, TIOCSCTTY, 0)));
  const int out = fds.out ? fds.out.get() : STDIN_FILENO;
  check(LaunchStep::stdio, result_of(::dup2(out, STDOUT_FILENO)));
  check(LaunchStep::stdio, result_of(::dup2(fds.err ? fds.err.get() : out, STDERR_FILENO)));
  if (report != kReportFd) {
    check(LaunchStep::stdio, result_of(::dup3(report, kReportFd, O_CLOEXEC)));
    report_fd = kReportFd;
  }
  check(LaunchStep::close_fds, result_of(::syscall(SYS_close_range, kReportFd + 1, ~0u, 0)));

  check(LaunchStep::identity, take_identity());
  if (rights_.fixed_capabilities) {
    check(LaunchStep::capabilities, -isolation::set_capabilities(capabilities_, capabilities_, capabilities_));
    if (capabilities_ != 0) check(LaunchStep::capabilities, -isolation::raise_ambient(capabilities_));
  }
  // Dispositions are all default since the agent started; only its mask is special.
  const uint64_t none = 0;
  check(LaunchStep::signals, result_of(::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none)));
  check(LaunchStep::cwd, result_of(::chdir(cwd_.c_str())));
  check(LaunchStep::exec, execute());
  ::_exit(127);
}

int Launch::take_identity() const noexcept {
  if (!rights_.switches) return 0;
  // Raw system calls, as in identity.cpp.
  if (::syscall(SYS_setgroups, who_.groups.size(), who_.groups.data()) < 0) return errno;
  if (::syscall(SYS_setresgid, who_.gid, who_.gid, who_.gid) < 0) return errno;
  if (::syscall(SYS_setresuid, who_.uid, who_.uid, who_.uid) < 0) return errno;
  return 0;
}

/// As execvp: the errno of the failure, or it does not return.
int Launch::execute() const noexcept {
  const auto run = [this](const char* file) noexcept {
    ::execve(file, mutable_pointers(argv_pointers_), mutable_pointers(env_pointers_));
    if (errno != ENOEXEC) return errno;
    // A script without "#!": shells run it themselves, so do we.
    script_pointers_[1] = file;
    ::execve(kShell, mutable_pointers(script_pointers_), mutable_pointers(env_pointers_));
    return ENOEXEC;
  };
  const std::string& name = argv_[0];
  if (name.empty()) return ENOENT;
  if (name.find('/') != std::string::npos) return run(name.c_str());
  char file[protocol::kMaxPathBytes + 1];
  if (name.size() >= sizeof file) return ENAMETOOLONG;
  bool denied = false;
  for (size_t at = 0; at <= path_.size();) {
    size_t end = path_.find(':', at);
    if (end == std::string::npos) end = path_.size();
    const size_t size = end - at;
    if (size + 1 + name.size() < sizeof file) {  // a longer one names no file
      char* out = file;
      std::memcpy(out, path_.data() + at, size);
      out += size;
      if (size > 0) *out++ = '/';  // an empty entry is the working directory
      std::memcpy(out, name.data(), name.size());
      out[name.size()] = '\0';
      const int error = run(file);
      if (error == EACCES) {
        denied = true;
      } else if (error != ENOENT && error != ENOTDIR && error != ESTALE && error != ENODEV && error != ETIMEDOUT) {
        return error;
      }
    }
    at = end + 1;
  }
  return denied ? EACCES : ENOENT;
}

}  // namespace svm::agent
