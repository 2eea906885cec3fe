#include "signal_fd.hpp"

#include <sys/eventfd.h>

namespace svm::capi {

int SignalFd::get(bool on) noexcept {
  if (!fd_) {
    fd_.reset(eventfd(on ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
    on_ = on;
  }
  return fd_.get();
}

void SignalFd::set(bool on) noexcept {
  if (!fd_ || on == on_) return;
  // Neither can fail on an eventfd that holds 0 or 1. If the application closed it behind our back, its poll is broken either way.
  eventfd_t value = 0;
  const int done = on ? eventfd_write(fd_.get(), 1) : eventfd_read(fd_.get(), &value);
  static_cast<void>(done);
  on_ = on;
}

}  // namespace svm::capi
