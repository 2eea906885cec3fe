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

/// "stacyvm: message" on standard error, in one line and without what a terminal would act on: messages have names that others chose.
void complain(std::string_view message);
/// A line on standard error, as it is.
void print_error(std::string_view line);
/// Writes all of it to standard output and answers the exit status: 0; kExitBrokenPipe; kExitOurs, with a complaint.
int print(std::string_view text);
/// As print, of a command's bytes that go where it wrote them.
int pass_on(bool to_standard_error, std::string_view bytes);

}  // namespace cli
