// Each thing the host may lack is taken away from a child of this program; the report, spawn and the `enforced` list must then change together.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <map>

#include "lab.hpp"

using namespace svm::test;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr long kLandlockCreateRuleset = 444, kMountSetattr = 442, kClone3 = 435;

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// --- what is taken away: "" or why it could not be

std::string failed(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

/// The call answers with the errno, always or when its first argument has one of the bits.
std::string deny(long number, int error, uint32_t bits = 0) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  if (bits == 0) code[3] = BPF_STMT(BPF_JMP | BPF_JA, 0);
  const sock_fprog program{sizeof code / sizeof *code, code};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? "" : failed("seccomp");
}

bool write_text(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

/// A user namespace that maps this user only, as itself. The caller goes on in a child, whose end becomes its own: clone and not unshare,
/// because a sanitizer has a thread in every forked process, and those may not unshare.
std::string own_user_namespace() {
  const std::string uid = std::to_string(geteuid()), gid = std::to_string(getegid());
  const auto child = static_cast<pid_t>(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child < 0) return failed("user namespace");
  if (child > 0) {
    int status = 0;
    _exit(waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  if (!write_text("/proc/self/setgroups", "deny") || !write_text("/proc/self/uid_map", uid + ' ' + uid + " 1") ||
      !write_text("/proc/self/gid_map", gid + ' ' + gid + " 1"))
    return failed("id map");
  return "";
}

/// Mounts that nobody else sees. An ordinary user needs a user namespace for them.
std::string own_mounts() {
  if (geteuid() != 0)
    if (const std::string why = own_user_namespace(); !why.empty()) return why;
  if (unshare(CLONE_NEWNS) != 0) return failed("mount namespace");
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? "" : failed("private mounts");
}

std::string no_cgroups() {
  if (const std::string why = own_mounts(); !why.empty()) return why;
  return mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, nullptr) == 0 ? "" : failed("tmpfs over /sys/fs/cgroup");
}

/// As container engines do it: then the kernel gives no fresh proc to a new user namespace.
std::string over_mounted_proc() {
  if (const std::string why = own_mounts(); !why.empty()) return why;
  return mount("tmpfs", "/proc/fs", "tmpfs", 0, nullptr) == 0 ? "" : failed("tmpfs over /proc/fs");
}

std::string no_more_user_namespaces() {
  if (const std::string why = own_user_namespace(); !why.empty()) return why;
  return write_text("/proc/sys/user/max_user_namespaces", "0") ? "" : failed("max_user_namespaces");
}

std::string without_capability(int number, bool for_ever) {
  if (for_ever && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return failed("bounding set");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return failed("capget");
  data[0].effective &= ~(1u << number);
  data[0].permitted &= ~(1u << number);
  return syscall(SYS_capset, &header, data) == 0 ? "" : failed("capset");
}

// --- what the child sees through the public interface

using Answers = std::map<std::string, std::string>;

/// "CODE message details", or "" when it went well.
std::string failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const stacyvm::Error& error) {
    return error.name() + ' ' + error.what() + ' ' + error.details();
  }
  return "";
}

void use_sandboxes(stacyvm::Session& session, Answers& answers) {
  const auto try_spawn = [&](const char* name, auto change) {
    auto options = spawn_options();
    change(options);
    answers[name] = failure_of([&] { session.spawn(options).destroy(); });
  };
  answers["spawn"] = failure_of([&] {
    auto sandbox = session.spawn(spawn_options());
    answers["info"] = sandbox.info();
    answers["echo"] = sandbox.exec(stacyvm::Exec::sh("echo works")).out;
    auto other = stacyvm::Exec::sh("id -u");
    other.user = "65534";
    answers["other user"] = failure_of([&] { answers["other uid"] = sandbox.exec(other).out; });
    sandbox.destroy();
  });
  const std::pair<const char*, std::function<void(stacyvm::Spawn&)>> limits[] = {
      {"memory", [](stacyvm::Spawn& s) { s.memory_bytes = 256 * kMiB; s.disk_bytes = 64 * kMiB; }},
      {"cpu", [](stacyvm::Spawn& s) { s.milli_cpus = 500; }},
      {"pids", [](stacyvm::Spawn& s) { s.pids = 64; }},
  };
  for (const auto& [name, set] : limits) {
    try_spawn(name, set);
    try_spawn((std::string(name) + " best effort").c_str(), [&](stacyvm::Spawn& s) {
      set(s);
      s.flags = STACYVM_SPAWN_BEST_EFFORT;
    });
  }
}

Answers ask() {
  Answers answers;
  answers["report failed"] = failure_of([&] { answers["report"] = stacyvm::host_report(); });
  answers["open"] = failure_of([&] {
    stacyvm::Instance vm;
    auto session = vm.session();
    use_sandboxes(session, answers);
  });
  return answers;
}

/// Texts, each with its length before it.
void put(std::string& out, const std::string& text) {
  const size_t size = text.size();
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += text;
}

std::string get(std::string_view& in) {
  size_t size = 0;
  REQUIRE(in.size() >= sizeof size);
  std::memcpy(&size, in.data(), sizeof size);
  in.remove_prefix(sizeof size);
  REQUIRE(in.size() >= size);
  const std::string text(in.substr(0, size));
  in.remove_prefix(size);
  return text;
}

/// What a child sees after `take`; empty, with the reason printed, when it cannot be taken away here.
Answers seen_without(const std::function<std::string()>& take) {
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  std::fflush(nullptr);  // or the child's exit may print it again
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::string out;
    const std::string why = take();
    put(out, why);
    if (why.empty())
      for (const auto& [name, text] : ask()) {
        put(out, name);
        put(out, text);
      }
    for (size_t at = 0; at < out.size();) {
      const ssize_t n = write(ends[1], out.data() + at, out.size() - at);
      if (n <= 0) _exit(1);
      at += static_cast<size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  std::string bytes;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) bytes.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  // Also where sandboxes could not even be begun: a group carries the process id of its owner at its end.
  CHECK(within(5000, [&] { return groups_ending("-" + std::to_string(child)) == 0; }));
  std::string_view in = bytes;
  const std::string why = get(in);
  if (!why.empty()) {
    MESSAGE("SKIPPED: cannot be taken away here: " << why);
    return {};
  }
  Answers answers;
  while (!in.empty()) {
    const std::string name = get(in);
    answers[name] = get(in);
  }
  CHECK(answers["report failed"] == "");
  return answers;
}

const Answers& untouched() {
  static const Answers answers = seen_without([] { return std::string(); });
  return answers;
}

struct Row {
  bool ok = false;
  std::string text;
};

Row row(const Answers& answers, const std::string& name) {
  const std::string& report = answers.at("report");
  const size_t at = report.find("{\"name\":\"" + name + '"');
  REQUIRE(at != report.npos);
  Row found;
  found.text = report.substr(at, report.find('}', at) - at);
  found.ok = has(found.text, "\"ok\":true");
  // A refusal has a reason for programs and one for people.
  if (!found.ok) CHECK((has(found.text, "\"errno\":") && has(found.text, "\"detail\":\"")));
  return found;
}

/// A list of the sandbox's record, in brackets.
std::string list(const Answers& answers, const char* name) {
  const std::string& info = answers.at("info");
  const size_t at = info.find(std::string("\"") + name + "\":[");
  REQUIRE(at != info.npos);
  return info.substr(at, info.find(']', at) - at);
}
bool enforced(const Answers& answers, const std::string& what) { return has(list(answers, "enforced"), '"' + what + '"'); }
bool unenforced(const Answers& answers, const std::string& what) { return has(list(answers, "unenforced"), '"' + what + ": "); }

/// A sandbox ran, and for everything that has a row and a name in the list both say the same.
void check_agreement(const Answers& answers) {
  CHECK(answers.at("open") == "");
  CHECK(answers.at("spawn") == "");
  REQUIRE(answers.count("info") == 1);
  CHECK(answers.at("echo") == "works\n");
  CAPTURE(answers.at("info"));
  struct Pair {
    const char* row;
    const char* enforced;
    bool noted;  // in `unenforced` when it is not
  };
  for (const Pair& pair : {Pair{"cgroup_memory", "memory", true}, Pair{"cgroup_swap", "swap", true}, Pair{"cgroup_cpu", "cpu", true},
                           Pair{"id_range", "id_range", true}, Pair{"landlock", "landlock", true}, Pair{"seccomp_filter", "seccomp", false},
                           Pair{"keyring", "keyring", false}, Pair{"no_new_privs", "no_new_privs", false}, Pair{"disk_limit", "disk_limit", false},
                           Pair{"user_namespace", "user_namespace", false}, Pair{"net_namespace", "net_namespace", false},
                           Pair{"cgroup_namespace", "cgroup_namespace", false}, Pair{"proc_mount", "fresh_proc", false}}) {
    const Row found = row(answers, pair.row);
    CAPTURE(found.text);
    CHECK(found.ok == enforced(answers, pair.enforced));
    if (pair.noted) CHECK(found.ok != unenforced(answers, pair.enforced));
  }
  const bool ranges = enforced(answers, "id_range");
  // Without root the kernel counts processes per user and sandbox, so that a group is not needed.
  CHECK(enforced(answers, "pids") == (row(answers, "cgroup_pids").ok || !ranges));
  CHECK(enforced(answers, "pids") != unenforced(answers, "pids"));
  CHECK(enforced(answers, "user_per_exec") == ranges);
  if (ranges)
    CHECK(answers.at("other uid") == "65534\n");
  else
    CHECK(has(answers.at("other user"), "UNSUPPORTED "));
  // A limit that the caller writes: enforced, or an error that names the field. Best effort always goes.
  const std::pair<const char*, const char*> fields[] = {{"memory", "memory_mb"}, {"cpu", "vcpus"}, {"pids", "pids"}};
  for (const auto& [limit, field] : fields) {
    CAPTURE(std::string(limit));
    CHECK(answers.at(std::string(limit) + " best effort") == "");
    if (enforced(answers, limit)) {
      CHECK(answers.at(limit) == "");
    } else {
      CHECK(has(answers.at(limit), "UNSUPPORTED "));
      CHECK(has(answers.at(limit), std::string("\"field\":\"") + field + '"'));
    }
  }
}

/// No sandbox: opening or the spawn failed, with `code` and the step that failed.
void check_refused(const Answers& answers, const char* code, std::initializer_list<const char*> steps) {
  const std::string& why = answers.at("open") == "" ? answers.at("spawn") : answers.at("open");
  CAPTURE(why);
  CHECK(has(why, std::string(code) + ' '));
  bool named = false;
  for (const char* step : steps) named = named || (has(why, std::string("\"step\":\"") + step + '"') && has(why, std::string(": ") + step));
  CHECK(named);
  CHECK(answers.count("info") == 0);
}

}  // namespace

