// What others start for one command: runc, and docker with a daemon of its own. Where they are installed, as root.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "scenarios.hpp"

namespace bench {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kIdleMs = 20;
constexpr int kCallers = 8;
constexpr int kStartTries = 120;  // half a second apart: until the daemon answers
constexpr const char* kImage = "stacyvm-bench";

// The same boundary as a sandbox's in kind: five namespaces, the host's programs, no capability, limits of memory and processes.
constexpr const char* kBundle = R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},
"process":{"terminal":false,"user":{"uid":0,"gid":0},"args":["/usr/bin/true"],"cwd":"/","env":["PATH=/usr/bin"],"noNewPrivileges":true,"capabilities":{}},
"mounts":[{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=64k"]},
{"destination":"/usr","type":"bind","source":"/usr","options":["rbind","ro"]}],
"linux":{"namespaces":[{"type":"pid"},{"type":"network"},{"type":"ipc"},{"type":"uts"},{"type":"mount"}],"resources":{"memory":{"limit":1073741824},"pids":{"limit":256}}}})";

std::string found(const char* name) {
  for (const char* directory : {"/usr/bin/", "/usr/sbin/"})
    if (::access((std::string(directory) + name).c_str(), X_OK) == 0) return std::string(directory) + name;
  return "";
}

void make_bundle(const std::string& directory) {
  for (const char* name : {"usr", "proc", "dev"}) fs::create_directories(directory + "/rootfs/" + name);
  for (const char* name : {"bin", "lib", "lib64"}) fs::create_symlink(std::string("usr/") + name, directory + "/rootfs/" + name);
  std::ofstream(directory + "/config.json") << kBundle;
}

/// A dockerd that is ended with us.
class Daemon {
 public:
  explicit Daemon(const std::string& directory) : address_("unix://" + directory + "/socket") {
    fs::create_directories(directory);
    const std::string program = found("dockerd");
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork");
    if (pid_ == 0) {
      const int log = ::open((directory + "/log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      ::dup2(log, 1);
      ::dup2(log, 2);
      const std::string data = directory + "/data", run = directory + "/run", pid = directory + "/pid";
      ::execl(program.c_str(), "dockerd", "--data-root", data.c_str(), "--exec-root", run.c_str(), "--pidfile", pid.c_str(), "-H", address_.c_str(), "--bridge=none", "--iptables=false", nullptr);
      ::_exit(127);
    }
  }
  ~Daemon() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  bool answers(std::string& why) const {
    const Program ask({"/bin/sh", "-c", "exec " + found("docker") + " -H " + address_ + " version > /dev/null 2>&1"});
    for (int i = 0; i < kStartTries; ++i) {
      if (ask.works(why)) return true;
      sleep_ms(500);
    }
    return false;
  }
  const std::string& address() const noexcept { return address_; }

 private:
  const std::string address_;
  pid_t pid_;
};

/// How many a second, of callers side by side that each do so many.
double per_second(int each, const std::function<void(int)>& act) {
  const double us = microseconds([&] {
    std::vector<std::thread> callers;
    for (int caller = 0; caller < kCallers; ++caller)
      callers.emplace_back([&, caller] {
        for (int i = 0; i < each; ++i) act(caller);
      });
    for (std::thread& caller : callers) caller.join();
  });
  return each * kCallers / (us / 1e6);
}

/// `words`: of a caller's program, for no two have one name at a time.
void measure_beside(const Context& context, const Library& library, const char* name, const std::function<std::vector<std::string>(int)>& words) {
  std::deque<Program> others;  // they stay where they are made
  for (int caller = 0; caller < kCallers; ++caller) others.emplace_back(words(caller));
  const Program& other = others.front();
  std::string why;
  if (!other.works(why)) return write_note(context.out, std::string("spawn is not compared with ") + name + ": " + why);
  Row row{context.identity, "spawn", "idle", name};
  for (int i = 0; i < context.counts.containers; ++i) {
    sleep_ms(kIdleMs);
    row.others.push_back(microseconds([&] { other.run(); }));
    sleep_ms(kIdleMs);
    row.ours.push_back(microseconds([&] {
      Sandbox sandbox(library);
      sandbox.exec("/bin/true");
      sandbox.destroy();
    }));
  }
  write_row(context.out, row);

  Row rate{context.identity, "creates", std::to_string(kCallers) + " callers", name, 0, Unit::per_second};
  rate.others.push_back(per_second(context.counts.containers, [&](int caller) { others[static_cast<size_t>(caller)].run(); }));
  rate.ours.push_back(per_second(context.counts.containers, [&](int) {
    Sandbox sandbox(library);
    sandbox.exec("/bin/true");
    sandbox.destroy();
  }));
  write_row(context.out, rate);
}

}  // namespace

void measure_containers(const Context& context, const Library& library) {
  if (context.counts.containers == 0 || ::geteuid() != 0) return;
  const std::string runc = found("runc"), bundle = context.state_dir + "/bundle";
  if (runc.empty()) {
    write_note(context.out, "spawn is not compared with runc: it is not installed");
  } else {
    make_bundle(bundle);
    measure_beside(context, library, "runc run", [&](int caller) {
      return std::vector<std::string>{runc, "--root", context.state_dir + "/runc", "run", "--bundle", bundle, "stacyvm-bench-" + std::to_string(caller)};
    });
  }
  const std::string docker = found("docker"), busybox = found("busybox");
  if (docker.empty() || found("dockerd").empty() || busybox.empty()) return write_note(context.out, "spawn is not compared with docker: docker, dockerd or busybox is not installed");
  const Daemon daemon(context.state_dir + "/docker");
  std::string why;
  if (!daemon.answers(why)) return write_note(context.out, "spawn is not compared with docker: its daemon does not start: " + why);
  const std::string root = context.state_dir + "/image";
  fs::create_directories(root + "/bin");
  fs::copy_file(busybox, root + "/bin/busybox");
  fs::create_symlink("busybox", root + "/bin/true");
  Program({"/bin/sh", "-c", "tar -C " + root + " -c . | " + docker + " -H " + daemon.address() + " import - " + kImage + " > /dev/null"}).run();
  measure_beside(context, library, "docker run", [&](int) { return std::vector<std::string>{docker, "-H", daemon.address(), "run", "--rm", "--network", "none", kImage, "/bin/true"}; });
}

}  // namespace bench
