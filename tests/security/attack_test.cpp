// Hostile commands (attack.c) against a sandbox, its neighbour and the host. Wherever something is used up, three things must hold: the agent
// answers, the neighbour works, and the sandbox ends in time.
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "../contract/lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::ExecResult, stacyvm::Sandbox, stacyvm::Stream;
using std::chrono::milliseconds, std::chrono::steady_clock;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr int64_t kDestroyMs = 5000;
constexpr milliseconds kPatience{30'000};  // for what takes no time on an idle machine

Exec attack(std::vector<std::string> arguments, const std::string& user = "") {
  arguments.insert(arguments.begin(), "/tmp/attack");
  Exec exec = Exec::program(std::move(arguments));
  exec.user = user;
  exec.flags = STACYVM_EXEC_MERGE;
  return exec;
}

Lab attacked(const stacyvm::Spawn& spawn = spawn_options()) {
  Lab lab(spawn);
  install_tool(lab.sandbox, "attack");
  return lab;
}

/// What a command that goes on says first.
std::string first_line(Stream& stream) {
  std::string line;
  char byte;
  uint64_t n = 0;
  while (!line.ends_with('\n')) {
    const int32_t code = stacyvm_stream_read(stream.get(), &byte, 1, kPatience.count(), &n, nullptr);
    CAPTURE(line);
    REQUIRE(code == STACYVM_OK);
    line += byte;
  }
  return line;
}

/// "bytes 42 ENOSPC\n" -> 42.
uint64_t number_in(const std::string& line) { return std::stoull(line.substr(line.find(' ') + 1)); }

void check_alive(Sandbox& sandbox) {
  CHECK(sh(sandbox, "echo alive") == "alive\n");
  CHECK(sandbox.stat("/").type == STACYVM_TYPE_DIRECTORY);
}

void check_destroy(Sandbox& sandbox) {
  const auto begin = steady_clock::now();
  sandbox.destroy();
  CHECK(std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin).count() < kDestroyMs);
}

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("a fork bomb takes its own processes only") {
  Lab lab = attacked();
  Lab neighbour;
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "pids"), "this host cannot limit processes");
  Stream bomb = lab.sandbox.exec_start(attack({"fork"}));
  CHECK(first_line(bomb) == "full 0 EAGAIN\n");
  check_alive(neighbour.sandbox);
  Lab third;  // a new one can still be made
  check_alive(third.sandbox);
  CHECK(lab.sandbox.stat("/tmp").type == STACYVM_TYPE_DIRECTORY);  // the agent needs no process for it
  check_destroy(lab.sandbox);
}

TEST_CASE("a command that takes all memory is killed, and nobody else") {
  auto spawn = spawn_options();
  spawn.memory_bytes = spawn.disk_bytes = 64 * kMiB;
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  Lab lab = attacked(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "memory"), "this host cannot limit memory");
  for (int round = 0; round < 3; ++round) {
    const ExecResult result = lab.sandbox.exec(attack({"memory"}));
    CHECK(result.reason == STACYVM_REASON_OOM);
    CHECK(result.signal == 9);
    check_alive(lab.sandbox);
  }
  // Files are memory, too: with both used up the agent still answers.
  lab.sandbox.exec(attack({"file", "/tmp/full"}));
  lab.sandbox.exec(attack({"memory"}));
  CHECK(lab.sandbox.stat("/").type == STACYVM_TYPE_DIRECTORY);
  check_destroy(lab.sandbox);
}

TEST_CASE("the disk ends where its limit says, wherever it is written") {
  auto spawn = spawn_options();
  spawn.disk_bytes = 8 * kMiB;
  Lab lab = attacked(spawn);
  for (const char* path : {"/tmp/full", "/dev/shm/full", "/workspace/full"}) {
    CAPTURE(std::string(path));
    const std::string line = lab.sandbox.exec(attack({"file", path})).out;
    CHECK(line.ends_with(" ENOSPC\n"));
    CHECK(number_in(line) > 4 * kMiB);
    CHECK(number_in(line) <= 8 * kMiB);
    // Full is full everywhere, for the file operations as well.
    CHECK(number_in(lab.sandbox.exec(attack({"file", "/tmp/more"})).out) == 0);
    CHECK(number_in(lab.sandbox.exec(attack({"file", "/dev/shm/more"})).out) == 0);
    const std::string block(kMiB, 'x');
    CHECK(code_of([&] { lab.sandbox.write_file("/workspace/refused", block); }) == STACYVM_E_LIMIT);
    CHECK(code_of([&] { lab.sandbox.stat("/workspace/refused"); }) == STACYVM_E_FILE_NOT_FOUND);
    check_alive(lab.sandbox);
    sh(lab.sandbox, std::string("rm -f /tmp/more /dev/shm/more ") + path);
    lab.sandbox.write_file("/workspace/refused", block);
    sh(lab.sandbox, "rm /workspace/refused");
  }
}

