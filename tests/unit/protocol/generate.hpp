// Generated values for every message: the same seed gives the same values on every machine. Every field gets a value that its
// default is not (most of the time), so a field that an encoder forgets shows. Also feeds the seeds of tests/fuzz.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/frame.hpp"
#include "protocol/launch.hpp"
#include "protocol/message.hpp"
#include "protocol/tree.hpp"

namespace svm::protocol::test {

/// splitmix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  /// least <= value <= most.
  uint64_t between(uint64_t least, uint64_t most) {
    const uint64_t span = most - least + 1;
    return span == 0 ? next() : least + next() % span;
  }
  uint32_t number(uint32_t least = 0, uint32_t most = UINT32_MAX) { return static_cast<uint32_t>(between(least, most)); }
  int32_t small(int32_t least, int32_t most) {
    return static_cast<int32_t>(least + static_cast<int64_t>(between(0, static_cast<uint64_t>(static_cast<int64_t>(most) - least))));
  }
  bool flag() { return (next() & 1) != 0; }
  template <class E>
  E choice(E last) {
    return static_cast<E>(between(0, static_cast<uint64_t>(last)));
  }
  /// Any bytes but NUL and '='.
  std::string text(size_t least, size_t most) {
    std::string s(between(least, most), '\0');
    for (char& c : s) do { c = static_cast<char>(number(1, 255)); } while (c == '=');
    return s;
  }
  std::string path() { return text(0, 40); }
  std::string absolute() { return "/" + text(0, 40); }
  std::string of(std::string_view alphabet, size_t least, size_t most) {
    std::string s(between(least, most), '\0');
    for (char& c : s) c = alphabet[between(0, alphabet.size() - 1)];
    return s;
  }
  std::vector<std::pair<std::string, std::string>> environment() {
    std::vector<std::pair<std::string, std::string>> env(between(0, 4));
    for (auto& [name, value] : env) name = text(1, 12), value = text(0, 24);
    return env;
  }

 private:
  uint64_t state_;
};

