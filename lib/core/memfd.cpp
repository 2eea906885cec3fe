#include "core/memfd.hpp"

#include <fcntl.h>
#include <time.h>

#include <cerrno>

namespace svm {
namespace {

constexpr int kTries = 12;           // in each the kernel itself waits for some 150 ms
constexpr long kBetween = 10'000'000;  // nanoseconds

}  // namespace

int seal_memfd(int fd) noexcept {
  for (int left = kTries;;) {
    if (::fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0) return 0;
    if ((errno != EBUSY && errno != EINTR) || --left == 0) return -errno;
    const timespec pause{0, kBetween};
    (void)::nanosleep(&pause, nullptr);
  }
}

}  // namespace svm
