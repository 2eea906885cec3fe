#include "agent/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "core/fd.hpp"

namespace svm::agent {
namespace {

constexpr int kRounds = 8;
constexpr size_t kMaxProcesses = 32768;  // looked at in one round

std::vector<ProcessStat> processes() {
  std::vector<ProcessStat> found;
  DIR* proc = ::opendir("/proc");
  if (!proc) return found;
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || found.size() >= kMaxProcesses) continue;
    char path[64];
    const size_t size = std::min(std::string_view(entry->d_name).size(), size_t{32});
    std::copy_n(entry->d_name, size, path);
    std::copy_n("/stat", 6, path + size);
    Fd fd(::openat(::dirfd(proc), path, O_RDONLY | O_CLOEXEC));
    if (!fd) continue;  // ended meanwhile
    char text[512];
    const long n = read_all(fd.get(), text, sizeof text);
    if (n <= 0) continue;
    if (const auto stat = parse_process_stat(std::string_view(text, static_cast<size_t>(n)))) found.push_back(*stat);
  }
  ::closedir(proc);
  return found;
}

bool contains(const std::vector<pid_t>& sorted, pid_t pid) noexcept { return std::binary_search(sorted.begin(), sorted.end(), pid); }

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) noexcept {
  // PID (NAME) STATE PPID PGRP SESSION ...: the name ends at the last ')'.
  ProcessStat stat;
  const auto number = [&text](pid_t& out) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || out < 0) return false;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (!text.empty() && text[0] != ' ') return false;
    if (!text.empty()) text.remove_prefix(1);
    return true;
  };
  if (!number(stat.pid)) return std::nullopt;
  const size_t name_end = text.rfind(')');
  if (text.empty() || text[0] != '(' || name_end == std::string_view::npos || text.size() < name_end + 4) return std::nullopt;
  stat.state = text[name_end + 2];
  if (text[name_end + 1] != ' ' || text[name_end + 3] != ' ') return std::nullopt;
  text.remove_prefix(name_end + 4);
  pid_t group = 0;
  if (!number(stat.parent) || !number(group) || !number(stat.session)) return std::nullopt;
  return stat;
}

void kill_tree(pid_t leader) noexcept {
  // ESRCH: nobody there any more. EPERM cannot be: the agent holds CAP_KILL or shares the uid.
  (void)::kill(-leader, SIGSTOP);
  (void)::kill(leader, SIGSTOP);  // before its setsid it has no group of its own
  std::vector<pid_t> tree{leader};  // sorted
  const pid_t self = ::getpid();
  for (int round = 0; round < kRounds; ++round) {
    const std::vector<ProcessStat> all = processes();
    bool found = false;
    // Parents may have higher numbers than their children: go over the table until it adds nothing.
    for (bool again = true; again;) {
      again = false;
      for (const ProcessStat& process : all) {
        if (process.pid == self || contains(tree, process.pid)) continue;
        if (!contains(tree, process.parent) && !contains(tree, process.session)) continue;
        tree.insert(std::lower_bound(tree.begin(), tree.end(), process.pid), process.pid);
        (void)::kill(process.pid, SIGSTOP);
        found = again = true;
      }
    }
    if (!found) break;
  }
  (void)::kill(-leader, SIGKILL);
  for (const pid_t pid : tree) (void)::kill(pid, SIGKILL);
}

}  // namespace svm::agent
