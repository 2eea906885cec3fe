// stacyvm run: a sandbox for one command.
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"
#include "output.hpp"
#include "pairs.hpp"
#include "pump.hpp"
#include "run_report.hpp"
#include "signals.hpp"
#include "terminal.hpp"
#include "units.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;

constexpr auto kLifetime = 24h;                   // the longest there is: the command decides when it is over
constexpr uint64_t kMaxJsonOutput = 64u << 20;    // bytes of output that --json collects

struct RunOptions {
  std::string image, user, workdir, profile, memory, cpus, disk, pids, timeout;
  std::vector<std::string> env, mounts;
  bool json = false, timings = false, best_effort = false;
  std::optional<bool> tty;  // as asked

  bool wants_tty() const { return tty.value_or(!json && Terminal::present()); }

  bool asks_for_limits() const { return !memory.empty() || !cpus.empty() || !disk.empty() || !pids.empty(); }
};

/// What is asked of the library; throws std::invalid_argument for what cannot be.
stacyvm::Spawn spawn_of(const RunOptions& o) {
  stacyvm::Spawn spawn;
  spawn.image = o.image;
  spawn.profile = o.profile;
  spawn.user = o.user;
  spawn.ttl = kLifetime;
  if (!o.memory.empty()) spawn.memory_bytes = parse_size(o.memory);
  if (!o.disk.empty()) spawn.disk_bytes = parse_size(o.disk);
  if (!o.cpus.empty()) spawn.milli_cpus = parse_milli_cpus(o.cpus);
  if (!o.pids.empty()) spawn.pids = parse_count(o.pids);
  const std::string cwd = o.mounts.empty() ? std::string() : std::filesystem::current_path().string();
  for (const std::string& text : o.mounts) {
    auto [host, guest] = parse_mount(text, cwd);
    spawn.mounts.push_back({std::move(host), std::move(guest)});
  }
  for (auto& [name, value] : parse_environment(o.env)) spawn.env.emplace_back(name, value);
  if (o.best_effort) spawn.flags |= STACYVM_SPAWN_BEST_EFFORT;
  return spawn;
}

stacyvm::Exec exec_of(const RunOptions& o, std::vector<std::string> command) {
  stacyvm::Exec exec = stacyvm::Exec::program(std::move(command));
  exec.cwd = o.workdir;
  exec.flags = STACYVM_EXEC_STDIN;
  if (o.wants_tty()) {
    const Terminal::Size size = Terminal::size();
    exec.flags = STACYVM_EXEC_PTY;
    exec.rows = size.rows;
    exec.cols = size.cols;
    if (const char* term = std::getenv("TERM"); term && *term) exec.env.emplace_back("TERM", term);
  }
  if (!o.timeout.empty()) exec.timeout = std::chrono::milliseconds(parse_duration_ms(o.timeout));
  if (o.json) exec.output_limit = kMaxJsonOutput;
  return exec;
}

/// The exit status when the command did not start or its stream broke.
int refusal_status(const stacyvm::Error& error) {
  // The program may well be there, so this is no "not found". Quotes inside the details' texts are escaped: this is a member and its value.
  if (error.details().find(R"("step":"working_directory")") != std::string::npos) return kExitNotExecutable;
  switch (error.code()) {
    case STACYVM_E_FILE_NOT_FOUND: return kExitNotFound;
    case STACYVM_E_FORBIDDEN: return kExitNotExecutable;
    default: return kExitOurs;
  }
}

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
      if (auto sandbox = start(session, queue)) {
        report_.spawn_ms = clock_.ms();
        execute(queue, *sandbox);
        report_.exec_ms = clock_.ms() - report_.spawn_ms;
        if (options_.json) describe(*sandbox);
        destroy(*sandbox);
      }
    } catch (const stacyvm::Error& error) {
      failed(error, kExitOurs);
      const bool cannot = error.code() == STACYVM_E_UNSUPPORTED || error.code() == STACYVM_E_UNAVAILABLE;
      if (cannot && options_.asks_for_limits() && !options_.best_effort)
        complain("if this host cannot enforce a limit: stacyvm probe tells which, --best-effort goes without");
    }
    // The instance is closed: whatever came before, nothing is left now.
    report_.total_ms = clock_.ms();
    return std::move(report_);
  }

 private:
  void failed(const stacyvm::Error& error, int status) {
    complain(error.what());
    report_.status = status;
    report_.error = error;
  }

  /// Nothing: a signal came first, and the sandbox that was being made goes away.
  std::optional<stacyvm::Sandbox> start(stacyvm::Session& session, stacyvm::Queue& queue) {
    stacyvm::Op op = session.spawn_begin(spawn_);
    queue.add(op, 0);
    while (!op.wait(stacyvm::Timeout::none())) {
      pollfd fds[] = {{queue.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
      if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR)
        throw std::system_error(errno, std::generic_category(), "cannot wait");
      if (const int number = signals_.take(); number != 0 && number != SIGWINCH) {
        op.cancel();
        report_.status = signal_status(number);
        return std::nullopt;
      }
    }
    return op.sandbox();
  }

  void execute(stacyvm::Queue& queue, stacyvm::Sandbox& sandbox) {
    try {
      stacyvm::Stream command = sandbox.exec_start(exec_);
      std::optional<Terminal> terminal;  // left before anything is said about the end
      if (options_.wants_tty() && Terminal::present()) terminal.emplace();
      Pump pump(queue, command, signals_, options_.json ? &report_.output : nullptr, terminal.has_value());
      const std::optional<int> ended = pump.run();
      terminal.reset();
      if (ended) {
        report_.status = *ended;
      } else {
        report_.result = command.exec_result();
        report_.status = end_status(report_.result.value());
      }
    } catch (const stacyvm::Error& error) {
      failed(error, refusal_status(error));
    } catch (const std::system_error& error) {
      complain(error.what());
      report_.status = kExitOurs;
    }
  }

  void describe(stacyvm::Sandbox& sandbox) {
    try {
      report_.sandbox = sandbox.info();
    } catch (const stacyvm::Error& error) {
      if (error.code() != STACYVM_E_NOT_FOUND) failed(error, kExitOurs);
    }
  }

  /// Waits until everything of it is gone. That it has gone by itself is no failure.
  void destroy(stacyvm::Sandbox& sandbox) {
    try {
      sandbox.destroy();
    } catch (const stacyvm::Error& error) {
      if (error.code() != STACYVM_E_NOT_FOUND) failed(error, kExitOurs);
    }
  }

  int end_status(const stacyvm::ExecResult& result) const {
    switch (result.reason) {
      case STACYVM_REASON_TIMEOUT: complain("timed out after " + options_.timeout); return kExitTimeout;
      case STACYVM_REASON_OOM: complain("out of memory; --memory sets how much there is"); break;
      // It may have ended well before that was noticed, but what is told of it is not all.
      case STACYVM_REASON_OUTPUT_LIMIT: complain("more output than --json collects (64 MiB); leave --json out"); return kExitOurs;
      default: break;
    }
    return result.exit_code;
  }

  const RunOptions& options_;
  const stacyvm::Spawn spawn_;
  const stacyvm::Exec exec_;
  const Clock clock_;
  Signals signals_;  // before the library's threads: they inherit the mask
  RunReport report_;
};

