// As whom things are done inside the sandbox.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace svm::agent {

struct Identity {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  bool named = false;      // a request asked for this user: HOME, USER and LOGNAME follow
  std::string name, home;  // empty: /etc/passwd does not know the user
};

/// What the agent itself is, and whether it can act as somebody else.
struct Rights {
  bool switches = false;  // holds CAP_SETUID and CAP_SETGID; false: one mapped id, everything runs as that
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;
  bool fixed_capabilities = false;  // the three sets below are what the agent has (it is locked down)
  uint64_t permitted = 0, effective = 0, inheritable = 0;
  uint64_t command_root = 0;  // what a command that runs as uid 0 keeps (profile `build`)
};

/// While it lives, file operations of the calling thread count as those of `who`: its fsuid, fsgid, supplementary groups,
/// and no file capability. The switch is verified. Restoring cannot fail without the process being in a state it must not
/// go on in, so then it aborts.
class ActAs {
 public:
  /// What of `who`: all, or only whose what is made will be. The latter is for what no file's rights decide on, and cheaper.
  enum class What { all, owner };
  ActAs(const Rights& rights, const Identity& who, What what = What::all) noexcept;
  ~ActAs();
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;
  /// 0, or the errno of a switch that did not take place: nothing may be done then.
  int error() const noexcept { return error_; }

 private:
  const Rights& rights_;
  const What what_;
  bool switched_ = false;
  int error_ = 0;
};

/// What `step` answers, done as `who`: 0, -errno or a number of its own; -errno of the switch where that does not take place.
template <class Step>
int act_as(const Rights& rights, const Identity& who, Step step) {
  const ActAs as(rights, who);
  return as.error() ? -as.error() : step();
}

/// While it lives, inside an ActAs of uid 0, the calling thread may change owners and modes as a command of root's may: profile `build`
/// leaves root CAP_CHOWN and CAP_FOWNER, the others leave it nothing, and then this does nothing.
class OwnerRights {
 public:
  OwnerRights(const Rights& rights, const Identity& who) noexcept;
  ~OwnerRights();
  OwnerRights(const OwnerRights&) = delete;
  OwnerRights& operator=(const OwnerRights&) = delete;
  int error() const noexcept { return error_; }

 private:
  const Rights& rights_;
  uint64_t raised_ = 0;
  int error_ = 0;
};

}  // namespace svm::agent
