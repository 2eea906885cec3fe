#include "waiting.hpp"

#include <poll.h>

#include <cerrno>
#include <system_error>

namespace serve {
namespace {

constexpr std::chrono::milliseconds kSoon{5};  // most calls end within: no descriptor is made for those

}  // namespace

Came wait_for(int ready, int client, int stop) {
  using std::chrono::milliseconds, std::chrono::steady_clock;
  const auto end = steady_clock::now() + kSilence;
  pollfd wait[3] = {{ready, POLLIN, 0}, {client, POLLRDHUP, 0}, {stop, POLLIN, 0}};
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now()).count() + 1;
    const int n = ::poll(wait, 3, left > 0 ? static_cast<int>(left) : 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), "poll");
    }
    if (n == 0) return Came::silence;
    if (wait[0].revents != 0) return Came::ready;
    if (wait[1].revents != 0) return Came::client_gone;
    return Came::stopping;
  }
}

std::string finish(stacyvm::Op& op, int client) {
  if (!op.wait(kSoon)) {
    const int fd = op.fd();
    if (fd >= 0)
      while (!op.wait(stacyvm::Timeout::none()))
        if (wait_for(fd, client, -1) == Came::client_gone) op.cancel();
  }
  return op.json();
}

}  // namespace serve
