#include "isolation/id_range.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "isolation/cgroup_files.hpp"

namespace svm::isolation {
namespace {

constexpr int kNeeded[] = {CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_KILL};

/// Root that executes gets the whole bounding set, unless it was told to stay as it is.
bool has_capabilities_after_exec() noexcept {
  const int bits = ::prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
  if (bits < 0 || (bits & SECBIT_NOROOT) != 0) return false;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) < 0) return false;
  const bool gains = ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
  for (const int number : kNeeded) {
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 1) return false;
    if (!gains && (data[0].permitted & 1u << number) == 0) return false;
  }
  return true;
}

}  // namespace

const char* why_no_id_ranges() {
  if (::geteuid() != 0) return "not root";
  if (!has_capabilities_after_exec()) return "root without the capabilities SYS_ADMIN, SETUID, SETGID and KILL";
  std::string text;
  if (read_control(AT_FDCWD, "/proc/self/uid_map", text) != 0) return "the user namespace's map cannot be read";
  return maps_range(text, kFirstHostId, kEndHostId) ? nullptr : "this user namespace does not map the ids";
}

bool maps_range(std::string_view uid_map, uint32_t first, uint32_t end) noexcept {
  while (!uid_map.empty()) {
    const size_t newline = uid_map.find('\n');
    std::string_view line = uid_map.substr(0, newline);
    uid_map.remove_prefix(newline == uid_map.npos ? uid_map.size() : newline + 1);
    uint32_t numbers[3]{};
    int count = 0;
    while (count < 3) {
      const size_t start = line.find_first_not_of(' ');
      if (start == line.npos) break;
      line.remove_prefix(start);
      const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), numbers[count]);
      if (error != std::errc()) break;
      line.remove_prefix(static_cast<size_t>(at - line.data()));
      ++count;
    }
    if (count == 3 && numbers[0] <= first && static_cast<uint64_t>(numbers[0]) + numbers[2] >= end) return true;
  }
  return false;
}

}  // namespace svm::isolation
