#include "agent/process.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "agent/lookup.hpp"
#include "agent/failure.hpp"
#include "agent/process_table.hpp"
#include "agent/process_tree.hpp"
#include "agent/terminal.hpp"
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

/// A pipe of which only our end does not block.
int make_own_pipe(Fd& ours, Fd& read_end, Fd& write_end) noexcept {
  if (const int error = make_pipe(read_end, write_end)) return error;
  // A pipe that was just made has no other flags to keep.
  return ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/// How people see it: the words with blanks between them, cut.
std::string command_head(const protocol::ExecRequest& request) {
  std::string line = request.shell;
  for (const std::string& word : request.argv) {
    if (!line.empty()) line += ' ';
    line += word;
    if (line.size() > kCommandHeadBytes) break;
  }
  return printable(line, kCommandHeadBytes);
}

}  // namespace

Process::Process(Loop& loop, protocol::ExecRequest&& request, OutputSink* sink)
    : loop_(loop),
      request_(std::move(request)),
      id_(request_.id),
      command_(command_head(request_)),
      background_(sink == nullptr),
      sink_(sink),
      ring_(loop.processes().budget(), sink ? 0 : request_.ring_bytes ? static_cast<size_t>(request_.ring_bytes) : kDefaultRingBytes) {}

Process::~Process() {
  if (pid_ == 0 || exited_) return;
  loop_.remove_leader(pid_);
  if (reported_ && killed_) return;
  kill_tree(pid_);
}

void Process::start() {
  const Context& context = loop_.context();
  if (request_.argv.empty() && request_.shell.empty()) return conclude(failure(Code::invalid, 0, "exec", {}, "no command"));
  protocol::Result why;
  const auto who = find_identity(context, request_.user, why);
  if (!who) return conclude(why);
  launch_ = std::make_unique<Launch>(context.options, context.rights, context.hello, *who, request_);

  ChildFds child;
  {
    // A pipe or terminal belongs to who makes it, and the command may want to open /dev/stdout or /dev/tty.
    const ActAs as(context.rights, *who, request_.terminal ? ActAs::What::all : ActAs::What::owner);
    if (as.error() != 0) return conclude(failure(as.error(), step_text(LaunchStep::identity), request_.user));
    if (const int error = make_stdio(child)) return conclude(failure(-error, request_.terminal ? "terminal for" : "pipe for", launch_->program()));
  }
  oom_kills_ = read_oom_kills(context.options.oom);
  started_us_ = monotonic_us();
  started_wall_ms_ = system_clock().wall_ms();
  if (const int error = launch_->start(child, pid_, report_)) return conclude(failure(-error, "fork for", launch_->program()));
  loop_.add_leader(pid_, *this);
  if (request_.timeout_ms > 0 && request_.timeout_ms < kMaxTimeoutMs)
    timeout_us_ = started_us_ + static_cast<int64_t>(request_.timeout_ms) * 1000;
  report_check_us_ = started_us_ + kReportCheckUs;
  update_deadline();
  int error = out_.watch.start(loop_, out_.pipe.get(), EPOLLIN, *this, kOut);
  if (error == 0 && err_.open()) error = err_.watch.start(loop_, err_.pipe.get(), EPOLLIN, *this, kErr);
  if (error != 0) conclude(failure(-error, "watch output of", launch_->program()));  // conclude ends the child
}

int Process::make_stdio(ChildFds& child) {
  if (!request_.terminal) return make_pipes(child);
  if (const int error = open_terminal(request_.rows ? request_.rows : kDefaultRows, request_.columns ? request_.columns : kDefaultColumns, out_.pipe, child.in))
    return error;
  // A descriptor of its own: one is watched for what comes, the other for room.
  input_.reset(::fcntl(out_.pipe.get(), F_DUPFD_CLOEXEC, 3));
  return input_ ? 0 : -errno;
}

