#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace cli {

bool Terminal::present() noexcept { return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1; }

bool Terminal::has_size() noexcept { return ::isatty(STDOUT_FILENO) == 1; }

Terminal::Size Terminal::size() noexcept {
  constexpr unsigned short kMost = 4'096;  // as the library has it
  winsize window{};
  Size size;
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0)
    size = {std::min(window.ws_row, kMost), std::min(window.ws_col, kMost)};
  return size;
}

Terminal::Terminal() {
  if (::tcgetattr(STDIN_FILENO, &before_) < 0) throw std::system_error(errno, std::generic_category(), "terminal");
  termios raw = before_;
  ::cfmakeraw(&raw);
  if (::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0) throw std::system_error(errno, std::generic_category(), "terminal");
}

Terminal::~Terminal() { (void)::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_); }

}  // namespace cli
