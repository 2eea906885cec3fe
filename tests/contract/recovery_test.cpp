// A state directory has one owner; an owner that was killed leaves nothing behind.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

namespace {

/// Another process that opens the directory, starts `count` sandboxes with a marked process each, tells their ids, and holds them.
class Owner {
 public:
  Owner(const std::string& directory, int count, const std::string& marker) {
    int ids[2];
    REQUIRE(pipe(ids) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      close(ids[0]);
      hold(directory, count, marker, ids[1]);
    }
    close(ids[1]);
    ids_ = ids[0];
  }
  ~Owner() {
    end();
    close(ids_);
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  std::string next_id() {
    std::string id;
    char byte;
    while (read(ids_, &byte, 1) == 1 && byte != '\n') id += byte;
    return id;
  }
  pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  [[noreturn]] static void hold(const std::string& directory, int count, const std::string& marker, int ids) {
    try {
      stacyvm::Options options;
      options.state_dir = directory;
      stacyvm::Instance vm(options);
      stacyvm::Session session = vm.session();
      std::vector<stacyvm::Sandbox> sandboxes;
      std::vector<stacyvm::Stream> streams;
      for (int i = 0; i < count; ++i) {
        sandboxes.push_back(session.spawn(spawn_options()));
        streams.push_back(sandboxes.back().exec_start(stacyvm::Exec::program({"/bin/sh", "-c", "sleep 1000; true", marker})));
        const std::string line = sandboxes.back().id() + "\n";
        if (write(ids, line.data(), line.size()) < 0) _exit(1);
      }
      for (;;) pause();
    } catch (const std::exception&) {
      _exit(1);  // the parent sees that no id comes
    }
  }

  pid_t pid_ = -1;
  int ids_ = -1;
};

/// Children of a process that are launchers.
std::vector<pid_t> launchers(pid_t parent = getpid()) {
  std::vector<pid_t> found;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(parent) + "/task")) {
    std::ifstream children(task.path() / "children");
    for (pid_t child; children >> child;) {
      std::string name;
      std::getline(std::ifstream("/proc/" + std::to_string(child) + "/cmdline"), name, '\0');  // "" when it has ended
      if (name == "stacyvm-launcher") found.push_back(child);
    }
  }
  return found;
}

stacyvm::Options in(const std::string& directory) {
  stacyvm::Options options;
  options.state_dir = directory;
  return options;
}

}  // namespace

TEST_CASE("a second opener is told, whether in this process or another") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state", marker = "held-" + std::to_string(getpid());
  {
    stacyvm::Instance vm(in(state));
    CHECK(code_of([&] { stacyvm::Instance second(in(state)); }) == STACYVM_E_CONFLICT);
  }
  Owner owner(state, 1, marker);
  REQUIRE_FALSE(owner.next_id().empty());
  CHECK(code_of([&] { stacyvm::Instance second(in(state)); }) == STACYVM_E_CONFLICT);
  owner.end();
  stacyvm::Instance third(in(state));
}

TEST_CASE("what a killed owner's launcher still has to end is ended before the next owner's launcher begins") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state", marker = "slow-" + std::to_string(getpid());
  Owner owner(state, 1, marker);
  REQUIRE_FALSE(owner.next_id().empty());
  const std::vector<pid_t> former = launchers(owner.pid());
  REQUIRE(former.size() == 1);
  REQUIRE(kill(former[0], SIGSTOP) == 0);
  owner.end();
  std::atomic<bool> open = false;
  std::string said;
  std::thread next([&] {
    try {
      stacyvm::Instance vm(in(state));
      open = true;
      stacyvm::Session session = vm.session();
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      said = sh(sandbox, "echo works");
    } catch (const std::exception& error) {
      said = error.what();
    }
  });
  CHECK_FALSE(within(300, [&] { return open.load(); }));
  CHECK(kill(former[0], SIGCONT) == 0);
  next.join();
  CHECK(said == "works\n");
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("a key that an owner used before it was killed stands for its sandbox, which is not started again") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state";
  std::set<std::string> told;
  for (int round = 0; round < 8; ++round) {
    // The owner is killed at any moment of a spawn: what it was told for its key must be what the next owner is told.
    int ids[2];
    REQUIRE(pipe(ids) == 0);
    const pid_t owner = fork();
    REQUIRE(owner >= 0);
    if (owner == 0) {
      try {
        stacyvm::Instance vm(in(state));
        stacyvm::Session session = vm.session();
        if (write(ids[1], "r", 1) != 1) _exit(1);
        stacyvm::Spawn spawn = spawn_options();
        spawn.idempotency_key = "round-" + std::to_string(round);
        const std::string line = session.spawn(spawn).id();
        if (write(ids[1], line.data(), line.size()) < 0) _exit(1);
        for (;;) pause();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "the owner of round %d: %s\n", round, error.what());
        _exit(1);
      }
    }
    close(ids[1]);
    char byte = 0;
    REQUIRE(read(ids[0], &byte, 1) == 1);
    std::this_thread::sleep_for(std::chrono::microseconds(round * 900));
    kill(owner, SIGKILL);
    waitpid(owner, nullptr, 0);
    std::string id;
    while (read(ids[0], &byte, 1) == 1) id += byte;
    close(ids[0]);

    stacyvm::Instance vm(in(state));
    stacyvm::Session session = vm.session();
    stacyvm::Spawn spawn = spawn_options();
    spawn.idempotency_key = "round-" + std::to_string(round);
    const std::string again = session.spawn(spawn).id();
    if (!id.empty()) CHECK(again == id);
    CHECK(session.spawn(spawn).id() == again);
    CHECK(told.insert(again).second);
  }
}

