// The report about the host, and what it says when something is taken away.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cctype>
#include <chrono>
#include <cstring>
#include <initializer_list>
#include <set>
#include <string>

#include "in_child.hpp"
#include "isolation/lockdown.hpp"
#include "isolation/probe.hpp"
#include "isolation/syscalls.hpp"

using namespace svm::isolation;
using svm::test::in_child;

namespace {

struct Report {
  ProbeRow rows[kMaxProbeRows];
  unsigned count = 0;
  const ProbeRow& operator[](const char* name) const {
    for (unsigned i = 0; i < count; ++i) {
      if (std::strcmp(rows[i].name, name) == 0) return rows[i];
    }
    FAIL("no row " << name);
    return rows[0];
  }
};

/// The report of a child that `prepare` (0, or a status that ends the case) has taken something from.
template <class Prepare>
Report report_after(Prepare prepare) {
  void* memory = ::mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto* shared = new (memory) Report;
  REQUIRE(in_child([&]() -> int {
            if (const int status = prepare()) return status;
            shared->count = probe_host(shared->rows);
            return 0;
          }) == 0);
  Report out = *shared;
  ::munmap(memory, sizeof(Report));
  return out;
}

const Report& untouched() {
  static const Report report = report_after([] { return 0; });
  return report;
}

/// A filter that answers one call with an errno, always or when its first argument has one of the bits.
int deny(long number, int error, uint32_t bits = 0) {
  if (set_no_new_privs() != 0) return 101;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits == 0 ? ~0u : 0u, 0, 0),  // replaced below
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  code[3] = bits == 0 ? sock_filter{BPF_JMP | BPF_JA, 0, 0, 0} : sock_filter{BPF_JMP | BPF_JSET | BPF_K, 0, 1, bits};
  const sock_fprog program{sizeof code / sizeof code[0], code};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : 102;
}

/// The named rows fail with `error`; every other row is as it was.
void check_only(const Report& report, int error, std::initializer_list<const char*> names) {
  const std::set<std::string> changed(names.begin(), names.end());
  for (unsigned i = 0; i < report.count; ++i) {
    const ProbeRow& row = report.rows[i];
    CAPTURE(std::string(row.name));
    CAPTURE(std::string(row.detail));
    if (changed.count(row.name) == 0) {
      CHECK(row.error == untouched()[row.name].error);
    } else if (untouched()[row.name].error == 0) {
      CHECK(row.error == error);
    }
  }
}

bool root() {
  if (::getuid() == 0) return true;
  svm::test::skip("needs root");
  return false;
}

}  // namespace

TEST_CASE("probe: rows are distinct, in order, printable, and say something") {
  const Report& report = untouched();
  REQUIRE(report.count > 30);
  REQUIRE(report.count <= kMaxProbeRows);
  std::set<std::string> names;
  for (unsigned i = 0; i < report.count; ++i) {
    const ProbeRow& row = report.rows[i];
    CAPTURE(std::string(row.name));
    CHECK(names.insert(row.name).second);
    CHECK(std::strlen(row.meaning) > 5);
    CHECK(row.error >= 0);
    CHECK(std::memchr(row.detail, 0, sizeof row.detail) != nullptr);
    for (const char* c = row.detail; *c; ++c) CHECK(std::isprint(static_cast<unsigned char>(*c)));
    if (row.error != 0) CHECK(row.detail[0] != '\0');
    std::printf("  %-26s %3d %8lld %s\n", row.name, row.error, static_cast<long long>(row.value), row.detail);
  }
  CHECK(std::string(report.rows[0].name) == "kernel");
  const Report again = report_after([] { return 0; });
  REQUIRE(again.count == report.count);
  for (unsigned i = 0; i < report.count; ++i) CHECK(std::strcmp(again.rows[i].name, report.rows[i].name) == 0);
}

TEST_CASE("probe: it changes nothing of the caller and leaves no child") {
  CHECK(in_child([]() -> int {
          ProbeRow rows[kMaxProbeRows];
          struct stat before, after;
          if (::stat("/proc/self/ns/user", &before) != 0) return 1;
          probe_host(rows);
          if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 0 || ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0) return 2;
          if (::stat("/proc/self/ns/user", &after) != 0 || after.st_ino != before.st_ino) return 3;
          return ::waitpid(-1, nullptr, 0) < 0 && errno == ECHILD ? 0 : 4;
        }) == 0);
}

TEST_CASE("probe: numbers are the kernel's") {
  utsname name;
  REQUIRE(::uname(&name) == 0);
  int major = 0, minor = 0;
  REQUIRE(std::sscanf(name.release, "%d.%d", &major, &minor) == 2);
  CHECK(untouched()["kernel"].value == major * 1000 + minor);
  CHECK(untouched()["pid_headroom"].value < untouched()["pid_max"].value);
  const Report few = report_after([] {
    const rlimit limit{77, 77};
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? 0 : 1;
  });
  CHECK(few["open_files"].value == 77);
}

