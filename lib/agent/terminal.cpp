#include "agent/terminal.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)  // Linux 4.13
#endif

namespace svm::agent {
namespace {

/// The mount's own node: /dev may be rearranged by a root inside, a mount point may not. The other is for tests outside of a sandbox.
constexpr const char* kMultiplexers[] = {"/dev/pts/ptmx", "/dev/ptmx"};

int open_master(Fd& master) noexcept {
  int error = ENXIO;
  for (const char* path : kMultiplexers) {
    Fd fd(::open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    int number = 0;
    // Only a terminal's master has a number: whatever else somebody put there does not pass.
    if (fd && ::ioctl(fd.get(), TIOCGPTN, &number) == 0) {
      master = std::move(fd);
      return 0;
    }
    error = errno;
  }
  return -error;
}

}  // namespace

int open_terminal(uint32_t rows, uint32_t columns, Fd& master, Fd& slave) noexcept {
  if (const int error = open_master(master)) return error;
  const int unlocked = 0;
  if (::ioctl(master.get(), TIOCSPTLCK, &unlocked) < 0) return -errno;
  // By the master, not by a path.
  slave.reset(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave) return -errno;
  // devpts lets the group write, which would let others type into each other's screens.
  if (::fchmod(slave.get(), 0600) < 0) return -errno;
  return resize_terminal(master.get(), rows, columns);
}

int resize_terminal(int master, uint32_t rows, uint32_t columns) noexcept {
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  return ::ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

int end_of_input(int master) noexcept {
  termios settings{};
  if (::tcgetattr(master, &settings) < 0 || !(settings.c_lflag & ICANON) || settings.c_cc[VEOF] == _POSIX_VDISABLE) return -1;
  return settings.c_cc[VEOF];
}

}  // namespace svm::agent