int act(const RunOptions& options, std::vector<std::string> command) {
  std::optional<Run> run;
  try {
    if (command.empty()) throw std::invalid_argument("no command; give one after --, as in: stacyvm run -- sh -c 'echo hello'");
    if (command[0].empty()) throw std::invalid_argument("the command's name is empty");
    run.emplace(options, spawn_of(options), exec_of(options, std::move(command)));
  } catch (const std::invalid_argument& error) {
    complain(std::string("run: ") + error.what());
    return kExitOurs;
  }
  const RunReport report = run->run();
  const int printed = options.json ? print(to_json(report)) : 0;
  if (options.timings) complain(to_timings(report));
  return printed != 0 ? printed : report.status;
}

}  // namespace

Verb add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "Run a command in a new sandbox, and throw the sandbox away");
  const auto text = [&](const char* names, std::string& value, const char* help) {
    verb->add_option(names, value, help)->type_name("TEXT");
  };
  const auto list = [&](const char* names, std::vector<std::string>& values, const char* help) {
    verb->add_option_function<std::string>(names, [&values](const std::string& value) { values.push_back(value); }, help)
        ->type_name("TEXT")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->trigger_on_parse();
  };
  text("--image", options->image, "host (default: this machine's /usr, read-only), a root file system's directory or tar");
  list("-e,--env", options->env, "NAME=VALUE for the command; repeat for more");
  list("--mount-ro", options->mounts, "HOST:GUEST: show a file or directory of this machine, read-only; repeat for more");
  text("-m,--memory", options->memory, "Memory, such as 256m; enforced, or the run fails");
  text("--cpus", options->cpus, "Processors, such as 0.5; enforced, or the run fails");
  text("--pids,--pids-limit", options->pids, "Processes and threads; enforced, or the run fails");
  text("--disk", options->disk, "Space for files, such as 1g; enforced, or the run fails");
  text("--timeout", options->timeout, "Kill the command after this time, such as 30s or 1m30s; exit status 124");
  text("-u,--user", options->user, "user (default), root, nobody, UID or UID:GID");
  text("-w,--workdir", options->workdir, "Working directory inside (default /workspace)");
  text("--profile", options->profile, "default, debug (ptrace) or build (package installs)");
  verb->add_flag("--best-effort", options->best_effort, "Go without limits that this host cannot enforce");
  verb->add_flag_callback("-t,--tty", [options] { options->tty = true; }, "A terminal for the command; the default where ours is one");
  verb->add_flag_callback("-T,--no-tty", [options] { options->tty = false; }, "Pipes for the command");
  verb->add_flag("--json", options->json, "One JSON object with output, exit code, times and what was enforced");
  verb->add_flag("--timings", options->timings, "Tell on standard error how long it took");
  verb->prefix_command();  // from the first word that is no option on, everything is the command's
  verb->footer(
      "stacyvm run [OPTIONS] -- COMMAND [ARGUMENT...]\n"
      "Exit status: the command's; 128 + n when signal n ended it; 124 timeout; 125 stacyvm failed, or there was\n"
      "more output than --json collects; 126 not executable, or no such working directory; 127 not found.\n"
      "The first SIGINT, SIGTERM, SIGHUP or SIGQUIT goes to the command, the second ends the sandbox.\n"
      "After 24 hours it ends in any case.");
  return {verb, true, [verb, options](const CommandWords& words) {
            std::vector<std::string> command = verb->remaining();
            if (!command.empty() && command[0].starts_with('-') && command[0] != "-") {
              complain("run: unknown option " + command[0] + "; see stacyvm run --help");
              return kExitOurs;
            }
            if (words.dashes && !command.empty()) command.emplace_back("--");
            command.insert(command.end(), words.after.begin(), words.after.end());
            return act(*options, std::move(command));
          }};
}

}  // namespace cli
