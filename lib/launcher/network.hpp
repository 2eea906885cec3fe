// The network namespace of the next sandbox.
#pragma once
#include "protocol/message.hpp"

namespace svm::launcher {

/// Making a network namespace takes longer than any other part of a spawn (half a millisecond and more), so the launcher makes the next one when it
/// has nothing else to do: it moves into it, and what it clones is born inside. It belongs to the launcher's user namespace, so that
/// no capability inside a sandbox means anything in it.
class NextNetwork {
 public:
  /// Moves this process into a fresh one with its loopback up, unless it is in one that nobody has taken. 0, or -errno and the step.
  int prepare(protocol::Step& step) noexcept;
  /// A process was cloned into it.
  void taken() noexcept { fresh_ = up_ = false; }

 private:
  bool fresh_ = false, up_ = false;
};

}  // namespace svm::launcher