TEST_CASE("probe: a filter takes one call away, and exactly its rows say so") {
  check_only(report_after([] { return deny(kSysLandlockCreateRuleset, ENOSYS); }), ENOSYS, {"landlock"});
  check_only(report_after([] { return deny(kSysOpenat2, EPERM); }), EPERM, {"openat2"});
  check_only(report_after([] { return deny(kSysMountSetattr, ENOSYS); }), ENOSYS, {"mount_setattr", "idmapped_mount"});
  check_only(report_after([] { return deny(SYS_keyctl, EPERM); }), EPERM, {"keyring"});
  check_only(report_after([] { return deny(kSysPidfdOpen, ENOSYS); }), ENOSYS, {"pidfd"});
  const Report no_clone3 = report_after([] { return deny(kSysClone3, ENOSYS); });
  if (untouched()["cgroup_version"].value == 2) {  // what nothing can be born in is no limit
    check_only(no_clone3, ENOSYS, {"clone3", "clone_into_cgroup", "cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids", "cgroup_delegation"});
  } else {
    check_only(no_clone3, ENOSYS, {"clone3", "clone_into_cgroup"});
  }
  check_only(report_after([] { return deny(kSysCloseRange, ENOSYS); }), ENOSYS, {"close_range"});
  check_only(report_after([] { return deny(SYS_unshare, EPERM); }), EPERM, {"time_namespace"});
  check_only(report_after([] { return deny(SYS_memfd_create, EACCES); }), EACCES, {"memfd_exec"});
}

TEST_CASE("probe: a filter takes kinds of namespaces away") {
  check_only(report_after([] { return deny(SYS_clone, EPERM, CLONE_NEWNET); }), EPERM, {"net_namespace"});
  check_only(report_after([] { return deny(SYS_clone, EPERM, CLONE_NEWPID); }), EPERM, {"pid_namespace", "proc_mount"});
  check_only(report_after([] { return deny(SYS_clone, EPERM, CLONE_NEWUSER); }), EPERM,
             {"user_namespace", "mount_namespace", "pid_namespace", "net_namespace", "ipc_namespace", "uts_namespace", "cgroup_namespace",
              "time_namespace", "id_range", "subordinate_ids", "overlay_in_user_namespace", "tmpfs_in_user_namespace", "idmapped_mount",
              "proc_mount", "mount_setattr", "disk_limit"});
}

TEST_CASE("probe: a call that ends the process is an error of its rows, not of the report") {
  const Report report = report_after([] {
    if (set_no_new_privs() != 0) return 101;
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(kSysLandlockCreateRuleset), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{sizeof code / sizeof code[0], code};
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : 102;
  });
  CHECK(report["landlock"].error == EIO);
  CHECK(report["openat2"].error == untouched()["openat2"].error);
}

TEST_CASE("probe: an over-mounted /proc means no fresh one inside") {
  if (!root()) return;
  if (untouched()["proc_mount"].error != 0) return svm::test::skip("no fresh /proc here to begin with");
  const Report report = report_after([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 101;
    return ::mount("tmpfs", "/proc/fs", "tmpfs", 0, nullptr) == 0 ? 0 : 102;
  });
  check_only(report, EPERM, {"proc_mount"});
}

TEST_CASE("probe: hidden control groups") {
  if (!root()) return;
  const Report report = report_after([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 101;
    return ::mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, nullptr) == 0 ? 0 : 102;
  });
  check_only(report, ENOENT, {"cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids", "cgroup_delegation", "clone_into_cgroup"});
  CHECK(report["cgroup_version"].value == untouched()["cgroup_version"].value);
}

TEST_CASE("probe: read-only control groups") {
  if (!root()) return;
  if (untouched()["cgroup_pids"].error != 0 || untouched()["cgroup_version"].value != 1) return svm::test::skip("no v1 pids limit here");
  const Report report = report_after([] {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 101;
    if (::mount(nullptr, "/sys/fs/cgroup/pids", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) return 102;
    return 0;
  });
  check_only(report, EROFS, {"cgroup_pids"});
}

TEST_CASE("probe: an ordinary user") {
  if (!root()) return;
  const Report report = report_after([] {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 101;
    return ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? 0 : 102;  // as after an exec: /proc/self is its own
  });
  CHECK(report["id_range"].error == EPERM);
  CHECK(report["overlay"].error == EPERM);
  CHECK(report["idmapped_mount"].error == EPERM);
  for (const char* row : {"cgroup_memory", "cgroup_swap", "cgroup_cpu", "cgroup_pids", "cgroup_delegation"}) {
    CAPTURE(row);
    if (untouched()[row].error == 0) CHECK(report[row].error == EACCES);
  }
  // What needs no privilege is as it was.
  for (const char* row : {"user_namespace", "pid_namespace", "net_namespace", "proc_mount", "tmpfs_in_user_namespace",
                          "overlay_in_user_namespace", "disk_limit", "landlock", "seccomp_filter", "openat2", "memfd_exec"}) {
    CAPTURE(row);
    CHECK(report[row].error == untouched()[row].error);
  }
}

TEST_CASE("probe: the cost") {
  const auto start = std::chrono::steady_clock::now();
  ProbeRow rows[kMaxProbeRows];
  const unsigned count = probe_host(rows);
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  std::printf("probe: %u rows in %.0f ms\n", count, ms);
  CHECK(ms < 20'000);
}
