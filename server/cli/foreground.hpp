// A command that has our standard streams: of run, exec and shell.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <string>
#include <vector>

#include "run_report.hpp"
#include "signals.hpp"

namespace cli {

struct CommandOptions {
  std::string workdir, timeout;
  bool tty = false;    // a terminal for it, of the size of ours
  bool input = true;   // our standard input is its own
  bool json = false;   // its output is collected, and not passed on
};

/// What is asked of the library. Throws std::invalid_argument for what cannot be.
stacyvm::Exec exec_of(const CommandOptions& options, std::vector<std::string> command);

/// The exit status when a command did not start or its stream broke, as a shell has it.
int refusal_status(const stacyvm::Error& error);

/// Runs it to its end, or until there is no point in its going on, and says on standard error why it failed. `report` gets its status, result,
/// error and output.
void run_in_foreground(const CommandOptions& options, stacyvm::Sandbox& sandbox, const stacyvm::Exec& exec, stacyvm::Queue& queue, Signals& signals,
                       RunReport& report);

/// Fills in what the sandbox is, if it still is.
void describe(stacyvm::Sandbox& sandbox, RunReport& report);

}  // namespace cli
