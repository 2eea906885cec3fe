// Resource limits. There is no RLIMIT_AS among them: address space is not memory, and Node and Java reserve far more than they use.
#include <sys/resource.h>

#include <cerrno>

#include "isolation/lockdown.hpp"

namespace svm::isolation {
namespace {

constexpr uint64_t kMemlockBytes = 64 * 1024;
constexpr uint64_t kMessageQueueBytes = 800 * 1024;  // the kernel's default
constexpr uint64_t kPendingSignals = 4096;

/// Both limits become `wanted`, or stay at the hard limit where that is lower already: raising it needs CAP_SYS_RESOURCE, and the
/// promise is an upper bound.
int lower(__rlimit_resource_t resource, uint64_t wanted) noexcept {
  rlimit limit;
  if (::getrlimit(resource, &limit) < 0) return -errno;
  const rlim_t value = wanted < limit.rlim_max ? wanted : limit.rlim_max;
  limit.rlim_cur = limit.rlim_max = value;
  return ::setrlimit(resource, &limit) < 0 ? -errno : 0;
}

}  // namespace

int set_rlimits(const Rlimits& limits) noexcept {
  const struct {
    __rlimit_resource_t resource;
    uint64_t value;
  } table[] = {
      {RLIMIT_CORE, 0},
      {RLIMIT_MEMLOCK, kMemlockBytes},
      {RLIMIT_RTPRIO, 0},
      {RLIMIT_NICE, 0},
      {RLIMIT_MSGQUEUE, kMessageQueueBytes},
      {RLIMIT_SIGPENDING, kPendingSignals},
      {RLIMIT_NOFILE, limits.open_files},
  };
  for (const auto& row : table) {
    if (const int error = lower(row.resource, row.value)) return error;
  }
  return limits.processes == 0 ? 0 : lower(RLIMIT_NPROC, limits.processes);
}

}  // namespace svm::isolation
