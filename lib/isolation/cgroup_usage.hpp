// What the commands of a sandbox use, as their control groups count it. Read by name when asked: no descriptor is kept for it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace svm::isolation {

struct CgroupUsage {
  // -1: not to be read, and the errno beside it says why (EOPNOTSUPP: this kernel does not count it).
  int64_t cpu_us = -1, memory = -1, memory_peak = -1, pids = -1, oom_kills = -1;
  int64_t pids_refused = -1;  // processes that the limit refused; -1: not counted here
  int cpu_error = 0, memory_error = 0, memory_peak_error = 0, pids_error = 0, oom_error = 0;
};

/// Of the commands of sandbox `name` of the instance, wherever CgroupParent::open of a process in this one's group made its groups.
void read_cgroup_usage(const char* instance, const char* name, CgroupUsage& out);

/// "1234\n", the whole text; -1 for anything else and beyond int64. Pure; fuzzed.
int64_t parse_count(const char* text, size_t size) noexcept;
/// The number after `key` and a blank in a text of such lines; -1 when absent. Pure; fuzzed.
int64_t parse_keyed_count(const char* text, size_t size, const char* key) noexcept;

}  // namespace svm::isolation
