// The filter as a program, and the filter installed.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "bpf.hpp"
#include "in_child.hpp"
#include "isolation/golden_path.hpp"
#include "isolation/seccomp_table.hpp"

using namespace svm;
using namespace svm::isolation;
using test::in_child;
using test::run_filter;

namespace {

#ifdef __x86_64__
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif

struct Call {
  long number;
  uint64_t args[3] = {};
};

uint32_t simulate(Profile profile, const Call& call, uint32_t arch = kArch) {
  seccomp_data data{};
  data.nr = static_cast<int>(call.number);
  data.arch = arch;
  for (int i = 0; i < 3; ++i) data.args[i] = call.args[i];
  return run_filter(seccomp_filter(profile), data);
}

std::string action_name(uint32_t action) {
  if (action == SECCOMP_RET_ALLOW) return "allow";
  if (action == SECCOMP_RET_KILL_PROCESS) return "kill";
  if ((action & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO) return "other";
  switch (action & SECCOMP_RET_DATA) {
    case EPERM: return "EPERM";
    case ENOSYS: return "ENOSYS";
    case EINVAL: return "EINVAL";
    case EAFNOSUPPORT: return "EAFNOSUPPORT";
    case EPROTONOSUPPORT: return "EPROTONOSUPPORT";
    default: return "errno " + std::to_string(action & SECCOMP_RET_DATA);
  }
}

std::string standard(const Call& call) { return action_name(simulate(Profile::standard, call)); }

// --- asking the installed filter. An older filter, the shield, answers every call with an errno of its own. Of two errnos the kernel
// takes the newer filter's, and any errno wins over "allow": so no call is made, and its errno tells what the filter under test decided.

constexpr int kShieldErrno = 2021;
constexpr int kExitMagic = 0x5a;

/// Lets through the two calls that the child itself needs: exit_group(kExitMagic) and the installation of a filter with TSYNC.
bool install_shield() {
  constexpr unsigned kArg0 = offsetof(seccomp_data, args), kArg1 = kArg0 + 8;
  sock_filter code[] = {
      /* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      /* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 2),
      /* 2 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArg0),
      /* 3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kExitMagic, 6, 5),
      /* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 4),
      /* 5 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArg0),
      /* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_SET_MODE_FILTER, 0, 2),
      /* 7 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kArg1),
      /* 8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SECCOMP_FILTER_FLAG_TSYNC, 1, 0),
      /* 9 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | kShieldErrno),
      /* 10 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof code / sizeof code[0], code};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

/// Makes the calls where no memory can be had any more, which ThreadSanitizer would need for its trace.
__attribute__((no_sanitize("thread"))) void make_calls(const Call* calls, size_t count, int* results) {
  for (size_t i = 0; i < count; ++i) {
    const Call& c = calls[i];
    results[i] = ::syscall(c.number, c.args[0], c.args[1], c.args[2], 0, 0, 0) < 0 ? errno : 0;
  }
}

/// What the kernel, with the profile's filter installed, decides about each call.
std::vector<std::string> ask_kernel(Profile profile, const std::vector<Call>& calls) {
  const size_t bytes = calls.size() * sizeof(int);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* results = static_cast<int*>(memory);
  const int status = test::in_bare_child([&]() -> int {  // a thread that nothing is allowed to would end it
    if (set_no_new_privs() != 0 || !install_shield()) return 1;
    // From here the child can end in one way only; `results` keeps 0, "made!", if it ends early.
    if (install_seccomp(profile) != 0) ::syscall(SYS_exit_group, kExitMagic);
    make_calls(calls.data(), calls.size(), results);
    ::syscall(SYS_exit_group, kExitMagic);
    return 2;
  });
  REQUIRE(status == kExitMagic);
  std::vector<std::string> out;
  for (size_t i = 0; i < calls.size(); ++i) {
    out.push_back(results[i] == kShieldErrno ? "allow"
                  : results[i] == 0          ? "made!"
                                             : action_name(SECCOMP_RET_ERRNO | static_cast<uint32_t>(results[i])));
  }
  ::munmap(memory, bytes);
  return out;
}

/// The argument classes that the golden file lists, beside every number with zeros.
std::vector<std::pair<std::string, Call>> argument_cases() {
  constexpr uint64_t kHigh = 0xdeadbeef00000000ull;
  return {
      {"clone SIGCHLD", {SYS_clone, {SIGCHLD}}},
      {"clone thread", {SYS_clone, {0x3d0f00}}},
      {"clone NEWNS", {SYS_clone, {CLONE_NEWNS}}},
      {"clone NEWCGROUP", {SYS_clone, {CLONE_NEWCGROUP}}},
      {"clone NEWUTS", {SYS_clone, {CLONE_NEWUTS}}},
      {"clone NEWIPC", {SYS_clone, {CLONE_NEWIPC}}},
      {"clone NEWUSER", {SYS_clone, {CLONE_NEWUSER | SIGCHLD}}},
      {"clone NEWPID", {SYS_clone, {CLONE_NEWPID}}},
      {"clone NEWNET", {SYS_clone, {CLONE_NEWNET}}},
      {"clone high bits", {SYS_clone, {kHigh | SIGCHLD}}},
      {"clone high bits NEWUSER", {SYS_clone, {kHigh | CLONE_NEWUSER}}},
      {"ioctl TCGETS", {SYS_ioctl, {0, TCGETS}}},
      {"ioctl TIOCSTI", {SYS_ioctl, {0, TIOCSTI}}},
      {"ioctl TIOCLINUX", {SYS_ioctl, {0, TIOCLINUX}}},
      {"ioctl TIOCCONS", {SYS_ioctl, {0, TIOCCONS}}},
      {"ioctl high bits TIOCSTI", {SYS_ioctl, {0, kHigh | TIOCSTI}}},
      {"socket UNIX SEQPACKET", {SYS_socket, {AF_UNIX, SOCK_SEQPACKET, 0}}},
      {"socket INET STREAM", {SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0}}},
      {"socket INET DGRAM ICMP", {SYS_socket, {AF_INET, SOCK_DGRAM, 1}}},
      {"socket INET RAW", {SYS_socket, {AF_INET, SOCK_RAW, 1}}},
      {"socket INET RAW flags", {SYS_socket, {AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 1}}},
      {"socket INET6 STREAM TCP", {SYS_socket, {AF_INET6, SOCK_STREAM, 6}}},
      {"socket INET6 RAW", {SYS_socket, {AF_INET6, SOCK_RAW, 58}}},
      {"socket INET STREAM SCTP", {SYS_socket, {AF_INET, SOCK_STREAM, 132}}},
      {"socket INET STREAM MPTCP", {SYS_socket, {AF_INET, SOCK_STREAM, 262}}},
      {"socket INET high bits", {SYS_socket, {kHigh | AF_INET, kHigh | SOCK_STREAM, kHigh}}},
      {"socket NETLINK ROUTE", {SYS_socket, {AF_NETLINK, SOCK_RAW, 0}}},
      {"socket NETLINK AUDIT", {SYS_socket, {AF_NETLINK, SOCK_RAW, 9}}},
      {"socket PACKET", {SYS_socket, {AF_PACKET, SOCK_RAW, 0}}},
      {"socket ALG", {SYS_socket, {38, SOCK_SEQPACKET, 0}}},
      {"socket VSOCK", {SYS_socket, {40, SOCK_STREAM, 0}}},
      {"socketpair UNIX", {SYS_socketpair, {AF_UNIX, SOCK_STREAM}}},
      {"socketpair INET", {SYS_socketpair, {AF_INET, SOCK_STREAM}}},
      {"personality query", {SYS_personality, {0xffffffff}}},
      {"personality LINUX32", {SYS_personality, {8}}},
      {"personality UNAME26", {SYS_personality, {0x20000}}},
      {"personality UNAME26 LINUX32", {SYS_personality, {0x20008}}},
      {"personality NO_RANDOMIZE", {SYS_personality, {0x40000}}},
      {"personality READ_IMPLIES_EXEC", {SYS_personality, {0x400000}}},
      {"prctl SET_NAME", {SYS_prctl, {PR_SET_NAME}}},
      {"prctl SET_MM", {SYS_prctl, {PR_SET_MM}}},
      {"prctl SCHED_CORE", {SYS_prctl, {62}}},
      {"prctl SET_MEMORY_MERGE", {SYS_prctl, {67}}},
      {"prctl SET_MDWE", {SYS_prctl, {65}}},
      {"madvise DONTNEED", {SYS_madvise, {0, 0, MADV_DONTNEED}}},
      {"madvise MERGEABLE", {SYS_madvise, {0, 0, MADV_MERGEABLE}}},
      {"prlimit64 self", {SYS_prlimit64, {0}}},
      {"prlimit64 1", {SYS_prlimit64, {1}}},
      {"prlimit64 high bits self", {SYS_prlimit64, {kHigh}}},
      {"get_robust_list 1", {SYS_get_robust_list, {1}}},
      {"sched_setaffinity 1", {SYS_sched_setaffinity, {1}}},
      {"sched_setattr 1", {SYS_sched_setattr, {1}}},
      {"sched_setparam 1", {SYS_sched_setparam, {1}}},
      {"sched_setscheduler 1", {SYS_sched_setscheduler, {1}}},
      {"setpriority process self", {SYS_setpriority, {PRIO_PROCESS, 0}}},
      {"setpriority process 1", {SYS_setpriority, {PRIO_PROCESS, 1}}},
      {"setpriority group", {SYS_setpriority, {PRIO_PGRP, 0}}},
      {"setpriority user", {SYS_setpriority, {PRIO_USER, 0}}},
      {"ioprio_set process self", {SYS_ioprio_set, {1, 0}}},
      {"ioprio_set process 1", {SYS_ioprio_set, {1, 1}}},
      {"ioprio_set group", {SYS_ioprio_set, {2, 0}}},
#ifdef __x86_64__
      {"x32 getpid", {0x40000000 | SYS_getpid}},
      {"last number", {0x7fffffff}},
#endif
  };
}

constexpr long kLastGoldenNumber = 600;

/// uretprobe and uprobe: newer kernels pass them by every filter, and end a caller that is not their own trampoline with SIGILL.
constexpr bool never_filtered(long number) {
#ifdef __x86_64__
  return number == 335 || number == 336;
#else
  return number < 0;
#endif
}

}  // namespace

TEST_CASE("seccomp: the installed filter decides as the golden file says") {
#ifndef __x86_64__
  return test::skip("the golden file lists x86-64's numbers");
#endif
  std::vector<std::string> names;
  std::vector<Call> calls;
  for (long number = 0; number <= kLastGoldenNumber; ++number) {
    if (never_filtered(number)) continue;
    names.push_back(std::to_string(number));
    calls.push_back({number});
  }
  for (auto& [name, call] : argument_cases()) {
    names.push_back(name);
    calls.push_back(call);
  }
  const auto in_standard = ask_kernel(Profile::standard, calls);
  const auto in_debug = ask_kernel(Profile::debug, calls);
  CHECK(ask_kernel(Profile::build, calls) == in_standard);
  std::string text = "# call (arguments not named are 0): standard and build, debug if different\n";
  for (size_t i = 0; i < calls.size(); ++i) {
    text += names[i] + ": " + in_standard[i];
    if (in_debug[i] != in_standard[i]) text += ", debug " + in_debug[i];
    text += '\n';
  }
  if (std::getenv("STACYVM_ACCEPT_GOLDEN")) {
    std::ofstream(kSeccompGolden) << text;
    test::skip("the golden file was written, nothing was compared");
    std::fflush(nullptr);
    std::_Exit(77);  // Meson's "skipped": an accepting run never looks green
  }
  std::ifstream in(kSeccompGolden);
  REQUIRE_MESSAGE(in.good(), "no golden file; STACYVM_ACCEPT_GOLDEN=1 writes it");
  std::stringstream golden;
  golden << in.rdbuf();
  std::istringstream want(golden.str()), got(text);
  std::string wanted, found;
  while (std::getline(want, wanted)) {
    REQUIRE(std::getline(got, found));
    CHECK(found == wanted);
  }
  CHECK_FALSE(std::getline(got, found));
}

TEST_CASE("seccomp: the kernel and the simulation agree, on arguments nobody thought of too") {
  std::mt19937_64 random(20240601);
  std::vector<Call> calls;
  for (auto& [name, call] : argument_cases()) calls.push_back(call);
  const uint64_t interesting[] = {0, 1, 2, 10, 16, 62, 35, 0xffffffff, 0x100000000, 0x5412, 0x7e020000, ~0ull};
  for (int i = 0; i < 20'000; ++i) {
    Call call{static_cast<long>(random() % 700)};
    for (uint64_t& arg : call.args) arg = random() % 2 ? interesting[random() % std::size(interesting)] : random();
    if (call.number == SYS_seccomp || call.number == SYS_exit_group || never_filtered(call.number)) continue;  // the shield lets some of these through
    calls.push_back(call);
  }
  for (const Profile profile : {Profile::standard, Profile::debug}) {
    const auto answers = ask_kernel(profile, calls);
    for (size_t i = 0; i < calls.size(); ++i) {
      if (answers[i] == action_name(simulate(profile, calls[i]))) continue;
      FAIL_CHECK("call " << calls[i].number << ": kernel " << answers[i] << ", simulation " << action_name(simulate(profile, calls[i])));
    }
  }
}

TEST_CASE("seccomp: other architectures are killed, x32 and unknown numbers are absent") {
  for (const uint32_t arch : {static_cast<uint32_t>(AUDIT_ARCH_I386), static_cast<uint32_t>(AUDIT_ARCH_ARM), 0u, ~0u}) {
    CHECK(action_name(simulate(Profile::standard, {SYS_getpid}, arch)) == "kill");
  }
  for (long number = table::kLastKnownCall + 1; number < 5000; ++number) CHECK(standard({number}) == "ENOSYS");
  for (long number = 0; number < 1024; ++number) CHECK(standard({0x40000000 | number}) == "ENOSYS");
  for (const long number : {0x3fffffffL, 0x7fffffffL, 0x80000000L, 0xffffffffL}) CHECK(standard({number}) == "ENOSYS");
}

TEST_CASE("seccomp: each list of the table does what it says") {
  for (const long number : table::kAllowed) CHECK(standard({number, {~0ull, ~0ull, ~0ull}}) == "allow");
  for (const long number : table::kRefused) CHECK(standard({number}) == "EPERM");
  for (const long number : table::kAbsent) CHECK(standard({number}) == "ENOSYS");
  for (const long number : table::kDebugOnly) {
    CHECK(standard({number}) == "EPERM");
    CHECK(action_name(simulate(Profile::debug, {number})) == "allow");
  }
  for (const long number : table::kOwnProcessOnly) {
    CHECK(standard({number, {0}}) == "allow");
    for (int bit = 0; bit < 32; ++bit) CHECK(standard({number, {1ull << bit}}) == "EPERM");
  }
}

TEST_CASE("seccomp: every number that the headers know is in a list") {
  std::set<long> listed{SYS_clone, SYS_socket, SYS_socketpair, SYS_ioctl, SYS_personality, SYS_prctl, SYS_madvise, SYS_setpriority, SYS_ioprio_set};
  const auto add = [&](const auto& numbers) { listed.insert(std::begin(numbers), std::end(numbers)); };
  add(table::kAllowed);
  add(table::kRefused);
  add(table::kAbsent);
  add(table::kDebugOnly);
  add(table::kOwnProcessOnly);
#ifdef __x86_64__
  for (long number = 0; number <= 336; ++number) CHECK_MESSAGE(listed.count(number) == 1, "number " << number);
#endif
  for (long number = 424; number <= table::kLastKnownCall; ++number) CHECK_MESSAGE(listed.count(number) == 1, "number " << number);
}

TEST_CASE("seccomp: clone, bit by bit") {
  for (int bit = 0; bit < 64; ++bit) {
    const bool makes_namespace = bit < 32 && (0x7E020000u >> bit & 1) != 0;
    CHECK(standard({SYS_clone, {1ull << bit}}) == (makes_namespace ? "EPERM" : "allow"));
  }
}

TEST_CASE("seccomp: sockets, every family, type and protocol") {
  for (uint64_t family = 0; family < 64; ++family) {
    for (uint64_t type = 0; type < 16; ++type) {
      for (uint64_t protocol = 0; protocol < 300; ++protocol) {
        const std::set<uint64_t> usual{0, 1, 6, 17, 58};
        std::string want = "EAFNOSUPPORT";
        if (family == AF_UNIX || (family == AF_NETLINK && protocol == 0)) want = "allow";
        if (family == AF_INET || family == AF_INET6) {
          want = type != SOCK_STREAM && type != SOCK_DGRAM ? "EPERM" : usual.count(protocol) ? "allow" : "EPROTONOSUPPORT";
        }
        const std::string got = standard({SYS_socket, {family, type | SOCK_NONBLOCK, protocol}});
        if (got != want) FAIL_CHECK("socket(" << family << ", " << type << ", " << protocol << "): " << got);
      }
    }
  }
}

TEST_CASE("seccomp: the search is short and the program well inside its bound") {
  for (const Profile profile : {Profile::standard, Profile::debug}) {
    const SeccompFilter& filter = seccomp_filter(profile);
    unsigned most = 0;
    for (long number = 0; number < 600; ++number) {
      seccomp_data data{};
      data.nr = static_cast<int>(number);
      data.arch = kArch;
      unsigned steps = 0;
      run_filter(filter, data, &steps);
      most = std::max(most, steps);
    }
    std::printf("filter: %u instructions, at most %u run\n", filter.length, most);
    CHECK(most <= 30);
    CHECK(filter.length < kMaxFilterLength);
  }
}

// --- installed

namespace {
int lock_down(Profile profile = Profile::standard) {
  if (const int error = set_no_new_privs()) return error;
  return install_seccomp(profile);
}
}  // namespace

TEST_CASE("seccomp: needs no_new_privs or privilege, and says so") {
  if (::getuid() != 0) return test::skip("needs root to become an ordinary user");
  CHECK(in_child([]() -> int {
          if (::setresuid(65534, 65534, 65534) != 0) return 99;
          return -install_seccomp(Profile::standard);
        }) == EACCES);
}

TEST_CASE("seccomp: what the agent lives on works under the filter") {
  CHECK(in_child([]() -> int {
          if (lock_down() != 0) return 1;
          const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
          const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
          sigset_t set;
          ::sigemptyset(&set);
          ::sigaddset(&set, SIGUSR1);
          ::sigprocmask(SIG_BLOCK, &set, nullptr);
          const int signals = ::signalfd(-1, &set, SFD_CLOEXEC);
          epoll_event event{EPOLLIN, {}};
          if (epoll < 0 || timer < 0 || signals < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, signals, &event) < 0) return 2;
          ::kill(::getpid(), SIGUSR1);
          if (::epoll_wait(epoll, &event, 1, 1000) != 1) return 3;
          const int memfd = ::memfd_create("x", MFD_CLOEXEC);
          char directory[] = "/tmp/seccomp-XXXXXX";
          if (memfd < 0 || !::mkdtemp(directory)) return 4;
          const int at = ::open(directory, O_PATH | O_DIRECTORY);
          const int temporary = ::openat(at, ".", O_TMPFILE | O_RDWR, 0600);
          if (temporary < 0 || ::write(temporary, "x", 1) != 1) return 5;
          const std::string link = "/proc/self/fd/" + std::to_string(temporary);
          if (::linkat(AT_FDCWD, link.c_str(), at, "a", AT_SYMLINK_FOLLOW) < 0) return 6;
          if (::syscall(SYS_renameat2, at, "a", at, "b", 1 /* RENAME_NOREPLACE */) < 0) return 7;
          OpenHow how{O_RDONLY, 0, kResolveBeneath};
          if (::syscall(kSysOpenat2, at, "b", &how, sizeof how) < 0) return 8;
          ::unlinkat(at, "b", 0);
          ::rmdir(directory);
          if (::prctl(PR_SET_NAME, "agent") < 0 || set_undumpable() != 0) return 9;
          int pair[2];
          if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return 10;
          if (::socket(AF_INET, SOCK_STREAM, 0) < 0 || ::socket(AF_NETLINK, SOCK_RAW, 0) < 0) return 11;
          if (::syscall(SYS_setfsuid, 65534) < 0 || ::syscall(SYS_setfsgid, 65534) < 0) return 12;
          return 0;
        }) == 0);
}

