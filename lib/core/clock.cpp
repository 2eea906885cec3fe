#include "core/clock.hpp"

#include <ctime>
#include <new>

namespace svm {
namespace {
int64_t read_ns(clockid_t id) noexcept {
  timespec now{};
  ::clock_gettime(id, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}
class SystemClock final : public Clock {
 public:
  int64_t monotonic_ms() const noexcept override { return read_ns(CLOCK_MONOTONIC) / 1'000'000; }
  int64_t wall_ms() const noexcept override { return read_ns(CLOCK_REALTIME) / 1'000'000; }
};
// Storage without a destructor: the library registers no atexit handler.
alignas(SystemClock) char g_storage[sizeof(SystemClock)];
}  // namespace

const Clock& system_clock() noexcept {
  static const Clock* clock = new (g_storage) SystemClock;
  return *clock;
}

int64_t monotonic_us() noexcept { return read_ns(CLOCK_MONOTONIC) / 1000; }

}  // namespace svm
