// The main of tests that start sandboxes. Where the host does not allow what a sandbox is made of, it says so and answers 77: the host is
// asked by a child of this program, never by the library under test.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "lab.hpp"

namespace {

constexpr int kSkipped = 77;
std::string g_provider = "native";

bool host_has_namespaces() {
  // clone itself and not fork and unshare: a sanitizer has a thread in every process, and those may not unshare.
  constexpr unsigned long kFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, kFlags, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) ::syscall(SYS_exit_group, 0);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

const std::string& svm::test::provider() { return g_provider; }

int main(int argc, char** argv) {
  constexpr char kProvider[] = "--provider=";
  for (int i = 1; i < argc; ++i)
    if (std::strncmp(argv[i], kProvider, sizeof kProvider - 1) == 0) g_provider = argv[i] + sizeof kProvider - 1;
  doctest::Context context(argc, argv);
  if (g_provider == "native" && !host_has_namespaces()) {
    std::puts("SKIPPED: this host does not allow user, mount, pid, network, ipc and uts namespaces");
    return kSkipped;
  }
  return context.run();
}
