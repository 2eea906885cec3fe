// The kernel's texts about control groups. Pure.
#include <climits>
#include <cstring>
#include <string_view>

#include "isolation/cgroup.hpp"
#include "isolation/cgroup_files.hpp"

namespace svm::isolation {
namespace {

/// Takes the text before the first `separator` off `rest`; false when there is none.
bool take(std::string_view& rest, char separator, std::string_view& field) noexcept {
  const size_t end = rest.find(separator);
  if (end == std::string_view::npos) return false;
  field = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return true;
}

bool listed(std::string_view list, std::string_view word) noexcept {
  while (!list.empty()) {
    const size_t end = list.find(',');
    if (list.substr(0, end) == word) return true;
    if (end == std::string_view::npos) return false;
    list.remove_prefix(end + 1);
  }
  return false;
}

/// mountinfo writes blank, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

uint64_t parse_oom_kills(const char* text, size_t size) noexcept {
  constexpr std::string_view kKey = "oom_kill ";
  std::string_view rest(text, size);
  std::string_view line;
  while (take(rest, '\n', line)) {
    if (!line.starts_with(kKey)) continue;
    line.remove_prefix(kKey.size());
    if (line.empty()) return 0;
    uint64_t value = 0;
    for (const char c : line) {
      if (c < '0' || c > '9') return 0;
      const auto digit = static_cast<uint64_t>(c - '0');
      if (value > (UINT64_MAX - digit) / 10) return UINT64_MAX;
      value = value * 10 + digit;
    }
    return value;
  }
  return 0;
}

bool parse_own_cgroup(const char* text, size_t size, const char* controller, char* out, size_t out_size) noexcept {
  std::string_view rest(text, size);
  std::string_view line;
  while (take(rest, '\n', line)) {  // a line without its end was cut off
    std::string_view id, controllers;
    if (!take(line, ':', id) || !take(line, ':', controllers)) continue;
    // `line` is the path now, colons and all.
    const bool match = *controller == '\0' ? id == "0" && controllers.empty() : listed(controllers, controller);
    if (!match) continue;
    if (line.empty() || line[0] != '/' || line.find('\0') != std::string_view::npos || line.size() >= out_size) return false;
    std::memcpy(out, line.data(), line.size());
    out[line.size()] = '\0';
    return true;
  }
  return false;
}

bool parse_cgroup_mount(std::string_view mountinfo, const char* controller, CgroupMount& out) {
  std::string_view line;
  bool found = false;
  while (take(mountinfo, '\n', line)) {
    std::string_view skipped, root, point, fields;
    bool whole = true;
    for (int i = 0; i < 3; ++i) whole = whole && take(line, ' ', skipped);  // mount id, parent id, device
    if (!whole || !take(line, ' ', root) || !take(line, ' ', point)) continue;
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    line.remove_prefix(dash + 3);
    std::string_view type, source;
    if (!take(line, ' ', type) || !take(line, ' ', source)) continue;
    const bool match = *controller == '\0' ? type == "cgroup2" : type == "cgroup" && listed(line, controller);
    if (!match) continue;
    // The widest view wins: a bind mount of a part of the tree may stand beside the whole.
    if (found && root.size() >= out.root.size()) continue;
    out.root = unescape(root);
    out.point = unescape(point);
    found = true;
  }
  return found;
}

std::string path_in_mount(const CgroupMount& mount, std::string_view own) {
  if (mount.root == "/") return mount.point + std::string(own);
  if (own == mount.root) return mount.point;
  if (own.size() > mount.root.size() && own.starts_with(mount.root) && own[mount.root.size()] == '/') {
    return mount.point + std::string(own.substr(mount.root.size()));
  }
  return mount.point;  // a container's view: the mount shows its own group as the top
}

}  // namespace svm::isolation
