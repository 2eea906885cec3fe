// The stacyvm executable.
#include <CLI/CLI.hpp>
#include <csignal>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/output.hpp"

int main(int argc, char** argv) {
  // A reader that goes away is an error of write, not the end of us: the sandbox is still to be destroyed.
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app{"Disposable, isolated computers for programs", "stacyvm"};
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, cli::Command>> commands;
  const auto add = [&](cli::Command (*verb)(CLI::App&)) {
    cli::Command command = verb(app);
    commands.emplace_back(app.get_subcommands({}).back(), std::move(command));
  };
  add(cli::add_run);
  add(cli::add_probe);
  add(cli::add_version);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int status = app.exit(error);
    return status == 0 ? 0 : cli::kExitOurs;
  }
  for (const auto& [verb, command] : commands)
    if (verb->parsed()) return command();
  return cli::kExitOurs;
}