int Process::make_pipes(ChildFds& child) {
  if (request_.use_stdin) {
    if (const int error = make_own_pipe(input_, child.in, input_)) return error;
  } else if ((child.null = loop_.processes().null_device()) < 0) {
    Fd write_end;  // nobody writes to it
    if (const int error = make_pipe(child.in, write_end)) return error;
  }
  if (const int error = make_own_pipe(out_.pipe, out_.pipe, child.out)) return error;
  if (request_.merge) return 0;
  return make_own_pipe(err_.pipe, err_.pipe, child.err);
}

void Process::on_ready(int tag, uint32_t events) {
  (void)events;
  switch (tag) {
    case kReport: read_report(); break;
    case kIn: write_input(); break;
    case kOut:
      read_output(out_, protocol::DataKind::out);
      maybe_conclude();
      break;
    case kErr:
      read_output(err_, protocol::DataKind::err);
      maybe_conclude();
      break;
    default: break;
  }
}

void Process::read_report() {
  LaunchReport report;
  const ssize_t n = ::read(report_.get(), &report, sizeof report);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  report_watch_.stop();
  report_.reset();
  reported_ = true;
  report_check_us_ = kNoDeadline;
  if (n == sizeof report) {
    refuse_launch(report);
  } else {
    started();
  }
}

void Process::refuse_launch(const LaunchReport& report) {
  killed_ = true;  // it is ending by itself
  const int error = report.error;
  switch (report.step) {
    case LaunchStep::exec: {
      const std::string& program = launch_->program();
      const bool searched = program.find('/') == std::string::npos;
      if (error == ENOENT && searched) return conclude(failure(Code::file_not_found, error, "exec", program, "not found in PATH"));
      if (error == ENOENT)
        return conclude(failure(Code::file_not_found, error, "exec", program, "no such file or directory (the program or its interpreter)"));
      return conclude(failure(error, "exec", program));
    }
    case LaunchStep::cwd: return conclude(about(protocol::Subject::workdir, failure(error, step_text(report.step), launch_->cwd())));
    case LaunchStep::identity:
      return conclude(about(protocol::Subject::user,
                          error == EINVAL ? failure(Code::invalid, error, step_text(report.step), request_.user, "id is not part of this sandbox")
                                          : failure(error, step_text(report.step), request_.user)));
    default: return conclude(failure(Code::internal, error, step_text(report.step), {}, error_text(error)));
  }
}

void Process::started() {
  started_ = true;
  launch_.reset();
  // What was asked for is done; a command that runs for days need not hold it.
  std::vector<std::string>().swap(request_.argv);
  std::string().swap(request_.shell);
  std::vector<std::pair<std::string, std::string>>().swap(request_.env);
  for (ProcessWatcher* watcher : watchers_) watcher->on_process_started();
  for (int signal_number = 1; signal_number <= 64 && !exited_; ++signal_number)
    for (const bool group : {false, true})
      if (pending_signals_[group] >> (signal_number - 1) & 1) signal(signal_number, group);
  maybe_conclude();
}

// --- stdin

void Process::write(InputSource& source, std::string_view bytes) {
  if (!input_ || bytes.empty()) return source.input_taken(bytes.size());
  unread_ += bytes;
  last_input_ = bytes.back();
  if (!written_.empty() && written_.back().source == &source)
    written_.back().size += bytes.size();
  else
    written_.push_back({&source, bytes.size()});
  write_input();
}

void Process::end_input() {
  input_ended_ = true;
  if (input_) write_input();
}

void Process::forget(InputSource& source) noexcept {
  for (Written& written : written_)
    if (written.source == &source) written.source = nullptr;
}

void Process::input_taken(size_t size) {
  while (size > 0 && !written_.empty()) {
    Written& written = written_.front();
    const size_t piece = std::min(size, written.size);
    if (written.source) written.source->input_taken(piece);
    size -= piece;
    written.size -= piece;
    if (written.size == 0) written_.pop_front();
  }
}

