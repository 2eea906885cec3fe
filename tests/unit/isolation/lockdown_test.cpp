// Capabilities, flags, keyring, Landlock and resource limits: each given up in a child that then tries to have it back.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "in_child.hpp"
#include "isolation/lockdown.hpp"
#include "isolation/syscalls.hpp"

using namespace svm;
using namespace svm::isolation;
using test::in_child;

namespace {

bool root() {
  if (::getuid() == 0) return true;
  test::skip("needs root");
  return false;
}

struct Capabilities {
  uint64_t permitted = 0, effective = 0, inheritable = 0;
};
Capabilities own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (::syscall(SYS_capget, &header, data) != 0) return {~0ull, ~0ull, ~0ull};
  return {data[0].permitted | uint64_t{data[1].permitted} << 32, data[0].effective | uint64_t{data[1].effective} << 32,
          data[0].inheritable | uint64_t{data[1].inheritable} << 32};
}

uint64_t bounding_set() {
  uint64_t set = 0;
  for (int number = 0; number < 64; ++number) {
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) set |= capability(number);
  }
  return set;
}

/// Exit status of a shell that looks at its own effective set.
int exec_and_compare(const char* expected) {
  const std::string script = std::string("grep -q '^CapEff:[[:space:]]*") + expected + "$' /proc/self/status";
  ::execl("/bin/sh", "sh", "-c", script.c_str(), nullptr);
  return 127;
}

struct Directory {
  std::string path;
  Directory() {
    char name[] = "/tmp/lockdown-XXXXXX";
    REQUIRE(::mkdtemp(name));
    path = name;
  }
  ~Directory() { CHECK(std::system(("rm -rf '" + path + "'").c_str()) == 0); }
  std::string operator/(const char* name) const { return path + "/" + name; }
};

constexpr uint64_t kBuildSet = 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE | 1ull << CAP_FOWNER | 1ull << CAP_SETUID | 1ull << CAP_SETGID;

}  // namespace

TEST_CASE("capabilities: the profiles' sets") {
  CHECK(profile_capabilities(Profile::standard) == 0);
  CHECK(profile_capabilities(Profile::debug) == 0);
  CHECK(profile_capabilities(Profile::build) == kBuildSet);
}

TEST_CASE("capabilities: the bounding set keeps what it is told, and cannot be raised again") {
  if (!root()) return;
  CHECK(in_child([]() -> int {
          const uint64_t before = bounding_set();
          if (reduce_bounding_set(kBuildSet) != 0) return 1;
          if (bounding_set() != (before & kBuildSet)) return 2;
          if (reduce_bounding_set(~0ull) != 0 || bounding_set() != (before & kBuildSet)) return 3;
          if (reduce_bounding_set(0) != 0 || bounding_set() != 0) return 4;
          return 0;
        }) == 0);
}

TEST_CASE("capabilities: the last number counts too") {
  if (!root()) return;
  CHECK(in_child([]() -> int {
          int last = 0;
          while (::prctl(PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) ++last;
          const uint64_t had = bounding_set() & capability(last);
          if (reduce_bounding_set(capability(last)) != 0) return 1;
          return bounding_set() == had ? 0 : 2;
        }) == 0);
}

TEST_CASE("capabilities: without privilege the bounding set stays, and that is an error") {
  if (!root()) return;
  CHECK(in_child([]() -> int { return ::setresuid(65534, 65534, 65534) != 0 ? 99 : -reduce_bounding_set(0); }) == EPERM);
}

TEST_CASE("capabilities: root regains everything by exec unless the bounding set is empty") {
  if (!root()) return;
  CHECK(in_child([]() -> int {
          if (set_capabilities(0, 0, 0) != 0) return 1;
          return exec_and_compare("0000000000000000");
        }) == 1);  // regained: the trap this guards against
  CHECK(in_child([]() -> int {
          if (reduce_bounding_set(0) != 0 || set_capabilities(0, 0, 0) != 0 || set_no_new_privs() != 0) return 2;
          return exec_and_compare("0000000000000000");
        }) == 0);
}

TEST_CASE("capabilities: sets are exact, in both words, and raising is refused") {
  if (!root()) return;
  CHECK(in_child([]() -> int {
          const uint64_t kept = capability(CAP_CHOWN) | capability(CAP_BLOCK_SUSPEND);  // numbers 0 and 36
          if (set_capabilities(kept, capability(CAP_CHOWN), kept) != 0) return 1;
          const Capabilities now = own_capabilities();
          if (now.permitted != kept || now.effective != capability(CAP_CHOWN) || now.inheritable != kept) return 2;
          if (set_capabilities(kept | capability(CAP_KILL), 0, 0) != -EPERM) return 3;
          if (raise_ambient(kept) != 0) return 4;
          if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_BLOCK_SUSPEND, 0, 0) != 1) return 5;
          if (raise_ambient(capability(CAP_KILL)) != -EPERM) return 6;
          // Clearing the ambient set is part of reducing the bounding set, for which SETPCAP is gone: an error, not a shrug.
          return reduce_bounding_set(0) == -EPERM ? 0 : 7;
        }) == 0);
}

