// What a host may run out of: address space, and directories that it may write to. Each time a clear error, and nothing lost.
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <new>
#include <thread>

#include "../contract/lab.hpp"

using namespace svm::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

stacyvm::Options in(const std::string& directory, uint64_t flags = 0) {
  stacyvm::Options options;
  options.state_dir = directory;
  options.flags = flags;
  return options;
}

/// Runs it in a child, whose exit status is how many of its expectations failed; what those were is on standard error.
int failures_in_child(const std::function<int()>& action) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (const int crash : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) signal(crash, SIG_DFL);  // the parent tells of it
    int failures = 255;
    try {
      failures = action();
    } catch (const std::exception& error) {
      std::cerr << "a child of this test: " << error.what() << std::endl;
    }
    _exit(failures);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_FALSE(WIFSIGNALED(status));
  return status;
}

// --- address space

rlim_t address_space_in_use() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}

void limit_address_space(rlim_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = bytes;
  if (setrlimit(RLIMIT_AS, &limit) != 0) throw std::runtime_error("cannot limit the address space");
}

/// Everything in short while no more than so many bytes can be mapped. How many answers were neither what was asked for nor "a resource is used up".
int live_with(const std::string& state, rlim_t bytes) {
  int failures = 0, refused = 0;
  const auto expect = [&](const char* what, const std::function<void()>& action, bool must_work = false) {
    std::string why;
    try {
      action();
      return;
    } catch (const stacyvm::Error& error) {
      if (error.code() == STACYVM_E_LIMIT && !must_work) {
        ++refused;
        return;
      }
      why = error.what();
    } catch (const std::bad_alloc&) {  // of a string that the header makes
      if (!must_work) return;
      why = "bad_alloc";
    }
    ++failures;
    std::cerr << "with " << bytes << " bytes: " << what << ": " << why << std::endl;
  };
  stacyvm::Instance vm(in(state));
  stacyvm::Session session = vm.session();
  stacyvm::Sandbox sandbox = session.spawn(spawn_options());
  const std::string big(3u << 20, 'b');
  sandbox.write_file("/tmp/there", big);
  limit_address_space(address_space_in_use() + bytes);
  for (int round = 0; round < 3; ++round) {
    expect("spawn", [&] { session.spawn(spawn_options()).destroy(); });
    expect("exec", [&] { sandbox.exec(stacyvm::Exec::sh("head -c 3000000 /dev/zero")); });
    expect("write", [&] { sandbox.write_file("/tmp/big", big); });
    expect("read", [&] { sandbox.read_file("/tmp/there"); });
    expect("list", [&] { session.call("file.list", {{"id", sandbox.id()}, {"path", "/usr/bin"}}); });
    expect("history", [&] { session.call("exec.list", {{"sandbox_id", sandbox.id()}}); });
    expect("background", [&] {
      auto background = stacyvm::Exec::sh("sleep 100");
      background.flags = STACYVM_EXEC_BACKGROUND;
      sandbox.exec_start(background).signal(SIGKILL);
    });
    expect("thread", [&] {
      stacyvm::Stream events = session.events(0);
      stacyvm_chunk chunk;
      events.next(chunk, std::chrono::milliseconds(1000));
    });
  }
  limit_address_space(RLIM_INFINITY);
  expect("exec afterwards", [&] {
    if (!sandbox.id().empty() && sh(sandbox, "echo works") != "works\n") throw std::runtime_error("other output");
  }, true);
  expect("spawn afterwards", [&] {
    stacyvm::Sandbox another = session.spawn(spawn_options());
    if (sh(another, "echo works") != "works\n") throw std::runtime_error("other output");
    another.destroy();
  }, true);
  expect("destroy afterwards", [&] { sandbox.destroy(); }, true);
  return std::min(failures, 100);
}

// --- a directory that cannot be written to

/// Makes it read-only for this process, as its file system or its owner would: "" or why not.
std::string make_read_only(const std::string& directory) {
  if (geteuid() != 0) return chmod(directory.c_str(), 0500) == 0 ? "" : "chmod";
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "no mounts of its own";
  if (mount(directory.c_str(), directory.c_str(), nullptr, MS_BIND, nullptr) != 0) return "bind";
  return mount(nullptr, directory.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0 ? "" : "remount";
}

}  // namespace

TEST_CASE("without memory: resource used up, never a crash, and all works once there is some again") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("SKIPPED: a sanitizer's own address space cannot be limited");
#else
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state";
  for (const rlim_t bytes : {0u, 64u << 10, 256u << 10, 512u << 10, 1u << 20, 2u << 20, 3u << 20, 4u << 20, 6u << 20, 8u << 20, 12u << 20, 16u << 20}) {
    CAPTURE(bytes);
    CHECK(failures_in_child([&] { return live_with(state, bytes); }) == 0);
    stacyvm::Instance vm(in(state));
    CHECK(vm.session().call("sandbox.list") == "[]");
  }
#endif
}

TEST_CASE("a state directory that cannot be written to is refused by name, is left as it is, and can be read") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state";
  std::string id;
  {
    Lab lab(spawn_options(), in(state));
    id = lab.sandbox.id();
    sh(lab.sandbox, "true");
  }
  const int status = failures_in_child([&] {
    int failures = 0;
    const auto expect = [&](bool good, const std::string& what) {
      if (good) return;
      ++failures;
      std::cerr << "read-only state: " << what << std::endl;
    };
    if (const std::string why = make_read_only(state); !why.empty()) return std::cerr << "cannot be made read-only: " << why << std::endl, 200;
    try {
      stacyvm::Instance vm(in(state));
      expect(false, "it was opened");
    } catch (const stacyvm::Error& error) {
      expect(error.code() == STACYVM_E_FORBIDDEN || error.code() == STACYVM_E_IO, "code " + std::to_string(error.code()));
      expect(std::string(error.what()).find(state) != std::string::npos, error.what());
      expect(error.details().find("state_dir") != std::string::npos, error.details());
    }
    stacyvm::Instance vm(in(state, STACYVM_OPEN_READ_ONLY));
    stacyvm::Session session = vm.session();
    expect(session.call("exec.list", {{"sandbox_id", id}}).find("\"exit_code\":0") != std::string::npos, "the history");
    expect(code_of([&] { session.spawn(spawn_options()); }) == STACYVM_E_UNSUPPORTED, "a spawn");
    return failures;
  });
  CHECK(status == 0);
  chmod(state.c_str(), 0700);
  Lab lab(spawn_options(), in(state));
  CHECK(sh(lab.sandbox, "echo again") == "again\n");
}

TEST_CASE("a state directory that cannot be made is refused by name") {
  TemporaryDirectory directory;
  write_host_file(directory.path() + "/file", "not a directory");
  for (const char* name : {"/file", "/file/below"}) {
    CAPTURE(std::string(name));
    const std::string path = directory.path() + name;
    const std::string details = details_of([&] { stacyvm::Instance vm(in(path)); });
    CHECK(details.find("state_dir") != std::string::npos);
  }
}
