#include "providers/native/embedded.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/fail_point.hpp"
#include "core/process.hpp"
#include "isolation/syscalls.hpp"

extern "C" {
extern const char svm_agent_begin[];
extern const char svm_agent_end[];
}

namespace svm::providers::native {
namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr int kAgentFd = 3;
constexpr int kExecFailed = 127;

struct Child {
  const char* mode;
  int executable, fd;
  const char* environment;  // its only variable; nullptr: none
  int error = 0;
};

/// Shares the parent's memory until it execs (CLONE_VM | CLONE_VFORK): system calls only.
int run_child(void* argument) {
  auto& child = *static_cast<Child*>(argument);
  // Numbers are swapped out of the way first: either source may be 3 or 4 already.
  const int executable = ::fcntl(child.executable, F_DUPFD_CLOEXEC, kAgentFd + 2);
  const int fd = ::fcntl(child.fd, F_DUPFD_CLOEXEC, kAgentFd + 2);
  if (executable >= 0 && fd >= 0 && ::dup2(fd, kAgentFd) == kAgentFd && ::dup2(executable, kAgentFd + 1) == kAgentFd + 1 &&
      ::fcntl(kAgentFd + 1, F_SETFD, FD_CLOEXEC) == 0) {
    // Here only so that it has them no longer than it must: the program itself begins with this, where no tool stands before the kernel.
    (void)::syscall(isolation::kSysCloseRange, kAgentFd + 2, ~0u, 0);
    for (int standard = 0; standard < kAgentFd; ++standard) ::close(standard);  // the application's terminal is none of ours
    char name[] = "stacyvm-launcher";
    char* argv[] = {name, const_cast<char*>(child.mode), nullptr};
    char* envp[] = {const_cast<char*>(child.environment), nullptr};
    ::syscall(SYS_execveat, kAgentFd + 1, "", argv, envp, AT_EMPTY_PATH);
    // valgrind looks for the file by its name, which one in memory has not.
    if (errno == ENOENT) ::execve("/proc/self/fd/4", argv, envp);
  }
  child.error = errno;
  ::_exit(kExecFailed);
}

const char* environment() noexcept {
#ifdef SVM_FAIL_POINTS
  return fail_point::environment();
#else
  return nullptr;
#endif
}

/// Its process id, or -1 with errno. Returns when the child has executed or ended.
int clone_child(Child& child, void* stack, int& pidfd) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  // ThreadSanitizer takes a child in shared memory for a second thread of a forked process, and AddressSanitizer would go on to guard the
  // frames of its stack after the stack is gone. Here the child gets a copy, and answers through `child`, which is in a shared mapping.
  (void)stack;
  const long pid = ::syscall(SYS_clone, CLONE_VFORK | CLONE_PIDFD, nullptr, &pidfd, nullptr, nullptr);
  if (pid == 0) ::_exit(run_child(&child));
  return static_cast<int>(pid);
#else
  return ::clone(run_child, static_cast<char*>(stack) + kStackBytes, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, &child, &pidfd);
#endif
}

}  // namespace

std::string_view agent_bytes() noexcept { return {svm_agent_begin, static_cast<size_t>(svm_agent_end - svm_agent_begin)}; }

AgentProcess AgentProcess::start(const char* mode, int fd) {
  const auto failed = [](int error, const char* step) {
    const Code code = code_from_errno(error) == Code::limit ? Code::limit : Code::unavailable;
    return errno_error(code, error, step).with("step", step);
  };
  Fd executable;
  const std::string_view bytes = agent_bytes();
  int error = -SVM_FAIL_POINT("host.agent_memfd");
  if (!error) error = sealed_memfd("stacyvm-agent", bytes.data(), bytes.size(), executable);
  if (error) throw failed(-error, "agent_memfd");
  // The stack, which grows down, with the child's argument at its low end.
  if (const int injected = SVM_FAIL_POINT("host.agent_stack")) throw failed(injected, "agent_stack");
  void* stack = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) throw failed(errno, "agent_stack");
  if (const int injected = SVM_FAIL_POINT("host.agent_clone")) {
    ::munmap(stack, kStackBytes);
    throw failed(injected, "agent_clone");
  }
  auto& child = *new (stack) Child{mode, executable.get(), fd, environment()};
  // No signal handler of the application may run in the child, which shares its memory.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const int pid = clone_child(child, stack, pidfd);
  const int clone_error = errno, exec_error = child.error;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::munmap(stack, kStackBytes);
  if (pid < 0) throw failed(clone_error, "agent_clone");
  AgentProcess process;
  process.pidfd_.reset(pidfd);
  process.pid_ = pid;
  if (exec_error != 0) {
    process.wait(-1);
    throw failed(exec_error, "agent_exec");
  }
  return process;
}

bool AgentProcess::wait(int64_t timeout_ms) noexcept {
  if (!pidfd_) return true;
  const int64_t end = system_clock().monotonic_ms() + timeout_ms;
  for (;;) {
    pollfd wait{pidfd_.get(), POLLIN, 0};
    const int64_t left = end - system_clock().monotonic_ms();
    const int n = ::poll(&wait, 1, timeout_ms < 0 ? -1 : left > 0 ? static_cast<int>(left) : 0);
    if (n > 0) break;
    if (n == 0) return false;
    if (errno != EINTR) return false;
  }
  siginfo_t info{};
  // ECHILD: somebody who waits with __WALL was faster. It is gone all the same.
  (void)::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED | __WALL);
  release();
  return true;
}

void AgentProcess::kill() noexcept {
  // ENOSYS: in a tool that does not know the call. Not yet waited for, our child still has its number.
  if (pidfd_ && signal_pidfd(pidfd_.get(), SIGKILL) == -ENOSYS && pid_ > 0) (void)::kill(pid_, SIGKILL);
}

AgentProcess::~AgentProcess() {
  if (!pidfd_) return;
  kill();
  wait(-1);
}

}  // namespace svm::providers::native
