// The sandbox's /etc/passwd and /etc/group, as text. Pure parsers of untrusted bytes: no I/O; fuzzed. A line that is not
// well-formed is passed over, as libc does.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace svm::agent {

struct PasswdEntry {
  std::string name, home;
  uint32_t uid = 0, gid = 0;
};

/// A decimal id of at most ten digits below 2^32 - 1 (which means "unchanged" to the kernel).
std::optional<uint32_t> parse_id(std::string_view text) noexcept;

std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name);
std::optional<PasswdEntry> find_user(std::string_view passwd, uint32_t uid);
std::optional<uint32_t> find_group(std::string_view group, std::string_view name) noexcept;
/// Groups that list `name` as a member, in file order, without repeats, at most `limit`.
std::vector<uint32_t> groups_of(std::string_view group, std::string_view name, size_t limit);

/// "name", "1000", "name:group", "1000:100" taken apart; nothing for an empty half or a second colon.
struct UserSpec {
  std::string_view user, group;  // group empty: not given
};
std::optional<UserSpec> parse_user_spec(std::string_view text) noexcept;

}  // namespace svm::agent
