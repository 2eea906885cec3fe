#include "providers/native/identity.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "core/error.hpp"
#include "core/fd.hpp"

namespace svm::providers::native {
namespace {

constexpr uint32_t kMaxId = 65'534;

bool parse_id(std::string_view text, uint32_t& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out <= kMaxId;
}

bool has_capabilities() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) < 0) return false;
  constexpr uint32_t kNeeded = 1u << CAP_SYS_ADMIN | 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
  return (data[0].effective & kNeeded) == kNeeded;
}

}  // namespace

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

bool can_use_id_ranges() {
  if (::geteuid() != 0 || !has_capabilities()) return false;
  Fd file(::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  char text[4096];
  const long n = read_all(file.get(), text, sizeof text);
  return n > 0 && maps_range({text, static_cast<size_t>(n)}, kFirstHostId, kEndHostId);
}

User default_user(std::string_view text) {
  if (text.empty() || text == "user") return {};
  if (text == "root") return {0, 0, "root"};
  if (text == "nobody") return {65'534, 65'534, "nobody"};
  User user;
  user.name = "sandbox";
  const size_t colon = text.find(':');
  if (!parse_id(text.substr(0, colon), user.uid)) throw Error(Code::invalid, "user: give user, root, nobody, UID or UID:GID, at most 65534").with("field", "user");
  user.gid = user.uid;
  if (colon != text.npos && !parse_id(text.substr(colon + 1), user.gid))
    throw Error(Code::invalid, "user: the group is a number up to 65534").with("field", "user");
  if (user.uid == 0) user.name = "root";
  if (user.uid == 1000) user.name = "user";
  return user;
}

}  // namespace svm::providers::native
