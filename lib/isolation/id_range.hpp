// Host ids that sandboxes get, 65,536 each, and whether this process may give them. No exceptions.
#pragma once
#include <cstdint>
#include <string_view>

namespace svm::isolation {

/// In systemd's container range, away from subordinate ids.
inline constexpr uint32_t kFirstHostId = 0x4800'0000, kEndHostId = 0x7000'0000;

/// Why a program that this process executes (the launcher, the probe) cannot give sandboxes ranges of their own: one phrase; nullptr when it
/// can. Such a program has the capabilities that root gets at exec, which are not those of this process.
const char* why_no_id_ranges();

/// Whether the text of /proc/self/uid_map maps [first, end) in one piece. Pure; fuzzed.
bool maps_range(std::string_view uid_map, uint32_t first, uint32_t end) noexcept;

}  // namespace svm::isolation
