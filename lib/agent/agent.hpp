// The agent: pid 1 of every sandbox. Speaks lib/protocol over one descriptor and does everything that happens inside.
#pragma once
#include <cstddef>
#include <cstdint>

namespace svm::agent {

/// What pid 1 is started with: descriptors that the launcher opened, and what containment already achieved.
struct AgentOptions {
  int channel = -1;          // the byte stream to the host
  int life = -1;             // end of file here: the launcher is gone, so end too; -1: none
  int control = -1;          // further connections to the host come here, a message with a descriptor each; -1: there is only the first
  int oom = -1;              // see isolation::Cgroup::oom_fd; -1: none
  int command_groups[3] = {-1, -1, -1};  // a command writes "0" into each before its exec
  size_t command_group_count = 0;
  uint64_t enforced = 0;     // protocol::Enforced bits so far
  int root = -1;             // directory that files are resolved below; -1: "/". Only tests give one
  bool lock_down = true;     // false only in tests that run the agent as an ordinary program
};

/// Serves until the channel (where there is no `control`) or `life` ends, then kills what is left and returns an exit status. Never throws. Blocks every
/// signal and takes SIGCHLD by signalfd. With lock_down it is process 1 of a pid namespace and gives up its rights before the first command.
int run(const AgentOptions& options) noexcept;

}  // namespace svm::agent
