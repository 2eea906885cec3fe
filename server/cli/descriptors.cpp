#include "descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace cli {

void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one: those below are taken. Read-only: a write is EBADF.
    if (::open("/dev/null", O_RDONLY) != fd) throw std::system_error(errno, std::generic_category(), "cannot open /dev/null");
  }
}

}  // namespace cli
