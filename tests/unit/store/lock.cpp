// The directory's lock: one owner, for as long as it lives and no longer.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/fd.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;

namespace {

/// A child process; ended and reaped at the end of the scope.
struct Child {
  pid_t pid;
  explicit Child(pid_t child) : pid(child) {}
  Child(const Child&) = delete;
  ~Child() { end(); }
  void end() {
    if (pid <= 0) return;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    pid = 0;
  }
};

/// Forks a process that runs `body` and exits with its answer, unless the body never returns.
template <class Body>
pid_t spawn(Body body) {
  std::fflush(nullptr);  // or the child's exit may print it again
  const pid_t pid = fork();
  if (pid == 0) _exit(body());
  REQUIRE(pid > 0);
  return pid;
}

int exit_status(pid_t pid) {
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

bool can_take(const std::string& path) {
  return exit_status(spawn([&] { return code_of([&] { DirectoryLock::take(path); }) == Code::ok ? 0 : 1; })) == 0;
}

}  // namespace

TEST_CASE("the lock makes a private directory and holds the pid") {
  const Directory base;
  const std::string path = base / "a/b";
  const mode_t before = umask(0777);
  auto lock = DirectoryLock::take(path);
  umask(before);
  CHECK(mode_of(base / "a") == 0700);
  CHECK(mode_of(path) == 0700);
  CHECK(mode_of(path + "/lock") == 0600);
  CHECK(read_file(path + "/lock") == std::to_string(getpid()) + "\n");
}

TEST_CASE("two instances in one process exclude each other") {
  const Directory directory;
  auto lock = DirectoryLock::take(directory.path());
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::conflict);
  CHECK(fact_of("pid", [&] { DirectoryLock::take(directory.path()); }) == std::to_string(getpid()));
  CHECK(code_of([&] { DirectoryLock::take(directory.path() + "/../" + directory.path().substr(directory.path().rfind('/') + 1)); }) ==
        Code::conflict);
  // The refused attempts have not dropped the lock for other processes.
  CHECK_FALSE(can_take(directory.path()));
  const Directory other;
  CHECK(DirectoryLock::take(other.path()));
  lock.reset();
  CHECK(can_take(directory.path()));
  lock = DirectoryLock::take(directory.path());
  CHECK_FALSE(can_take(directory.path()));
}

TEST_CASE("another process is refused by the owner's pid, and let in after its SIGKILL") {
  const Directory directory;
  Fd ready, ready_child;
  REQUIRE(make_pipe(ready, ready_child) == 0);
  Child owner(spawn([&] {
    const auto lock = DirectoryLock::take(directory.path());
    if (write_all(ready_child.get(), "x", 1) != 0) return 1;
    pause();
    return 0;
  }));
  char byte = 0;
  REQUIRE(read_all(ready.get(), &byte, 1) == 1);
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::conflict);
  CHECK(fact_of("pid", [&] { DirectoryLock::take(directory.path()); }) == std::to_string(owner.pid));
  try {
    DirectoryLock::take(directory.path());
  } catch (const Error& error) {
    CHECK(error.message().find(std::to_string(owner.pid)) != std::string::npos);
  }
  owner.end();
  CHECK(DirectoryLock::take(directory.path()));
}

TEST_CASE("a forked child that lives on does not keep the lock of its dead parent") {
  const Directory directory;
  Fd ready, ready_child;
  REQUIRE(make_pipe(ready, ready_child) == 0);
  Child owner(spawn([&] {
    const auto lock = DirectoryLock::take(directory.path());
    const pid_t worker = fork();
    if (worker == 0) {
      pause();  // with every descriptor inherited
      _exit(0);
    }
    if (write_all(ready_child.get(), &worker, sizeof worker) != 0) return 1;
    pause();
    return 0;
  }));
  pid_t worker = 0;
  REQUIRE(read_all(ready.get(), &worker, sizeof worker) == static_cast<long>(sizeof worker));
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::conflict);
  owner.end();
  CHECK(kill(worker, 0) == 0);  // it lives
  CHECK(DirectoryLock::take(directory.path()));
  kill(worker, SIGKILL);
}

TEST_CASE("a forked child neither holds nor releases its parent's lock") {
  const Directory directory;
  auto lock = DirectoryLock::take(directory.path());
  // The child's copy of the object is destroyed there.
  CHECK(exit_status(spawn([&] {
          lock.reset();
          return 0;
        })) == 0);
  CHECK_FALSE(can_take(directory.path()));
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::conflict);
}

TEST_CASE("a lock file that is no regular file is refused") {
  const Directory directory;
  SUBCASE("symlink") {
    REQUIRE(symlink("/dev/null", (directory / "lock").c_str()) == 0);
  }
  SUBCASE("fifo") {
    REQUIRE(mkfifo((directory / "lock").c_str(), 0600) == 0);
  }
  SUBCASE("directory") {
    REQUIRE(mkdir((directory / "lock").c_str(), 0700) == 0);
  }
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::io);
}

TEST_CASE("a directory that others may write to, or own, is refused") {
  const Directory directory;
  for (const mode_t mode : {0720U, 0702U, 01777U}) {
    REQUIRE(chmod(directory.path().c_str(), mode) == 0);
    CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::forbidden);
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::forbidden);
  }
  REQUIRE(chmod(directory.path().c_str(), 0755) == 0);
  CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::ok);
  if (geteuid() == 0) {
    REQUIRE(chown(directory.path().c_str(), 12345, 12345) == 0);
    CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::forbidden);
  } else {
    skip("foreign owner", "needs root to give a directory away");
  }
  CHECK(code_of([] { DirectoryLock::take(""); }) == Code::invalid);
  CHECK(code_of([] { DirectoryLock::take(std::string("/tmp/a\0b", 8)); }) == Code::invalid);
  CHECK(code_of([] { DirectoryLock::take("/dev/null"); }) == Code::io);
}
