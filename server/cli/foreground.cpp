#include "foreground.hpp"

#include <cstdlib>
#include <optional>
#include <system_error>

#include "output.hpp"
#include "pump.hpp"
#include "terminal.hpp"
#include "units.hpp"

namespace cli {
namespace {

constexpr uint64_t kMaxJsonOutput = 64u << 20;  // bytes of output that --json collects

void failed(RunReport& report, const stacyvm::Error& error, int status) {
  complain(error.what());
  report.status = status;
  report.error = error;
}

int end_status(const CommandOptions& options, const stacyvm::ExecResult& result) {
  switch (result.reason) {
    case STACYVM_REASON_TIMEOUT: complain("timed out" + (options.timeout.empty() ? "" : " after " + options.timeout)); return kExitTimeout;
    case STACYVM_REASON_OOM: complain("out of memory; a sandbox's --memory sets how much there is"); break;
    // It may have ended well before that was noticed, but what is told of it is not all.
    case STACYVM_REASON_OUTPUT_LIMIT: complain("more output than --json collects (64 MiB); leave --json out"); return kExitOurs;
    default: break;
  }
  return result.exit_code;
}

}  // namespace

int refusal_status(const stacyvm::Error& error) {
  // The program may well be there, so this is no "not found". Quotes inside the details' texts are escaped: this is a member and its value.
  if (error.details().find(R"("step":"working_directory")") != std::string::npos) return kExitNotExecutable;
  switch (error.code()) {
    case STACYVM_E_FILE_NOT_FOUND: return kExitNotFound;
    case STACYVM_E_FORBIDDEN: return kExitNotExecutable;
    default: return kExitOurs;
  }
}

stacyvm::Exec exec_of(const CommandOptions& options, std::vector<std::string> command) {
  stacyvm::Exec exec = stacyvm::Exec::program(std::move(command));
  exec.cwd = options.workdir;
  if (options.tty) {
    const Terminal::Size size = Terminal::size();
    exec.flags = STACYVM_EXEC_PTY;
    exec.rows = size.rows;
    exec.cols = size.cols;
    if (const char* term = std::getenv("TERM"); term && *term) exec.env.emplace_back("TERM", term);
  } else if (options.input) {
    exec.flags = STACYVM_EXEC_STDIN;
  }
  if (!options.timeout.empty()) exec.timeout = std::chrono::milliseconds(parse_duration_ms(options.timeout));
  if (options.json) exec.output_limit = kMaxJsonOutput;
  return exec;
}

void run_in_foreground(const CommandOptions& options, stacyvm::Sandbox& sandbox, const stacyvm::Exec& exec, stacyvm::Queue& queue, Signals& signals,
                       RunReport& report) {
  try {
    stacyvm::Stream command = sandbox.exec_start(exec);
    report.exec_id = command.exec_id();
    std::optional<Terminal> terminal;  // left before anything is said about the end
    if (options.tty && options.input && Terminal::present()) terminal.emplace();
    Pump pump(queue, command, signals, {.collected = options.json ? &report.output : nullptr, .on_terminal = options.tty, .input = options.input});
    const std::optional<int> ended = pump.run();
    terminal.reset();
    if (ended) {
      report.status = *ended;
    } else {
      report.result = command.exec_result();
      report.status = end_status(options, report.result.value());
    }
  } catch (const stacyvm::Error& error) {
    failed(report, error, refusal_status(error));
  } catch (const std::system_error& error) {
    complain(error.what());
    report.status = kExitOurs;
  }
}

void describe(stacyvm::Sandbox& sandbox, RunReport& report) {
  try {
    report.sandbox = sandbox.info();
  } catch (const stacyvm::Error& error) {
    if (error.code() != STACYVM_E_NOT_FOUND) failed(report, error, kExitOurs);
  }
}

}  // namespace cli