TEST_CASE("an owner that was killed leaves no process, no control group and no live record") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state", marker = "killed-" + std::to_string(getpid());
  std::vector<std::string> ids;
  {
    Owner owner(state, 3, marker);
    for (int i = 0; i < 3; ++i) {
      ids.push_back(owner.next_id());
      REQUIRE_FALSE(ids.back().empty());
    }
    CHECK(within(10'000, [&] { return processes_with(marker) >= 3; }));
    owner.end();
  }
  CHECK(within(5000, [&] { return processes_with(marker) == 0; }));
  stacyvm::Instance vm(in(state));
  stacyvm::Session session = vm.session();
  CHECK(session.call("sandbox.list") == "[]");
  for (const std::string& id : ids) {
    CHECK(code_of([&] { session.sandbox(id).info(); }) == STACYVM_E_NOT_FOUND);
    CHECK(groups_with(id) == 0);
  }
  stacyvm::Sandbox fresh = session.spawn(spawn_options());
  CHECK(sh(fresh, "echo works") == "works\n");
}

TEST_CASE("killed at any moment, also while it is starting sandboxes") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state", marker = "moment-" + std::to_string(getpid());
  std::minstd_rand random(7);
  for (int round = 0; round < 12; ++round) {
    CAPTURE(round);
    {
      Owner owner(state, 50, marker);
      std::this_thread::sleep_for(milliseconds(random() % 150));
      owner.end();
    }
    stacyvm::Instance vm(in(state));
    stacyvm::Session session = vm.session();
    CHECK(session.call("sandbox.list") == "[]");
    CHECK(within(5000, [&] { return processes_with(marker) == 0; }));
  }
}

TEST_CASE("a launcher that is killed under load costs its sandboxes, and nothing else") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      while (!stop) {
        try {
          stacyvm::Sandbox sandbox = session.spawn(spawn_options());
          for (int i = 0; i < 3; ++i) sandbox.exec(stacyvm::Exec::sh("true"));
          sandbox.destroy();
        } catch (const stacyvm::Error&) {
          // The next spawn starts another launcher.
        }
      }
    });
  std::minstd_rand random(11);
  int killed = 0;
  for (int round = 0; round < 40; ++round) {
    std::this_thread::sleep_for(milliseconds(random() % 40));
    for (const pid_t launcher : launchers()) killed += kill(launcher, SIGKILL) == 0 ? 1 : 0;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(killed > 0);
  CHECK(within(5000, [&] { return session.call("sandbox.list") == "[]"; }));
  stacyvm::Sandbox sandbox = session.spawn(spawn_options());
  CHECK(sh(sandbox, "echo works") == "works\n");
}

TEST_CASE("closing an instance ends its sandboxes; a private one leaves nothing either") {
  const std::string marker = "closed-" + std::to_string(getpid());
  std::string id;
  {
    Lab lab;
    id = lab.sandbox.id();
    stacyvm::Stream stream = lab.sandbox.exec_start(stacyvm::Exec::program({"/bin/sh", "-c", "sleep 1000; true", marker}));
    CHECK(within(10'000, [&] { return processes_with(marker) == 1; }));
    if (enforces(lab.sandbox, "memory")) CHECK(groups_with(id) > 0);
  }
  CHECK(processes_with(marker) == 0);
  CHECK(groups_with(id) == 0);
}
