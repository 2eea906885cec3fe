// The verbs. Each adds itself and its options to the parser; one file per verb.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace cli {

/// What stood behind "--" on the command line.
struct CommandWords {
  bool dashes = false;
  std::vector<std::string> after;
};

struct Verb {
  CLI::App* app;
  bool takes_command;
  /// Called once the command line is parsed; answers the process's exit status. May throw what has a message for the user.
  std::function<int(const CommandWords&)> act;
};

Verb add_run(CLI::App& app);
Verb add_spawn(CLI::App& app);
Verb add_exec(CLI::App& app);
Verb add_shell(CLI::App& app);
Verb add_cp(CLI::App& app);
Verb add_list(CLI::App& app);
Verb add_kill(CLI::App& app);
Verb add_logs(CLI::App& app);
Verb add_events(CLI::App& app);
Verb add_stats(CLI::App& app);
Verb add_serve(CLI::App& app);
Verb add_probe(CLI::App& app);
Verb add_version(CLI::App& app);
Verb add_completion(CLI::App& app);
Verb add_man(CLI::App& app);

}  // namespace cli