#define SVM_NATIVE_ONLY() SVM_SKIP_UNLESS(provider() == "native", "the report is about native sandboxes")
#define SVM_SKIP_UNLESS_TAKEN(answers) \
  if (answers.empty()) return;

TEST_CASE("nothing taken away: report, spawn and enforced agree") {
  SVM_NATIVE_ONLY();
  check_agreement(untouched());
}

TEST_CASE("without Landlock a sandbox goes without, and says so") {
  SVM_NATIVE_ONLY();
  SVM_SKIP_UNLESS(row(untouched(), "landlock").ok, "this kernel has no Landlock to take away");
  for (const int error : {ENOSYS, EOPNOTSUPP}) {
    const Answers answers = seen_without([&] { return deny(kLandlockCreateRuleset, error); });
    SVM_SKIP_UNLESS_TAKEN(answers);
    CHECK_FALSE(row(answers, "landlock").ok);
    check_agreement(answers);
  }
}

TEST_CASE("without control groups only the default limits are let go") {
  SVM_NATIVE_ONLY();
  const Answers answers = seen_without(no_cgroups);
  SVM_SKIP_UNLESS_TAKEN(answers);
  for (const char* name : {"cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids"}) CHECK_FALSE(row(answers, name).ok);
  check_agreement(answers);
}

