#include "output.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "printable.hpp"

namespace cli {
namespace {

/// 0 or an errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {  // somebody who shares it made it non-blocking
      pollfd room{fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void complain(std::string_view message) { print_error("stacyvm: " + printable(message)); }

void print_error(std::string_view line) {
  (void)write_all(STDERR_FILENO, std::string(line) + '\n');  // there is nobody left to tell
}

int print(std::string_view text) { return pass_on(false, text); }

int pass_on(bool to_standard_error, std::string_view bytes) {
  const int error = write_all(to_standard_error ? STDERR_FILENO : STDOUT_FILENO, bytes);
  if (error == 0) return 0;
  if (error == EPIPE) return kExitBrokenPipe;
  complain(std::string("cannot write standard ") + (to_standard_error ? "error: " : "output: ") + std::strerror(error));
  return kExitOurs;
}

}  // namespace cli
