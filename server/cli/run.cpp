// stacyvm run: a sandbox for one command.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "commands.hpp"
#include "output.hpp"
#include "units.hpp"

namespace cli {
namespace {

constexpr int kExitTimeout = 124, kExitNotExecutable = 126, kExitNotFound = 127;
constexpr size_t kInputBytes = 64 * 1024;
constexpr size_t kMaxJsonOutput = 64u << 20;  // bytes of output that --json collects

struct RunOptions {
  std::string image, user, workdir, profile, memory, cpus, disk, timeout;
  uint32_t pids = 0;
  std::vector<std::string> env, mounts, command;
  bool json = false, timings = false, best_effort = false;
};

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// Frees with the C function that belongs to it.
template <auto F>
struct Closer {
  template <class T>
  void operator()(T* handle) const {
    F(handle);
  }
};
using Instance = std::unique_ptr<stacyvm_instance, Closer<stacyvm_close>>;
using Session = std::unique_ptr<stacyvm_session, Closer<stacyvm_session_close>>;
using Sandbox = std::unique_ptr<stacyvm_sandbox, Closer<stacyvm_sandbox_close>>;
using Stream = std::unique_ptr<stacyvm_stream, Closer<stacyvm_stream_close>>;
using ErrorPtr = std::unique_ptr<stacyvm_error, Closer<stacyvm_error_free>>;

/// Splits "A<separator>B"; throws when there is no separator.
std::pair<std::string, std::string> split(const std::string& text, char separator, const char* expected) {
  const size_t at = text.find(separator);
  if (at == text.npos || at == 0) throw std::invalid_argument("'" + text + "': expected " + expected);
  return {text.substr(0, at), text.substr(at + 1)};
}

class Run {
 public:
  explicit Run(const RunOptions& options) : options_(options) {}

  int run() {
    const auto start = std::chrono::steady_clock::now();
    if (options_.command.empty()) {
      complain("run: no command; give one after --");
      return kExitOurs;
    }
    if (!block_signals()) return kExitOurs;
    int status;
    try {
      if (!open()) return kExitOurs;
      spawn_ms_ = milliseconds_since(start);
      status = execute();
    } catch (const std::invalid_argument& error) {
      complain(std::string("run: ") + error.what());
      return kExitOurs;
    }
    exec_ms_ = milliseconds_since(start) - spawn_ms_;
    char* info = nullptr;
    if (options_.json) (void)stacyvm_sandbox_info(sandbox_.get(), &info, nullptr);  // gone already: then there is none
    const std::string described = info ? info : "null";
    stacyvm_free(info);
    stream_.reset();
    ErrorPtr failed;
    stacyvm_error* error = nullptr;
    if (const int32_t code = stacyvm_sandbox_destroy(sandbox_.get(), &error); code != STACYVM_OK && code != STACYVM_E_NOT_FOUND) {
      failed.reset(error);
      complain(stacyvm_error_message(error));
      status = kExitOurs;
    } else {
      failed.reset(error);
    }
    const double total_ms = milliseconds_since(start);
    if (options_.json) print_json(described, status, total_ms);
    if (options_.timings)
      std::fprintf(stderr, "sandbox ready after %.1f ms, command took %.1f ms, gone after %.1f ms\n", spawn_ms_, exec_ms_, total_ms);
    return status;
  }

