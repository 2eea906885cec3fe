// Capabilities: what root inside may still do to its own user namespace.
#include <linux/capability.h>
#include <sys/prctl.h>

#include "isolation/lockdown.hpp"
#include "isolation/syscalls.hpp"

namespace svm::isolation {
namespace {
constexpr int kCapabilityBits = 64;  // capset's two words
}

uint64_t profile_capabilities(Profile profile) noexcept {
  if (profile != Profile::build) return 0;
  return capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) | capability(CAP_FOWNER) | capability(CAP_SETUID) |
         capability(CAP_SETGID);
}

int reduce_bounding_set(uint64_t keep) noexcept {
  // Ask for each number rather than trust CAP_LAST_CAP: the running kernel may know more than the header, and ends with EINVAL.
  for (int number = 0; number < kCapabilityBits; ++number) {
    if ((keep & capability(number)) != 0 || ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0) continue;
    const int error = errno;
    if (error == EINVAL && number > 0) break;
    // Without CAP_SETPCAP nothing can be dropped: no harm where nothing is there.
    if (error != EPERM || ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 0) return -error;
  }
  return ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

int set_capabilities(uint64_t permitted, uint64_t effective, uint64_t inheritable) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (unsigned i = 0; i < 2; ++i) {
    data[i].permitted = static_cast<uint32_t>(permitted >> (32 * i));
    data[i].effective = static_cast<uint32_t>(effective >> (32 * i));
    data[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
  }
  return static_cast<int>(syscall_result(SYS_capset, &header, data));
}

int raise_ambient(uint64_t set) noexcept {
  for (int number = 0; number < kCapabilityBits; ++number) {
    if ((set & capability(number)) == 0) continue;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0) return -errno;
  }
  return 0;
}

}  // namespace svm::isolation
