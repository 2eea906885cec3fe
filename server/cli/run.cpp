// stacyvm run: a sandbox for one command.
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command_words.hpp"
#include "commands.hpp"
#include "failure.hpp"
#include "foreground.hpp"
#include "options.hpp"
#include "output.hpp"
#include "run_report.hpp"
#include "sandbox_options.hpp"
#include "signals.hpp"
#include "terminal.hpp"
#include "units.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kLifetime = 24h;  // the longest there is: the command decides when it is over

struct RunOptions {
  SandboxOptions sandbox;
  CommandOptions command;
  bool timings = false;
  std::optional<bool> tty;  // as asked
};

class Clock {
 public:
  double ms() const { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Run {
 public:
  Run(const RunOptions& options, stacyvm::Spawn spawn, stacyvm::Exec exec)
      : options_(options), spawn_(std::move(spawn)), exec_(std::move(exec)) {}

  RunReport run() {
    try {
      stacyvm::Instance instance;
      stacyvm::Session session = instance.session();
      stacyvm::Queue queue = instance.queue();
      stacyvm::Op op = session.spawn_begin(spawn_);
      wait_for(op, signals_);
      stacyvm::Sandbox sandbox = op.sandbox();
      report_.spawn_ms = clock_.ms();
      run_in_foreground(options_.command, sandbox, exec_, queue, signals_, report_);
      report_.exec_ms = clock_.ms() - *report_.spawn_ms;
      if (options_.command.json) describe(sandbox, report_);
      destroy(sandbox);
    } catch (const Interrupted& interrupted) {
      report_.status = signal_status(interrupted.signal);  // the sandbox that was being made goes away
    } catch (const stacyvm::Error& error) {
      failed(error);
      advise_on_limits(error, options_.sandbox);
    }
    // The instance is closed: whatever came before, nothing is left now.
    report_.total_ms = clock_.ms();
    return std::move(report_);
  }

 private:
  void failed(const stacyvm::Error& error) {
    complain(error.what());
    report_.status = kExitOurs;
    report_.error = error;
  }

  /// Waits until everything of it is gone. That it has gone by itself is no failure.
  void destroy(stacyvm::Sandbox& sandbox) {
    try {
      sandbox.destroy();
    } catch (const stacyvm::Error& error) {
      if (error.code() != STACYVM_E_NOT_FOUND) failed(error);
    }
  }

  const RunOptions& options_;
  const stacyvm::Spawn spawn_;
  const stacyvm::Exec exec_;
  const Clock clock_;
  Signals signals_;  // before the library's threads: they inherit the mask
  RunReport report_{.spawn_ms = 0};
};

int act(RunOptions& options, std::vector<std::string> command) {
  options.command.tty = options.tty.value_or(!options.command.json && Terminal::present());
  std::optional<Run> run;
  try {
    check_command(command, "run");
    stacyvm::Spawn spawn = spawn_of(options.sandbox);
    spawn.ttl = kLifetime;
    run.emplace(options, std::move(spawn), exec_of(options.command, std::move(command)));
  } catch (const std::invalid_argument& error) {
    say_mistake(std::string("run: ") + error.what(), "", options.command.json);
    return kExitOurs;
  }
  const RunReport report = run->run();
  const int printed = options.command.json ? print(to_json(report)) : 0;
  if (options.timings) complain(to_timings(report));
  return printed != 0 ? printed : report.status;
}

}  // namespace

Verb add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "Run a command in a new sandbox, and throw the sandbox away");
  add_sandbox_options(*verb, options->sandbox);
  add_value(*verb, "--timeout", options->command.timeout, parse_duration_ms, "Kill the command after this time, such as 30s or 1m30s; exit status 124");
  add_text(*verb, "-w,--workdir", options->command.workdir, "Working directory inside (default /workspace)");
  verb->add_flag_callback("-t,--tty", [options] { options->tty = true; }, "A terminal for the command; the default where ours is one");
  verb->add_flag_callback("-T,--no-tty", [options] { options->tty = false; }, "Pipes for the command");
  verb->add_flag("--json", options->command.json, "One JSON object with output, exit code, times and what was enforced");
  verb->add_flag("--timings", options->timings, "Tell on standard error how long it took");
  verb->prefix_command();  // from the first word that is no option on, everything is the command's
  verb->footer(
      "stacyvm run [OPTIONS] -- COMMAND [ARGUMENT...]\n"
      "Exit status: the command's; 128 + n when signal n ended it; 124 timeout; 125 stacyvm failed, or there was\n"
      "more output than --json collects; 126 not executable, or no such working directory; 127 not found.\n"
      "The first SIGINT, SIGTERM, SIGHUP or SIGQUIT goes to the command, the second ends the sandbox.\n"
      "After 24 hours it ends in any case.");
  return {verb, true, [verb, options](const CommandWords& words) {
            const auto command = command_of(*verb, words);
            return command ? act(*options, *command) : kExitOurs;
          }};
}

}  // namespace cli
