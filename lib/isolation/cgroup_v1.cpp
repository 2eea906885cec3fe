// Limits of a v1 group. `directory` is the group in the hierarchy that has `controllers`.
#include <cerrno>
#include <string>

#include "isolation/cgroup_files.hpp"

namespace svm::isolation {

namespace {
bool has_number(int directory, const char* name, uint64_t value) noexcept {
  std::string text;
  return read_control(directory, name, text) == 0 && text == std::to_string(value) + '\n';
}
}  // namespace

CpuQuota cpu_quota(uint32_t milli_cpus) noexcept {
  // The kernel refuses quotas below 1 ms and periods above 1 s.
  constexpr uint64_t kPeriod = 100'000, kLongPeriod = 1'000'000, kSmallestQuota = 1'000;
  const uint64_t quota = milli_cpus * (kPeriod / 1000);
  if (quota >= kSmallestQuota) return {quota, kPeriod};
  return {milli_cpus * (kLongPeriod / 1000), kLongPeriod};
}

void apply_limits_v1(int directory, uint8_t controllers, const CgroupLimits& limits, LimitErrors& errors) noexcept {
  if ((controllers & kMemory) != 0 && limits.memory != 0) {
    // Memory first: memory plus swap may never be below it.
    errors.memory = -write_number(directory, "memory.limit_in_bytes", limits.memory);
    const int swap = errors.memory != 0 ? -errors.memory : write_number(directory, "memory.memsw.limit_in_bytes", limits.memory);
    errors.swap = swap == -ENOENT ? EOPNOTSUPP : -swap;  // no such file: the kernel does not account swap
  }
  if ((controllers & kCpu) != 0 && limits.milli_cpus != 0) {
    const CpuQuota cpu = cpu_quota(limits.milli_cpus);
    // For each of the two the kernel walks through all groups there are: what has its value already is not written.
    int error = has_number(directory, "cpu.cfs_period_us", cpu.period_us) ? 0 : write_number(directory, "cpu.cfs_period_us", cpu.period_us);
    if (error == 0) error = write_number(directory, "cpu.cfs_quota_us", cpu.quota_us);
    errors.cpu = -error;
  }
  if ((controllers & kPids) != 0 && limits.pids != 0) errors.pids = -write_number(directory, "pids.max", limits.pids);
}

}  // namespace svm::isolation
