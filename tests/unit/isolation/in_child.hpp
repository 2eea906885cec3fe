// Runs a piece of a test in a child, because what isolation does to a process cannot be undone.
#pragma once
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

namespace svm::test {

/// The exit status of the child of fork or clone, or 1000 + the signal that ended it.
inline int outcome_of(pid_t pid) {
  if (pid < 0) return 2000 + errno;
  int status;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 3000 + errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// Runs `body` (returning 0..255) in a forked child; its exit status, or 1000 + the signal that ended it.
template <class Body>
int in_child(Body&& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(std::forward<Body>(body)() & 0xff);
  return outcome_of(pid);
}

/// The same in a child with one thread only: ThreadSanitizer has another one in every forked process. System calls only.
template <class Body>
int in_bare_child(Body&& body) {
  const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid == 0) ::syscall(SYS_exit_group, std::forward<Body>(body)() & 0xff);
  return outcome_of(static_cast<pid_t>(pid));
}

/// Says why a case does not run. Only for what a probe found impossible here, never for a failure.
inline void skip(const char* reason) { std::printf("skipped: %s\n", reason); }

}  // namespace svm::test
