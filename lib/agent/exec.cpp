#include "agent/exec.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "agent/lookup.hpp"
#include "agent/process_tree.hpp"
#include "core/bytes.hpp"
#include "core/clock.hpp"
#include "isolation/cgroup.hpp"

namespace svm::agent {
namespace {

constexpr size_t kReadBytes = 64 * 1024;   // a pipe's usual capacity
constexpr size_t kCompactBytes = 128 * 1024;
constexpr uint64_t kMaxTimeoutMs = INT64_MAX / 4000;

uint64_t read_oom_kills(int fd) noexcept {
  if (fd < 0) return 0;
  char text[4096];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  return n > 0 ? isolation::parse_oom_kills(text, static_cast<size_t>(n)) : 0;
}

uint64_t microseconds(const timeval& t) noexcept { return static_cast<uint64_t>(t.tv_sec) * 1'000'000 + static_cast<uint64_t>(t.tv_usec); }

std::string_view step_text(LaunchStep step) noexcept {
  switch (step) {
    case LaunchStep::session: return "new session";
    case LaunchStep::group: return "enter control group";
    case LaunchStep::stdio: return "set up stdio";
    case LaunchStep::close_fds: return "close descriptors";
    case LaunchStep::identity: return "become user";
    case LaunchStep::capabilities: return "drop capabilities";
    case LaunchStep::signals: return "reset signals";
    case LaunchStep::cwd: return "working directory";
    case LaunchStep::exec: return "exec";
  }
  return "exec";
}

protocol::Result about(protocol::Subject subject, protocol::Result failure) {
  failure.subject = subject;
  return failure;
}

/// A stdin without bytes: /dev/null where it is the real one, otherwise a pipe nobody writes to.
int open_empty_input(Fd& out) noexcept {
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK));
  struct stat info;
  if (null && ::fstat(null.get(), &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == ((1u << 8) | 3u)) {
    out = std::move(null);
    return set_nonblocking(out.get(), false);
  }
  Fd write_end;
  return make_pipe(out, write_end);
}

}  // namespace

Exec::Exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

Exec::~Exec() {
  if (pid_ == 0 || exited_) return;
  loop_.remove_leader(pid_);
  if (reported_ && killed_) return;
  kill_tree(pid_);
}

void Exec::start() {
  const Context& context = loop_.context();
  if (request_.argv.empty() && request_.shell.empty()) return finish(failure(Code::invalid, 0, "exec", {}, "no command"));
  protocol::Result why;
  const auto who = find_identity(context, request_.user, why);
  if (!who) return finish(why);
  launch_ = std::make_unique<Launch>(context.options, context.rights, context.hello, *who, request_);

  ChildFds child;
  {
    // A pipe belongs to who makes it, and the command may want to open /dev/stdout.
    const ActAs as(context.rights, *who);
    if (as.error() != 0) return finish(failure(as.error(), step_text(LaunchStep::identity), request_.user));
    if (const int error = make_pipes(child)) return finish(failure(-error, "pipe for", launch_->program()));
  }
  oom_kills_ = read_oom_kills(context.options.oom);
  started_us_ = monotonic_us();
  if (const int error = launch_->start(child, pid_, report_)) return finish(failure(-error, "fork for", launch_->program()));
  loop_.add_leader(pid_, *this);
  if (request_.timeout_ms > 0 && request_.timeout_ms < kMaxTimeoutMs)
    timeout_us_ = started_us_ + static_cast<int64_t>(request_.timeout_ms) * 1000;
  report_check_us_ = started_us_ + kReportCheckUs;
  update_deadline();
  int error = out_.watch.start(loop_, out_.pipe.get(), EPOLLIN, *this, kOut);
  if (error == 0 && err_.open()) error = err_.watch.start(loop_, err_.pipe.get(), EPOLLIN, *this, kErr);
  if (error != 0) finish(failure(-error, "watch output of", launch_->program()));  // the destructor ends the child
}

int Exec::make_pipes(ChildFds& child) {
  if (request_.use_stdin) {
    if (const int error = make_pipe(child.in, input_)) return error;
    if (const int error = set_nonblocking(input_.get(), true)) return error;
  } else if (const int error = open_empty_input(child.in)) {
    return error;
  }
  if (const int error = make_pipe(out_.pipe, child.out)) return error;
  if (const int error = set_nonblocking(out_.pipe.get(), true)) return error;
  if (request_.merge) return 0;
  if (const int error = make_pipe(err_.pipe, child.err)) return error;
  return set_nonblocking(err_.pipe.get(), true);
}

