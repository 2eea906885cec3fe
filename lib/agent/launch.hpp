// Turns the process after fork into the command. Everything is prepared before the fork; after it only system calls.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/agent.hpp"
#include "agent/identity.hpp"
#include "core/fd.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

enum class LaunchStep : uint8_t { session, group, stdio, close_fds, identity, capabilities, signals, cwd, exec };

/// What the child writes to its report pipe when it cannot become the command. End of file without one: it did.
struct LaunchReport {
  LaunchStep step{};
  int32_t error = 0;
};

struct ChildFds {
  int null = -1;    // borrowed; where `in` is not valid: the input instead
  Fd in, out, err;  // err not valid: same as out; out not valid: `in` is a terminal for all three, and becomes the controlling one
};

/// A command ready to be started. Owns every byte the child looks at.
class Launch {
 public:
  Launch(const AgentOptions& options, const Rights& rights, const protocol::Hello& hello, const Identity& who,
         const protocol::ExecRequest& request);

  /// The program as the user named it, for messages.
  const std::string& program() const noexcept { return argv_[0]; }
  const std::string& cwd() const noexcept { return cwd_; }

  /// Starts the child: a plain fork. Not vfork or CLONE_VM: a sibling of the same uid could SIGSTOP the child before its
  /// exec and the agent would stand still with it, and the OOM killer ends all processes that share a memory. The child has
  /// the agent's undumpable memory until the exec, so it cannot be traced. `report` is the read end. 0 or -errno.
  int start(const ChildFds& fds, pid_t& pid, Fd& report) const noexcept;

 private:
  [[noreturn]] void child(const ChildFds& fds, int report) const noexcept;
  int take_identity() const noexcept;
  int execute() const noexcept;

  const AgentOptions& options_;
  const Rights& rights_;
  Identity who_;
  uint64_t capabilities_ = 0;  // kept by the command
  std::string cwd_, path_;
  std::vector<std::string> argv_, env_;
  std::vector<const char*> argv_pointers_, env_pointers_;
  mutable std::vector<const char*> script_pointers_;  // "/bin/sh", the script, the arguments
};

}  // namespace svm::agent
