#include "isolation/cgroup_usage.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

using namespace svm::isolation;

namespace {
int64_t count(const std::string& text) { return parse_count(text.data(), text.size()); }
int64_t keyed(const std::string& text, const char* key) { return parse_keyed_count(text.data(), text.size(), key); }
}  // namespace

TEST_CASE("a count is digits and a newline, and nothing else") {
  CHECK(count("0\n") == 0);
  CHECK(count("1234\n") == 1234);
  CHECK(count("9223372036854775807\n") == INT64_MAX);
  for (const char* bad : {"", "\n", "1", "-1\n", "1 \n", "1\n\n", "max\n", "9223372036854775808\n", "99999999999999999999\n", "0x1\n"}) CHECK(count(bad) == -1);
}

TEST_CASE("a keyed count is the first line with the whole key") {
  const std::string stat = "usage_usec 12\nuser_usec 7\noom 3\noom_kill 4\n";
  CHECK(keyed(stat, "usage_usec") == 12);
  CHECK(keyed(stat, "oom_kill") == 4);
  CHECK(keyed(stat, "oom") == 3);
  CHECK(keyed(stat, "usage") == -1);
  CHECK(keyed("oom_kill 4", "oom_kill") == -1);  // cut off
  CHECK(keyed("oom_kill x\n", "oom_kill") == -1);
  CHECK(keyed("", "oom_kill") == -1);
}

TEST_CASE("of groups that are not there nothing is read, and each says why") {
  CgroupUsage usage;
  read_cgroup_usage("nosuchinstance", "nosuchsandbox", usage);
  for (const auto& [value, error] : {std::pair{usage.cpu_us, usage.cpu_error}, {usage.memory, usage.memory_error}, {usage.memory_peak, usage.memory_peak_error},
                                     {usage.pids, usage.pids_error}, {usage.oom_kills, usage.oom_error}}) {
    CHECK(value == -1);
    CHECK(error != 0);
  }
  for (const char* name : {"", "..", "a/b", "."}) {
    usage = {};
    read_cgroup_usage(name, "x", usage);
    CHECK(usage.cpu_error == EINVAL);
  }
}