void Exec::on_ready(int tag, uint32_t events) {
  (void)events;
  switch (tag) {
    case kReport: read_report(); break;
    case kIn: write_input(); break;
    case kOut:
      read_output(out_, protocol::DataKind::out);
      maybe_finish();
      break;
    case kErr:
      read_output(err_, protocol::DataKind::err);
      maybe_finish();
      break;
    default: break;
  }
}

void Exec::read_report() {
  LaunchReport report;
  const ssize_t n = ::read(report_.get(), &report, sizeof report);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  report_watch_.stop();
  report_.reset();
  reported_ = true;
  report_check_us_ = kNoDeadline;
  if (n == sizeof report) {
    refuse(report);
  } else {
    started();
  }
}

void Exec::refuse(const LaunchReport& report) {
  killed_ = true;  // it is ending by itself
  const int error = report.error;
  switch (report.step) {
    case LaunchStep::exec: {
      const std::string& program = launch_->program();
      const bool searched = program.find('/') == std::string::npos;
      if (error == ENOENT && searched) return finish(failure(Code::file_not_found, error, "exec", program, "not found in PATH"));
      if (error == ENOENT)
        return finish(failure(Code::file_not_found, error, "exec", program, "no such file or directory (the program or its interpreter)"));
      return finish(failure(error, "exec", program));
    }
    case LaunchStep::cwd: return finish(about(protocol::Subject::workdir, failure(error, step_text(report.step), launch_->cwd())));
    case LaunchStep::identity:
      return finish(about(protocol::Subject::user,
                          error == EINVAL ? failure(Code::invalid, error, step_text(report.step), request_.user, "id is not part of this sandbox")
                                          : failure(error, step_text(report.step), request_.user)));
    default: return finish(failure(Code::internal, error, step_text(report.step), {}, error_text(error)));
  }
}

void Exec::started() {
  launch_.reset();
  std::string payload;
  ByteWriter(payload).u32(static_cast<uint32_t>(pid_));
  loop_.connection().send(protocol::FrameType::started, id(), payload);
  for (int signal = 1; signal <= 64 && !exited_; ++signal)
    for (const bool group : {false, true})
      if (pending_signals_[group] >> (signal - 1) & 1) on_signal(signal, group);
  maybe_finish();
}

// --- stdin

void Exec::on_data(std::string_view bytes) {
  if (!input_) return consumed(bytes.size());
  unread_ += bytes;
  write_input();
}

void Exec::on_end() {
  input_ended_ = true;
  if (input_) write_input();
}

void Exec::write_input() {
  while (unread_at_ < unread_.size()) {
    const ssize_t n = ::write(input_.get(), unread_.data() + unread_at_, unread_.size() - unread_at_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      if (unread_at_ >= kCompactBytes) {
        unread_.erase(0, unread_at_);
        unread_at_ = 0;
      }
      const int error = input_watch_.start(loop_, input_.get(), EPOLLOUT, *this, kIn);
      if (error == 0) return;
    } else if (n >= 0) {
      unread_at_ += static_cast<size_t>(n);
      consumed(static_cast<size_t>(n));
      continue;
    }
    // Nobody reads it any more: drop the rest, and what may follow.
    consumed(unread_.size() - unread_at_);
    input_ended_ = true;
    unread_at_ = unread_.size();
  }
  std::string().swap(unread_);
  unread_at_ = 0;
  input_watch_.stop();
  if (input_ended_) input_.reset();
}

// --- stdout and stderr

void Exec::arm(Output& output, uint32_t events) {
  if (const int error = output.watch.set(events)) finish(failure(-error, "watch output of", "command"));
}

bool Exec::read_output(Output& output, protocol::DataKind kind) {
  if (!output.open() || finished()) return false;
  Connection& connection = loop_.connection();
  if (credit() == 0 || connection.congested()) {
    // Not read until on_room: what it may hold stays in the pipe, and the command waits.
    arm(output, 0);
    return false;
  }
  size_t room = static_cast<size_t>(std::min<uint64_t>(credit(), kReadBytes));
  const uint64_t left = request_.output_limit > 0 ? request_.output_limit - output_ : UINT64_MAX;
  if (left < room) room = static_cast<size_t>(left) + 1;  // the one byte too many shows that there is more
  ssize_t n;
  do {
    n = ::read(output.pipe.get(), connection.data(), room);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) {
    output.owed = 0;
    arm(output, EPOLLIN);
    return false;
  }
  if (n <= 0) {
    output.watch.stop();
    output.pipe.reset();
    return false;
  }
  if (!reported_) read_report();  // `started` goes before the first output
  if (finished()) return false;
  auto size = static_cast<size_t>(n);
  output.owed -= std::min(output.owed, size);
  last_output_us_ = monotonic_us();
  const bool beyond = size > left;
  if (beyond) size = static_cast<size_t>(left);
  output_ += size;
  if (size > 0) send_data(kind, size);
  if (beyond) {
    close_outputs();
    kill(protocol::ExecReason::output_limit);
    return false;
  }
  return true;
}

