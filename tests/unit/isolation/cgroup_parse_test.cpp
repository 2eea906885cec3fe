#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "isolation/cgroup.hpp"
#include "isolation/cgroup_files.hpp"

using namespace svm::isolation;

namespace {

std::string own(std::string_view text, const char* controller, size_t room = 256) {
  std::string out(room, '#');
  return parse_own_cgroup(text.data(), text.size(), controller, out.data(), out.size()) ? std::string(out.c_str()) : "(absent)";
}
uint64_t kills(std::string_view text) { return parse_oom_kills(text.data(), text.size()); }

constexpr std::string_view kHybrid =
    "9:name=systemd:/user.slice\n"
    "8:pids:/user.slice/a:b\n"
    "4:memory:/process/one\n"
    "3:cpuset:/\n"
    "2:cpu,cpuacct:/shared\n"
    "0::/unified/path\n";

}  // namespace

TEST_CASE("own cgroup: the line of the controller, whatever stands beside it") {
  CHECK(own(kHybrid, "memory") == "/process/one");
  CHECK(own(kHybrid, "cpu") == "/shared");
  CHECK(own(kHybrid, "cpuacct") == "/shared");
  CHECK(own(kHybrid, "cpuset") == "/");
  CHECK(own(kHybrid, "pids") == "/user.slice/a:b");  // a colon belongs to the path
  CHECK(own(kHybrid, "") == "/unified/path");
  CHECK(own(kHybrid, "blkio") == "(absent)");
  CHECK(own(kHybrid, "name=systemd") == "/user.slice");
  CHECK(own("0::/user.slice/x.scope\n", "") == "/user.slice/x.scope");
  CHECK(own("0::/user.slice/x.scope\n", "memory") == "(absent)");
}

TEST_CASE("own cgroup: a named v1 hierarchy without controllers is not v2") {
  CHECK(own("5::/odd\n0::/right\n", "") == "/right");
}

TEST_CASE("own cgroup: what is cut off or malformed is absent") {
  CHECK(own("", "") == "(absent)");
  CHECK(own("0::/cut", "") == "(absent)");
  CHECK(own("0::\n", "") == "(absent)");
  CHECK(own("0::relative\n", "") == "(absent)");
  CHECK(own("0:\n0:", "") == "(absent)");
  CHECK(own(std::string_view("0::/a\0b\n", 8), "") == "(absent)");
  for (size_t size = 0; size < kHybrid.size(); ++size) CHECK(own(kHybrid.substr(0, size), "") == "(absent)");
  CHECK(own(kHybrid.substr(0, kHybrid.size()), "") == "/unified/path");
}

TEST_CASE("own cgroup: a path that just fits, and one beyond") {
  CHECK(own("0::/abc\n", "", 5) == "/abc");
  CHECK(own("0::/abc\n", "", 4) == "(absent)");
  CHECK(own("0::/abc\n", "", 0) == "(absent)");
}

TEST_CASE("oom kills: both texts") {
  CHECK(kills("oom_kill_disable 0\nunder_oom 0\noom_kill 7\n") == 7);
  CHECK(kills("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 9\n") == 2);
  CHECK(kills("oom_kill 0\n") == 0);
}

TEST_CASE("oom kills: absent, cut off, not a number, the largest") {
  CHECK(kills("") == 0);
  CHECK(kills("oom_kill_disable 1\nunder_oom 0\n") == 0);
  CHECK(kills("oom_kill 12") == 0);  // more digits may have followed
  CHECK(kills("oom_kill \n") == 0);
  CHECK(kills("oom_kill x\n") == 0);
  CHECK(kills("oom_kill 1 2\n") == 0);
  CHECK(kills("oom_kill 18446744073709551615\n") == UINT64_MAX);
  CHECK(kills("oom_kill 18446744073709551616\n") == UINT64_MAX);
  CHECK(kills("oom_kill 99999999999999999999999\n") == UINT64_MAX);
}

TEST_CASE("cgroup mount: v1 by controller, v2 by type, the widest view, escapes") {
  constexpr std::string_view kText =
      "24 1 0:20 / /sys rw - sysfs sysfs rw\n"
      "30 24 0:26 /part /mnt/part rw - cgroup cgroup rw,memory\n"
      "31 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
      "32 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "33 24 0:28 / /a\\040b rw - cgroup2 cgroup2 rw,nsdelegate\n"
      "34 24 0:29 / /cut rw - cgroup cgroup rw,pids";
  CgroupMount mount;
  REQUIRE(parse_cgroup_mount(kText, "memory", mount));
  CHECK(mount.point == "/sys/fs/cgroup/memory");
  CHECK(mount.root == "/");
  REQUIRE(parse_cgroup_mount(kText, "cpu", mount));
  CHECK(mount.point == "/sys/fs/cgroup/cpu,cpuacct");
  REQUIRE(parse_cgroup_mount(kText, "", mount));
  CHECK(mount.point == "/a b");
  CHECK_FALSE(parse_cgroup_mount(kText, "pids", mount));  // its line has no end
  CHECK_FALSE(parse_cgroup_mount(kText, "cpus", mount));
  CHECK_FALSE(parse_cgroup_mount("", "", mount));
}

TEST_CASE("path in mount: below the root of the mount, or its top") {
  CHECK(path_in_mount({"/", "/cg"}, "/a/b") == "/cg/a/b");
  CHECK(path_in_mount({"/docker/1", "/cg"}, "/docker/1/x") == "/cg/x");
  CHECK(path_in_mount({"/docker/1", "/cg"}, "/docker/1") == "/cg");
  CHECK(path_in_mount({"/docker/1", "/cg"}, "/docker/12") == "/cg");
  CHECK(path_in_mount({"/docker/1", "/cg"}, "/") == "/cg");
}

TEST_CASE("cpu quota: never below what the kernel takes") {
  for (const uint32_t milli : {1u, 9u, 10u, 100u, 1000u, 64'000u, UINT32_MAX}) {
    const CpuQuota quota = cpu_quota(milli);
    CHECK(quota.quota_us >= 1000);
    CHECK(quota.period_us >= 1000);
    CHECK(quota.period_us <= 1'000'000);
    CHECK(quota.quota_us * 1000 == uint64_t{milli} * quota.period_us);
  }
  CHECK(cpu_quota(9).period_us == 1'000'000);
  CHECK(cpu_quota(10).period_us == 100'000);
}

TEST_CASE("group names: one path component, bounded") {
  CHECK(is_group_name("sb-abc_1.x"));
  CHECK(is_group_name(std::string(kMaxCgroupName, 'a').c_str()));
  CHECK_FALSE(is_group_name(std::string(kMaxCgroupName + 1, 'a').c_str()));
  for (const char* bad : {"", ".", "..", ".x", "a/b", "a b", "a\n"}) CHECK_FALSE(is_group_name(bad));
}
