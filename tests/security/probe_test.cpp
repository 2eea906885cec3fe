// Everything that the kernel offers, tried from inside: probe.c does the trying, this program knows the host.
#include <arpa/inet.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "../contract/lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::ExecResult;

namespace {

constexpr unsigned kFewestChecks = 350;  // fewer: the program was cut short

/// Things on the host that a sandbox must not reach, each with the argument that tells the probe about it.
class HostFacts {
 public:
  HostFacts() {
    const std::string name = "stacyvm-probe-" + std::to_string(getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    unix_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(unix_, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
    REQUIRE(listen(unix_, 1) == 0);
    arguments.push_back("abstract=" + name);

    sockaddr_in internet{};
    internet.sin_family = AF_INET;
    internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof internet;
    internet_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(internet_, reinterpret_cast<sockaddr*>(&internet), size) == 0);
    REQUIRE(listen(internet_, 1) == 0);
    REQUIRE(getsockname(internet_, reinterpret_cast<sockaddr*>(&internet), &size) == 0);
    arguments.push_back("port=" + std::to_string(ntohs(internet.sin_port)));

    const key_t key = 0x57000000 | getpid();
    shared_ = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    REQUIRE(shared_ >= 0);
    arguments.push_back("shm=" + std::to_string(key));

    queue_name_ = '/' + name;
    mq_attr attributes{};
    attributes.mq_maxmsg = 1;
    attributes.mq_msgsize = 1;
    queue_ = mq_open(queue_name_.c_str(), O_CREAT | O_EXCL | O_RDWR, 0666, &attributes);
    if (queue_ >= 0) arguments.push_back("mq=" + queue_name_);  // a host may have used up its queues

    write_host_file(directory.path() + "/open-to-all", "canary");
    write_host_file(directory.path() + "/owner-only", "canary", 0600);
    arguments.push_back("file=" + directory.path() + "/open-to-all");
    arguments.push_back("file=" + directory.path() + "/owner-only");

    char host[256];
    REQUIRE(gethostname(host, sizeof host) == 0);
    arguments.push_back(std::string("host=") + host);
    arguments.push_back("pid=" + std::to_string(getpid()));
    arguments.push_back("text=" + directory.path());  // the state directory is in it
    char program[4096];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program);
    REQUIRE(n > 0);
    std::string build(program, static_cast<size_t>(n));
    build.resize(build.rfind('/'));
    arguments.push_back("text=" + build);
    arguments.push_back("text=1207");    // the first digits of every range of ids, which start at 1,207,959,552
    arguments.push_back("text=stacyvm-probe-");
    arguments.push_back("text=lowerdir=/");
    std::istringstream groups(read_host_file("/proc/self/cgroup"));  // lines such as 4:memory:/user.slice
    for (std::string line; std::getline(groups, line);)
      if (const size_t path = line.find(":/"); path != line.npos && path + 2 < line.size()) arguments.push_back("text=" + line.substr(path + 1));
  }
  ~HostFacts() {
    close(unix_);
    close(internet_);
    shmctl(shared_, IPC_RMID, nullptr);
    if (queue_ >= 0) {
      mq_close(queue_);
      mq_unlink(queue_name_.c_str());
    }
  }
  HostFacts(const HostFacts&) = delete;
  HostFacts& operator=(const HostFacts&) = delete;

  TemporaryDirectory directory;
  std::vector<std::string> arguments;

 private:
  int unix_ = -1, internet_ = -1, shared_ = -1;
  mqd_t queue_ = -1;
  std::string queue_name_;
};

void judge(const ExecResult& result) {
  INFO(result.err);
  REQUIRE(result.exit_code == 0);
  unsigned checks = 0;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line); ++checks) {
    CAPTURE(line);
    const bool good = line.starts_with("SAFE ") || line.starts_with("WORKS ");
    CHECK(good);
  }
  MESSAGE(checks << " checks");
  CHECK(checks >= kFewestChecks);
}

}  // namespace

TEST_CASE("a command in a sandbox finds every way out closed, and ordinary work possible") {
  const HostFacts facts;
  for (const char* user : {"user", "root"}) {
    CAPTURE(std::string(user));
    auto spawn = spawn_options();
    spawn.user = user;
    stacyvm::Options options;
    options.state_dir = facts.directory.path() + "/state-" + user;
    Lab lab(spawn, options);
    install_tool(lab.sandbox, "probe");
    std::vector<std::string> argv = {"/tmp/probe"};
    argv.insert(argv.end(), facts.arguments.begin(), facts.arguments.end());
    argv.push_back("text=" + options.state_dir);
    judge(lab.sandbox.exec(Exec::program(argv)));
    CHECK(sh(lab.sandbox, "echo alive") == "alive\n");
    if (enforces(lab.sandbox, "user_per_exec")) {
      auto other = Exec::program(argv);
      other.user = std::string(user) == "root" ? "user" : "root";
      judge(lab.sandbox.exec(other));
    }
  }
}