void Exec::close_outputs() {
  for (Output* output : {&out_, &err_}) {
    output->watch.stop();
    output->pipe.reset();
  }
}

void Exec::drain() {
  while (read_output(out_, protocol::DataKind::out)) {
  }
  while (read_output(err_, protocol::DataKind::err)) {
  }
}

void Exec::on_room() {
  if (finished()) return;
  for (Output* output : {&out_, &err_})
    if (output->open()) arm(*output, EPOLLIN);
  maybe_finish();
}

// --- ending

void Exec::on_signal(int signal, bool group) {
  if (exited_) return;
  if (!reported_) read_report();
  if (finished()) return;
  if (!reported_) {
    pending_signals_[group] |= 1ull << (signal - 1);
    return;
  }
  // ESRCH cannot be: the leader has not been reaped.
  (void)::kill(group ? -pid_ : pid_, signal);
}

void Exec::on_cancel() {
  close_outputs();
  kill(protocol::ExecReason::cancelled);
  maybe_finish();
}

void Exec::on_deadline() {
  if (!exited_) {
    const int64_t now = monotonic_us();
    if (now >= report_check_us_) {
      report_check_us_ = kNoDeadline;
      read_report();
      if (finished()) return;
      if (!reported_)
        if (const int error = report_watch_.start(loop_, report_.get(), EPOLLIN, *this, kReport))
          return finish(failure(-error, "watch start of", launch_->program()));
    }
    if (now >= timeout_us_) {
      timeout_us_ = kNoDeadline;
      kill(protocol::ExecReason::timeout);
    }
    return update_deadline();
  }
  close_outputs();
  maybe_finish();
}

void Exec::kill(protocol::ExecReason reason) {
  const auto rank = [](protocol::ExecReason r) {
    return r == protocol::ExecReason::timeout ? 3 : r == protocol::ExecReason::output_limit ? 2 : r == protocol::ExecReason::cancelled ? 1 : 0;
  };
  if (rank(reason) > rank(killed_for_)) killed_for_ = reason;
  if (exited_) return;  // only its output was cut short; its number may be another's by now
  killed_ = true;
  kill_tree(pid_);
}

void Exec::on_exit(int status, const rusage& usage) {
  exited_ = true;
  status_ = status;
  usage_ = usage;
  ended_us_ = last_output_us_ = monotonic_us();
  input_watch_.stop();
  input_.reset();
  unread_.clear();
  unread_at_ = 0;
  if (!reported_) read_report();
  if (finished()) return;
  for (Output* output : {&out_, &err_}) {
    int held = 0;
    if (output->open() && ::ioctl(output->pipe.get(), FIONREAD, &held) == 0) output->owed = static_cast<size_t>(held);
  }
  drain();
  maybe_finish();
}

void Exec::update_deadline() {
  if (!exited_) return set_deadline(std::min(timeout_us_, report_check_us_));
  // Bytes the command itself wrote wait for credit as long as it takes.
  if (out_.owed > 0 || err_.owed > 0) return set_deadline(kNoDeadline);
  set_deadline(std::min(last_output_us_ + kQuietUs, ended_us_ + kDrainUs));
}

void Exec::maybe_finish() {
  if (!exited_ || !reported_ || finished()) return;
  if (out_.open() || err_.open()) return update_deadline();
  using protocol::ExecReason;
  protocol::ExecResult result;
  if (WIFSIGNALED(status_)) {
    result.signal = WTERMSIG(status_);
    result.exit_code = 128 + result.signal;
  } else {
    result.exit_code = WEXITSTATUS(status_);
  }
  const bool beaten = killed_for_ == ExecReason::timeout && WIFEXITED(status_);  // it ended before the kill reached it
  if (killed_for_ != ExecReason::exited && !beaten) {
    result.reason = killed_for_;
  } else if (result.signal == SIGKILL && read_oom_kills(loop_.context().options.oom) > oom_kills_) {
    result.reason = ExecReason::oom;
  } else {
    result.reason = result.signal ? ExecReason::signalled : ExecReason::exited;
  }
  result.wall_us = static_cast<uint64_t>(ended_us_ - started_us_);
  result.cpu_us = microseconds(usage_.ru_utime) + microseconds(usage_.ru_stime);
  result.memory_peak = static_cast<uint64_t>(usage_.ru_maxrss) * 1024;
  std::string body;
  protocol::encode(body, result);
  finish_ok(std::move(body));
}

std::unique_ptr<Stream> make_exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request) {
  return std::make_unique<Exec>(loop, id, std::move(request));
}

}  // namespace svm::agent
