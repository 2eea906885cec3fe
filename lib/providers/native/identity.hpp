// As whom the launcher and its sandboxes run, and the default user of a sandbox.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::providers::native {

/// Host ids that sandboxes of a root instance use, 65,536 each: in systemd's container range, away from subordinate ids.
inline constexpr uint32_t kFirstHostId = 0x4800'0000, kEndHostId = 0x7000'0000;

/// Whether this process can give sandboxes id ranges of their own: it has the capabilities, and its user namespace maps the range.
bool can_use_id_ranges();

/// Whether the text of /proc/self/uid_map maps [first, end) in one piece. Pure.
bool maps_range(std::string_view uid_map, uint32_t first, uint32_t end) noexcept;

struct User {
  uint32_t uid = 1000, gid = 1000;
  std::string name = "user";
};
/// "" and "user": 1000; "root": 0; "nobody": 65534; "UID" or "UID:GID" up to 65534. Throws Error invalid (field user).
User default_user(std::string_view text);

}  // namespace svm::providers::native
