// Whatever is killed, at whatever moment, under load: the next owner finds a sound store and nothing that runs.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "../contract/lab.hpp"

using namespace svm::test;
using std::chrono::milliseconds;
namespace fs = std::filesystem;

namespace {

constexpr int kRounds = 150;
constexpr int kMaxLifeMs = 250;  // of an owner

stacyvm::Options in(const std::string& directory) {
  stacyvm::Options options;
  options.state_dir = directory;
  return options;
}

/// Spawns, runs, writes and destroys from three threads until somebody ends it.
[[noreturn]] void work(stacyvm::Session& session, const std::string& marker) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (;;) {
        try {
          stacyvm::Sandbox sandbox = session.spawn(spawn_options());
          stacyvm::Stream stream = sandbox.exec_start(stacyvm::Exec::program({"/bin/sh", "-c", "sleep 1000; true", marker}));
          sandbox.write_file("/tmp/f", std::string(100'000, 'x'));
          sandbox.exec(stacyvm::Exec::sh("cat /tmp/f | wc -c"));
          sandbox.destroy();
        } catch (const stacyvm::Error&) {
          // The launcher was killed: what comes next is started by another.
        }
      }
    });
  for (;;) pause();
}

[[noreturn]] void own(const std::string& directory, const std::string& marker) {
  for (const int crash : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) signal(crash, SIG_DFL);  // the parent tells of it
  for (;;) {
    try {
      stacyvm::Instance vm(in(directory));
      stacyvm::Session session = vm.session();
      work(session, marker);
    } catch (const stacyvm::Error& error) {
      if (error.code() != STACYVM_E_UNAVAILABLE) _exit(1);  // otherwise its launcher was killed while it opened: again
    }
  }
}

/// Descendants' ids of the process, nearest first, with the command name.
std::vector<std::pair<pid_t, std::string>> descendants(pid_t root) {
  std::vector<std::pair<pid_t, std::string>> found;
  std::vector<pid_t> parents{root};
  for (size_t at = 0; at < parents.size(); ++at) {
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(parents[at]) + "/task", fs::directory_options::skip_permission_denied)) {
      std::ifstream children(task.path() / "children");
      for (pid_t child; children >> child;) {
        std::string name;
        std::getline(std::ifstream("/proc/" + std::to_string(child) + "/comm"), name);
        found.emplace_back(child, name);
        parents.push_back(child);
      }
    }
  }
  return found;
}

enum class Victim { owner, launcher, agent };

void kill_one(pid_t owner, Victim victim, std::minstd_rand& random) {
  if (victim == Victim::owner) {
    kill(owner, SIGKILL);
    return;
  }
  try {
    const auto all = descendants(owner);
    // The launcher is the owner's only child; agents are the launcher's.
    if (all.empty()) return;
    const size_t index = victim == Victim::launcher ? 0 : random() % all.size();
    kill(all[index].first, SIGKILL);
  } catch (const fs::filesystem_error&) {
    // It ended while it was looked at.
  }
}

}  // namespace

TEST_CASE("owner, launcher and agents killed at any moment") {
  TemporaryDirectory directory;
  const std::string state = directory.path() + "/state", marker = "soak-" + std::to_string(getpid());
  std::minstd_rand random(static_cast<unsigned>(getpid()));
  const unsigned groups = groups_with("stacyvm-");
  for (int round = 0; round < kRounds; ++round) {
    CAPTURE(round);
    const pid_t owner = fork();
    REQUIRE(owner >= 0);
    if (owner == 0) own(state, marker);
    // Some lose launchers and agents first; all lose their owner.
    for (auto i = random() % 3; i > 0; --i) {
      std::this_thread::sleep_for(milliseconds(random() % kMaxLifeMs));
      kill_one(owner, random() % 2 == 0 ? Victim::launcher : Victim::agent, random);
    }
    std::this_thread::sleep_for(milliseconds(random() % kMaxLifeMs));
    kill_one(owner, Victim::owner, random);
    int status = 0;
    REQUIRE(waitpid(owner, &status, 0) == owner);
    CAPTURE(status);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));  // and it had not crashed before

    stacyvm::Instance vm(in(state));
    stacyvm::Session session = vm.session();
    CHECK(session.call("sandbox.list") == "[]");
    CHECK(within(10'000, [&] { return processes_with(marker) == 0; }));
    if (round % 10 == 0) {
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      CHECK(sh(sandbox, "echo works") == "works\n");
    }
  }
  CHECK(within(10'000, [&] { return groups_with("stacyvm-") <= groups; }));
  CHECK(groups_with("sb-") == 0);
  const std::string content = [&] {
    std::string names;
    for (const auto& entry : fs::directory_iterator(state)) names += entry.path().filename().string() + " ";
    return names;
  }();
  MESSAGE("state directory: " << content);
  CHECK(std::distance(fs::directory_iterator(state), fs::directory_iterator()) <= 4);  // lock, database, and its two companions
}