void Process::write_input() {
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
      input_taken(static_cast<size_t>(n));
      continue;
    }
    // Nobody reads it any more: drop the rest, and what may follow.
    const size_t rest = unread_.size() - unread_at_;
    unread_at_ = unread_.size();
    input_taken(rest);
    input_ended_ = true;
    if (request_.terminal) {
      input_watch_.stop();  // before: the terminal is open by another descriptor, and epoll would go on with it
      input_.reset();
    }
  }
  std::string().swap(unread_);
  unread_at_ = 0;
  if (input_ended_ && request_.terminal && input_ && !type_end_of_input()) return;
  input_watch_.stop();
  if (input_ended_ && !request_.terminal) input_.reset();
  if (request_.terminal) input_ended_ = false;  // others may type on
}

/// False: there was no room, it is tried again.
bool Process::type_end_of_input() {
  const int byte = end_of_input(input_.get());
  if (byte < 0) return true;
  const char bytes[2] = {static_cast<char>(byte), static_cast<char>(byte)};
  const size_t count = last_input_ == '\n' || last_input_ == '\r' ? 1 : 2;
  last_input_ = '\n';
  if (::write(input_.get(), bytes, count) >= 0 || errno != EAGAIN) return true;
  last_input_ = count == 1 ? '\n' : ' ';
  return input_watch_.start(loop_, input_.get(), EPOLLOUT, *this, kIn) != 0;
}

// --- stdout and stderr

void Process::arm(Output& output, uint32_t events) {
  if (const int error = output.watch.set(events)) conclude(failure(-error, "watch output of", "command"));
}

bool Process::read_output(Output& output, protocol::DataKind kind) {
  if (!output.open() || ended_) return false;
  size_t room = background_ ? kReadBytes : sink_ ? sink_->output_room() : 0;
  if (room == 0) {
    // Not read until resume_output: what it may hold stays in the pipe, and the command waits.
    arm(output, 0);
    return false;
  }
  room = std::min(room, kReadBytes);
  const uint64_t left = request_.output_limit > 0 ? request_.output_limit - output_ : UINT64_MAX;
  if (left < room) room = static_cast<size_t>(left) + 1;  // the one byte too many shows that there is more
  Connection& connection = loop_.connection();
  ssize_t n;
  do {
    n = ::read(output.pipe.get(), connection.data(), room);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && errno == EAGAIN) {
    output.owed = 0;
    arm(output, EPOLLIN);
    return false;
  }
  if (n <= 0) {  // EIO: nobody has the terminal open
    output.watch.stop();
    output.pipe.reset();
    return false;
  }
  if (!reported_) read_report();  // `started` goes before the first output
  if (ended_) return false;
  auto size = static_cast<size_t>(n);
  output.owed -= std::min(output.owed, size);
  last_output_us_ = monotonic_us();
  const bool beyond = size > left;
  if (beyond) size = static_cast<size_t>(left);
  output_ += size;
  if (kind == protocol::DataKind::err) err_bytes_ += size;
  if (size > 0) {
    loop_.processes().add_to_console(kind, {connection.data(), size});
    if (sink_) {
      sink_->on_output(kind, size);
    } else {
      ring_.append(kind, {connection.data(), size});
      connection.touched(size);
      for (ProcessWatcher* watcher : watchers_) watcher->on_process_output();
    }
  }
  if (beyond) {
    close_outputs();
    kill(protocol::ExecReason::output_limit);
    return false;
  }
  return true;
}

void Process::close_outputs() {
  for (Output* output : {&out_, &err_}) {
    output->watch.stop();
    output->pipe.reset();
  }
}

void Process::drain() {
  while (read_output(out_, protocol::DataKind::out)) {
  }
  while (read_output(err_, protocol::DataKind::err)) {
  }
}

void Process::resume_output() {
  if (ended_) return;
  for (Output* output : {&out_, &err_})
    if (output->open()) arm(*output, EPOLLIN);
  maybe_conclude();
}

// --- ending

void Process::signal(int signal, bool group) {
  if (exited_) return;
  if (!reported_) read_report();
  if (ended_) return;
  if (!reported_) {
    pending_signals_[group] |= 1ull << (signal - 1);
    return;
  }
  if (signal == SIGKILL) host_killed_ = true;
  // ESRCH cannot be: the leader has not been reaped.
  (void)::kill(group ? -pid_ : pid_, signal);
}

