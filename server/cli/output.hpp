// What commands print, and how they fail.
#pragma once
#include <csignal>
#include <string>
#include <string_view>

namespace cli {

/// We failed, and not the command: Docker's number for it. The others are the shell's.
inline constexpr int kExitOurs = 125, kExitTimeout = 124, kExitNotExecutable = 126, kExitNotFound = 127;
/// As a shell reports that a signal ended a process.
constexpr int signal_status(int signal) { return 128 + signal; }
/// What the exit status is when nobody reads our output any more: a program in a pipeline dies of this.
inline constexpr int kExitBrokenPipe = signal_status(SIGPIPE);

/// "stacyvm: message" on standard error.
void complain(std::string_view message);
/// Writes all of it to standard output and answers the exit status: 0; kExitBrokenPipe; kExitOurs, with a complaint.
int print(std::string_view text);

}  // namespace cli
