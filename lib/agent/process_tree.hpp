// Finding and ending what descends from a command, through /proc.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string_view>

namespace svm::agent {

struct ProcessStat {
  pid_t pid = 0, parent = 0, session = 0;
  char state = '?';
};
/// The text of /proc/PID/stat. The command name in it may hold anything, also ") R 1". Pure; fuzzed.
std::optional<ProcessStat> parse_process_stat(std::string_view text) noexcept;

/// Ends the process group of `leader` (which must not have been reaped, so that the number is still its own) and every
/// process that descends from it or lives in a session that one of them leads: all are stopped first, until a look finds no
/// new one or kRounds are over, then killed. Needs /proc; without it only the group is killed. What escapes: a process that
/// left the session (setsid) and whose ancestors up to the command had all ended before the kill. It stays inside the
/// sandbox, under its limits, and ends with it.
void kill_tree(pid_t leader) noexcept;

}  // namespace svm::agent