TEST_CASE("inodes end, too") {
  auto spawn = spawn_options();
  spawn.disk_bytes = 8 * kMiB;
  Lab lab = attacked(spawn);
  const std::string line = lab.sandbox.exec(attack({"inodes", "/tmp/many"})).out;
  CHECK(line.ends_with(" ENOSPC\n"));
  CHECK(number_in(line) <= 8 * kMiB / 4096);
  CHECK(code_of([&] { lab.sandbox.write_file("/tmp/one-more", "x"); }) == STACYVM_E_LIMIT);
  check_alive(lab.sandbox);
  lab.session.call("file.remove", {{"id", lab.sandbox.id()}, {"path", "/tmp/many"}, {"recursive", "true"}});
  lab.sandbox.write_file("/tmp/one-more", "x");
}

TEST_CASE("a command that spins gets its share of the processors") {
  auto spawn = spawn_options();
  spawn.milli_cpus = 200;
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  Lab lab = attacked(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "cpu"), "this host cannot limit processor time");
  // Four spinning processes, of which three outlive the first: what they all used is in the kernel's accounting of the shell that waits.
  Exec exec = Exec::sh("/tmp/attack cpu 2000 & wait");
  const ExecResult result = lab.sandbox.exec(exec);
  CHECK(result.exit_code == 0);
  CHECK(result.cpu.count() < 2'000'000 * 2 / 10 * 2);
}

TEST_CASE("a flood that nobody reads waits, and is not kept in memory") {
  Lab lab = attacked();
  Stream flood = lab.sandbox.exec_start(attack({"flood"}));
  char byte;
  uint64_t n = 0;
  REQUIRE(stacyvm_stream_read(flood.get(), &byte, 1, kPatience.count(), &n, nullptr) == STACYVM_OK);
  std::this_thread::sleep_for(milliseconds(300));
  const uint64_t before = resident_bytes();
  std::this_thread::sleep_for(milliseconds(1500));
  CHECK(resident_bytes() < before + 8 * kMiB);
  check_alive(lab.sandbox);  // another stream of the same sandbox is not held up
  flood.cancel();
  CHECK(code_of([&] { flood.exec_result(); }) == STACYVM_E_CANCELLED);
  check_destroy(lab.sandbox);
}

TEST_CASE("descriptors and pipes end for the command that takes them") {
  Lab lab = attacked();
  Lab neighbour;
  for (const char* what : {"descriptors", "pipes"}) {
    CAPTURE(std::string(what));
    Stream greedy = lab.sandbox.exec_start(attack({what}));
    const std::string line = first_line(greedy);
    const bool ended = line.ends_with(" EMFILE\n") || line.ends_with(" ENFILE\n");
    CHECK(ended);
    check_alive(lab.sandbox);
    check_alive(neighbour.sandbox);
    if (enforces(lab.sandbox, "id_range")) {
      // The kernel counts pipe memory for each user of the host: the neighbour's is another one.
      install_tool(neighbour.sandbox, "attack");
      Stream same = neighbour.sandbox.exec_start(attack({what}));
      CHECK(number_in(first_line(same)) >= number_in(line) / 2);
    }
  }
}

TEST_CASE("a command that kills or stops everything reaches its fellows only") {
  Lab lab = attacked();
  Lab neighbour;
  for (const std::string what : {"kill-all", "stop-all"})
    for (const char* user : {"user", "root"}) {
      if (!enforces(lab.sandbox, "user_per_exec") && std::string(user) != "user") continue;
      CAPTURE(std::string(what));
      CAPTURE(std::string(user));
      Stream fellow = lab.sandbox.exec_start(Exec::sh("echo up; exec sleep 1000"));
      stacyvm_chunk chunk;
      REQUIRE(fellow.next(chunk, kPatience) == Stream::Next::chunk);
      CHECK(lab.sandbox.exec(attack({what}, user)).exit_code == 0);
      if (what == "kill-all" && std::string(user) == "user") {
        while (fellow.next(chunk, kPatience) == Stream::Next::chunk) {
        }
        CHECK(fellow.exec_result()->signal == 9);
      }
      check_alive(lab.sandbox);
      check_alive(neighbour.sandbox);
    }
  check_destroy(lab.sandbox);
}

TEST_CASE("a command that closes everything and sleeps ends at its timeout") {
  Lab lab = attacked();
  auto exec = attack({"silence"});
  exec.timeout = milliseconds(500);
  const auto begin = steady_clock::now();
  CHECK(lab.sandbox.exec(exec).reason == STACYVM_REASON_TIMEOUT);
  CHECK(steady_clock::now() - begin < milliseconds(5000));
}

