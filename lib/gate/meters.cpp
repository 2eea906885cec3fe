#include "gate/meters.hpp"

#include <algorithm>

#include "core/clock.hpp"

namespace svm::gate {

void Meters::count(size_t operation, Code code, int64_t took_us) noexcept {
  Slot& slot = slots_[operation];
  const int64_t now = system_clock().wall_ms();
  const std::lock_guard lock(slot.mutex);
  Meter& meter = slot.meter;
  const bool first = meter.success + meter.failure == 0;
  ++(code == Code::ok ? meter.success : meter.failure);
  if (code != Code::ok) meter.last_failure = code;
  meter.total_us += took_us;
  meter.least_us = first ? took_us : std::min(meter.least_us, took_us);
  meter.most_us = std::max(meter.most_us, took_us);
  meter.observed_ms = now;
}

Meters::Meter Meters::read(size_t operation) const {
  const Slot& slot = slots_[operation];
  const std::lock_guard lock(slot.mutex);
  return slot.meter;
}

}  // namespace svm::gate