inline void fill(Random& r, StepFailure& v) {
  v.step = static_cast<Step>(r.between(1, static_cast<uint64_t>(Step::capabilities)));
  v.error = r.small(0, 4095);
}
inline void fill(Random& r, Hello& v) {
  v.version = r.number();
  v.profile = r.choice(Profile::build);
  v.rootless = r.flag();
  v.uid = r.number(0, UINT32_MAX - 1);
  v.gid = r.number(0, UINT32_MAX - 1);
  v.groups.resize(r.between(0, kMaxGroups));
  for (uint32_t& group : v.groups) group = r.number(0, UINT32_MAX - 1);
  v.home = r.absolute();
  v.workdir = r.absolute();
  v.env = r.environment();
  v.open_files = r.next();
  v.processes = r.next();
}
inline void fill(Random& r, Ready& v) {
  v.version = r.number();
  v.enforced = r.between(0, (1ull << kEnforcedBits) - 1);
  v.landlock_abi = r.number();
}
inline void fill(Random& r, ExecRequest& v) {
  v.id = r.text(0, kMaxExecIdBytes);
  v.argv.resize(r.between(0, 5));
  for (std::string& argument : v.argv) argument = r.text(0, 30);
  if (v.argv.empty()) v.shell = r.text(0, 60);
  v.env = r.environment();
  v.cwd = r.path();
  v.user = r.text(0, kMaxUserBytes);
  v.use_stdin = r.flag();
  v.merge = r.flag();
  v.timeout_ms = r.next();
  v.output_limit = r.next();
  v.terminal = r.flag();
  if (v.terminal) {
    v.merge = false;
    v.rows = r.number(0, kMaxTerminalSide);
    v.columns = r.number(0, kMaxTerminalSide);
  }
  v.background = !v.id.empty() && r.flag();
  if (v.background) v.ring_bytes = r.between(kMinRingBytes, kMaxRingBytes);
}
inline void fill(Random& r, AttachRequest& v) { v = {r.text(1, kMaxExecIdBytes), r.next(), r.flag()}; }
inline void fill(Random&, ProcessListRequest&) {}
inline void fill(Random& r, ProcessSignalRequest& v) {
  v.id = r.text(1, kMaxExecIdBytes);
  v.signal = r.number(0, 64);
  if (v.signal == 0) {
    v.rows = r.number(1, kMaxTerminalSide);
    v.columns = r.number(1, kMaxTerminalSide);
  } else {
    v.flags = v.signal == 9 ? r.number(0, kSignalTree) : r.number(0, kSignalGroup);
  }
}
inline void fill(Random& r, ConsoleRequest& v) { v = {r.next(), r.flag()}; }
inline void fill(Random& r, ReadRequest& v) { v = {r.path(), r.next(), r.next(), r.text(0, 20)}; }
inline void fill(Random& r, WriteRequest& v) {
  v = {r.path(), r.number(0, 07777), r.number(0, 7), r.text(0, 20), "", 0};
  if (r.flag()) v.flags &= ~kWriteAppend, v.upload = r.of("abcxyz019-_", 1, kMaxUploadBytes), v.offset = r.next();
}
inline void fill(Random& r, StatRequest& v) { v = {r.path(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, ListRequest& v) { v = {r.path(), r.number(), r.number(1, kMaxListDepth), r.text(0, 20)}; }
inline void fill(Random& r, GlobRequest& v) { v = {r.path(), r.number(), r.text(0, 20)}; }
inline void fill(Random& r, SearchRequest& v) { v = {r.path(), r.text(1, 40), r.number(), r.text(0, 20)}; }
inline void fill(Random& r, SearchMatch& v) { v = {r.absolute(), r.between(1, UINT64_MAX), r.text(0, 40)}; }
inline void fill(Random& r, SearchSummary& v) { v = {r.next(), r.next(), r.flag()}; }
inline void fill(Random& r, ReplaceRequest& v) { v = {r.path(), r.text(1, 40), r.text(0, 40), r.text(0, 20)}; }
inline void fill(Random& r, Replaced& v) { v = {r.next()}; }
inline void fill(Random& r, MoveRequest& v) { v = {r.path(), r.path(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, CopyRequest& v) { v = {r.path(), r.path(), r.flag(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, ChmodRequest& v) {
  v = {r.path(), r.number(0, 07777), r.text(0, 20), r.flag(), r.text(1, 20), r.text(0, 20)};
  if (!v.sets_mode) v.mode = 0;
}
inline void fill(Random& r, MkdirRequest& v) { v = {r.path(), r.number(0, 07777), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, RemoveRequest& v) { v = {r.path(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, SymlinkRequest& v) { v = {r.path(), r.path(), r.flag(), r.text(0, 20), r.flag()}; }
inline void fill(Random& r, LinkRequest& v) { v = {r.path(), r.path(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, WatchRequest& v) { v = {r.path(), r.flag(), r.text(0, 20)}; }
inline void fill(Random& r, WatchEvent& v) {
  v = {r.choice(WatchKind::overflow), r.flag(), r.absolute(), ""};
  if (v.kind == WatchKind::renamed) v.to = r.absolute();
}
inline void fill(Random& r, PackRequest& v) { v = {r.path(), r.text(0, 20)}; }
inline void fill(Random& r, UnpackRequest& v) { v = {r.path(), r.text(0, 20)}; }
inline void fill(Random& r, TreeSummary& v) { v = {r.next(), r.next(), r.next()}; }
inline std::string tree_path(Random& r) {
  std::string path = r.of("abcxyz019-_\xff\n ", 1, 12);
  for (uint64_t i = r.between(0, 3); i > 0; --i) path += '/' + r.of("abc.\x80", 3, 9);
  return path;
}
inline void fill(Random& r, TreeEntry& v) {
  v = {r.choice(TreeType::chmod), tree_path(r), "", r.number(0, 07777), 0, static_cast<int64_t>(r.next()), r.number(), r.number()};
  if (v.type == TreeType::symlink) v.target = r.text(1, 30);
  if (v.type == TreeType::hardlink) v.target = tree_path(r);
  if (v.type == TreeType::file) v.size = r.between(0, kMaxTreeFile);
}
inline void fill(Random& r, DialRequest& v) {
  v = {r.flag() ? r.number(1, kMaxPort) : 0, "", r.text(0, 20)};
  if (v.port == 0) v.path = r.absolute();
}
inline void fill(Random& r, ListeningRequest& v) {
  v = {r.number(0, kMaxPort), "", r.next(), r.text(0, 20)};
  if (r.flag()) v.port = 0, v.path = r.path();
}
inline void fill(Random&, StatsRequest&) {}
inline void fill(Random& r, DiskStats& v) {
  v.size = r.next() >> 1;
  v.used = r.between(0, v.size);
  v.inodes = r.next() >> 1;
  v.inodes_used = r.between(0, v.inodes);
}
inline void fill(Random& r, Listeners& v) {
  v.items.resize(r.between(0, 5));
  for (Listener& listener : v.items) listener = {r.number(1, kMaxPort), r.number(), r.of("0123456789abcdef:.", 1, kMaxAddressBytes)};
}
inline void fill(Random& r, ExecResult& v) {
  v = {r.choice(ExecReason::cancelled), r.small(0, 255), r.small(0, 64), r.next(), r.next(), r.next(), r.next() >> 1, r.next() >> 1};
}
inline void fill(Random& r, ProcessInfo& v) {
  v.id = r.text(0, kMaxExecIdBytes);
  v.command = r.of("abc xyz/:~", 0, kMaxCommandHead);
  v.pid = r.number();
  v.started_ms = static_cast<int64_t>(r.next());
  v.background = r.flag();
  v.terminal = r.flag();
  v.running = r.flag();
  v.output = r.next();
  v.lost = r.next();
  v.attached = r.number();
  v.code = static_cast<int32_t>(r.flag() ? Code::ok : Code::file_not_found);
  fill(r, v.result);
}
inline void fill(Random& r, FileInfo& v) {
  v = {r.choice(FileType::block), r.number(0, 07777), r.next(), r.next(), static_cast<int64_t>(r.next()), r.number(), r.number(), r.next(), {}};
  if (v.type == FileType::symlink) v.target = r.path();
}
inline void fill(Random& r, Entry& v) {
  v.name = r.text(1, 40);
  fill(r, v.info);
}
inline void fill(Random& r, Result& v) {
  constexpr Code kCodes[] = {Code::ok, Code::invalid, Code::not_found, Code::io, Code::file_not_found, Code::internal, Code::closed};
  v.code = kCodes[r.between(0, std::size(kCodes) - 1)];
  if (v.code == Code::ok) {
    v.body = r.text(0, 60);
    v.body.push_back('\0');
  } else {
    v.error = r.small(0, 4095);
    v.message = r.of("abc xyz/:~", 0, 80);
    v.subject = r.choice(Subject::workdir);
  }
}

inline constexpr std::string_view kNameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

inline void fill(Random& r, Init& v) {
  v = {r.of(kNameBytes, 1, 64), r.flag(), r.flag(), r.flag(), r.flag(), ""};
  if (v.detached || r.flag()) v.key = r.text(kOwnerKeyBytes, kOwnerKeyBytes);
}
inline void fill(Random& r, Online& v) {
  v.error = r.small(0, 4095);
  v.step = r.choice(Step::capabilities);
  v.memory_error = r.small(0, 4095);
  v.swap_error = r.small(0, 4095);
  v.cpu_error = r.small(0, 4095);
  v.pids_error = r.small(0, 4095);
  v.cgroup_version = static_cast<uint8_t>(r.between(0, 2));
}
inline void fill(Random& r, HostMount& v) { v = {r.absolute(), r.absolute(), r.next(), r.next(), r.flag()}; }
inline void fill(Random& r, Spawn& v) {
  v.token = r.next();
  v.name = r.of(kNameBytes, 1, 64);
  v.root = r.choice(RootKind::empty);
  if (v.root == RootKind::directory) v.rootfs = r.absolute();
  v.rootfs_device = r.next();
  v.rootfs_inode = r.next();
  v.id_base = r.number(0, UINT32_MAX - 65536);
  v.uid = r.number(0, UINT32_MAX - 1);
  v.gid = r.number(0, UINT32_MAX - 1);
  v.fixed_user = r.flag();
  v.profile = r.choice(Profile::build);
  v.hostname = r.of("abcxyz019-.", 0, 64);
  v.memory = r.next();
  v.disk = r.next();
  v.inodes = r.next() >> 1;
  v.milli_cpus = r.number();
  v.pids = r.number();
  v.require_memory = r.flag();
  v.require_cpu = r.flag();
  v.require_pids = r.flag();
  v.mounts.resize(r.between(0, 4));
  for (HostMount& mount : v.mounts) fill(r, mount);
}
inline void fill(Random& r, Refused& v) {
  v.token = r.next();
  fill(r, v.failure);
}
inline void fill(Random& r, Kill& v) { v.token = r.next(); }
inline void fill(Random& r, Claim& v) { v = {r.text(kOwnerKeyBytes, kOwnerKeyBytes), r.flag()}; }
inline void fill(Random& r, Claimed& v) {
  v.error = r.small(0, 4095);
  fill(r, v.online);
  v.holds = r.flag();
  v.sandboxes = r.number();
}
inline void fill(Random& r, Adopted& v) { v = {r.next(), r.of(kNameBytes, 1, 64), r.next() >> 1}; }
inline void fill(Random& r, Expire& v) { v = {r.next(), r.next() >> 1}; }
inline void fill(Random& r, Exited& v) { v = {r.next(), r.small(INT32_MIN, INT32_MAX), r.next()}; }

template <class T>
T make(uint64_t seed) {
  Random random(seed);
  T value;
  fill(random, value);
  return value;
}

template <class T>
std::string encoded(const T& value) {
  std::string out;
  encode(out, value);
  return out;
}

// How each struct is decoded: by itself, or as the member of a sum. Every one answers bool and fills the struct.
template <class T>
bool decoded(std::string_view in, T& out) {
  return decode(in, out);
}
#define SVM_SUM_MEMBER(Sum, Type, tag, member)              \
  inline bool decoded(std::string_view in, Type& out) {     \
    Sum sum;                                                \
    if (!decode(in, sum) || sum.tag) return false;          \
    out = sum.member;                                       \
    return true;                                            \
  }
SVM_SUM_MEMBER(Request, ExecRequest, op != Op::exec, exec)
SVM_SUM_MEMBER(Request, ReadRequest, op != Op::read, read)
SVM_SUM_MEMBER(Request, WriteRequest, op != Op::write, write)
SVM_SUM_MEMBER(Request, StatRequest, op != Op::stat, stat)
SVM_SUM_MEMBER(Request, ListRequest, op != Op::list, list)
SVM_SUM_MEMBER(Request, GlobRequest, op != Op::glob, glob)
SVM_SUM_MEMBER(Request, SearchRequest, op != Op::search, search)
SVM_SUM_MEMBER(Request, ReplaceRequest, op != Op::replace, replace)
SVM_SUM_MEMBER(Request, MoveRequest, op != Op::move, move)
SVM_SUM_MEMBER(Request, CopyRequest, op != Op::copy, copy)
SVM_SUM_MEMBER(Request, ChmodRequest, op != Op::chmod, chmod)
SVM_SUM_MEMBER(Request, MkdirRequest, op != Op::mkdir, mkdir)
SVM_SUM_MEMBER(Request, RemoveRequest, op != Op::remove, remove)
SVM_SUM_MEMBER(Request, SymlinkRequest, op != Op::symlink, symlink)
SVM_SUM_MEMBER(Request, LinkRequest, op != Op::link, link)
SVM_SUM_MEMBER(Request, WatchRequest, op != Op::watch, watch)
SVM_SUM_MEMBER(Request, PackRequest, op != Op::pack, pack)
SVM_SUM_MEMBER(Request, UnpackRequest, op != Op::unpack, unpack)
SVM_SUM_MEMBER(Request, DialRequest, op != Op::dial, dial)
SVM_SUM_MEMBER(Request, ListeningRequest, op != Op::listening, listening)
SVM_SUM_MEMBER(Request, AttachRequest, op != Op::attach, attach)
SVM_SUM_MEMBER(Request, ProcessListRequest, op != Op::process_list, process_list)
SVM_SUM_MEMBER(Request, ProcessSignalRequest, op != Op::process_signal, process_signal)
SVM_SUM_MEMBER(Request, ConsoleRequest, op != Op::console, console)
SVM_SUM_MEMBER(Request, StatsRequest, op != Op::stats, stats)
SVM_SUM_MEMBER(LaunchMessage, Init, type != LaunchType::init, init)
SVM_SUM_MEMBER(LaunchMessage, Online, type != LaunchType::online, online)
SVM_SUM_MEMBER(LaunchMessage, Spawn, type != LaunchType::spawn, spawn)
SVM_SUM_MEMBER(LaunchMessage, Refused, type != LaunchType::refused, refused)
SVM_SUM_MEMBER(LaunchMessage, Kill, type != LaunchType::kill, kill)
SVM_SUM_MEMBER(LaunchMessage, Exited, type != LaunchType::exited, exited)
SVM_SUM_MEMBER(LaunchMessage, Claim, type != LaunchType::claim, claim)
SVM_SUM_MEMBER(LaunchMessage, Claimed, type != LaunchType::claimed, claimed)
SVM_SUM_MEMBER(LaunchMessage, Adopted, type != LaunchType::adopted, adopted)
SVM_SUM_MEMBER(LaunchMessage, Expire, type != LaunchType::expire, expire)
#undef SVM_SUM_MEMBER

inline bool decoded(std::string_view in, WatchEvent& out) {
  std::vector<WatchEvent> events;
  if (!decode_watch_events(in, events) || events.size() != 1) return false;
  out = events[0];
  return true;
}

inline bool decoded(std::string_view in, SearchMatch& out) {
  std::vector<SearchMatch> matches;
  if (!decode_matches(in, matches) || matches.size() != 1) return false;
  out = matches[0];
  return true;
}

/// A header alone: nothing before it is left, and nothing comes after it.
inline bool decoded(std::string_view in, TreeEntry& out) {
  TreeParser parser;
  std::string_view content;
  return parser.next(in, out, content) == TreeParser::Item::entry && in.empty();
}

inline bool decoded(std::string_view in, ProcessInfo& out) {
  std::vector<ProcessInfo> processes;
  if (!decode_processes(in, processes) || processes.size() != 1) return false;
  out = processes[0];
  return true;
}

inline bool decoded(std::string_view in, Entry& out) {
  std::vector<Entry> entries;
  if (!decode_entries(in, entries) || entries.size() != 1) return false;
  out = entries[0];
  return true;
}

}  // namespace svm::protocol::test
