// What the probe's rows share: where a result is put, and children in namespaces of their own. Internal to this layer.
#pragma once
#include <cstdint>

#include "isolation/cgroup.hpp"

namespace svm::isolation {

/// Lives in memory shared with the children that find it out.
struct ProbeOutcome {
  int32_t error = 0;
  int64_t value = -1;
  char detail[120] = {};

  /// Records the first failure; `step` says what failed.
  void fail(int error_number, const char* step) noexcept;
  void describe(const char* text) noexcept;
};

/// What was found once for several rows.
struct ProbeContext {
  CgroupSupport cgroups;
  int32_t cgroup_error = 0;  // making any group at all
};

using ProbeFunction = void (*)(ProbeOutcome& out, const ProbeContext& context) noexcept;

/// Whether the child gets one mapped id (its creator's, as 0), a range of 65,536, or none.
enum class IdMap : uint8_t { none, own, range };

/// Runs `body` in a child made with clone(flags), mapped as asked, and waits for it. A failure to make or map it goes to `out`.
void in_namespaces(int flags, IdMap map, ProbeOutcome& out, void (*body)(ProbeOutcome& out)) noexcept;
/// Runs `body` with the pid of a child in a user namespace of its own (mapped as asked) that waits until body returns.
void with_user_namespace(IdMap map, ProbeOutcome& out, void (*body)(ProbeOutcome& out, int pid)) noexcept;

/// In a private mount namespace: an empty tmpfs as the working directory. False, with out filled, when it cannot be had.
bool enter_scratch(ProbeOutcome& out, const char* options = "") noexcept;
/// A number in a file of /proc; false, with out filled, when it cannot be read.
bool read_proc_number(const char* path, int64_t& value, ProbeOutcome& out) noexcept;

// --- the rows, by subject
void probe_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_mount_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_pid_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_net_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_ipc_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_uts_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_cgroup_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_time_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_id_range(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_subordinate_ids(ProbeOutcome& out, const ProbeContext&) noexcept;
// mounts
void probe_overlay(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_overlay_in_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_tmpfs_in_user_namespace(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_idmapped_mount(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_proc_mount(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_mount_setattr(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_disk_limit(ProbeOutcome& out, const ProbeContext&) noexcept;
void probe_project_quota(ProbeOutcome& out, const ProbeContext&) noexcept;

}  // namespace svm::isolation
