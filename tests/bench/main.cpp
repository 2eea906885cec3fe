// bench: what libstacyvm costs beside what one would use instead, measured in one run. See README.md.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "report.hpp"
#include "scenarios.hpp"

namespace {
using namespace bench;
namespace fs = std::filesystem;

constexpr int kSkip = 77;  // Meson's number for a test that cannot run here
constexpr unsigned kMounts = 1500;

constexpr Counts kFull{400, 150, 150, 3000, 300, 5, 5, 1'000'000'000, 10'000, 1000, 20};
constexpr Counts kQuick{3, 2, 2, 5, 2, 1, 1, 4'000'000, 50, 40, 0};

constexpr char kUsage[] =
    "usage: bench [--quick] [--iterations PERCENT] [--only NAME[,NAME...]] [--user UID] [--dir DIRECTORY] [--server FILE] [--json]\n"
    "\n"
    "  --quick       a few of each: only shows that it runs\n"
    "  --iterations  more or fewer of each, in percent of the usual number\n"
    "  --only        of: spawn containers mounts exec files unpack scale http\n"
    "  --user        the ordinary user that stands for rootless when started as root (65534)\n"
    "  --dir         where the state directory is made: on a disk, not in memory (TMPDIR, or /var/tmp)\n"
    "  --server      the stacyvm executable; without it nothing is measured over HTTP\n"
    "  --json        JSON instead of the table\n";

struct Options {
  Counts counts = kFull;
  std::string only;
  std::string directory, server;
  uid_t user = 65534;
  bool json = false;
  bool wants(const char* name) const { return only.empty() || ("," + only + ",").find("," + std::string(name) + ",") != std::string::npos; }
};

long number(const char* text, long low, long high) {
  char* end = nullptr;
  errno = 0;
  const long value = std::strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < low || value > high) throw std::invalid_argument(text);
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  long percent = 100;
  const char* temporary = std::getenv("TMPDIR");
  options.directory = temporary && *temporary ? temporary : "/var/tmp";
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const auto argument = [&] {
      if (i + 1 == argc) throw std::invalid_argument(option);
      return argv[++i];
    };
    if (option == "--quick") options.counts = kQuick;
    else if (option == "--iterations") percent = number(argument(), 1, 100'000);
    else if (option == "--only") options.only = argument();
    else if (option == "--user") options.user = static_cast<uid_t>(number(argument(), 1, 0x7fffffff));
    else if (option == "--dir") options.directory = argument();
    else if (option == "--server") options.server = argument();
    else if (option == "--json") options.json = true;
    else throw std::invalid_argument(option);
  }
  Counts& counts = options.counts;
  for (int* count : {&counts.spawn_tight, &counts.spawn_idle, &counts.spawn_mounts, &counts.exec_tight, &counts.exec_idle, &counts.unpack,
                     &counts.files})
    *count = static_cast<int>(std::max(1L, *count * percent / 100));
  return options;
}

