// Real groups on this host, and stand-in directories for the version this host does not have.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/id.hpp"
#include "in_child.hpp"
#include "isolation/cgroup.hpp"
#include "isolation/cgroup_files.hpp"
#include "isolation/syscalls.hpp"

using namespace svm;
using namespace svm::isolation;
using test::in_child;

namespace {

/// A parent of its own for each case, gone at its end.
struct Groups {
  std::string instance = random_id("t-");
  CgroupSupport support;
  CgroupParent parent;
  Groups() { parent.open(instance.c_str(), support); }
  ~Groups() {
    parent.close();
    CHECK(remove_stale_cgroups(instance.c_str()) == 0);
  }
};

/// True when the limit works here. The probe itself says why not.
bool works(const char* what, int32_t error) {
  if (error == 0) return true;
  std::printf("skipped: %s limits do not work on this host: %s\n", what, std::strerror(error));
  return false;
}

int remove_soon(Cgroup& group) {
  int error = -EBUSY;
  for (int i = 0; i < 400 && (error = group.remove()) == -EBUSY; ++i) ::usleep(5000);
  return error;
}

/// Moves the caller to the commands' level, as a command of a sandbox does.
bool become_command(const Cgroup& group) {
  for (size_t i = 0; i < group.command_fd_count(); ++i) {
    if (::write(group.command_fd(i), "0", 1) != 1) return false;
  }
  return true;
}

/// Runs `body` in a child born in the agent's level, like the first process of a sandbox.
template <class Body>
int as_agent(Cgroup& group, Body body) {
  if (group.into_fd() < 0) {
    REQUIRE(group.enter() == 0);
    const int result = in_child(body);
    REQUIRE(group.leave() == 0);
    return result;
  }
  CloneArgs args{};
  args.flags = kCloneIntoCgroup;
  args.cgroup = static_cast<uint64_t>(group.into_fd());
  args.exit_signal = SIGCHLD;
  const long pid = syscall_result(kSysClone3, &args, sizeof args);
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(body());
  int status;
  REQUIRE(::waitpid(static_cast<pid_t>(pid), &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/// Runs `body` in a child born in the agent's level that has moved to the commands' level.
template <class Body>
int in_group(Cgroup& group, Body body) {
  return as_agent(group, [&]() -> int { return become_command(group) ? body() : 255; });
}

/// Takes that much memory and no more: none for the shadow that ThreadSanitizer keeps of what it sees.
__attribute__((no_sanitize("thread"))) int touch_memory(size_t bytes) {
  const long address = ::syscall(SYS_mmap, nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == -1) return 1;
  auto* memory = reinterpret_cast<volatile char*>(address);
  for (size_t i = 0; i < bytes; i += 4096) memory[i] = 1;
  return 0;
}

constexpr size_t kMiB = 1 << 20;

}  // namespace

TEST_CASE("cgroup: a memory hog is killed and counted, a modest command is not") {
  Groups groups;
  if (!works("memory", groups.support.memory_error)) return;
  Cgroup group;
  REQUIRE(groups.parent.create("sb-hog", {32 * kMiB, 0, 0, 0}, group) == 0);
  CHECK(group.memory_error == 0);
  CHECK(group.cpu_error == -1);
  CHECK(group.pids_error == -1);
  REQUIRE(group.oom_fd() >= 0);
  CHECK(in_group(group, [] { return touch_memory(16 * kMiB); }) == 0);
  CHECK(group.oom_kills() == 0);
  CHECK(in_group(group, [] { return touch_memory(64 * kMiB); }) == 1000 + SIGKILL);
  CHECK(group.oom_kills() == 1);
  char text[512];
  const ssize_t size = ::pread(group.oom_fd(), text, sizeof text, 0);
  REQUIRE(size > 0);
  CHECK(parse_oom_kills(text, static_cast<size_t>(size)) == 1);
  group.close_fds();
  CHECK(group.oom_fd() == -1);
  CHECK(group.oom_kills() == 1);
  CHECK(remove_soon(group) == 0);
  CHECK(group.oom_kills() == 0);
}

TEST_CASE("cgroup: the agent's level has headroom while a command is killed") {
  Groups groups;
  if (!works("memory", groups.support.memory_error)) return;
  Cgroup group;
  REQUIRE(groups.parent.create("sb-levels", {32 * kMiB, 0, 0, 64 * kMiB}, group) == 0);
  REQUIRE(group.memory_error == 0);
  // The "agent" holds more than the commands' limit, then starts a hog: only the hog dies.
  CHECK(as_agent(group, [&]() -> int {
          if (touch_memory(40 * kMiB) != 0) return 1;
          const int hog = in_child([&]() -> int { return become_command(group) ? touch_memory(48 * kMiB) : 2; });
          return hog == 1000 + SIGKILL ? 0 : 3;
        }) == 0);
  CHECK(group.oom_kills() == 1);
  CHECK(remove_soon(group) == 0);
}

TEST_CASE("cgroup: the pids limit stops a fork bomb at the limit") {
  Groups groups;
  if (!works("pids", groups.support.pids_error)) return;
  Cgroup group;
  REQUIRE(groups.parent.create("sb-bomb", {0, 0, 8, 0}, group) == 0);
  CHECK(group.pids_error == 0);
  CHECK(group.memory_error == -1);
  const int born = in_group(group, [] {
    int count = 0;
    for (; count < 100; ++count) {
      // clone itself and not fork: a sanitizer has a thread in every forked process, and threads count.
      const long pid = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
      if (pid == 0) {
        ::pause();
        ::_exit(0);
      }
      if (pid < 0) break;
    }
    return errno == EAGAIN ? count : 200;
  });
  CHECK(born == 7);  // and itself
  CHECK(remove_soon(group) == 0);  // the seven are still waiting: removal ends them
}

TEST_CASE("cgroup: half a cpu is about half a cpu") {
  Groups groups;
  if (!works("cpu", groups.support.cpu_error)) return;
  Cgroup group;
  REQUIRE(groups.parent.create("sb-half", {0, 500, 0, 0}, group) == 0);
  CHECK(group.cpu_error == 0);
  const int percent = in_group(group, [] {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1000);
    while (std::chrono::steady_clock::now() < end) {
    }
    rusage usage;
    ::getrusage(RUSAGE_SELF, &usage);
    const long us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1'000'000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    return static_cast<int>(us / 10'000);
  });
  // An upper bound always holds; the lower one only says that it ran, for a machine that is busy elsewhere.
  CHECK(percent <= 70);
  CHECK(percent >= 5);
  CHECK(remove_soon(group) == 0);
}

TEST_CASE("cgroup: the smallest limits and the ones before them") {
  Groups groups;
  if (!works("cpu", groups.support.cpu_error) || !works("pids", groups.support.pids_error)) return;
  Cgroup group;
  REQUIRE(groups.parent.create("sb-small", {0, 1, 1, 0}, group) == 0);
  CHECK(group.cpu_error == 0);
  CHECK(group.pids_error == 0);
  CHECK(in_group(group, [] { return ::fork() < 0 && errno == EAGAIN ? 0 : 1; }) == 0);
  CHECK(remove_soon(group) == 0);
  REQUIRE(groups.parent.create("sb-none", {}, group) == 0);
  for (const int32_t error : {group.memory_error, group.swap_error, group.cpu_error, group.pids_error}) CHECK(error == -1);
  CHECK(remove_soon(group) == 0);
}

TEST_CASE("cgroup: enter and leave bring the caller back to where it was") {
  Groups groups;
  if (groups.support.version != 1 || !works("memory", groups.support.memory_error)) return;
  const auto own = [] {
    std::ifstream in("/proc/self/cgroup");
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  };
  const std::string before = own();
  Cgroup group;
  REQUIRE(groups.parent.create("sb-walk", {32 * kMiB, 100, 16, 0}, group) == 0);
  REQUIRE(group.enter() == 0);
  CHECK(own().find("sb-walk") != std::string::npos);
  CHECK(group.remove() == -EBUSY);  // the caller is inside, and is not killed for it
  REQUIRE(group.leave() == 0);
  CHECK(own() == before);
  CHECK(remove_soon(group) == 0);
}

TEST_CASE("cgroup: names that are taken, bad or too long") {
  Groups groups;
  if (!works("pids", groups.support.pids_error)) return;
  Cgroup first, second;
  REQUIRE(groups.parent.create("sb-once", {0, 0, 4, 0}, first) == 0);
  CHECK(groups.parent.create("sb-once", {0, 0, 4, 0}, second) == -EEXIST);
  CHECK(groups.parent.create("sb-other", {0, 0, 4, 0}, first) == -EBUSY);  // first still owns groups
  CHECK(groups.parent.create("a/b", {}, second) == -EINVAL);
  CHECK(groups.parent.create("..", {}, second) == -EINVAL);
  CHECK(groups.parent.create(std::string(kMaxCgroupName + 1, 'x').c_str(), {}, second) == -EINVAL);
  REQUIRE(groups.parent.create(std::string(kMaxCgroupName, 'x').c_str(), {}, second) == 0);
  CHECK(remove_soon(second) == 0);
  CHECK(remove_soon(first) == 0);
  CHECK(first.remove() == 0);  // again: nothing to do
}

TEST_CASE("cgroup: an instance that is no name is refused everywhere") {
  CgroupSupport support;
  CgroupParent parent;
  for (const char* bad : {"", "../x", "a/b"}) {
    parent.open(bad, support);
    CHECK(support.memory_error == EINVAL);
    CHECK(support.swap_error == EINVAL);
    CHECK(support.cpu_error == EINVAL);
    CHECK(support.pids_error == EINVAL);
  }
}

TEST_CASE("cgroup: create and remove stays flat and leaks nothing") {
  Groups groups;
  if (!works("memory", groups.support.memory_error)) return;
  const auto open_files = [] {
    std::vector<std::string> names;
    Fd directory;
    REQUIRE(open_directory(AT_FDCWD, "/proc/self/fd", directory) == 0);
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0;
    return count;
  };
  const int before = open_files();
  std::vector<double> times;
  for (int i = 0; i < 60; ++i) {
    const auto start = std::chrono::steady_clock::now();
    Cgroup group;
    REQUIRE(groups.parent.create("sb-flat", {32 * kMiB, 500, 16, 0}, group) == 0);
    REQUIRE(remove_soon(group) == 0);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  CHECK(open_files() == before);
  std::nth_element(times.begin(), times.begin() + 10, times.begin() + 20);
  std::nth_element(times.begin() + 40, times.begin() + 50, times.end());
  std::printf("cgroup create + remove: %.0f us, later %.0f us\n", times[10], times[50]);
  CHECK(times[50] < times[10] * 10 + 10'000);
}

TEST_CASE("cgroup: what a killed owner left is found, ended and removed; others are left alone") {
  CgroupSupport support;
  const std::string instance = random_id("t-"), other = random_id("t-");
  CgroupParent neighbour;
  neighbour.open(other.c_str(), support);
  if (!works("pids", support.pids_error)) return;
  Fd read_end, write_end;
  REQUIRE(make_pipe(read_end, write_end) == 0);
  CHECK(in_child([&]() -> int {
          CgroupParent parent;
          CgroupSupport ignored;
          parent.open(instance.c_str(), ignored);
          Cgroup group;
          if (parent.create("sb-left", {0, 0, 4, 0}, group) != 0) return 1;
          return as_agent(group, []() -> int {
            const pid_t pid = ::fork();
            if (pid == 0) {
              for (;;) ::pause();  // holds the pipe's end
            }
            return pid > 0 ? 0 : 2;
          });
        }) == 0);
  write_end.reset();
  const unsigned removed = remove_stale_cgroups(instance.c_str());
  CHECK(removed >= 1);
  CHECK(removed <= kMaxHierarchies);
  char byte;
  CHECK(::read(read_end.get(), &byte, 1) == 0);  // the survivor is gone
  CHECK(remove_stale_cgroups(instance.c_str()) == 0);
  Cgroup still;
  CHECK(neighbour.create("sb-still", {0, 0, 4, 0}, still) == 0);
  CHECK(remove_soon(still) == 0);
  neighbour.close();
}

TEST_CASE("a parent that closes late leaves alone what the next one of its name has made") {
  const std::string instance = random_id("t-");
  CgroupSupport support;
  CgroupParent late, next;
  late.open(instance.c_str(), support);
  if (!works("process", support.pids_error)) return;
  (void)late.prepare();
  CHECK(remove_stale_cgroups(instance.c_str()) >= 1);
  next.open(instance.c_str(), support);
  Cgroup group;
  REQUIRE(next.create("sb-next", {0, 0, 4, 0}, group) == 0);
  late.close();
  CHECK(in_child([&] { return group.enter() == 0 ? 0 : 1; }) == 0);
  CHECK(remove_soon(group) == 0);
  next.close();
  CHECK(remove_stale_cgroups(instance.c_str()) == 0);
}

// --- version 2 by stand-in files: what is written where

namespace {

struct Tree {
  std::string path;
  Tree() {
    char name[] = "/tmp/cgroup-tree-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Tree() { CHECK(std::system(("rm -rf '" + path + "'").c_str()) == 0); }
  void group(const std::string& name, const char* available, const char* passed) const {
    ::mkdir((path + name).c_str(), 0755);
    put(name + "/cgroup.controllers", available);
    put(name + "/cgroup.subtree_control", passed);
  }
  void put(const std::string& name, std::string_view text) const { std::ofstream(path + name) << text; }
  std::string get(const std::string& name) const {
    std::ifstream in(path + name);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  Fd open(const std::string& name = "") const {
    Fd out;
    REQUIRE(open_directory(AT_FDCWD, (path + name).c_str(), out) == 0);
    return out;
  }
};

}  // namespace

TEST_CASE("cgroup v2: limits go to the right files, once each") {
  const Tree tree;
  for (const char* file : {"/memory.max", "/memory.swap.max", "/cpu.max", "/pids.max"}) tree.put(file, "");
  LimitErrors errors;
  apply_limits_v2(tree.open().get(), kAllControllers, {64 * kMiB, 1500, 9, 0}, errors);
  CHECK(tree.get("/memory.max") == "67108864");
  CHECK(tree.get("/memory.swap.max") == "0");
  CHECK(tree.get("/cpu.max") == "150000 100000");
  CHECK(tree.get("/pids.max") == "9");
  for (const int32_t error : {errors.memory, errors.swap, errors.cpu, errors.pids}) CHECK(error == 0);
}

TEST_CASE("cgroup v2 and v1: a missing file is that limit's error, and swap's is 'not supported'") {
  const Tree tree;
  tree.put("/memory.max", "");
  tree.put("/memory.limit_in_bytes", "");
  LimitErrors errors;
  apply_limits_v2(tree.open().get(), kAllControllers, {kMiB, 1, 1, 0}, errors);
  CHECK(errors.memory == 0);
  CHECK(errors.swap == EOPNOTSUPP);
  CHECK(errors.cpu == ENOENT);
  CHECK(errors.pids == ENOENT);
  errors = {};
  apply_limits_v1(tree.open().get(), kAllControllers, {kMiB, 1, 1, 0}, errors);
  CHECK(errors.memory == 0);
  CHECK(errors.swap == EOPNOTSUPP);
  CHECK(errors.cpu == ENOENT);
  CHECK(errors.pids == ENOENT);
  errors = {};
  apply_limits_v2(tree.open().get(), kPids, {kMiB, 1, 0, 0}, errors);
  for (const int32_t error : {errors.memory, errors.swap, errors.cpu, errors.pids}) CHECK(error == -1);
}

TEST_CASE("cgroup v2: the base is the nearest group that passes every controller on") {
  const Tree tree;
  tree.group("", "cpu io memory pids", "cpu memory pids");
  tree.group("/user", "cpu memory pids", "cpu memory pids");
  tree.group("/user/app", "cpu memory pids", "");
  Fd base;
  uint8_t controllers = 0;
  int error = 0;
  REQUIRE(find_base_v2(tree.open("/user"), tree.open().get(), base, controllers, error) == 0);
  CHECK(controllers == kAllControllers);
  CHECK(same_directory(base.get(), tree.open("/user").get()));
}

TEST_CASE("cgroup v2: fewer controllers nearby lose against more above, never beyond the top") {
  const Tree tree;
  tree.group("", "cpu memory pids", "cpu memory pids");
  tree.group("/slice", "memory pids", "memory pids");
  tree.group("/slice/app", "memory", "");
  Fd base;
  uint8_t controllers = 0;
  int error = 0;
  REQUIRE(find_base_v2(tree.open("/slice/app"), tree.open("/slice").get(), base, controllers, error) == 0);
  CHECK(controllers == (kMemory | kPids));
  CHECK(same_directory(base.get(), tree.open("/slice").get()));
  CHECK(error == -EOPNOTSUPP);  // what is missing: cpu is not available there
  base.reset();
  REQUIRE(find_base_v2(tree.open("/slice/app"), tree.open().get(), base, controllers, error) == 0);
  CHECK(controllers == kAllControllers);
  CHECK(same_directory(base.get(), tree.open().get()));
}

TEST_CASE("cgroup v2: a group that holds processes is left as it is, whatever is above it") {
  const Tree tree;
  tree.group("", "cpu memory pids", "cpu memory pids");
  tree.group("/app", "cpu memory pids", "");
  tree.put("/app/cgroup.type", "domain\n");
  tree.put("/app/cgroup.procs", "1234\n");
  Fd base;
  uint8_t controllers = 0;
  int error = 0;
  REQUIRE(find_base_v2(tree.open("/app"), tree.open().get(), base, controllers, error) == 0);
  CHECK(same_directory(base.get(), tree.open().get()));
  CHECK(tree.get("/app/cgroup.subtree_control") == "");  // not even cpu and pids, which the kernel would take
  base.reset();
  REQUIRE(find_base_v2(tree.open("/app"), tree.open("/app").get(), base, controllers, error) == 0);
  CHECK(controllers == 0);
  CHECK(error == -EBUSY);  // groups can be made, without limits
  CHECK(tree.get("/app/cgroup.subtree_control") == "");
  // The root of the hierarchy has no type. It may hold processes and pass everything on.
  tree.put("/cgroup.procs", "1\n");
  base.reset();
  REQUIRE(find_base_v2(tree.open(), tree.open().get(), base, controllers, error) == 0);
  CHECK(controllers == kAllControllers);
}

TEST_CASE("cgroup v2: nothing is made in a group whose children take no processes") {
  const Tree tree;
  tree.group("", "cpu memory pids", "cpu memory pids");
  tree.group("/app", "cpu pids", "cpu pids");
  tree.put("/app/cgroup.type", "domain threaded\n");
  Fd base;
  uint8_t controllers = 0;
  int error = 0;
  CHECK(find_base_v2(tree.open("/app"), tree.open("/app").get(), base, controllers, error) == -EOPNOTSUPP);
  REQUIRE(find_base_v2(tree.open("/app"), tree.open().get(), base, controllers, error) == 0);
  CHECK(same_directory(base.get(), tree.open().get()));
}

TEST_CASE("cgroup v2: a group where none may be made is EACCES") {
  if (::getuid() != 0) return test::skip("needs root to become an ordinary user");
  const Tree tree;
  REQUIRE(::chmod(tree.path.c_str(), 0755) == 0);
  tree.group("", "cpu memory pids", "cpu memory pids");
  CHECK(in_child([&]() -> int {
          if (::setresuid(65534, 65534, 65534) != 0) return 99;
          Fd own, top, base;
          if (open_directory(AT_FDCWD, tree.path.c_str(), own) != 0 || open_directory(AT_FDCWD, tree.path.c_str(), top) != 0) return 98;
          uint8_t controllers;
          int error;
          return -find_base_v2(std::move(own), top.get(), base, controllers, error);
        }) == EACCES);
}

TEST_CASE("cgroup: an ordinary user without delegation is told so") {
  if (::getuid() != 0) return test::skip("needs root to become an ordinary user");
  CHECK(in_child([]() -> int {
          if (::setresuid(65534, 65534, 65534) != 0) return 99;
          CgroupParent parent;
          CgroupSupport support;
          parent.open("t-nobody", support);
          if (support.memory_error == 0 || support.cpu_error == 0 || support.pids_error == 0 || support.swap_error == 0) return 1;
          Cgroup group;
          if (parent.create("sb-none", {kMiB, 1, 1, 0}, group) == 0) return 2;
          return group.memory_error == support.memory_error ? support.memory_error : 3;
        }) == EACCES);
}
