// An eventfd used as a level: readable while set.
#pragma once
#include "core/fd.hpp"

namespace svm::capi {

/// Not thread-safe. Nothing happens, and nothing is spent, until the descriptor is asked for.
class SignalFd {
 public:
  /// The descriptor, made at the first call at the level given by `on`; -1 without.
  int get(bool on) noexcept;
  bool made() const noexcept { return fd_.valid(); }
  void set(bool on) noexcept;

 private:
  Fd fd_;
  bool on_ = false;
};

}  // namespace svm::capi
