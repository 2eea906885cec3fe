// Applications that the library must not depend on, and must not disturb.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
namespace fs = std::filesystem;

namespace {

long entries(const char* directory) { return std::distance(fs::directory_iterator(directory), fs::directory_iterator()); }

void use_everything() {
  Lab lab;
  CHECK(lab.sandbox.exec(stacyvm::Exec::sh("exit 5")).exit_code == 5);
  lab.sandbox.write_file("/tmp/f", "x");
  CHECK(lab.sandbox.read_file("/tmp/f") == "x");
  lab.sandbox.destroy();
}

}  // namespace

TEST_CASE("an application that ignores SIGCHLD") {
  struct sigaction before {}, ignore {};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(sigaction(SIGCHLD, &ignore, &before) == 0);
  use_everything();
  struct sigaction after {};
  REQUIRE(sigaction(SIGCHLD, &before, &after) == 0);
  CHECK((after.sa_handler == SIG_IGN));  // still the application's
}

TEST_CASE("an application that waits for every child") {
  const std::jthread reaper([](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (waitpid(-1, nullptr, WNOHANG) <= 0) usleep(200);
    }
  });
  for (int i = 0; i < 3; ++i) use_everything();
}

TEST_CASE("an application whose workers are forked while sandboxes run") {
  int held[2];
  REQUIRE(pipe(held) == 0);
  pid_t worker = -1;
  std::chrono::steady_clock::time_point closing;
  {
    Lab lab;
    worker = fork();
    if (worker == 0) {
      close(held[1]);
      const bool told = code_of([&] { lab.sandbox.exec(stacyvm::Exec::sh("true")); }) == STACYVM_E_FORKED && code_of([&] { lab.vm.session(); }) == STACYVM_E_FORKED;
      char byte;
      while (read(held[0], &byte, 1) > 0) {
      }
      _exit(told ? 0 : 1);
    }
    CHECK(sh(lab.sandbox, "echo parent") == "parent\n");
    closing = std::chrono::steady_clock::now();
  }  // closes completely, and at once, although the worker still holds every descriptor
  CHECK(std::chrono::steady_clock::now() - closing < std::chrono::seconds(3));
  close(held[1]);
  close(held[0]);
  int status = -1;
  CHECK(waitpid(worker, &status, 0) == worker);
  CHECK(status == 0);
}

TEST_CASE("a forked child may open an instance of its own") {
#ifdef __SANITIZE_THREAD__
  const bool threads_after_fork = false;
#else
  const bool threads_after_fork = true;
#endif
  SVM_SKIP_UNLESS(threads_after_fork, "ThreadSanitizer does not support new threads in a child of a process that had some");
  Lab lab;
  const pid_t child = fork();
  if (child == 0) {
    bool good = false;
    (void)code_of([&] {
      Lab own;
      good = own.sandbox.exec(stacyvm::Exec::sh("exit 9")).exit_code == 9;
    });
    _exit(good ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(sh(lab.sandbox, "echo parent") == "parent\n");
}

TEST_CASE("nothing of the application is changed, and nothing is left") {
  use_everything();  // what is made once for the process
  const mode_t mask = umask(027);
  const auto cwd = fs::current_path();
  const long descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  sigset_t blocked_before, blocked_after;
  REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &blocked_before) == 0);
  for (int i = 0; i < 3; ++i) use_everything();
  REQUIRE(pthread_sigmask(SIG_SETMASK, nullptr, &blocked_after) == 0);
  for (int number = 1; number < 65; ++number) CHECK(sigismember(&blocked_before, number) == sigismember(&blocked_after, number));
  CHECK(umask(mask) == 027);
  CHECK(fs::current_path() == cwd);
  CHECK(entries("/proc/self/fd") == descriptors);
  CHECK(within(5000, [&] { return entries("/proc/self/task") <= threads; }));  // the kernel lists a joined thread a moment longer, before and after
  CHECK(waitpid(-1, nullptr, WNOHANG) == -1);  // no child that it would have to wait for
}

TEST_CASE("nothing is written to standard output or standard error") {
  int out[2];
  REQUIRE(pipe(out) == 0);
  std::fflush(nullptr);  // or the child's exit may print it
  const pid_t child = fork();
  if (child == 0) {
    dup2(out[1], 1);
    dup2(out[1], 2);
    const int32_t code = code_of([] {
      Lab lab;
      lab.sandbox.exec(stacyvm::Exec::sh("echo x; echo y >&2"));
      (void)code_of([&] { lab.sandbox.read_file("/none"); });
      (void)code_of([&] { lab.session.call("sandbox.spawn", {}, "{"); });
    });
    _exit(code == STACYVM_OK ? 0 : 1);
  }
  close(out[1]);
  char byte;
  CHECK(read(out[0], &byte, 1) == 0);
  close(out[0]);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
