#include "life.hpp"

#include <signal.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "../contract/lab.hpp"

namespace svm::test {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{20'000};
constexpr unsigned kLifeSeconds = 120;  // after which whoever hangs is ended

/// One line a message, so that what was said before a kill is whole.
class Teller {
 public:
  explicit Teller(int fd) : fd_(fd) {}
  void say(const std::string& kind, const std::string& text) const {
    const std::string line = kind + ' ' + text + '\n';
    if (write(fd_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(1);
  }

 private:
  int fd_;
};

void must(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

stacyvm::Options in(const std::string& state, uint64_t flags) {
  stacyvm::Options options;
  options.state_dir = state;
  options.flags = flags;
  return options;
}

stacyvm::Exec background(const char* script) {
  stacyvm::Exec exec = stacyvm::Exec::sh(script);
  exec.flags = STACYVM_EXEC_BACKGROUND;
  return exec;
}

void live_attached(const Setting& setting, const Teller& teller) {
  stacyvm::Instance vm(in(setting.state, 0));
  stacyvm::Session session = vm.session();
  stacyvm::Spawn full = spawn_options();
  full.name = "full";
  full.idempotency_key = "full-" + std::to_string(getpid()) + "-" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  full.mounts.push_back({setting.directory + "/mounted", "/mnt/given"});
  if (setting.limits) full.memory_bytes = 256u << 20, full.milli_cpus = 1000, full.pids = 100;
  stacyvm::Sandbox sandbox = session.spawn(full);
  teller.say("sandbox", sandbox.id());
  teller.say("info", sandbox.info());
  must(sandbox.exec(stacyvm::Exec::sh("cat /mnt/given/file")).out == "given\n", "the mounted file");
  sandbox.write_file("/tmp/f", "written");
  must(sandbox.read_file("/tmp/f") == "written", "the file that was written");
  const stacyvm::Stream stream = sandbox.exec_start(background("sleep 1000"));
  sandbox.extend(milliseconds(60'000));
  sandbox.destroy();

  stacyvm::Spawn image = spawn_options();
  image.image = setting.directory + "/image";
  stacyvm::Sandbox empty = session.spawn(image);
  teller.say("sandbox", empty.id());
  empty.destroy();

  // One that cannot start, so that its key is free again.
  stacyvm::Spawn broken = spawn_options();
  broken.mounts.push_back({setting.directory + "/mounted", "/etc/passwd"});  // which is there, as a file
  broken.idempotency_key = full.idempotency_key + "-broken";
  try {
    session.spawn(broken);
    must(false, "a directory over a file");
  } catch (const stacyvm::Error& error) {
    if (error.details().find("\"step\":\"mount_user\"") == std::string::npos) throw;
  }
  (void)session.call("sandbox.prune", {}, R"({"older_than":"24h"})");
}

void live_detached(const Setting& setting, const Teller& teller) {
  std::string id;
  {
    stacyvm::Instance vm(in(setting.state, STACYVM_OPEN_DETACHED));
    stacyvm::Session session = vm.session();
    stacyvm::Sandbox sandbox = session.spawn(spawn_options());
    id = sandbox.id();
    teller.say("sandbox", id);
    const stacyvm::Stream stream = sandbox.exec_start(background("sleep 1000"));
  }
  stacyvm::Instance vm(in(setting.state, STACYVM_OPEN_DETACHED));
  stacyvm::Session session = vm.session();
  stacyvm::Sandbox sandbox = session.sandbox(id);
  must(sandbox.exec(stacyvm::Exec::sh("echo adopted")).out == "adopted\n", "the adopted sandbox");
  vm.shutdown(kPatience);
}

[[noreturn]] void be(const Setting& setting, unsigned lives, int fd) {
  for (const int crash : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) signal(crash, SIG_DFL);  // the parent tells of it
  alarm(kLifeSeconds);
  const Teller teller(fd);
  for (unsigned i = 0; i < lives; ++i) {
    try {
      if (setting.detached)
        live_detached(setting, teller);
      else
        live_attached(setting, teller);
      teller.say("lived", "");
    } catch (const stacyvm::Error& error) {
      teller.say("failure", std::to_string(error.code()) + '\t' + error.what() + '\t' + error.details());
    } catch (const std::exception& error) {
      teller.say("failure", std::string("0\twrong: ") + error.what() + '\t');
    }
  }
  _exit(0);
}

}  // namespace

void furnish(const std::string& directory) {
  namespace fs = std::filesystem;
  for (const char* name : {"/mounted", "/image"}) fs::create_directory(directory + name);
  write_host_file(directory + "/mounted/file", "given\n");
}

Told live(const Setting& setting, unsigned lives) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    close(ends[0]);
    be(setting, lives, ends[1]);
  }
  close(ends[1]);
  std::string all;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  Told told;
  told.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  CHECK_MESSAGE((told.killed || status == 0), "wait status " << status);
  std::istringstream lines(all);
  for (std::string line; std::getline(lines, line);) {
    const std::string kind = line.substr(0, line.find(' ')), text = line.substr(std::min(line.size(), kind.size() + 1));
    if (kind == "sandbox") told.sandboxes.push_back(text);
    if (kind == "info") told.info = text;
    if (kind == "lived") ++told.lives;
    if (kind != "failure") continue;
    const size_t first = text.find('\t'), second = text.find('\t', first + 1);
    told.failures.push_back({std::stoi(text), text.substr(first + 1, second - first - 1), text.substr(second + 1)});
  }
  return told;
}

}  // namespace svm::test