int Process::resize(uint32_t rows, uint32_t columns) noexcept {
  if (!request_.terminal) return -ENOTTY;
  return out_.open() ? resize_terminal(out_.pipe.get(), rows, columns) : -EIO;
}

void Process::cancel() {
  if (ended_ || hang_up_us_ != kNoDeadline) return;
  if (request_.terminal && !exited_ && reported_) {
    hung_up_ = tree_of(pid_);
    if (killed_for_ == protocol::ExecReason::exited) killed_for_ = protocol::ExecReason::cancelled;
    // The last descriptor of the master: the kernel hangs the terminal up, which is SIGHUP to who has it, and the end of their input.
    close_outputs();
    input_watch_.stop();
    input_.reset();
    hang_up_us_ = monotonic_us() + kHangUpUs;
    update_deadline();
  } else {
    // In this order: a command that meets a broken pipe first may end by itself, and would count as one that did.
    kill(protocol::ExecReason::cancelled);
    close_outputs();
  }
  maybe_conclude();
}

void Process::abandon() {
  if (!ended_) conclude(failure(Code::cancelled, 0, "cancelled", {}, {}));
}

void Process::on_deadline() {
  if (!exited_) {
    const int64_t now = monotonic_us();
    if (now >= report_check_us_) {
      report_check_us_ = kNoDeadline;
      read_report();
      if (ended_) return;
      if (!reported_)
        if (const int error = report_watch_.start(loop_, report_.get(), EPOLLIN, *this, kReport))
          return conclude(failure(-error, "watch start of", launch_->program()));
    }
    if (now >= timeout_us_) {
      timeout_us_ = kNoDeadline;
      kill(protocol::ExecReason::timeout);
    }
    if (now >= hang_up_us_) {
      kill(protocol::ExecReason::cancelled);
      kill_hung_up();
    }
    return update_deadline();
  }
  if (hang_up_us_ != kNoDeadline && monotonic_us() < hang_up_us_ && any_left(hung_up_)) return update_deadline();
  kill_hung_up();
  close_outputs();
  maybe_conclude();
}

void Process::kill(protocol::ExecReason reason) {
  const auto rank = [](protocol::ExecReason r) {
    return r == protocol::ExecReason::timeout ? 3 : r == protocol::ExecReason::output_limit ? 2 : r == protocol::ExecReason::cancelled ? 1 : 0;
  };
  // One that has ended by itself did not end for a reason that came later; its output may still be cut short.
  if (exited_ && reason != protocol::ExecReason::output_limit) return;
  if (rank(reason) > rank(killed_for_)) killed_for_ = reason;
  if (exited_) return;  // its number may be another's by now
  killed_ = true;
  kill_tree(pid_);
}

/// What the hang-up of the terminal has not ended: other sessions, and who does not listen to it.
void Process::kill_hung_up() {
  if (hang_up_us_ == kNoDeadline) return;
  hang_up_us_ = kNoDeadline;
  kill_tree(hung_up_);
  std::vector<ProcessStat>().swap(hung_up_);
}

void Process::on_exit(int status, const rusage& usage) {
  exited_ = true;
  status_ = status;
  usage_ = usage;
  ended_us_ = last_output_us_ = monotonic_us();
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !killed_ && !host_killed_) {
    const uint64_t kills = read_oom_kills(loop_.context().options.oom);
    oom_killed_ = kills > oom_kills_;
    if (oom_killed_) loop_.processes().claim_oom_kill(*this, kills);
  }
  input_watch_.stop();
  input_.reset();
  unread_at_ = 0;
  std::string().swap(unread_);
  written_.clear();
  if (!reported_) read_report();
  if (ended_) return;
  for (Output* output : {&out_, &err_}) {
    int held = 0;
    if (output->open() && ::ioctl(output->pipe.get(), FIONREAD, &held) == 0) output->owed = static_cast<size_t>(held);
  }
  drain();
  if (hang_up_us_ != kNoDeadline && !any_left(hung_up_)) hang_up_us_ = kNoDeadline;
  maybe_conclude();
}

