// The unified hierarchy: where groups may be made, and their limits.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "isolation/cgroup_files.hpp"

namespace svm::isolation {
namespace {

uint8_t parse_controllers(std::string_view text) noexcept {
  uint8_t found = 0;
  while (!text.empty()) {
    const size_t end = text.find_first_of(" \n");
    const std::string_view word = text.substr(0, end);
    for (unsigned bit = 0; bit < 3; ++bit) {
      if (word == kControllerNames[bit]) found = static_cast<uint8_t>(found | 1u << bit);
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return found;
}

uint8_t read_controllers(int directory, const char* file) noexcept {
  std::string text;
  return read_control(directory, file, text) == 0 ? parse_controllers(text) : uint8_t{0};
}

unsigned count(uint8_t set) noexcept { return static_cast<unsigned>(__builtin_popcount(set)); }

constexpr int kMaxLevels = 64;

/// What may be made below a group. The kernel lets one that holds processes pass cpu and pids on, but makes it "domain threaded" for
/// that, and what is below takes no process then: such a write would spoil the group for everybody.
enum class Fitness { none, without_controllers, whole };
Fitness fitness(int directory) noexcept {
  std::string type, processes;
  if (read_control(directory, "cgroup.type", type) != 0) return Fitness::whole;  // the hierarchy's root, which is free of the rule
  if (type != "domain\n") return Fitness::none;
  return read_control(directory, "cgroup.procs", processes) == 0 && processes.empty() ? Fitness::whole : Fitness::without_controllers;
}

}  // namespace

uint8_t passed_controllers_v2(int directory) noexcept { return read_controllers(directory, "cgroup.subtree_control"); }

uint8_t pass_controllers_v2(int directory, uint8_t wanted, int& error) noexcept {
  error = 0;
  const uint8_t passed = passed_controllers_v2(directory);
  const auto missing = static_cast<uint8_t>(wanted & ~passed);
  if (missing == 0) return passed;
  const uint8_t available = read_controllers(directory, "cgroup.controllers");
  for (unsigned bit = 0; bit < 3; ++bit) {
    if ((missing & 1u << bit) == 0) continue;
    int result = -EOPNOTSUPP;
    if ((available & 1u << bit) != 0) {
      char text[16];
      const int size = std::snprintf(text, sizeof text, "+%s", kControllerNames[bit]);
      // EBUSY: a process has come into the group meanwhile, and only one without any may pass memory on.
      result = write_control(directory, "cgroup.subtree_control", {text, static_cast<size_t>(size)});
    }
    if (result != 0 && error == 0) error = result;
  }
  return passed_controllers_v2(directory);
}

int find_base_v2(Fd own, int top, Fd& out, uint8_t& controllers, int& controller_error) noexcept {
  controllers = 0;
  controller_error = 0;
  int first_error = 0;
  Fd level = std::move(own);
  for (int i = 0; i < kMaxLevels; ++i) {
    // Effective ids decide, and a read-only mount says EROFS here.
    if (::faccessat(level.get(), ".", W_OK | X_OK, AT_EACCESS) < 0) {
      if (first_error == 0) first_error = -errno;
    } else if (const Fitness fit = fitness(level.get()); fit != Fitness::none) {
      int error = -EBUSY;
      const uint8_t here = fit == Fitness::whole ? pass_controllers_v2(level.get(), kAllControllers, error) : uint8_t{0};
      if (!out || count(here) > count(controllers)) {
        Fd copy;
        if (const int opened = open_directory(level.get(), ".", copy)) return opened;
        out = std::move(copy);
        controllers = here;
        controller_error = error;
      }
      if (here == kAllControllers) return 0;
    }
    if (same_directory(level.get(), top)) break;
    Fd above;
    if (open_directory(level.get(), "..", above) != 0) break;  // cannot be read: not ours
    level = std::move(above);
  }
  if (out) return 0;
  return first_error != 0 ? first_error : -EOPNOTSUPP;
}

void apply_limits_v2(int directory, uint8_t controllers, const CgroupLimits& limits, LimitErrors& errors) noexcept {
  if ((controllers & kMemory) != 0 && limits.memory != 0) {
    errors.memory = -write_number(directory, "memory.max", limits.memory);
    const int swap = write_number(directory, "memory.swap.max", 0);
    errors.swap = swap == -ENOENT ? EOPNOTSUPP : -swap;
  }
  if ((controllers & kCpu) != 0 && limits.milli_cpus != 0) {
    const CpuQuota cpu = cpu_quota(limits.milli_cpus);
    char text[48];
    const int size = std::snprintf(text, sizeof text, "%llu %llu", static_cast<unsigned long long>(cpu.quota_us),
                                   static_cast<unsigned long long>(cpu.period_us));
    errors.cpu = -write_control(directory, "cpu.max", {text, static_cast<size_t>(size)});
  }
  if ((controllers & kPids) != 0 && limits.pids != 0) errors.pids = -write_number(directory, "pids.max", limits.pids);
}

}  // namespace svm::isolation
