// stacyvm shell: somebody at a terminal in a sandbox.
#include <memory>

#include "client_options.hpp"
#include "command_words.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "foreground.hpp"
#include "options.hpp"
#include "output.hpp"
#include "terminal.hpp"

namespace cli {
namespace {

struct ShellOptions {
  ClientOptions client;
  CommandOptions command;
  std::string sandbox, user;
};

/// The first shell there is that a person would want.
const std::vector<std::string> kAnyShell = {"/bin/sh", "-c", "command -v bash > /dev/null 2>&1 && exec bash; exec sh"};

int act(ShellOptions& options, std::vector<std::string> words) {
  if (!words.empty()) check_command(words, "shell SANDBOX");
  if (options.client.json) throw std::invalid_argument("--json: what a terminal shows is for people; stacyvm exec --json tells of a command");
  options.command.tty = Terminal::present();
  stacyvm::Exec exec = exec_of(options.command, words.empty() ? kAnyShell : std::move(words));
  exec.user = options.user;
  Signals signals;  // before the library's threads
  Connection connection(options.client, signals);
  stacyvm::Sandbox sandbox = sandbox_of(connection, options.sandbox);
  stacyvm::Queue queue = connection.instance().queue();
  RunReport report;
  run_in_foreground(options.command, sandbox, exec, queue, signals, report);
  return report.status;
}

}  // namespace

Verb add_shell(CLI::App& app) {
  auto options = std::make_shared<ShellOptions>();
  CLI::App* verb = app.add_subcommand("shell", "Open a shell in a sandbox");
  add_text(*verb, "sandbox", options->sandbox, "The sandbox's id or name")->required();
  add_text(*verb, "-w,--workdir", options->command.workdir, "Working directory inside (default /workspace)");
  add_text(*verb, "-u,--user", options->user, "user, root, nobody, UID or UID:GID (default: the sandbox's)");
  add_client_options(*verb, options->client, "Not here: see stacyvm exec --json");
  verb->prefix_command();
  verb->footer(
      "stacyvm shell [OPTIONS] SANDBOX [-- SHELL [ARGUMENT...]]\n"
      "Without SHELL the first of bash and sh that is there. It has a terminal where standard input and output are one, otherwise it reads commands\n"
      "from standard input. Exit status: the shell's, as stacyvm run.");
  return {verb, true, [verb, options](const CommandWords& words) {
            auto command = command_of(*verb, words);
            return command ? answered("shell", options->client, [&] { return act(*options, std::move(*command)); }) : kExitOurs;
          }};
}

}  // namespace cli
