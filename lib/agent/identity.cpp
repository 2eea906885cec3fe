#include "agent/identity.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "isolation/lockdown.hpp"

namespace svm::agent {
namespace {

// Raw system calls: the C library's setgroups is for all threads of a process, these are for the calling one.
int set_groups(const std::vector<uint32_t>& groups) noexcept {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) < 0 ? errno : 0;
}

/// setfsuid and setfsgid report failure only by leaving the id as it was; -1 changes nothing and tells it.
int set_file_id(long call, uint32_t id) noexcept {
  ::syscall(call, id);
  return static_cast<uint32_t>(::syscall(call, -1)) == id ? 0 : EPERM;
}

/// `groups`: nullptr: they stay.
int switch_to(const Rights& rights, uint32_t uid, uint32_t gid, const std::vector<uint32_t>* groups) noexcept {
  if (groups)
    if (const int error = set_groups(*groups)) return error;
  if (const int error = set_file_id(SYS_setfsgid, gid)) return error;
  if (const int error = set_file_id(SYS_setfsuid, uid)) return error;
  // Becoming fsuid 0 makes permitted file capabilities effective (profile `build` has some): take them back.
  if (!rights.fixed_capabilities || uid != 0 || rights.permitted == rights.effective) return 0;
  return -isolation::set_capabilities(rights.permitted, rights.effective, rights.inheritable);
}

}  // namespace

ActAs::ActAs(const Rights& rights, const Identity& who, What what) noexcept : rights_(rights), what_(what) {
  if (!rights.switches) return;
  switched_ = true;
  error_ = switch_to(rights, who.uid, who.gid, what == What::all ? &who.groups : nullptr);
}

ActAs::~ActAs() {
  if (!switched_) return;
  const int saved = errno;
  if (switch_to(rights_, rights_.uid, rights_.gid, what_ == What::all ? &rights_.groups : nullptr) != 0) std::abort();
  errno = saved;
}

OwnerRights::OwnerRights(const Rights& rights, const Identity& who) noexcept : rights_(rights) {
  if (!rights.switches || !rights.fixed_capabilities || who.uid != 0) return;
  raised_ = rights.command_root & (isolation::capability(CAP_CHOWN) | isolation::capability(CAP_FOWNER));
  if (raised_ != 0) error_ = -isolation::set_capabilities(rights.permitted, rights.effective | raised_, rights.inheritable);
}

OwnerRights::~OwnerRights() {
  if (raised_ == 0) return;
  const int saved = errno;
  if (isolation::set_capabilities(rights_.permitted, rights_.effective, rights_.inheritable) != 0) std::abort();
  errno = saved;
}

}  // namespace svm::agent
