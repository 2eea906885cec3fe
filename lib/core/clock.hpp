// Time: monotonic for every deadline, wall time only for what people read.
#pragma once
#include <cstdint>

namespace svm {

/// A source of time that tests can replace. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t monotonic_ms() const noexcept = 0;
  virtual int64_t wall_ms() const noexcept = 0;  // since 1970-01-01 UTC
};

/// CLOCK_MONOTONIC and CLOCK_REALTIME. Never destroyed.
const Clock& system_clock() noexcept;

int64_t monotonic_us() noexcept;

}  // namespace svm
