// What the two versions of control groups have in common: finding the file systems, writing control files, removing trees.
// Internal to this layer. Results are 0 or -errno unless said otherwise.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/fd.hpp"
#include "isolation/cgroup.hpp"

namespace svm::isolation {

enum Controller : uint8_t { kMemory = 1, kCpu = 2, kPids = 4 };
inline constexpr uint8_t kAllControllers = kMemory | kCpu | kPids;
inline constexpr const char* kControllerNames[] = {"memory", "cpu", "pids"};  // by bit

// --- finding (cgroup_parse.cpp, cgroup_files.cpp)
struct CgroupMount {
  std::string root, point;
};
/// The mount of `controller` ("" for v2) in the text of /proc/self/mountinfo.
bool parse_cgroup_mount(std::string_view mountinfo, const char* controller, CgroupMount& out);
/// Where the group `own` (a path of /proc/self/cgroup) is seen below the mount.
std::string path_in_mount(const CgroupMount& mount, std::string_view own);
/// The texts of /proc that say where this process stands.
struct CgroupTexts {
  std::string own, mounts;
  int load();
};
/// Opens this process's own group in the hierarchy of `controller` ("" for v2); `top`, when given, receives the mount's top.
/// -EOPNOTSUPP when the kernel has no such hierarchy, -ENOENT when it is not mounted here.
int open_own_group(const CgroupTexts& texts, const char* controller, Fd& out, Fd* top = nullptr);

// --- files
int open_directory(int parent, const char* name, Fd& out) noexcept;
int open_for_write(int directory, const char* name, Fd& out) noexcept;
int write_control(int directory, const char* name, std::string_view text) noexcept;
int write_number(int directory, const char* name, uint64_t value) noexcept;
/// Reads a small file whole.
int read_control(int directory, const char* name, std::string& out);
bool is_group_name(const char* name) noexcept;
bool same_directory(int a, int b) noexcept;
/// The names of the groups directly below.
int list_groups(int directory, std::vector<std::string>& out);

// --- removing
/// Kills every process of one group (not of its children). 0 or -errno; processes that end meanwhile are no error.
int kill_members(int directory);
/// Removes `name` below `parent` with everything below it, innermost first; with `kill`, ends what runs inside before.
/// -EBUSY while a process is left; 0 when nothing of that name exists.
int remove_tree(int parent, const char* name, bool kill);

// --- limits (cgroup_v1.cpp, cgroup_v2.cpp): each fills the *_error of what was asked for among `controllers`
struct LimitErrors {
  int32_t memory = -1, swap = -1, cpu = -1, pids = -1;
};
struct CpuQuota {
  uint64_t quota_us, period_us;
};
CpuQuota cpu_quota(uint32_t milli_cpus) noexcept;
void apply_limits_v1(int directory, uint8_t controllers, const CgroupLimits& limits, LimitErrors& errors) noexcept;
void apply_limits_v2(int directory, uint8_t controllers, const CgroupLimits& limits, LimitErrors& errors) noexcept;
/// The controllers that groups below `directory` have (cgroup.subtree_control).
uint8_t passed_controllers_v2(int directory) noexcept;
/// Enables what is missing of `wanted` for the groups below, as far as it goes; returns what they have then, and the first errno.
uint8_t pass_controllers_v2(int directory, uint8_t wanted, int& error) noexcept;
/// The nearest of the group and its ancestors, up to `top`, where this process may make groups that have controllers. The one with
/// the most controllers wins; -errno of the nearest when none allows making a group.
int find_base_v2(Fd own, int top, Fd& out, uint8_t& controllers, int& controller_error) noexcept;

}  // namespace svm::isolation
