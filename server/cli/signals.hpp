// The signals that ask us to end, and that the terminal has another size, as a descriptor.
#pragma once

namespace cli {

/// SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH, but for those that our parent has us ignore (nohup, a shell's background job). Make it
/// before other threads exist: they inherit that these are blocked.
class Signals {
 public:
  Signals();  ///< Throws std::system_error.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Readable while there is one.
  int fd() const noexcept { return fd_; }
  /// The next one's number, 0 when there is none.
  int take() noexcept;

 private:
  int fd_;
};

}  // namespace cli