 private:
  bool block_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&set, signal);
    // Before the library starts its threads, which inherit the mask.
    if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return false;
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) complain("signalfd failed");
    return signals_ >= 0;
  }

  /// True for success; otherwise prints why.
  static bool check(int32_t code, stacyvm_error*& error) {
    const ErrorPtr owned(std::exchange(error, nullptr));
    if (code != STACYVM_OK) complain(stacyvm_error_message(owned.get()));
    return code == STACYVM_OK;
  }

  bool open() {
    stacyvm_error* error = nullptr;
    stacyvm_instance* instance = nullptr;
    stacyvm_options open_options;
    STACYVM_INIT(&open_options);
    open_options.log_fd_plus1 = STDERR_FILENO + 1;
    open_options.log_level = STACYVM_LOG_ERROR;
    if (!check(stacyvm_open(&open_options, &instance, &error), error)) return false;
    instance_.reset(instance);
    stacyvm_session* session = nullptr;
    if (!check(stacyvm_session_open(instance, nullptr, &session, &error), error)) return false;
    session_.reset(session);

    stacyvm_spawn_options spawn;
    STACYVM_INIT(&spawn);
    const auto text = [](const std::string& value) { return value.empty() ? nullptr : value.c_str(); };
    spawn.image = text(options_.image);
    spawn.user = text(options_.user);
    spawn.profile = text(options_.profile);
    if (!options_.memory.empty()) spawn.memory_bytes = parse_size(options_.memory);
    if (!options_.disk.empty()) spawn.disk_bytes = parse_size(options_.disk);
    if (!options_.cpus.empty()) spawn.milli_cpus = parse_milli_cpus(options_.cpus);
    spawn.pids = options_.pids;
    if (options_.best_effort) spawn.flags |= STACYVM_SPAWN_BEST_EFFORT;
    std::vector<std::pair<std::string, std::string>> mount_texts, env_texts;
    for (const std::string& mount : options_.mounts) mount_texts.push_back(split(mount, ':', "HOST:GUEST"));
    for (const std::string& variable : options_.env) env_texts.push_back(split(variable, '=', "NAME=VALUE"));
    std::vector<stacyvm_mount> mounts;
    for (const auto& [host, guest] : mount_texts) mounts.push_back({host.c_str(), guest.c_str(), 0});
    std::vector<stacyvm_pair> env;
    for (const auto& [name, value] : env_texts) env.push_back({name.c_str(), value.c_str()});
    spawn.mounts = mounts.data();
    spawn.mount_count = static_cast<uint32_t>(mounts.size());
    spawn.env = env.data();
    spawn.env_count = static_cast<uint32_t>(env.size());
    stacyvm_sandbox* sandbox = nullptr;
    if (!check(stacyvm_spawn(session, &spawn, &sandbox, &error), error)) return false;
    sandbox_.reset(sandbox);
    return true;
  }

  int execute() {
    std::vector<const char*> argv;
    for (const std::string& argument : options_.command) argv.push_back(argument.c_str());
    stacyvm_exec_options exec;
    STACYVM_INIT(&exec);
    exec.argv = argv.data();
    exec.argc = static_cast<uint32_t>(argv.size());
    exec.cwd = options_.workdir.empty() ? nullptr : options_.workdir.c_str();
    exec.flags = STACYVM_EXEC_STDIN;
    if (!options_.timeout.empty()) exec.timeout_ms = parse_duration_ms(options_.timeout);
    stacyvm_stream* stream = nullptr;
    stacyvm_error* error = nullptr;
    if (!check(stacyvm_exec_start(sandbox_.get(), &exec, &stream, &error), error)) return kExitOurs;
    stream_.reset(stream);
    return pump();
  }

  /// Moves bytes both ways until the command has ended. Nothing is kept beyond one piece each way.
  int pump() {
    const int readable = stacyvm_stream_fd(stream_.get(), 0), writable = stacyvm_stream_fd(stream_.get(), 1);
    if (readable < 0 || writable < 0) {
      complain("out of descriptors");
      return kExitOurs;
    }
    for (;;) {
      pollfd fds[4] = {{readable, POLLIN, 0}, {signals_, POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
      if (input_open_) {
        if (pending_.empty())
          fds[2] = {STDIN_FILENO, POLLIN, 0};
        else
          fds[3] = {writable, POLLIN, 0};
      }
      if (::poll(fds, 4, -1) < 0 && errno != EINTR) {
        complain("poll failed");
        return kExitOurs;
      }
      if (fds[1].revents) forward_signals();
      if (fds[2].revents) read_input();
      if (fds[3].revents) write_input();
      if (fds[0].revents) {
        int status = 0;
        if (read_output(status)) return status;
      }
    }
  }

  void forward_signals() {
    signalfd_siginfo info;
    while (::read(signals_, &info, sizeof info) == sizeof info) {
      const auto number = static_cast<int>(info.ssi_signo);
      if (interrupted_++ > 0)
        stacyvm_stream_cancel(stream_.get());  // the second time nobody is asked any more
      else
        (void)stacyvm_exec_signal(stream_.get(), number, STACYVM_SIGNAL_GROUP, nullptr);  // has ended: nothing to interrupt
    }
  }

  void read_input() {
    char buffer[kInputBytes];
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) return end_input();
    pending_.assign(buffer, static_cast<size_t>(n));
    write_input();
  }

  void write_input() {
    uint64_t taken = 0;
    const int32_t code = stacyvm_stream_write(stream_.get(), pending_.data(), pending_.size(), 0, &taken, nullptr);
    if (code == STACYVM_OK)
      pending_.erase(0, taken);
    else if (code != STACYVM_E_AGAIN)
      input_open_ = false;  // the command has ended; its output tells how
  }

  void end_input() {
    input_open_ = false;
    (void)stacyvm_stream_finish(stream_.get(), 0, nullptr);  // has ended: it needs no end of file
  }

  /// True at the end, with our exit status.
  bool read_output(int& status) {
    stacyvm_chunk chunk;
    STACYVM_INIT(&chunk);
    stacyvm_error* error = nullptr;
    const int32_t code = stacyvm_stream_next(stream_.get(), 0, &chunk, &error);
    const ErrorPtr owned(error);
    if (code == STACYVM_E_AGAIN) return false;
    if (code == STACYVM_E_END) {
      status = end_status();
      return true;
    }
    if (code != STACYVM_OK) {
      if (code == STACYVM_E_CANCELLED && interrupted_ > 1) {
        status = 128 + SIGKILL;
        return true;
      }
      complain(stacyvm_error_message(error));
      status = code == STACYVM_E_FILE_NOT_FOUND ? kExitNotFound : code == STACYVM_E_FORBIDDEN ? kExitNotExecutable : kExitOurs;
      return true;
    }
    const std::string_view bytes(static_cast<const char*>(chunk.data), chunk.size);
    if (chunk.kind == STACYVM_CHUNK_STDOUT || chunk.kind == STACYVM_CHUNK_STDERR) {
      const bool err = chunk.kind == STACYVM_CHUNK_STDERR;
      if (options_.json) {
        std::string& kept = err ? stderr_ : stdout_;
        if (kept.size() + bytes.size() > kMaxJsonOutput) {
          complain("run: more output than --json collects (64 MiB)");
          status = kExitOurs;
          return true;
        }
        kept += bytes;
      } else if (!broken_[err] && !write_all(err ? STDERR_FILENO : STDOUT_FILENO, bytes)) {
        broken_[err] = true;
        if (!err) (void)stacyvm_exec_signal(stream_.get(), SIGPIPE, STACYVM_SIGNAL_GROUP, nullptr);  // as a pipe would have done
      }
    }
    return false;
  }

  int end_status() {
    STACYVM_INIT(&result_);
    if (stacyvm_exec_result_of(stream_.get(), &result_, nullptr) != STACYVM_OK) return kExitOurs;
    has_result_ = true;
    if (result_.reason == STACYVM_REASON_TIMEOUT) {
      if (!options_.json) complain("timed out after " + options_.timeout);
      return kExitTimeout;
    }
    if (result_.reason == STACYVM_REASON_OOM && !options_.json) complain("out of memory");
    return result_.exit_code;
  }

  static const char* reason_name(int32_t reason) {
    switch (reason) {
      case STACYVM_REASON_EXITED: return "exited";
      case STACYVM_REASON_TIMEOUT: return "timeout";
      case STACYVM_REASON_OOM: return "oom";
      case STACYVM_REASON_OUTPUT_LIMIT: return "output_limit";
      case STACYVM_REASON_CANCELLED: return "cancelled";
      default: return "signalled";
    }
  }

  void print_json(const std::string& sandbox, int status, double total_ms) {
    std::string out = "{\"exit_code\":" + std::to_string(status);
    if (has_result_) out += std::string(",\"reason\":\"") + reason_name(result_.reason) + "\",\"signal\":" + std::to_string(result_.signal);
    const auto output = [&](const char* name, const std::string& bytes) {
      out += std::string(",\"") + name + "\":" + json_string(bytes);
      if (!is_utf8(bytes)) out += std::string(",\"") + name + "_b64\":\"" + base64(bytes) + '"';
    };
    output("stdout", stdout_);
    output("stderr", stderr_);
    char times[160];
    std::snprintf(times, sizeof times, ",\"spawn_ms\":%.3f,\"exec_ms\":%.3f,\"total_ms\":%.3f", spawn_ms_, exec_ms_, total_ms);
    out += times;
    if (has_result_) out += ",\"cpu_us\":" + std::to_string(result_.cpu_us) + ",\"memory_peak_bytes\":" + std::to_string(result_.memory_peak_bytes);
    out += ",\"sandbox\":" + sandbox + "}\n";
    if (!write_all(STDOUT_FILENO, out)) complain("standard output is closed");
  }

  const RunOptions& options_;
  Instance instance_;
  Session session_;
  Sandbox sandbox_;
  Stream stream_;
  int signals_ = -1;
  unsigned interrupted_ = 0;
  bool input_open_ = true, broken_[2] = {}, has_result_ = false;
  std::string pending_, stdout_, stderr_;
  stacyvm_exec_result result_{};
  double spawn_ms_ = 0, exec_ms_ = 0;
};

}  // namespace