TEST_CASE("where /proc is covered there is no sandbox without a proc of its own") {
  SVM_NATIVE_ONLY();
  SVM_SKIP_UNLESS(row(untouched(), "proc_mount").ok, "a new user namespace gets no fresh proc here to begin with");
  const Answers answers = seen_without(over_mounted_proc);
  SVM_SKIP_UNLESS_TAKEN(answers);
  CHECK_FALSE(row(answers, "proc_mount").ok);
  CHECK(row(answers, "user_namespace").ok);
  CHECK(answers.at("open") == "");
  check_refused(answers, "UNAVAILABLE", {"mount_proc"});
}

TEST_CASE("without mount_setattr nothing of the host could be shown read-only, so there is no sandbox") {
  SVM_NATIVE_ONLY();
  const Answers answers = seen_without([] { return deny(kMountSetattr, ENOSYS); });
  SVM_SKIP_UNLESS_TAKEN(answers);
  CHECK_FALSE(row(answers, "mount_setattr").ok);
  CHECK_FALSE(row(answers, "idmapped_mount").ok);
  check_refused(answers, "UNAVAILABLE", {"mount_private"});
}

TEST_CASE("a step that the kernel refuses is named: clone3, namespaces, seccomp") {
  SVM_NATIVE_ONLY();
  const auto refused = [](const std::function<std::string()>& take, const char* name, const char* code, std::initializer_list<const char*> steps) {
    CAPTURE(std::string(name));
    const Answers answers = seen_without(take);
    SVM_SKIP_UNLESS_TAKEN(answers);
    CHECK_FALSE(row(answers, name).ok);
    check_refused(answers, code, steps);
  };
  refused([] { return deny(kClone3, ENOSYS); }, "clone3", "UNAVAILABLE", {"clone"});
  // As container engines forbid it: what clone3 is asked for no filter can see, so that is gone altogether.
  refused(
      [] {
        std::string why = deny(kClone3, ENOSYS);
        if (why.empty()) why = deny(SYS_clone, EPERM, CLONE_NEWUSER);
        return why.empty() ? deny(SYS_unshare, EPERM, CLONE_NEWUSER) : why;
      },
      "user_namespace", "UNAVAILABLE", {"user_namespace", "clone"});
  refused(no_more_user_namespaces, "user_namespace", "UNAVAILABLE", {"user_namespace"});
  refused([] { return deny(SYS_seccomp, EPERM); }, "seccomp_filter", "UNAVAILABLE", {"seccomp"});
  refused([] { return deny(SYS_keyctl, EPERM); }, "keyring", "UNAVAILABLE", {"join_keyring"});
}

TEST_CASE("a root that may not give ids away has sandboxes as an ordinary user has them") {
  SVM_NATIVE_ONLY();
  SVM_SKIP_UNLESS(row(untouched(), "id_range").ok, "this user cannot give sandboxes ids of their own to begin with");
  const auto one_id = [](const std::function<std::string()>& take) {
    const Answers answers = seen_without(take);
    SVM_SKIP_UNLESS_TAKEN(answers);
    CHECK_FALSE(row(answers, "id_range").ok);
    check_agreement(answers);
  };
  for (const int capability : {CAP_SETUID, CAP_SETGID, CAP_KILL}) one_id([&] { return without_capability(capability, true); });
  one_id(own_user_namespace);
  // What is only laid aside comes back when root executes the launcher.
  const Answers answers = seen_without([] { return without_capability(CAP_SETUID, false); });
  SVM_SKIP_UNLESS_TAKEN(answers);
  CHECK(row(answers, "id_range").ok);
  check_agreement(answers);
}
