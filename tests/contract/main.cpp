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
int g_count = 0;
char** g_arguments = nullptr;

bool host_has_namespaces() {
  // clone itself and not fork and unshare: a sanitizer has a thread in every process, and those may not unshare.
  constexpr unsigned long kFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | SIGCHLD;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, kFlags, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) ::syscall(SYS_exit_group, 0);
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

std::string svm::test::option(const std::string& name) {
  const std::string start = "--" + name + "=";
  for (int i = 1; i < g_count; ++i)
    if (std::strncmp(g_arguments[i], start.c_str(), start.size()) == 0) return g_arguments[i] + start.size();
  return "";
}

const std::string& svm::test::provider() {
  static const std::string given = option("provider");
  static const std::string name = given.empty() ? "native" : given;
  return name;
}

int main(int argc, char** argv) {
  g_count = argc;
  g_arguments = argv;
  doctest::Context context(argc, argv);
  if (svm::test::provider() == "native" && !host_has_namespaces()) {
    std::puts("SKIPPED: this host does not allow user, mount, pid, network, ipc and uts namespaces");
    return kSkipped;
  }
  return context.run();
}
