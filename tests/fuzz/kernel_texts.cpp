// What the kernel says in /proc about groups, id maps and processes. A process chooses its own name and, where it may make groups and mounts, much of
// the rest.
#include <algorithm>

#include "agent/proc_net.hpp"
#include "agent/process_tree.hpp"
#include "harness.hpp"
#include "isolation/cgroup_files.hpp"
#include "isolation/cgroup_usage.hpp"
#include "isolation/id_range.hpp"

using namespace svm;

namespace {

constexpr const char* kControllers[] = {"", "memory", "cpu", "pids"};

void own_group(std::string_view in, const char* controller) {
  char large[4096], small[16];
  const bool found = isolation::parse_own_cgroup(in.data(), in.size(), controller, large, sizeof large);
  const bool fits = isolation::parse_own_cgroup(in.data(), in.size(), controller, small, sizeof small);
  const std::string_view path = found ? large : "";
  if (found) SVM_INVARIANT(path.starts_with('/') && path.find('\n') == path.npos && in.find(':' + std::string(path) + '\n') != in.npos);
  SVM_INVARIANT(fits == (found && path.size() < sizeof small));
  if (fits) SVM_INVARIANT(path == small);
}

void group_mount(std::string_view in, const char* controller) {
  isolation::CgroupMount mount;
  if (!isolation::parse_cgroup_mount(in, controller, mount)) return;
  SVM_INVARIANT(mount.root.size() <= in.size() && mount.point.size() <= in.size());
  for (const std::string& own : {std::string("/"), std::string("/a/b"), mount.root, mount.root + "/x"})
    SVM_INVARIANT(isolation::path_in_mount(mount, own).starts_with(mount.point));
}

void oom_kills(std::string_view in) {
  const uint64_t kills = isolation::parse_oom_kills(in.data(), in.size());
  const std::string more = std::string(in) + "oom_kill 1\n";
  if (kills != 0) SVM_INVARIANT(isolation::parse_oom_kills(more.data(), more.size()) == kills);  // the first line counts
}

void counts(std::string_view in) {
  const int64_t whole = isolation::parse_count(in.data(), in.size());
  if (whole >= 0) SVM_INVARIANT(isolation::parse_count((std::to_string(whole) + '\n').data(), std::to_string(whole).size() + 1) == whole);
  for (const char* key : {"usage_usec", "oom_kill"}) {
    const int64_t value = isolation::parse_keyed_count(in.data(), in.size(), key);
    const std::string more = std::string(key) + " 7\n" + std::string(in);
    SVM_INVARIANT(value >= -1);
    SVM_INVARIANT(isolation::parse_keyed_count(more.data(), more.size(), key) == 7);  // the first line counts
  }
}

void id_map(std::string_view in) {
  constexpr uint32_t kFirst = isolation::kFirstHostId, kEnd = isolation::kEndHostId;
  if (!isolation::maps_range(in, kFirst, kEnd)) return;
  SVM_INVARIANT(isolation::maps_range(in, kFirst + 1, kEnd - 1));
  SVM_INVARIANT(isolation::maps_range("5 5 5\n" + std::string(in), kFirst, kEnd));
}

void process_stat(std::string_view in) {
  const auto stat = agent::parse_process_stat(in);
  if (!stat) return;
  SVM_INVARIANT(stat->pid >= 0 && stat->parent >= 0 && stat->session >= 0);
  const auto again = agent::parse_process_stat(std::to_string(stat->pid) + " (a) b) " + stat->state + ' ' + std::to_string(stat->parent) + " 1 " +
                                               std::to_string(stat->session) + " 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 " + std::to_string(stat->started));
  // A state that is a parenthesis would end the name.
  if (stat->state == ')') return;
  SVM_INVARIANT(again && again->pid == stat->pid && again->parent == stat->parent && again->session == stat->session && again->state == stat->state && again->started == stat->started);
}

void tcp_listeners(std::string_view in, bool v6) {
  constexpr size_t kMost = 3;
  std::vector<agent::TcpListener> all, some;
  SVM_INVARIANT(agent::parse_tcp_listeners(in, v6, in.size(), all));  // no line is shorter than a byte
  SVM_INVARIANT(agent::parse_tcp_listeners(in, v6, kMost, some) == (all.size() <= kMost));
  SVM_INVARIANT(some.size() == std::min(all.size(), kMost));
  for (const agent::TcpListener& listener : all) SVM_INVARIANT(listener.port != 0 && listener.v6 == v6);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = fuzz::text(data, size);
  for (const char* controller : kControllers) {
    own_group(in, controller);
    group_mount(in, controller);
  }
  oom_kills(in);
  counts(in);
  id_map(in);
  process_stat(in);
  tcp_listeners(in, false);
  tcp_listeners(in, true);
  return 0;
}
