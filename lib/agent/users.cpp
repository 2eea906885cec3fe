#include "agent/users.hpp"

#include <algorithm>

namespace svm::agent {
namespace {

/// Cuts `text` at the first `separator` and returns what came before it.
std::string_view take(std::string_view& text, char separator) noexcept {
  const size_t end = text.find(separator);
  const std::string_view field = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return field;
}

template <size_t N>
bool split(std::string_view line, std::string_view (&fields)[N]) noexcept {
  if (static_cast<size_t>(std::count(line.begin(), line.end(), ':')) != N - 1) return false;
  if (line.find('\0') != std::string_view::npos) return false;
  for (auto& field : fields) field = take(line, ':');
  return !fields[0].empty();
}

template <class Accept>
std::optional<PasswdEntry> find_passwd(std::string_view passwd, Accept&& accept) {
  while (!passwd.empty()) {
    std::string_view fields[7];
    if (!split(take(passwd, '\n'), fields)) continue;
    const auto uid = parse_id(fields[2]);
    const auto gid = parse_id(fields[3]);
    if (!uid || !gid || !accept(fields[0], *uid)) continue;
    return PasswdEntry{std::string(fields[0]), std::string(fields[5]), *uid, *gid};
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint32_t> parse_id(std::string_view text) noexcept {
  if (text.empty() || text.size() > 10) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  if (value >= UINT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(value);
}

std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view name) {
  return find_passwd(passwd, [&](std::string_view entry, uint32_t) { return entry == name; });
}

std::optional<PasswdEntry> find_user(std::string_view passwd, uint32_t uid) {
  return find_passwd(passwd, [&](std::string_view, uint32_t entry) { return entry == uid; });
}

std::optional<uint32_t> find_group(std::string_view group, std::string_view name) noexcept {
  while (!group.empty()) {
    std::string_view fields[4];
    if (!split(take(group, '\n'), fields) || fields[0] != name) continue;
    if (const auto gid = parse_id(fields[2])) return gid;
  }
  return std::nullopt;
}

std::vector<uint32_t> groups_of(std::string_view group, std::string_view name, size_t limit) {
  std::vector<uint32_t> found;
  while (!group.empty() && found.size() < limit) {
    std::string_view fields[4];
    if (!split(take(group, '\n'), fields)) continue;
    const auto gid = parse_id(fields[2]);
    if (!gid) continue;
    for (std::string_view members = fields[3]; !members.empty();) {
      if (take(members, ',') != name) continue;
      if (std::find(found.begin(), found.end(), *gid) == found.end()) found.push_back(*gid);
      break;
    }
  }
  return found;
}

std::optional<UserSpec> parse_user_spec(std::string_view text) noexcept {
  const size_t colon = text.find(':');
  UserSpec spec{text.substr(0, colon), {}};
  if (spec.user.empty()) return std::nullopt;
  if (colon == std::string_view::npos) return spec;
  spec.group = text.substr(colon + 1);
  if (spec.group.empty() || spec.group.find(':') != std::string_view::npos) return std::nullopt;
  return spec;
}

}  // namespace svm::agent
