// Runs a piece of a test in a child, because what isolation does to a process cannot be undone.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

namespace svm::test {

/// Runs `body` (returning 0..255) in a forked child; its exit status, or 1000 + the signal that ended it.
template <class Body>
int in_child(Body&& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(std::forward<Body>(body)() & 0xff);
  if (pid < 0) return 2000 + errno;
  int status;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 3000 + errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// Says why a case does not run. Only for what a probe found impossible here, never for a failure.
inline void skip(const char* reason) { std::printf("skipped: %s\n", reason); }

}  // namespace svm::test
