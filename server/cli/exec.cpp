// stacyvm exec: a command in a sandbox.
#include <poll.h>

#include <chrono>
#include <memory>

#include "../text/text.hpp"
#include "client_options.hpp"
#include "command_words.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "foreground.hpp"
#include "options.hpp"
#include "output.hpp"
#include "pairs.hpp"
#include "records.hpp"
#include "units.hpp"

namespace cli {
namespace {

struct ExecOptions {
  ClientOptions client;
  CommandOptions command{.input = false};
  std::string sandbox, user;
  std::vector<std::string> env;
  bool detach = false;
};

stacyvm::Exec exec_of(const ExecOptions& options, std::vector<std::string> command) {
  stacyvm::Exec exec = exec_of(options.command, std::move(command));
  exec.user = options.user;
  for (auto& [name, value] : parse_pairs("env", options.env)) {
    std::erase_if(exec.env, [&](const auto& known) { return known.first == name; });
    exec.env.emplace_back(name, value);
  }
  if (options.detach) {
    exec.flags |= STACYVM_EXEC_BACKGROUND;
    exec.output_limit = 0;
  }
  return exec;
}

/// Whether the sandbox has started the command.
bool has_started(stacyvm::Session& session, const std::string& sandbox, const std::string& exec_id) {
  for (const Record& process : records_of(session.call("exec.processes", {{"id", sandbox}})))
    if (member(process, "exec_id") == exec_id) return member(process, "state") != "failed" && member(process, "pid") != "0";
  return false;
}

/// Answers when the command runs: its stream tells that it could not be started.
int detach(Connection& connection, stacyvm::Sandbox& sandbox, const stacyvm::Exec& exec, bool json) {
  stacyvm::Stream command = sandbox.exec_start(exec);
  const std::string id = command.exec_id();
  const auto over = [&](stacyvm::Timeout time) {
    stacyvm_chunk chunk;
    return command.next(chunk, time) != stacyvm::Stream::Next::again;  // throws why it did not start
  };
  using namespace std::chrono_literals;
  while (!over(stacyvm::Timeout::none()) && !has_started(connection.session(), sandbox.id(), id) && !over(10ms)) {}
  return print(json ? "{\"exec_id\":" + text::json_string(id) + ",\"sandbox_id\":" + text::json_string(sandbox.id()) + "}\n" : id + '\n');
}

int act(ExecOptions& options, std::vector<std::string> words) {
  check_command(words, "exec SANDBOX");
  if (options.detach && options.command.input) throw std::invalid_argument("--detach and --interactive: a command in the background has no input of ours");
  options.command.json = options.client.json;
  const stacyvm::Exec exec = exec_of(options, std::move(words));
  const auto start = std::chrono::steady_clock::now();
  const auto ms = [&] { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count(); };
  Signals signals;  // before the library's threads
  Connection connection(options.client, signals);
  stacyvm::Sandbox sandbox = sandbox_of(connection, options.sandbox);
  if (options.detach) {
    try {
      return detach(connection, sandbox, exec, options.client.json);
    } catch (const stacyvm::Error& error) {
      say("exec", error, options.client);
      return refusal_status(error);
    }
  }
  stacyvm::Queue queue = connection.instance().queue();
  RunReport report;
  const double ready = ms();
  run_in_foreground(options.command, sandbox, exec, queue, signals, report);
  report.exec_ms = ms() - ready;
  if (!options.client.json) return report.status;
  describe(sandbox, report);
  report.total_ms = ms();
  const int printed = print(to_json(report));
  return printed != 0 ? printed : report.status;
}

}  // namespace

Verb add_exec(CLI::App& app) {
  auto options = std::make_shared<ExecOptions>();
  CLI::App* verb = app.add_subcommand("exec", "Run a command in a sandbox");
  add_text(*verb, "sandbox", options->sandbox, "The sandbox's id or name")->required();
  verb->add_flag("-i,--interactive", options->command.input, "Our standard input is the command's");
  verb->add_flag("-t,--tty", options->command.tty, "A terminal for the command");
  add_list(*verb, "-e,--env", options->env, "NAME=VALUE for the command; repeat for more");
  add_text(*verb, "-w,--workdir", options->command.workdir, "Working directory inside (default /workspace)");
  add_text(*verb, "-u,--user", options->user, "user, root, nobody, UID or UID:GID (default: the sandbox's)");
  add_value(*verb, "--timeout", options->command.timeout, parse_duration_ms, "Kill the command after this time, such as 30s or 1m30s; exit status 124");
  verb->add_flag("-d,--detach", options->detach, "Print the command's id, and let it run on");
  add_client_options(*verb, options->client, "One JSON object with output, exit code and times");
  verb->prefix_command();
  verb->footer(
      "stacyvm exec [OPTIONS] SANDBOX -- COMMAND [ARGUMENT...]\n"
      "Output passes through byte for byte. Exit status: as stacyvm run.\n"
      "The first SIGINT, SIGTERM, SIGHUP or SIGQUIT goes to the command, the second ends it.");
  return {verb, true, [verb, options](const CommandWords& words) {
            auto command = command_of(*verb, words);
            return command ? answered("exec", options->client, [&] { return act(*options, std::move(*command)); }) : kExitOurs;
          }};
}

}  // namespace cli