TEST_CASE("capabilities: the build profile's set reaches a command that is not root") {
  if (!root()) return;
  CHECK(in_child([]() -> int {
          const uint64_t set = profile_capabilities(Profile::build);
          if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || reduce_bounding_set(set) != 0) return 2;
          if (::setresuid(1000, 1000, 1000) != 0) return 3;
          if (set_capabilities(set, set, set) != 0 || raise_ambient(set) != 0) return 4;
          return exec_and_compare("00000000000000cb");
        }) == 0);
}

TEST_CASE("flags: no_new_privs and dumpable") {
  CHECK(in_child([]() -> int {
          if (set_no_new_privs() != 0 || ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 1;
          if (set_undumpable() != 0 || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return 2;
          return 0;
        }) == 0);
}

TEST_CASE("keyring: a key of the old session is out of reach in the new one") {
  const int status = in_child([]() -> int {
    if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) return errno == ENOSYS ? 77 : 1;
    const long key = ::syscall(SYS_add_key, "user", "secret", "x", 1, KEY_SPEC_SESSION_KEYRING);
    if (key < 0) return 2;
    char byte;
    const auto read = [&] { return ::syscall(SYS_keyctl, KEYCTL_READ, key, &byte, 1); };
    if (in_child([&]() -> int { return read() == 1 ? 0 : 1; }) != 0) return 3;  // a child can: that is the danger
    return in_child([&]() -> int {
             if (join_new_session_keyring() != 0) return 4;
             // Root owns the key and may still reach it by permission; an ordinary user of the sandbox may not.
             if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 5;
             return read() < 0 && (errno == EACCES || errno == EPERM) ? 0 : 6;
           });
  });
  if (status == 77) return test::skip("this kernel has no keyrings");
  CHECK(status == 0);
}

TEST_CASE("rlimits: set, lowered, and never above the hard limit") {
  CHECK(in_child([]() -> int {
          Rlimits limits;
          limits.open_files = 40;
          limits.processes = 30;
          if (set_rlimits(limits) != 0) return 1;
          const auto is = [](__rlimit_resource_t resource, rlim_t value) {
            rlimit limit;
            return ::getrlimit(resource, &limit) == 0 && limit.rlim_cur == value && limit.rlim_max == value;
          };
          if (!is(RLIMIT_NOFILE, 40) || !is(RLIMIT_NPROC, 30) || !is(RLIMIT_CORE, 0) || !is(RLIMIT_RTPRIO, 0) || !is(RLIMIT_NICE, 0)) return 2;
          rlimit limit;
          if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_max > 64 * 1024) return 3;
          if (::getrlimit(RLIMIT_MSGQUEUE, &limit) != 0 || limit.rlim_max > 800 * 1024) return 4;
          if (::getrlimit(RLIMIT_SIGPENDING, &limit) != 0 || limit.rlim_max > 4096) return 5;
          if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return 6;
          int last = -1, fd;
          while ((fd = ::open("/dev/null", O_RDONLY)) >= 0) last = fd;
          if (last != 39 || errno != EMFILE) return 7;  // at the limit, and one beyond
          limits.open_files = 41;
          limits.processes = 0;
          if (set_rlimits(limits) != 0 || !is(RLIMIT_NOFILE, 40) || !is(RLIMIT_NPROC, 30)) return 8;
          return 0;
        }) == 0);
}

// --- Landlock

namespace {

/// False, with the reason printed, where the kernel has none; asked without this layer's code.
bool landlock_here() {
  const long version = syscall_result(kSysLandlockCreateRuleset, nullptr, size_t{0}, kLandlockCreateRulesetVersion);
  if (version >= 2) return true;
  std::printf("skipped: no usable Landlock: %ld\n", version);
  return false;
}

int enter_domain() {
  uint32_t abi = 0;
  if (const int error = set_no_new_privs()) return error;
  if (const int error = install_landlock(&abi)) return error;
  return abi >= 2 ? 0 : -EPROTO;
}

}  // namespace

