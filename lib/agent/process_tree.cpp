#include "agent/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "core/fd.hpp"

namespace svm::agent {
namespace {

constexpr int kRounds = 8;
constexpr int kAfterSession = 7, kStarted = 22;  // numbers of fields, as proc(5) counts them
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

/// Adds to `tree` (sorted) what descends from it or lives in a session that one of it leads, and calls `found` with each.
template <class Found>
void grow(std::vector<pid_t>& tree, const std::vector<ProcessStat>& all, Found found) {
  const pid_t self = ::getpid();
  // Parents may have higher numbers than their children: go over the table until it adds nothing.
  for (bool again = true; again;) {
    again = false;
    for (const ProcessStat& process : all) {
      if (process.pid == self || contains(tree, process.pid)) continue;
      if (!contains(tree, process.parent) && !contains(tree, process.session)) continue;
      tree.insert(std::lower_bound(tree.begin(), tree.end(), process.pid), process.pid);
      found(process.pid);
      again = true;
    }
  }
}

void stop(pid_t pid) noexcept { (void)::kill(pid, SIGSTOP); }

/// Stops what belongs to `tree`, whose own are stopped, until a look finds no new one or kRounds are over, then kills all.
void end(std::vector<pid_t> tree) {
  for (int round = 0; round < kRounds; ++round) {
    bool found = false;
    grow(tree, processes(), [&found](pid_t pid) {
      stop(pid);
      found = true;
    });
    if (!found) break;
  }
  for (const pid_t pid : tree) (void)::kill(pid, SIGKILL);
}

/// The numbers of `tree`, sorted, that stand for the same as then: the process is there, or at least its session, which keeps the number.
std::vector<pid_t> still_of(const std::vector<ProcessStat>& tree, const std::vector<ProcessStat>& all) {
  std::vector<pid_t> numbers;
  for (const ProcessStat& member : tree) {
    bool same = false, other = false, session = false;
    for (const ProcessStat& process : all) {
      if (process.pid == member.pid) (process.started == member.started ? same : other) = true;
      if (process.session == member.pid) session = true;
    }
    if (same || (session && !other)) numbers.push_back(member.pid);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) noexcept {
  // PID (NAME) STATE PPID PGRP SESSION ... STARTTIME ...: the name ends at the last ')'.
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
  for (int field = kAfterSession; field < kStarted; ++field) {
    const size_t blank = text.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    text.remove_prefix(blank + 1);
  }
  if (std::from_chars(text.data(), text.data() + text.size(), stat.started).ec != std::errc{}) return std::nullopt;
  return stat;
}

void kill_tree(pid_t leader) noexcept {
  // ESRCH: nobody there any more. EPERM cannot be: the agent holds CAP_KILL or shares the uid.
  (void)::kill(-leader, SIGSTOP);
  (void)::kill(leader, SIGSTOP);  // before its setsid it has no group of its own
  end({leader});
  (void)::kill(-leader, SIGKILL);  // again: without /proc it is all that was found
}

std::vector<ProcessStat> tree_of(pid_t leader) {
  const std::vector<ProcessStat> all = processes();
  std::vector<pid_t> tree{leader};
  grow(tree, all, [](pid_t) {});
  std::vector<ProcessStat> found;
  std::copy_if(all.begin(), all.end(), std::back_inserter(found), [&](const ProcessStat& process) { return contains(tree, process.pid); });
  return found;
}

bool any_left(const std::vector<ProcessStat>& tree) {
  const std::vector<ProcessStat> all = processes();
  std::vector<pid_t> numbers = still_of(tree, all);
  grow(numbers, all, [](pid_t) {});
  return std::any_of(all.begin(), all.end(), [&](const ProcessStat& process) {
    return contains(numbers, process.pid) && process.state != 'Z' && process.state != 'X';
  });
}

void kill_tree(const std::vector<ProcessStat>& tree) noexcept {
  const std::vector<pid_t> numbers = still_of(tree, processes());
  for (const pid_t pid : numbers) stop(pid);
  end(numbers);
}

}  // namespace svm::agent
