// The processes by which sandboxes run, as those who may be killed.
#pragma once
#include <sys/types.h>

#include <string>
#include <vector>

namespace svm::test {

enum class Victim { host, launcher, agent, command };  // each starts the next; a command also what descends from it

struct Prey {
  pid_t id = 0, parent = 0;
  Victim what = Victim::host;
};

/// All that descend from the process, as they are at this moment: a launcher without a host is the child of whoever is the reaper.
std::vector<Prey> prey_of(pid_t above);

/// Whether it still was who it had been, and was killed.
bool kill_prey(const Prey& prey);

/// The threads of all below that one, with their states and what they wait for: for the message of a test that hangs.
std::string waits_of(pid_t above);

/// What follows the marker in the arguments of a process below that one; "" when there is none.
std::string marked(pid_t above, const std::string& marker);

}  // namespace svm::test
