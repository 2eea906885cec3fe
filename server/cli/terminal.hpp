// The terminal that we run in.
#pragma once
#include <termios.h>

#include <cstdint>

namespace cli {

/// Passes what is typed on as it is, Ctrl-C included, for as long as it lives: the command's own terminal makes something of it. Standard input and
/// output are left as they were found.
class Terminal {
 public:
  /// Whether standard input and output are one.
  static bool present() noexcept;
  struct Size {
    uint32_t rows = 24, cols = 80;
  };
  static Size size() noexcept;
  /// Whether standard output is one.
  static bool has_size() noexcept;

  Terminal();  ///< Throws std::system_error.
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

 private:
  termios before_;
};

}  // namespace cli
