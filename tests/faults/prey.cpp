#include "prey.hpp"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/process.hpp"

namespace svm::test {
namespace {

namespace fs = std::filesystem;

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code gone;
  for (fs::directory_iterator task("/proc/" + std::to_string(parent) + "/task", gone), end; !gone && task != end; task.increment(gone)) {
    std::ifstream children(task->path() / "children");
    for (pid_t child; children >> child;) found.push_back(child);
  }
  return found;
}

bool is_launcher(pid_t id) {
  std::string name;
  std::getline(std::ifstream("/proc/" + std::to_string(id) + "/cmdline"), name, '\0');
  return name == "stacyvm-launcher";
}

}  // namespace

std::vector<Prey> prey_of(pid_t above) {
  std::vector<Prey> found{{above, 0, Victim::host}};
  for (size_t at = 0; at < found.size(); ++at) {
    const Prey parent = found[at];
    for (const pid_t child : children_of(parent.id)) {
      Victim what = Victim::command;
      if (parent.what == Victim::host) what = is_launcher(child) ? Victim::launcher : Victim::host;
      if (parent.what == Victim::launcher) what = Victim::agent;
      found.push_back({child, parent.id, what});
    }
  }
  found.erase(found.begin());
  return found;
}

bool kill_prey(const Prey& prey) {
  Fd pidfd;
  if (open_pidfd(prey.id, pidfd) != 0) return false;
  // The number may have become another process's meanwhile.
  const std::vector<pid_t> still = children_of(prey.parent);
  return std::find(still.begin(), still.end(), prey.id) != still.end() && signal_pidfd(pidfd.get(), SIGKILL) == 0;
}

std::string waits_of(pid_t above) {
  constexpr size_t kMost = 40;  // threads
  std::string all;
  size_t count = 0;
  for (const Prey& prey : prey_of(above)) {
    std::error_code gone;
    for (fs::directory_iterator task("/proc/" + std::to_string(prey.id) + "/task", gone), end; !gone && task != end && count < kMost; task.increment(gone), ++count) {
      const auto line = [&](const char* file) {
        std::string text;
        std::getline(std::ifstream(task->path() / file), text);
        return text;
      };
      const std::string stat = line("stat"), state = stat.substr(std::min(stat.size(), stat.rfind(')') + 2), 1);
      all += line("comm") + ' ' + state + ' ' + line("wchan") + ", ";
    }
  }
  return all;
}

std::string marked(pid_t above, const std::string& marker) {
  for (const Prey& prey : prey_of(above)) {
    std::ifstream arguments("/proc/" + std::to_string(prey.id) + "/cmdline");
    for (std::string argument; std::getline(arguments, argument, '\0');)
      if (argument.starts_with(marker)) return argument.substr(marker.size());
  }
  return "";
}

}  // namespace svm::test
