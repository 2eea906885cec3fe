#include "isolation/cgroup_usage.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "isolation/cgroup_files.hpp"

namespace svm::isolation {
namespace {

constexpr int kMaxAncestors = 32;  // looked through for the one that the groups were made in (v2)
constexpr int64_t kNsPerUs = 1000;

/// The commands' level of the sandbox below `base`.
int open_commands(int base, const char* instance, const char* name, Fd& out) {
  char path[2 * kMaxCgroupName + 32];
  const int size = std::snprintf(path, sizeof path, "stacyvm-%s/%s/cmd", instance, name);
  if (size < 0 || static_cast<size_t>(size) >= sizeof path) return -ENAMETOOLONG;
  return open_directory(base, path, out);
}

int open_commands_v1(const CgroupTexts& texts, const char* controller, const char* instance, const char* name, Fd& out) {
  Fd own;
  if (const int error = open_own_group(texts, controller, own)) return error;
  return open_commands(own.get(), instance, name, out);
}

int open_commands_v2(const CgroupTexts& texts, const char* instance, const char* name, Fd& out) {
  Fd own, top;
  if (const int error = open_own_group(texts, "", own, &top)) return error;
  for (int i = 0; i < kMaxAncestors; ++i) {
    const int error = open_commands(own.get(), instance, name, out);
    if (error != -ENOENT || same_directory(own.get(), top.get())) return error;
    Fd parent;
    if (const int up = open_directory(own.get(), "..", parent)) return up;
    own = std::move(parent);
  }
  return -ENOENT;
}

/// One control file read as `parse` does; -1 and why.
template <class Parse>
void read_value(int directory, const char* file, int64_t& value, int& error, Parse parse) {
  std::string text;
  const int failed = read_control(directory, file, text);
  value = failed ? -1 : parse(text);
  error = failed == -ENOENT ? EOPNOTSUPP : failed ? -failed : value < 0 ? EBADMSG : 0;
}

auto keyed(const char* key) {
  return [key](const std::string& text) { return parse_keyed_count(text.data(), text.size(), key); };
}

void read_pids(int directory, CgroupUsage& out) {
  int uncounted = 0;  // is no news: the number of processes is there all the same
  read_value(directory, "pids.current", out.pids, out.pids_error, [](const std::string& text) { return parse_count(text.data(), text.size()); });
  read_value(directory, "pids.events", out.pids_refused, uncounted, keyed("max"));
}

int64_t whole(const std::string& text) noexcept { return parse_count(text.data(), text.size()); }

void read_v1(const CgroupTexts& texts, const char* instance, const char* name, CgroupUsage& out) {
  Fd memory, cpu, pids;
  const int no_memory = -open_commands_v1(texts, "memory", instance, name, memory);
  const int no_cpu = -open_commands_v1(texts, "cpu", instance, name, cpu);
  const int no_pids = -open_commands_v1(texts, "pids", instance, name, pids);
  out.memory_error = out.memory_peak_error = out.oom_error = no_memory;
  out.cpu_error = no_cpu;
  out.pids_error = no_pids;
  if (!no_memory) {
    read_value(memory.get(), "memory.usage_in_bytes", out.memory, out.memory_error, whole);
    read_value(memory.get(), "memory.max_usage_in_bytes", out.memory_peak, out.memory_peak_error, whole);
    read_value(memory.get(), "memory.oom_control", out.oom_kills, out.oom_error, keyed("oom_kill"));
  }
  // Where cpu time is counted by a hierarchy of its own, the sandbox has no group there.
  if (!no_cpu)
    read_value(cpu.get(), "cpuacct.usage", out.cpu_us, out.cpu_error, [](const std::string& text) {
      const int64_t ns = whole(text);
      return ns < 0 ? ns : ns / kNsPerUs;
    });
  if (!no_pids) read_pids(pids.get(), out);
}

void read_v2(int directory, CgroupUsage& out) {
  read_value(directory, "cpu.stat", out.cpu_us, out.cpu_error, keyed("usage_usec"));
  read_value(directory, "memory.current", out.memory, out.memory_error, whole);
  read_value(directory, "memory.peak", out.memory_peak, out.memory_peak_error, whole);
  read_value(directory, "memory.events", out.oom_kills, out.oom_error, keyed("oom_kill"));
  read_pids(directory, out);
}

}  // namespace

int64_t parse_count(const char* text, size_t size) noexcept {
  std::string_view digits(text, size);
  if (digits.empty() || digits.back() != '\n') return -1;
  digits.remove_suffix(1);
  if (digits.empty()) return -1;
  int64_t value = 0;
  for (const char c : digits)
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, c - '0', &value)) return -1;
  return value;
}

int64_t parse_keyed_count(const char* text, size_t size, const char* key) noexcept {
  std::string_view rest(text, size);
  const std::string_view wanted(key);
  for (;;) {
    const size_t end = rest.find('\n');
    if (end == rest.npos) return -1;  // a line without its end was cut off
    const std::string_view line = rest.substr(0, end + 1);
    if (line.starts_with(wanted) && line.size() > wanted.size() && line[wanted.size()] == ' ')
      return parse_count(line.data() + wanted.size() + 1, line.size() - wanted.size() - 1);
    rest.remove_prefix(end + 1);
  }
}

void read_cgroup_usage(const char* instance, const char* name, CgroupUsage& out) {
  CgroupTexts texts;
  const int failed = is_group_name(instance) && is_group_name(name) ? -texts.load() : EINVAL;
  Fd commands;
  const int no_v2 = failed ? failed : -open_commands_v2(texts, instance, name, commands);
  if (!no_v2) return read_v2(commands.get(), out);
  out.cpu_error = out.memory_error = out.memory_peak_error = out.pids_error = out.oom_error = no_v2;
  if (!failed) read_v1(texts, instance, name, out);
}

}  // namespace svm::isolation
