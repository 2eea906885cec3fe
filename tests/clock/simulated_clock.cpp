#include "simulated_clock.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace svm::test {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

struct Offsets {
  std::atomic<int64_t> wall_ns{0}, monotonic_ns{0};
};

/// Shared with what is forked later, so that a test can move the clock of an agent that runs.
Offsets& offsets() {
  static Offsets* const shared = [] {
    void* map = ::mmap(nullptr, sizeof(Offsets), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) std::abort();
    return new (map) Offsets;
  }();
  return *shared;
}
[[maybe_unused]] const Offsets& g_made_before_the_first_fork = offsets();

int64_t offset_of(clockid_t id) {
  switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE: return offsets().wall_ns;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME: return offsets().monotonic_ns;
    default: return 0;  // processor time
  }
}

timespec plus(const timespec& time, int64_t ns) {
  const int64_t sum = static_cast<int64_t>(time.tv_sec) * kSecondNs + time.tv_nsec + ns;
  return {sum / kSecondNs, sum % kSecondNs};
}

}  // namespace

void jump_wall_clock(std::chrono::milliseconds by) { offsets().wall_ns += std::chrono::nanoseconds(by).count(); }

void pass_time(std::chrono::milliseconds by) {
  jump_wall_clock(by);
  offsets().monotonic_ns += std::chrono::nanoseconds(by).count();
}

ClockKeeper::~ClockKeeper() { offsets().wall_ns = offsets().monotonic_ns = 0; }

}  // namespace svm::test

// The program's own symbols are found before those of libc.
extern "C" {

int clock_gettime(clockid_t id, timespec* now) noexcept {
  if (syscall(SYS_clock_gettime, id, now) != 0) return -1;
  *now = svm::test::plus(*now, svm::test::offset_of(id));
  return 0;
}

/// The kernel's clock has not moved: what waits until a time, waits for the difference. (libstdc++ waits by this for its steady clock.)
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t id, const timespec* until) {
  using Wait = int (*)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const timespec*);
  static const Wait real = reinterpret_cast<Wait>(dlsym(RTLD_NEXT, "pthread_cond_clockwait"));
  const timespec moved = svm::test::plus(*until, -svm::test::offset_of(id));
  return real(condition, mutex, id, &moved);
}
}
