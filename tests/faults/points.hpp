// Every fail point, and what a caller gets when it fails there. A point that is not here, or here and not in the library, is a failure of the test.
#pragma once
#include <stacyvm/stacyvm.h>

#include <cstdint>

namespace svm::test {

enum class Kind : uint8_t {
  fails,    // the caller is told: `code`, and `text` is in the message or the details
  heals,    // nobody needs to know: it is tried again, or done without
  either,   // whoever comes by while it is being tried again is told, as above
  no_error  // cannot fail: only killed there
};

enum Needs : uint8_t { kAnyHost = 0, kRanges = 1, kNoRanges = 2, kGroups = 4, kGroups1 = 8,  // where it is passed at all
                       kDetached = 16 };  // by an instance that is opened so

struct Point {
  const char* name;
  Kind kind = Kind::fails;
  uint8_t needs = kAnyHost;
  int32_t code = STACYVM_E_UNAVAILABLE;
  const char* text = nullptr;  // nullptr: the step that the point is named after, or the name itself
  uint32_t passes = 1;         // not only the first time that it is passed, but so many
};

constexpr int32_t kInvalid = STACYVM_E_INVALID, kIo = STACYVM_E_IO, kLimit = STACYVM_E_LIMIT, kUnsupported = STACYVM_E_UNSUPPORTED,
                  kTimeout = STACYVM_E_TIMEOUT, kUnavailable = STACYVM_E_UNAVAILABLE;
constexpr const char* kLimitField = "\"field\":\"";

constexpr Point kPoints[] = {
    // The library's side of a launcher
    {"host.agent_memfd"}, {"host.agent_stack"}, {"host.agent_clone"},
    {"provider.launcher", Kind::fails, kAnyHost, kUnavailable, "\"step\":\"launcher\""},
    {"provider.take_over", Kind::fails, kDetached}, {"provider.adopt", Kind::heals}, {"provider.launch"}, {"provider.greet"}, {"provider.launched"},
    {"provider.channel", Kind::fails, kAnyHost, kLimit, "sandbox channel"},
    {"provider.destroy", Kind::fails, kAnyHost, kTimeout},
    {"provider.destroyed", Kind::fails, kAnyHost, kTimeout},
    {"provider.expire", Kind::heals, kDetached},
    {"provider.claim_ids", Kind::heals, kRanges},
    {"provider.release_ids", Kind::no_error, kRanges},
    {"provider.detach", Kind::no_error, kDetached},
    {"rendezvous.make_key", Kind::fails, kDetached, kIo}, {"rendezvous.sync_key", Kind::fails, kDetached, kIo}, {"rendezvous.listen", Kind::fails, kDetached, kIo},
    // The launcher
    {"launcher.exec_agent"}, {"launcher.mount_private"}, {"launcher.sync"}, {"launcher.make_network"}, {"launcher.loopback"}, {"launcher.clone"},
    {"launcher.id_map"},
    {"launcher.hear_claimant", Kind::heals, kDetached},
    {"launcher.user_namespace", Kind::fails, kNoRanges},
    {"launcher.undumpable", Kind::fails, kRanges}, {"launcher.mount_disk", Kind::fails, kRanges}, {"launcher.idmap_mount", Kind::fails, kRanges},
    {"launcher.effective_ids", Kind::fails, kRanges, kUnavailable, "\"step\":\"clone\""},
    {"launcher.watch", Kind::fails, kAnyHost, kUnavailable, "\"step\":\"sync\""},
    {"launcher.open_rootfs", Kind::fails, kAnyHost, kInvalid}, {"launcher.open_mount", Kind::fails, kAnyHost, kInvalid},
    {"launcher.cgroup_create", Kind::fails, kGroups, kUnsupported, kLimitField},
    {"launcher.cgroup_attach", Kind::fails, kGroups1},
    {"isolation.cgroup_limit", Kind::either, kGroups, kUnsupported, kLimitField, 6},
    // Process 1 of a sandbox before it is the agent
    {"contain.sync"}, {"contain.drop_groups"}, {"contain.set_identity"}, {"contain.cgroup_namespace"}, {"contain.mount_disk"}, {"contain.mount_rootfs"},
    {"contain.make_skeleton"}, {"contain.mount_usr"}, {"contain.mount_proc"}, {"contain.limit_inotify"}, {"contain.mask_proc"}, {"contain.make_dev"}, {"contain.mount_devpts"},
    {"contain.make_workspace"}, {"contain.pivot_root"}, {"contain.set_hostname"}, {"contain.join_keyring"}, {"contain.set_rlimits"},
    {"contain.keep_caps"}, {"contain.close_fds"}, {"contain.exec_agent"},
    {"contain.mount_user", Kind::fails, kAnyHost, kInvalid},
    // The agent
    {"agent.undumpable"}, {"agent.read_hello"}, {"agent.bounding_set"}, {"agent.no_new_privs"}, {"agent.landlock"}, {"agent.seccomp"},
    {"agent.drop_capabilities"},
    // The store
    {"store.create", Kind::fails, kAnyHost, kIo}, {"store.migrate", Kind::fails, kAnyHost, kIo}, {"store.insert_instance", Kind::fails, kAnyHost, kIo},
    {"store.rename", Kind::fails, kAnyHost, kIo}, {"store.sync_directory", Kind::fails, kAnyHost, kIo},
    {"store.hold_room", Kind::fails, kAnyHost, kIo}, {"store.hold_log", Kind::fails, kAnyHost, kIo}, {"store.place_pages", Kind::fails, kAnyHost, kIo},
    {"store.forget_keys", Kind::fails, kAnyHost, kIo}, {"store.prune", Kind::fails, kAnyHost, kIo},
    {"store.insert_sandbox", Kind::fails, kAnyHost, kIo}, {"store.insert_key", Kind::fails, kAnyHost, kIo},
    {"store.update_sandbox", Kind::either, kAnyHost, kIo, nullptr, 6},
    {"store.free_key", Kind::heals},
    {"store.append_event", Kind::heals}, {"store.forget_events", Kind::heals},
    {"store.write_exec", Kind::heals}, {"store.end_execs", Kind::heals}, {"store.forget_execs", Kind::heals},
    {"store.append_audit", Kind::either, kAnyHost, kIo, "audit: rows could not be written"},
    {"store.sync_audit", Kind::either, kAnyHost, kIo, "audit: rows could not be written"},
    {"store.commit", Kind::either, kAnyHost, kIo, nullptr, 8},
    {"store.committed", Kind::no_error, kAnyHost, kIo, nullptr, 16},
};

}  // namespace svm::test
