// The words for enforcement bits and containment steps.
#include <iterator>

#include "protocol/message.hpp"

namespace svm::protocol {
namespace {

constexpr const char* kEnforcedNames[] = {
    "user_namespace", "mount_namespace", "pid_namespace", "net_namespace", "ipc_namespace", "uts_namespace",
    "cgroup_namespace", "id_range", "private_root", "disk_limit", "inode_limit", "fresh_proc",
    "proc_masks", "minimal_dev", "rlimits", "keyring", "fds_closed", "no_new_privs",
    "capabilities", "seccomp", "landlock", "undumpable", "memory", "swap",
    "cpu", "pids", "groups_dropped", "user_per_exec",
};
static_assert(std::size(kEnforcedNames) == kEnforcedBits);
static_assert(kEnforcedUserPerExec == 1ull << (kEnforcedBits - 1));

constexpr const char* kStepNames[] = {
    "none",
    "user_namespace", "cgroup_create", "memory_limit", "cpu_limit", "pids_limit", "cgroup_attach", "make_network", "loopback", "clone", "id_map",
    "open_rootfs", "open_mount", "idmap_mount",
    "sync", "cgroup_namespace", "mount_private", "mount_disk", "mount_rootfs", "make_skeleton", "mount_usr", "mount_proc",
    "limit_inotify", "mask_proc", "make_dev", "mount_devpts", "mount_shm", "make_workspace", "mount_user", "pivot_root", "detach_root",
    "root_read_only", "set_hostname", "join_keyring", "set_rlimits", "drop_groups", "set_identity", "keep_caps",
    "close_fds", "exec_agent",
    "read_hello", "undumpable", "bounding_set", "no_new_privs", "landlock", "seccomp", "drop_capabilities",
    "wait_for_former_launcher",
};
static_assert(std::size(kStepNames) == static_cast<size_t>(Step::former_launcher) + 1);

}  // namespace

const char* enforced_name(unsigned bit) noexcept { return bit < kEnforcedBits ? kEnforcedNames[bit] : nullptr; }

bool step_is_known(uint16_t number) noexcept { return number < std::size(kStepNames); }

const char* step_name(Step step) noexcept {
  const auto number = static_cast<uint16_t>(step);
  return step_is_known(number) ? kStepNames[number] : "unknown";
}

}  // namespace svm::protocol