TEST_CASE("landlock: ordinary work goes on as the file modes say") {
  if (!landlock_here()) return;
  const Directory directory;
  CHECK(in_child([&]() -> int {
          if (enter_domain() != 0) return 1;
          const int fd = ::open((directory / "a").c_str(), O_CREAT | O_RDWR, 0600);
          if (fd < 0 || ::write(fd, "xy", 2) != 2 || ::ftruncate(fd, 1) != 0 || ::truncate((directory / "a").c_str(), 0) != 0) return 2;
          if (::mkdir((directory / "d").c_str(), 0700) != 0) return 3;
          if (::rename((directory / "a").c_str(), (directory / "d/b").c_str()) != 0) return 4;  // to another directory
          if (::link((directory / "d/b").c_str(), (directory / "l").c_str()) != 0) return 5;
          if (::symlink("l", (directory / "s").c_str()) != 0 || ::mkfifo((directory / "f").c_str(), 0600) != 0) return 6;
          sockaddr_un address{AF_UNIX, {}};
          std::snprintf(address.sun_path, sizeof address.sun_path, "%s/u", directory.path.c_str());
          const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
          if (::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 7;
          if (::unlink((directory / "l").c_str()) != 0 || ::unlink((directory / "d/b").c_str()) != 0 || ::rmdir((directory / "d").c_str()) != 0) return 8;
          if (in_child([]() -> int { return ::execl("/bin/true", "true", nullptr); }) != 0) return 9;
          int waiting;
          const int null = ::open("/dev/null", O_RDWR);
          if (null < 0 || ::ioctl(null, FIONREAD, &waiting) == 0 || errno != ENOTTY) return 10;  // the device itself answered
          return 0;
        }) == 0);
}

TEST_CASE("landlock: no device nodes, no mounts, no ioctl on a device outside /dev") {
  if (!landlock_here() || !root()) return;
  const Directory directory;
  const long abi = syscall_result(kSysLandlockCreateRuleset, nullptr, size_t{0}, kLandlockCreateRulesetVersion);
  const bool node = ::mknod((directory / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0;
  CHECK(in_child([&]() -> int {
          if (enter_domain() != 0) return 1;
          if (::mknod((directory / "c").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0 || errno != EACCES) return 2;
          if (::mknod((directory / "b").c_str(), S_IFBLK | 0600, makedev(7, 0)) == 0 || errno != EACCES) return 3;
          if (::mount("none", directory.path.c_str(), "tmpfs", 0, nullptr) == 0 || errno != EPERM) return 4;
          if (node && abi >= 5) {
            int waiting;
            const int fd = ::open((directory / "null").c_str(), O_RDWR);
            if (fd < 0) return 5;
            if (::ioctl(fd, FIONREAD, &waiting) == 0 || errno != EACCES) return 6;
          }
          return 0;
        }) == 0);
}

TEST_CASE("landlock: an abstract socket outside is out of reach, one inside is not, and signals pass") {
  if (!landlock_here()) return;
  if (syscall_result(kSysLandlockCreateRuleset, nullptr, size_t{0}, kLandlockCreateRulesetVersion) < 6) {
    return test::skip("Landlock here is older than scopes");
  }
  const auto address_of = [](const char* which, sockaddr_un& address) {
    address = {AF_UNIX, {}};
    const int size = std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "stacyvm-test-%s-%d", which, ::getppid());
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(size));
  };
  CHECK(in_child([&]() -> int {
          sockaddr_un address;
          socklen_t size = address_of("out", address);
          const auto* name = reinterpret_cast<sockaddr*>(&address);
          const int outside = ::socket(AF_UNIX, SOCK_STREAM, 0);
          if (::bind(outside, name, size) != 0 || ::listen(outside, 4) != 0) return 1;
          const int before = ::socket(AF_UNIX, SOCK_STREAM, 0);
          if (::connect(before, name, size) != 0) return 2;
          if (enter_domain() != 0) return 3;
          const int after = ::socket(AF_UNIX, SOCK_STREAM, 0);
          // The listener was made before the domain; being the caller's own does not help it.
          if (::connect(after, name, size) == 0 || errno != EPERM) return 4;
          size = address_of("in", address);
          const int inside = ::socket(AF_UNIX, SOCK_STREAM, 0);
          if (::bind(inside, name, size) != 0 || ::listen(inside, 4) != 0 || ::connect(after, name, size) != 0) return 5;
          return ::kill(::getppid(), 0) == 0 ? 0 : 6;
        }) == 0);
}

TEST_CASE("landlock: where the kernel has none, the errno and ABI 0 say so") {
  CHECK(in_child([]() -> int {
          uint32_t abi = 99;
          // Without no_new_privs and privilege restricting oneself is refused: the error comes through, and no ABI is claimed.
          if (::getuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 1;
          const int error = install_landlock(&abi);
          return error < 0 && abi == 0 ? 0 : 2;
        }) == 0);
}