TEST_CASE("seccomp: threads, spawn and a shell pipeline work under the filter") {
  CHECK(in_child([]() -> int {
          if (lock_down() != 0) return 1;
          pthread_t thread;
          void* result = nullptr;
          if (::pthread_create(&thread, nullptr, [](void* p) { return p; }, &result) != 0) return 2;
          ::pthread_join(thread, nullptr);
          char shell[] = "/bin/sh", flag[] = "-c", script[] = "test \"$(echo abc | tr a-c A-C)\" = ABC && (exit 3)";
          char* argv[] = {shell, flag, script, nullptr};
          pid_t pid;
          if (::posix_spawn(&pid, "/bin/sh", nullptr, nullptr, argv, environ) != 0) return 4;
          int status;
          if (::waitpid(pid, &status, 0) != pid) return 5;
          return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 0 : 6;
        }) == 0);
}

TEST_CASE("seccomp: attacks are refused") {
  CHECK(in_child([]() -> int {
          if (lock_down() != 0) return 100;
          const auto refused = [](long result, int error) { return result < 0 && errno == error; };
          if (!refused(::unshare(CLONE_NEWUSER), EPERM)) return 1;
          if (!refused(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM)) return 2;
          if (!refused(::syscall(kSysClone3, nullptr, 0), ENOSYS)) return 3;
          if (!refused(::syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), EPERM)) return 4;
          if (!refused(::socket(AF_PACKET, SOCK_RAW, 0), EAFNOSUPPORT)) return 5;
          if (!refused(::socket(AF_INET, SOCK_RAW, 1), EPERM)) return 6;
          char byte = 'x';
          if (!refused(::syscall(SYS_ioctl, 0, 0x100000000ull | TIOCSTI, &byte), EPERM)) return 7;
          const rlimit limit{1, 1};
          if (!refused(::syscall(SYS_prlimit64, ::getppid(), RLIMIT_CPU, &limit, nullptr), EPERM)) return 8;
          if (!refused(::setpriority(PRIO_PROCESS, static_cast<id_t>(::getppid()), 1), EPERM)) return 9;
          if (!refused(::syscall(SYS_keyctl, 1, 0, 0, 0, 0), EPERM)) return 10;
          if (!refused(::syscall(SYS_bpf, 0, nullptr, 0), EPERM)) return 11;
          if (!refused(::syscall(SYS_io_uring_setup, 1, nullptr), ENOSYS)) return 12;
          if (!refused(::chroot("/"), EPERM)) return 13;
          return 0;
        }) == 0);
}

