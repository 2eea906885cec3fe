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

bool is_utf8(std::string_view bytes);
std::string base64(std::string_view bytes);
/// The members NAME with the text, or NAME_b64 where the bytes are not UTF-8, as the library's own answers have it.
std::string json_bytes_member(std::string_view name, const std::string& bytes);
/// A JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

}  // namespace cli