Command add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = app.add_subcommand("run", "Run a command in a new sandbox, and throw the sandbox away");
  verb->add_option("-i,--image", options->image, "host (default: this machine's /usr, read-only), a root file system's directory or tar");
  verb->add_option("-e,--env", options->env, "NAME=VALUE for the command")->allow_extra_args(false);
  verb->add_option("--mount-ro", options->mounts, "HOST:GUEST: show a file or directory of this machine, read-only")->allow_extra_args(false);
  verb->add_option("-m,--memory", options->memory, "Memory, such as 256m; enforced, or the run fails");
  verb->add_option("--cpus", options->cpus, "Processors, such as 0.5; enforced, or the run fails");
  verb->add_option("--pids,--pids-limit", options->pids, "Processes and threads; enforced, or the run fails")->check(CLI::Range(1u, 1u << 22));
  verb->add_option("--disk", options->disk, "Space for files, such as 1g");
  verb->add_option("--timeout", options->timeout, "Kill the command after this time, such as 30s; exit status 124");
  verb->add_option("-u,--user", options->user, "user (default), root, UID or UID:GID");
  verb->add_option("-w,--workdir", options->workdir, "Working directory inside (default /workspace)");
  verb->add_option("--profile", options->profile, "default, debug (ptrace) or build (package installs)");
  verb->add_flag("--best-effort", options->best_effort, "Go without limits that this host cannot enforce");
  verb->add_flag("--json", options->json, "One JSON object with output, exit code, times and what was enforced");
  verb->add_flag("--timings", options->timings, "Print on stderr how long it took");
  verb->add_option("command", options->command, "The command and its arguments, after --");
  verb->positionals_at_end();
  verb->footer(
      "Exit status: the command's; 128 + n when signal n ended it; 124 timeout; 125 stacyvm failed; 126 not executable; 127 not found.");
  return [options] { return Run(*options).run(); };
}

}  // namespace cli
