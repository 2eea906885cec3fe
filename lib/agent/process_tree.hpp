// Finding and ending what descends from a command, through /proc.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace svm::agent {

struct ProcessStat {
  pid_t pid = 0, parent = 0, session = 0;
  char state = '?';
  uint64_t started = 0;  // clock ticks after the boot: tells processes apart that had one number after another
};
/// The text of /proc/PID/stat. The command name in it may hold anything, also ") R 1". Pure; fuzzed.
std::optional<ProcessStat> parse_process_stat(std::string_view text) noexcept;

/// Ends the process group of `leader` (which must not have been reaped, so that the number is still its own) and every
/// process that descends from it or lives in a session that one of them leads: all are stopped first, until a look finds no
/// new one or kRounds are over, then killed. Needs /proc; without it only the group is killed. What escapes: a process that
/// left the session (setsid) and whose ancestors up to the command had all ended before the kill. It stays inside the
/// sandbox, under its limits, and ends with it.
void kill_tree(pid_t leader) noexcept;

/// What kill_tree(leader) would end now, to be ended later: by then those that tie it to the leader may have gone. Empty without /proc.
std::vector<ProcessStat> tree_of(pid_t leader);
/// Whether something runs that is of a tree found before, descends from it or lives in a session that one of it led.
bool any_left(const std::vector<ProcessStat>& tree);
/// Ends that, as kill_tree(leader) does. Numbers that have become another's are passed over.
void kill_tree(const std::vector<ProcessStat>& tree) noexcept;

}  // namespace svm::agent
