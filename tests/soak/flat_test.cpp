// Ten thousand sandboxes in one process: what they used is there again.
#include <unistd.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "../contract/lab.hpp"

using namespace svm::test;
namespace fs = std::filesystem;

namespace {

constexpr unsigned kSpawns = 10'000, kExecs = 10'000;
constexpr unsigned kWarmUp = 500;       // until every pool, cache and arena has its size
constexpr size_t kThreads = 2;
constexpr long kMaxGrowthKib = 4096;    // of the process; 10,000 leaks of half a kilobyte would be more
constexpr uintmax_t kMaxRecordBytes = 4096;  // of the state directory, per sandbox: rows are kept for a week

long status_value(const char* key) {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    if (word == key) {
      long value = -1;
      in >> value;
      return value;
    }
  }
  return -1;
}

long entries(const char* directory) { return std::distance(fs::directory_iterator(directory), fs::directory_iterator()); }

long lines(const char* file) {
  std::ifstream in(file);
  long count = 0;
  for (std::string line; std::getline(in, line);) ++count;
  return count;
}

uintmax_t bytes_below(const std::string& directory) {
  uintmax_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) total += entry.file_size();
  return total;
}

struct Use {
  long fds = entries("/proc/self/fd"), threads = status_value("Threads:"), kib = status_value("VmRSS:"), mounts = lines("/proc/self/mountinfo");
};

/// `count` sandboxes with a command each, from several threads.
void spawn_and_destroy(stacyvm::Session& session, unsigned count) {
  std::atomic<unsigned> left{count}, failed{0};
  std::array<std::thread, kThreads> threads;
  for (std::thread& thread : threads)
    thread = std::thread([&] {
      for (unsigned before = left.load(); before > 0;) {
        if (!left.compare_exchange_weak(before, before - 1)) continue;
        try {
          stacyvm::Sandbox sandbox = session.spawn(spawn_options());
          if (sandbox.exec(stacyvm::Exec::sh("echo $((6 * 7))")).out != "42\n") ++failed;
          sandbox.destroy();
        } catch (const stacyvm::Error&) {
          ++failed;
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
}

void check_flat(const Use& before, const char* what) {
  // Threads of the pool end some seconds after their last job.
  CHECK(within(30'000, [&] { return Use().threads <= before.threads; }));
  const Use after;
  MESSAGE(std::string(what) << ": descriptors " << before.fds << " -> " << after.fds << ", threads " << before.threads << " -> " << after.threads << ", KiB "
               << before.kib << " -> " << after.kib << ", mounts " << before.mounts << " -> " << after.mounts);
  CHECK(after.fds <= before.fds);
  CHECK(after.mounts == before.mounts);
  CHECK(after.kib <= before.kib + kMaxGrowthKib);
}

}  // namespace

TEST_CASE("ten thousand sandboxes leave nothing") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  spawn_and_destroy(session, kWarmUp);
  const unsigned groups = groups_with("sb-");
  const uintmax_t stored = bytes_below(options.state_dir);
  const Use before;
  spawn_and_destroy(session, kSpawns);
  check_flat(before, "10,000 sandboxes");
  CHECK(session.call("sandbox.list") == "[]");
  CHECK(groups_with("sb-") == groups);
  const uintmax_t added = bytes_below(options.state_dir) - stored;
  MESSAGE("state directory: " << added / kSpawns << " bytes per sandbox");
  CHECK(added <= kSpawns * kMaxRecordBytes + (16u << 20));  // the log may have its whole size
}

TEST_CASE("ten thousand commands in one sandbox leave nothing") {
  Lab lab;
  const auto run = [&](unsigned count) {
    for (unsigned i = 0; i < count; ++i) REQUIRE(lab.sandbox.exec(stacyvm::Exec::program({"/bin/true"})).exit_code == 0);
  };
  // Process 1 and the shell that asks, which starts nothing for it.
  const auto inside = [&] { return sh(lab.sandbox, "set -- /proc/[0-9]*; echo $#"); };
  run(kWarmUp);
  const std::string processes = inside();
  const Use before;
  run(kExecs);
  check_flat(before, "10,000 commands");
  CHECK(inside() == processes);
}