/// A directory that is gone in the end.
class Directory {
 public:
  Directory(const std::string& parent, uid_t owner) : path(parent + "/stacyvm-bench-XXXXXX") {
    if (!::mkdtemp(path.data())) throw std::runtime_error("mkdtemp in " + parent + ": " + std::strerror(errno));
    if (owner != ::geteuid() && ::chown(path.c_str(), owner, owner) < 0) throw std::runtime_error("chown");
  }
  ~Directory() {
    std::error_code ignored;  // nothing to be done about it
    fs::remove_all(path, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string path;
};

void must(int result, const char* what) {
  if (result < 0) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// A mount namespace like that of a busy host, for this process and what it starts.
void make_mounts(const std::string& directory) {
  must(::unshare(CLONE_NEWNS), "unshare");
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make mounts private");
  must(::mount("bench", directory.c_str(), "tmpfs", 0, "mode=755"), "mount tmpfs");
  for (unsigned i = 0; i < kMounts; ++i) {
    const std::string point = directory + "/" + std::to_string(i);
    must(::mkdir(point.c_str(), 0755), "mkdir");
    must(i % 2 == 0 ? ::mount(directory.c_str(), point.c_str(), nullptr, MS_BIND, nullptr) : ::mount("bench", point.c_str(), "tmpfs", 0, nullptr),
         "mount");
  }
}

void become(uid_t user) {
  if (user == ::geteuid()) return;
  must(::setgroups(0, nullptr), "setgroups");
  must(::setresgid(user, user, user), "setresgid");
  must(::setresuid(user, user, user), "setresuid");
  // A program started by that user would be; a process that changed its ids is not, and cannot open its own /proc/self.
  must(::prctl(PR_SET_DUMPABLE, 1), "prctl");
}

struct Task {
  std::string identity;
  uid_t user;
  bool mounts;
};

void measure(const Options& options, const Task& task, const std::string& state_dir, const std::string& mount_dir, int out) {
  if (task.mounts) make_mounts(mount_dir);
  become(task.user);
  const Context context{options.counts, task.identity, state_dir, out};
  const Library library(state_dir + "/state");
  if (task.mounts) return measure_spawn(context, library, "mounts", options.counts.spawn_mounts);
  if (options.wants("spawn")) {
    measure_spawn(context, library, "tight", options.counts.spawn_tight);
    measure_spawn(context, library, "idle", options.counts.spawn_idle);
  }
  if (options.wants("containers")) measure_containers(context, library);
  if (options.wants("exec")) measure_exec(context, library);
  if (options.wants("files")) measure_files(context, library);
  if (options.wants("unpack")) measure_unpack(context, library);
  if (options.wants("scale")) measure_scale(context, library);
  if (options.wants("http") && !options.server.empty()) measure_http(context, library, options.server);
}

/// Measures in a process of its own: identities and mounts do not come back, and no thread of the library is ever copied.
bool run(const Options& options, const Task& task, Results& results) {
  const Directory state(options.directory, task.user), mounts(options.directory, ::geteuid());
  int ends[2];
  must(::pipe2(ends, O_CLOEXEC), "pipe");
  const pid_t child = ::fork();
  must(child, "fork");
  if (child == 0) {
    ::close(ends[0]);
    try {
      measure(options, task, state.path, mounts.path, ends[1]);
      ::_exit(0);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bench: %s: %s\n", task.identity.c_str(), error.what());
      ::_exit(1);
    }
  }
  ::close(ends[1]);
  const bool understood = read_results(ends[0], results);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw std::runtime_error("waitpid");
  return understood && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Whether an ordinary user may make the namespaces that a sandbox needs.
bool has_user_namespaces(uid_t user) {
  const pid_t child = ::fork();
  must(child, "fork");
  if (child == 0) {
    if (user != ::geteuid() && (::setgroups(0, nullptr) < 0 || ::setresgid(user, user, user) < 0 || ::setresuid(user, user, user) < 0)) ::_exit(2);
    ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0 ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw std::runtime_error("waitpid");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int bench_main(const Options& options) {
  const bool is_root = ::geteuid() == 0;
  const uid_t user = is_root ? options.user : ::geteuid();
  Results results;
  std::vector<Task> tasks;
  if (is_root) tasks.push_back({"root", 0, false});
  if (has_user_namespaces(user)) tasks.push_back({"rootless", user, false});
  else results.notes.push_back("rootless: an ordinary user may not make namespaces here");
  if (options.wants("mounts")) {
    if (!is_root) results.notes.push_back("mounts: only root can make them before it becomes an ordinary user");
    for (const Task& task : std::vector<Task>(tasks))
      if (is_root) tasks.push_back({task.identity, task.user, true});
  }
  if (tasks.empty()) {
    std::printf("skipped: %s\n", results.notes.front().c_str());
    return kSkip;
  }
  bool all_well = true;
  for (const Task& task : tasks) all_well = run(options, task, results) && all_well;
  std::fputs((options.json ? as_json(results) : as_table(results)).c_str(), stdout);
  return all_well && !results.rows.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    options = parse(argc, argv);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "bench: not understood: %s\n%s", error.what(), kUsage);
    return 2;
  }
  try {
    return bench_main(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