TEST_CASE("daemons that left their parents end with the sandbox") {
  Lab lab = attacked();
  const std::string marker = "marker-" + std::to_string(getpid());
  CHECK(lab.sandbox.exec(attack({"daemons", "20", marker})).exit_code == 0);
  CHECK(within(10'000, [&] { return processes_with(marker) == 20; }));
  check_destroy(lab.sandbox);
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("signals forged for the agent change nothing") {
  Lab lab = attacked();
  for (const char* user : {"user", "root"}) {
    if (!enforces(lab.sandbox, "user_per_exec") && std::string(user) != "user") continue;
    Stream forger = lab.sandbox.exec_start(attack({"signals", "1000"}, user));
    // Commands go on ending with their own codes while SIGCHLD is forged.
    for (int i = 0; i < 20; ++i) CHECK(lab.sandbox.exec(Exec::sh("exit " + std::to_string(i))).exit_code == i);
    const std::string line = first_line(forger);
    if (enforces(lab.sandbox, "id_range")) CHECK(line == "delivered 0 -\n");  // another user's process
    check_alive(lab.sandbox);
  }
}

TEST_CASE("no file operation follows a path out while it is being swapped") {
  TemporaryDirectory host;
  const std::string canary = "canary-" + std::to_string(getpid());
  write_host_file(host.path() + "/f", canary);
  write_host_file(host.path() + "/secret", canary, 0600);
  for (const std::string& target : std::vector{host.path(), "/proc/1/root" + host.path(), "/../../.." + host.path()}) {
    CAPTURE(target);
    Lab lab = attacked();
    sh(lab.sandbox, "mkdir -p /tmp/r/a && echo inside > /tmp/r/a/f && cp /tmp/r/a/f /tmp/r/a/secret && ln -s '" + target + "' /tmp/r/b");
    Stream swapper = lab.sandbox.exec_start(attack({"swap", "/tmp/r/a", "/tmp/r/b"}));
    first_line(swapper);
    const std::string id = lab.sandbox.id();
    const auto call = [&](const std::string& op, const std::string& body) {
      std::string answer;
      (void)code_of([&] { answer = lab.session.call(op, {{"id", id}}, body); });  // either side of the swap is a fair answer
      CHECK(answer.find(canary) == answer.npos);
      return !answer.empty();
    };
    unsigned done = 0;
    for (const auto end = steady_clock::now() + milliseconds(1500); steady_clock::now() < end;) {
      for (const char* file : {"/tmp/r/a/f", "/tmp/r/a/secret", "/tmp/r/b/f"}) {
        std::string bytes;
        (void)code_of([&] { bytes = lab.sandbox.read_file(file); });
        CHECK(bytes.find(canary) == bytes.npos);
      }
      done += call("file.list", R"({"path":"/tmp/r/a"})");
      done += call("file.stat", R"({"path":"/tmp/r/a/secret"})");
      done += call("file.glob", R"({"pattern":"/tmp/r/a/*"})");
      done += call("file.list", R"({"path":"/tmp/r","depth":3})");
      done += call("file.search", R"({"path":"/tmp/r/a","text":"a"})");
      done += call("file.search", R"({"path":"/tmp/r","text":"canary"})");
      done += call("file.replace", R"({"path":"/tmp/r/a/f","text":"a","replacement":"a"})");
      done += call("file.write", R"({"path":"/tmp/r/a/w","content":"x"})");
      done += call("file.chmod", R"({"path":"/tmp/r/a/f","mode":"0666"})");
      done += call("file.mkdir", R"({"path":"/tmp/r/a/d"})");
      done += call("file.move", R"({"old_path":"/tmp/r/a/w","new_path":"/tmp/r/a/v"})");
      done += call("file.remove", R"({"path":"/tmp/r/a/d","recursive":true})");
      done += call("file.remove", R"({"path":"/tmp/r/a/v"})");
      done += call("file.copy", R"({"path":"/tmp/r","new_path":"/tmp/copied","recursive":true})");
      done += call("file.copy", R"({"path":"/tmp/r/b","new_path":"/tmp/r/a/n","recursive":true})");
      done += call("file.symlink", R"({"path":"/tmp/r/a/s","target":"x","replace":true})");
      done += call("file.remove", R"({"path":"/tmp/r/a/n","recursive":true})");
      done += call("file.remove", R"({"path":"/tmp/copied","recursive":true})");
    }
    MESSAGE(done << " operations went through");
    CHECK(done > 10);
    CHECK(read_host_file(host.path() + "/f") == canary);
    CHECK(read_host_file(host.path() + "/secret") == canary);
    struct stat info {};
    CHECK(stat((host.path() + "/f").c_str(), &info) == 0);
    CHECK((info.st_mode & 07777) == 0644);
    CHECK(std::distance(std::filesystem::directory_iterator(host.path()), std::filesystem::directory_iterator()) == 2);
    check_destroy(lab.sandbox);
  }
}

TEST_CASE("what is no regular file is not read, and holds nobody up") {
  Lab lab = attacked();
  sh(lab.sandbox, "mkfifo /tmp/fifo; mkdir /tmp/dir; ln -s /tmp/fifo /tmp/link; ln -s loop /tmp/loop");
  for (const char* path : {"/tmp/fifo", "/tmp/link", "/tmp/dir", "/dev/zero", "/dev/tty", "/dev/pts/ptmx", "/proc/self/fd"}) {
    CAPTURE(std::string(path));
    const auto begin = steady_clock::now();
    const int32_t code = code_of([&] { lab.sandbox.read_file(path); });
    CHECK(code != STACYVM_OK);
    CHECK(code != STACYVM_E_TIMEOUT);
    CHECK(steady_clock::now() - begin < milliseconds(3000));
  }
  CHECK(code_of([&] { lab.sandbox.read_file("/tmp/loop"); }) != STACYVM_OK);
  // A write replaces a name or refuses; it never waits for a reader and never writes to a device.
  for (const char* path : {"/tmp/fifo", "/dev/full", "/dev/null"}) {
    CAPTURE(std::string(path));
    const auto begin = steady_clock::now();
    (void)code_of([&] { lab.sandbox.write_file(path, "x"); });
    CHECK(steady_clock::now() - begin < milliseconds(3000));
  }
  check_alive(lab.sandbox);
}

namespace {

void check_strangers(Sandbox& sandbox, Sandbox& neighbour) {
  install_tool(neighbour, "attack");
  const std::string number = std::to_string(getpid()), marker = "marker-" + number;
  CHECK(sandbox.exec(attack({"daemons", "3", marker})).exit_code == 0);
  CHECK(within(10'000, [&] { return processes_with(marker) == 3; }));
  // A pattern that does not match the arguments it is among.
  CHECK(sh(neighbour, "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c 'm[a]rker-" + number + "' || true") == "0\n");
  CHECK(neighbour.exec(attack({"kill-all"})).exit_code == 0);
  CHECK(processes_with(marker) == 3);
  sh(sandbox, "echo mine > /tmp/mine; echo mine > /dev/shm/mine");
  CHECK(code_of([&] { neighbour.read_file("/tmp/mine"); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(code_of([&] { neighbour.read_file("/dev/shm/mine"); }) == STACYVM_E_FILE_NOT_FOUND);
  Stream first = sandbox.exec_start(attack({"inotify"}));
  const uint64_t taken = number_in(first_line(first));
  CHECK(taken > 0);
  Stream second = neighbour.exec_start(attack({"inotify"}));
  CHECK(number_in(first_line(second)) == taken);
  const int host = inotify_init1(IN_CLOEXEC);  // what belongs to the owner of a user namespace is counted there, too
  CHECK(host >= 0);
  if (host >= 0) close(host);
  // Nobody inside gives himself more.
  CHECK(sandbox.exec({.shell = "echo 1000 > /proc/sys/user/max_inotify_instances"}).exit_code != 0);
  SVM_SKIP_UNLESS(enforces(sandbox, "id_range"), "sandboxes of an ordinary user are the same user outside");
  CHECK(sh(sandbox, "cat /proc/self/uid_map") != sh(neighbour, "cat /proc/self/uid_map"));
}

}  // namespace

TEST_CASE("two sandboxes of one instance do not see, reach or use up one another") {
  Lab lab = attacked();
  Sandbox neighbour = lab.session.spawn(spawn_options());
  check_strangers(lab.sandbox, neighbour);
}

TEST_CASE("two sandboxes of two instances do not see, reach or use up one another") {
  Lab lab = attacked(), other;
  check_strangers(lab.sandbox, other.sandbox);
}

TEST_CASE("a program with the setuid bit gives nobody its owner's rights") {
  Lab lab = attacked();
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "user_per_exec"), "this host cannot run two users in one sandbox");
  sh(lab.sandbox, "cp /tmp/attack /tmp/raise && chmod 4755 /tmp/raise", "root");
  CHECK((lab.sandbox.stat("/tmp/raise").mode & 07777) == 04755);
  CHECK(lab.sandbox.exec(Exec::program({"/tmp/raise", "user"})).out == "user 1000 -\n");
}
