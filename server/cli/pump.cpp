#include "pump.hpp"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "output.hpp"
#include "terminal.hpp"

namespace cli {
namespace {

constexpr size_t kInputBytes = 64 * 1024;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

bool writable(int fd) {
  pollfd room{fd, POLLOUT, 0};
  return ::poll(&room, 1, 0) > 0;
}

/// How much a blocking descriptor that poll calls writable surely takes at once: a pipe then has room for a page.
size_t piece_size(int fd) {
  struct stat info;
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? SSIZE_MAX : PIPE_BUF;
}

}  // namespace

std::optional<int> Pump::run() {
  for (;;) {
    show_interest();
    wait();
    if (const auto status = take_signals()) return status;
    if (input_ready_) read_input();
    write_input();
    if (!write_output()) return kExitBrokenPipe;
    if (!output_.empty()) continue;
    if (!read_output()) return std::nullopt;
    if (!write_output()) return kExitBrokenPipe;
  }
}

void Pump::show_interest() {
  const uint32_t wanted = (output_.empty() ? STACYVM_READY_READ : 0u) | (input_.empty() ? 0u : STACYVM_READY_WRITE);
  if (wanted != interest_) queue_.add(command_, wanted, 0);
  interest_ = wanted;
}

void Pump::wait() {
  const bool want_input = input_open_ && input_.empty();
  pollfd fds[] = {
    {interest_ ? queue_.fd() : -1, POLLIN, 0},
    {signals_.fd(), POLLIN, 0},
    {want_input ? STDIN_FILENO : -1, POLLIN, 0},
    {output_.empty() ? -1 : output_fd_, POLLOUT, 0},
  };
  if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) fail("cannot wait");
  input_ready_ = fds[2].revents != 0;
}

std::optional<int> Pump::take_signals() {
  while (const int number = signals_.take()) {
    if (number == SIGWINCH) {
      resize();
      continue;
    }
    if (interrupted_) return signal_status(number);
    interrupted_ = true;
    try {
      command_.signal(number, STACYVM_SIGNAL_GROUP);
    } catch (const stacyvm::Error&) {
      // It has ended in this very moment; the stream says how.
    }
  }
  return std::nullopt;
}

void Pump::resize() {
  if (!on_terminal_ || !Terminal::has_size()) return;
  const Terminal::Size size = Terminal::size();
  try {
    command_.resize(size.rows, size.cols);
  } catch (const stacyvm::Error&) {
    // As above.
  }
}

void Pump::read_input() {
  input_ready_ = false;
  input_.resize(kInputBytes);
  const ssize_t n = ::read(STDIN_FILENO, input_.data(), input_.size());
  const int error = n < 0 ? errno : 0;
  input_.resize(n > 0 ? static_cast<size_t>(n) : 0);
  input_at_ = 0;
  if (n > 0 || error == EINTR || error == EAGAIN) return;
  if (error) complain(std::string("cannot read standard input, the command sees its end: ") + std::strerror(error));
  end_input();
}

void Pump::write_input() {
  if (input_.empty()) return;
  try {
    input_at_ += command_.write(std::string_view(input_).substr(input_at_), stacyvm::Timeout::none());
    if (input_at_ == input_.size()) input_.clear();
  } catch (const stacyvm::Error&) {
    // The command takes no more, or has ended; its output and its end tell the rest.
    input_open_ = false;
    input_.clear();
  }
}

void Pump::end_input() {
  input_open_ = false;
  try {
    command_.finish(stacyvm::Timeout::none());
  } catch (const stacyvm::Error&) {
    // As in write_input.
  }
}

bool Pump::read_output() {
  stacyvm_chunk chunk;
  const auto next = command_.next(chunk, stacyvm::Timeout::none());
  if (next == stacyvm::Stream::Next::end) return false;
  if (next == stacyvm::Stream::Next::again) return true;
  if (chunk.kind != STACYVM_CHUNK_STDOUT && chunk.kind != STACYVM_CHUNK_STDERR) return true;
  const bool error = chunk.kind == STACYVM_CHUNK_STDERR;
  const std::string_view bytes(static_cast<const char*>(chunk.data), chunk.size);
  if (collected_) {
    (error ? collected_->err : collected_->out) += bytes;
    return true;
  }
  output_ = bytes;  // a copy: writing input would take the chunk away
  output_at_ = 0;
  output_fd_ = error ? STDERR_FILENO : STDOUT_FILENO;
  return true;
}

bool Pump::write_output() {
  const size_t piece = output_.empty() ? 0 : piece_size(output_fd_);
  while (!output_.empty() && writable(output_fd_)) {
    const ssize_t n = ::write(output_fd_, output_.data() + output_at_, std::min(output_.size() - output_at_, piece));
    if (n < 0 && errno == EPIPE) return false;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n < 0) fail(output_fd_ == STDERR_FILENO ? "cannot write standard error" : "cannot write standard output");
    output_at_ += static_cast<size_t>(n);
    if (output_at_ == output_.size()) output_.clear();
  }
  return true;
}

}  // namespace cli
