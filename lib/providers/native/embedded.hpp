// The agent executable that the library carries, and how to start it.
#pragma once
#include <string_view>
#include <utility>

#include "core/fd.hpp"

namespace svm::providers::native {

/// The bytes of the static agent.
std::string_view agent_bytes() noexcept;

/// A process running the embedded executable in `mode` ("launcher", "probe") with `fd` as its descriptor 3 and nothing else open.
class AgentProcess {
 public:
  AgentProcess() = default;
  ~AgentProcess();
  AgentProcess(AgentProcess&&) noexcept = default;
  AgentProcess& operator=(AgentProcess&&) noexcept = default;  // of one that runs nothing

  /// Throws Error (facts step, errno). The process sends no SIGCHLD to this one and wait(-1) does not see it, so a host that ignores
  /// or reaps its children is not disturbed and does not disturb.
  static AgentProcess start(const char* mode, int fd);
  /// One that another process started.
  static AgentProcess adopt(Fd pidfd) noexcept {
    AgentProcess process;
    process.pidfd_ = std::move(pidfd);
    return process;
  }
  /// It goes on without this object.
  void release() noexcept {
    pidfd_.reset();
    pid_ = 0;
  }
  int pidfd() const noexcept { return pidfd_.get(); }
  /// Waits for its end; false after timeout_ms.
  bool wait(int64_t timeout_ms) noexcept;
  void kill() noexcept;

 private:
  Fd pidfd_;
  int pid_ = 0;  // our own child's number until it has been waited for; 0: it is another's child
};

}  // namespace svm::providers::native
