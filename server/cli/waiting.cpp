#include "waiting.hpp"

#include <poll.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace cli {

void wait_for(int fd, short events, Signals& signals) {
  if (fd < 0) throw std::system_error(EMFILE, std::generic_category(), "cannot wait");
  for (;;) {
    pollfd fds[] = {{fd, events, 0}, {signals.fd(), POLLIN, 0}};
    if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "cannot wait");
    if (const int number = signals.take(); number != 0 && number != SIGWINCH) throw Interrupted{number};
    if (fds[0].revents != 0) return;
  }
}

void wait_for(stacyvm::Op& op, Signals& signals) {
  while (!op.wait(stacyvm::Timeout::none())) {
    try {
      wait_for(op.fd(), POLLIN, signals);
    } catch (const Interrupted&) {
      op.cancel();
      throw;
    }
  }
}

}  // namespace cli