void Process::update_deadline() {
  if (!exited_) return set_deadline(std::min({timeout_us_, report_check_us_, hang_up_us_}));
  if (hang_up_us_ != kNoDeadline) return set_deadline(std::min(hang_up_us_, monotonic_us() + kHangUpLookUs));
  // Bytes the command itself wrote wait for credit as long as it takes.
  if (out_.owed > 0 || err_.owed > 0) return set_deadline(kNoDeadline);
  set_deadline(std::min(last_output_us_ + kQuietUs, ended_us_ + kDrainUs));
}

protocol::ExecResult Process::exec_result() const {
  using protocol::ExecReason;
  protocol::ExecResult result;
  if (WIFSIGNALED(status_)) {
    result.signal = WTERMSIG(status_);
    result.exit_code = 128 + result.signal;
  } else {
    result.exit_code = WEXITSTATUS(status_);
  }
  // It ended by itself before the kill reached it. What a hang-up makes end may well say so with a number.
  const bool beaten = WIFEXITED(status_) && (killed_for_ == ExecReason::timeout || (killed_for_ == ExecReason::cancelled && !request_.terminal));
  if (killed_for_ != ExecReason::exited && !beaten) {
    result.reason = killed_for_;
  } else if (oom_killed_) {
    result.reason = ExecReason::oom;
  } else {
    result.reason = result.signal ? ExecReason::signalled : ExecReason::exited;
  }
  result.wall_us = static_cast<uint64_t>(ended_us_ - started_us_);
  result.cpu_us = microseconds(usage_.ru_utime) + microseconds(usage_.ru_stime);
  result.memory_peak = static_cast<uint64_t>(usage_.ru_maxrss) * 1024;
  result.out_bytes = output_ - err_bytes_;
  result.err_bytes = err_bytes_;
  return result;
}

void Process::maybe_conclude() {
  if (!exited_ || !reported_ || ended_) return;
  if (out_.open() || err_.open() || hang_up_us_ != kNoDeadline) return update_deadline();
  protocol::Result result;
  protocol::encode(result.body, exec_result());
  conclude(result);
}

/// The one end of everything. What still runs is killed: nobody would know of it.
void Process::conclude(const protocol::Result& result) {
  if (std::exchange(ended_, true)) return;
  result_ = result;
  set_deadline(kNoDeadline);
  if (pid_ != 0 && !exited_) {
    loop_.remove_leader(pid_);
    if (!(reported_ && killed_)) kill_tree(pid_);
    exited_ = true;
  }
  kill_hung_up();
  close_outputs();
  report_watch_.stop();
  report_.reset();
  input_watch_.stop();
  input_.reset();
  for (const Written& written : std::exchange(written_, {}))
    if (written.source) written.source->input_taken(written.size);
  launch_.reset();
  const std::vector<ProcessWatcher*> watchers = watchers_;  // each may leave
  for (ProcessWatcher* watcher : watchers) watcher->on_process_end();
  loop_.processes().note_end();
}

// --- who looks

bool Process::watch(ProcessWatcher& watcher) {
  if (watchers_.size() >= kMaxAttached + 1) return false;  // its own stream is one
  watchers_.push_back(&watcher);
  return true;
}

void Process::unwatch(ProcessWatcher& watcher) noexcept { std::erase(watchers_, &watcher); }

protocol::ProcessInfo Process::info() const {
  protocol::ProcessInfo info;
  info.id = id_;
  info.pid = pid();
  info.command = command_;
  info.started_ms = started_wall_ms_;
  info.background = background();
  info.terminal = request_.terminal;
  info.running = !ended_;
  info.output = output_;
  info.lost = ring_.begin();
  info.attached = static_cast<uint32_t>(std::count_if(watchers_.begin(), watchers_.end(), [](const ProcessWatcher* watcher) { return watcher->follows(); }));
  info.code = static_cast<int32_t>(result_.code);
  if (ended_ && result_.code == Code::ok && !protocol::decode(result_.body, info.result)) info.code = static_cast<int32_t>(Code::internal);
  return info;
}

}  // namespace svm::agent
