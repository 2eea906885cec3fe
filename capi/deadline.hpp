// The timeout_ms argument.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "error.hpp"

namespace svm::capi {

class Deadline {
 public:
  /// 0: do not wait, -1: for ever. Error invalid below that.
  explicit Deadline(int64_t timeout_ms) : timeout_ms_(timeout_ms) {
    if (timeout_ms < -1) throw invalid("timeout_ms", "below -1");
    if (timeout_ms > kForEverMs) timeout_ms_ = -1;
    if (timeout_ms_ > 0) at_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms_);
  }
  /// Waits for a notification (or none: check your condition again). False when the time is over.
  bool wait(std::unique_lock<std::mutex>& lock, std::condition_variable& changed) const {
    if (timeout_ms_ == 0) return false;
    if (timeout_ms_ > 0) return changed.wait_until(lock, at_) == std::cv_status::no_timeout;
    changed.wait(lock);
    return true;
  }

 private:
  static constexpr int64_t kForEverMs = int64_t{100} * 365 * 24 * 3600 * 1000;  // adding more to the clock could overflow
  int64_t timeout_ms_;
  std::chrono::steady_clock::time_point at_;
};

}  // namespace svm::capi