TEST_CASE("seccomp: the debug profile lets a parent trace its child") {
  CHECK(in_child([]() -> int {
          if (lock_down(Profile::debug) != 0) return 1;
          return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 ? 0 : 2;
        }) == 0);
}

TEST_CASE("seccomp: threads that exist already come under the filter") {
  CHECK(in_child([]() -> int {
          static std::atomic<int> stage{0};
          pthread_t thread;
          const auto body = [](void*) -> void* {
            while (stage != 1) ::sched_yield();
            return ::chroot("/") < 0 && errno == EPERM ? nullptr : &stage;
          };
          if (::pthread_create(&thread, nullptr, body, nullptr) != 0) return 1;
          if (lock_down() != 0) return 2;
          stage = 1;
          void* result;
          ::pthread_join(thread, &result);
          return result == nullptr ? 0 : 3;
        }) == 0);
}

#ifdef __x86_64__
TEST_CASE("seccomp: the 32-bit entry ends the process") {
  const auto old_getpid = []() -> int {
    long result;
    asm volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    return result == ::getpid() ? 0 : 1;
  };
  if (in_child(old_getpid) != 0) return test::skip("this kernel has no 32-bit entry");
  CHECK(in_child([&]() -> int { return lock_down() != 0 ? 2 : old_getpid(); }) == 1000 + SIGSYS);
}
#endif

TEST_CASE("seccomp: the cost of a call") {
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  const auto measure = [&](bool filtered) {
    double ns = 0;
    CHECK(in_child([&]() -> int {
            if (filtered && lock_down() != 0) return 1;
            double best = 1e9;
            // Many short rounds: on a busy machine some are not interrupted.
            constexpr int kRounds = 500, kCalls = 1000;
            for (int round = 0; round < kRounds; ++round) {
              const auto start = std::chrono::steady_clock::now();
              for (int i = 0; i < kCalls; ++i) ::syscall(SYS_getppid);
              best = std::min(best, std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count() / kCalls);
            }
            return ::write(fds[1], &best, sizeof best) == sizeof best ? 0 : 2;
          }) == 0);
    REQUIRE(::read(fds[0], &ns, sizeof ns) == sizeof ns);
    return ns;
  };
  const double plain = measure(false), filtered = measure(true);
  std::printf("getppid: %.0f ns, filtered %.0f ns\n", plain, filtered);
  CHECK(filtered < plain + 1000);
  ::close(fds[0]);
  ::close(fds[1]);
}
