// What the payloads of frames mean. Each struct has encode (append to a string) and decode (false: malformed; strict: every
// field present, in bounds, nothing left over; what a false leaves in the struct is unspecified). Encoders do not check: a sender
// keeps the limits below. Paths, argv and env are bytes without NUL; text is UTF-8 only where said. An empty path is well-formed
// and refused by the operation. Ids are never 2^32 - 1, errnos 0 to 4095, modes within 07777, flags 0 or 1.
// Pure code: no I/O.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/codes.hpp"

namespace svm::protocol {

// Limits a decoder enforces (tested at the limit and one beyond).
inline constexpr uint32_t kMaxPathBytes = 4095;       // PATH_MAX less its NUL
inline constexpr size_t kMaxUploadBytes = 64;   // of the name of an upload
inline constexpr uint32_t kMaxArgs = 4096;            // argv entries
inline constexpr uint32_t kMaxEnv = 4096;             // env entries
inline constexpr uint32_t kMaxArgBytes = 128 * 1024;  // one argv or env string with its NUL: Linux MAX_ARG_STRLEN
inline constexpr uint32_t kMaxExecBytes = 512 * 1024; // argv, shell and env ("name=value") together, each with its NUL
inline constexpr uint32_t kMaxUserBytes = 64;
inline constexpr uint32_t kMaxGroups = 32;
inline constexpr uint32_t kMaxExecIdBytes = 64;
inline constexpr uint32_t kMaxSearchBytes = 1024;     // of a text that is looked for
inline constexpr uint32_t kMaxReplacementBytes = 64 * 1024;
inline constexpr uint32_t kMaxMatchBytes = 512;       // of a line that is told of
inline constexpr uint32_t kMaxListDepth = 64;
inline constexpr uint32_t kMaxPort = 65535;
inline constexpr uint32_t kMaxListeners = 4096;       // of one answer
inline constexpr uint32_t kMaxAddressBytes = 45;      // an IPv6 address in its longest form
inline constexpr uint64_t kMinRingBytes = 4 * 1024, kMaxRingBytes = 4 * 1024 * 1024;  // of one background command
inline constexpr uint32_t kMaxCommandHead = 256;       // bytes of a command line in the process list

enum class Profile : uint8_t { standard = 0, debug = 1, build = 2 };

/// What the boundary really enforces, as bits: the child sets them as its steps succeed, the launcher and the agent add theirs.
enum Enforced : uint64_t {
  kEnforcedUserNamespace = 1ull << 0,
  kEnforcedMountNamespace = 1ull << 1,
  kEnforcedPidNamespace = 1ull << 2,
  kEnforcedNetNamespace = 1ull << 3,
  kEnforcedIpcNamespace = 1ull << 4,
  kEnforcedUtsNamespace = 1ull << 5,
  kEnforcedCgroupNamespace = 1ull << 6,
  kEnforcedIdRange = 1ull << 7,         // a 65,536-id range of its own
  kEnforcedPrivateRoot = 1ull << 8,     // pivot_root done, old root gone
  kEnforcedDiskLimit = 1ull << 9,
  kEnforcedInodeLimit = 1ull << 10,
  kEnforcedFreshProc = 1ull << 11,
  kEnforcedProcMasks = 1ull << 12,
  kEnforcedMinimalDev = 1ull << 13,
  kEnforcedRlimits = 1ull << 14,
  kEnforcedKeyring = 1ull << 15,
  kEnforcedFdsClosed = 1ull << 16,
  kEnforcedNoNewPrivs = 1ull << 17,
  kEnforcedCapabilities = 1ull << 18,   // bounding set reduced to the profile's
  kEnforcedSeccomp = 1ull << 19,
  kEnforcedLandlock = 1ull << 20,
  kEnforcedUndumpable = 1ull << 21,
  kEnforcedMemory = 1ull << 22,
  kEnforcedSwap = 1ull << 23,
  kEnforcedCpu = 1ull << 24,
  kEnforcedPids = 1ull << 25,
  kEnforcedGroupsDropped = 1ull << 26,  // no supplementary group of the host user is left
  kEnforcedUserPerExec = 1ull << 27,    // commands may run as different users
};
/// The name of one bit as the sandbox's `enforced` list spells it ("user_namespace", "memory", ...); nullptr for an unused bit.
const char* enforced_name(unsigned bit) noexcept;
inline constexpr unsigned kEnforcedBits = 28;

/// Named steps of building the boundary, for errors. The text is what a user reads: "mount_proc".
enum class Step : uint16_t {
  none = 0,
  // launcher
  user_namespace, cgroup_create, memory_limit, cpu_limit, pids_limit, cgroup_attach, network, loopback, clone, id_map, open_rootfs, open_mount, idmap_mount,
  // child, before the agent
  sync, cgroup_namespace, mount_private, disk, rootfs, skeleton, usr, proc, inotify_share, proc_mask, dev, devpts, shm, workspace, user_mount, pivot_root, detach_root,
  root_read_only, hostname, keyring, rlimits, groups, identity, keep_caps, close_fds, exec_agent,
  // agent
  hello, undumpable, bounding_set, no_new_privs, landlock, seccomp, capabilities,
  // launcher
  former_launcher,
};
const char* step_name(Step step) noexcept;
bool step_is_known(uint16_t number) noexcept;

struct StepFailure {
  Step step{};            // not none
  int32_t error = 0;  // errno
  bool operator==(const StepFailure&) const = default;
};

/// Host -> agent, once.
struct Hello {
  uint32_t version = 0;
  Profile profile{};
  bool rootless = false;  // one mapped id: no user per exec, no switching for file operations
  uint32_t uid = 0, gid = 0;               // the sandbox's default user (inside ids)
  std::vector<uint32_t> groups;            // its supplementary groups
  std::string home, workdir;               // absolute
  std::vector<std::pair<std::string, std::string>> env;  // the base every exec starts from
  uint64_t open_files = 0, processes = 0;  // rlimits already set by the child: reported, not applied
  bool operator==(const Hello&) const = default;
};
void encode(std::string& out, const Hello& v);
bool decode(std::string_view in, Hello& v);

/// Agent -> host, once, after lock-down.
struct Ready {
  uint32_t version = 0;
  uint64_t enforced = 0;      // Enforced bits of the child and the agent
  uint32_t landlock_abi = 0;  // 0: none
  bool operator==(const Ready&) const = default;
};
void encode(std::string& out, const Ready& v);
bool decode(std::string_view in, Ready& v);

void encode(std::string& out, const StepFailure& v);
bool decode(std::string_view in, StepFailure& v);

/// Leads every REQUEST payload.
enum class Op : uint16_t {
  exec = 1, read, write, stat, list, glob, move, chmod, mkdir, remove, symlink, link,
  attach = 13, process_list = 14, process_signal = 15, console = 16, watch = 17, dial = 18, pack = 19, listening = 20, stats = 21, unpack = 22,
  search = 23, replace = 24, copy = 25,
};

/// As whom a file operation runs. Empty: the sandbox's default user. A name of the sandbox's /etc/passwd or a number; "1000:100" adds a group.
using User = std::string;

struct ExecRequest {
  std::string id;                 // the host's name for it, unique in the sandbox; empty: none
  std::vector<std::string> argv;  // empty: `shell` is run by /bin/sh -c
  std::string shell;              // empty where argv is not
  std::vector<std::pair<std::string, std::string>> env;  // over the base environment; later wins
  std::string cwd;                // empty: the working directory of Hello
  User user;
  bool use_stdin = false;         // false: /dev/null
  bool merge = false;             // stderr goes where stdout goes, in order
  uint64_t timeout_ms = 0;        // 0: none; then SIGKILL to the whole group
  uint64_t output_limit = 0;      // bytes of stdout + stderr, 0: none; beyond it the group is killed
  bool terminal = false;          // a pseudo-terminal for all three; its output is `out`. Not with merge; has input always
  uint32_t rows = 0, columns = 0; // of the terminal, 0: 24 and 80
  bool background = false;        // needs an id. The stream has no DATA; the command outlives it, and its output is read with attach
  uint64_t ring_bytes = 0;        // background: how much of its output is kept, 0: 256 KiB
  bool operator==(const ExecRequest&) const = default;
};
void encode(std::string& out, const ExecRequest& v);

enum class ExecReason : uint8_t { exited = 0, signalled = 1, timeout = 2, oom = 3, output_limit = 4, cancelled = 5 };

/// Body of an exec's successful Result.
struct ExecResult {
  ExecReason reason{};
  int32_t exit_code = 0;      // 0 to 255; 128 + signal where signalled
  int32_t signal = 0;         // 0 to 64
  uint64_t wall_us = 0, cpu_us = 0;
  uint64_t memory_peak = 0;   // bytes, of the largest process (ru_maxrss)
  uint64_t out_bytes = 0, err_bytes = 0;  // of output that was taken from it, at most INT64_MAX
  bool operator==(const ExecResult&) const = default;
};
void encode(std::string& out, const ExecResult& v);
bool decode(std::string_view in, ExecResult& v);

/// DATA(out), DATA(err) and DATA(gap) of a background command's output from a position on, and the exec's Result once it has ended
/// and all was sent. Positions count the bytes of both outputs in order of arrival. Data, END, SIGNAL and RESIZE of the host
/// act on the command; CANCEL lets go of it.
struct AttachRequest {
  std::string id;
  uint64_t from = 0;   // UINT64_MAX: what comes from now on, after a gap that tells where that is
  bool quiet = false;  // no output, only the Result
  bool operator==(const AttachRequest&) const = default;
};
void encode(std::string& out, const AttachRequest& v);

/// Result's body: a ProcessInfo for every command that runs, and for ended background commands that are still known.
struct ProcessListRequest { bool operator==(const ProcessListRequest&) const = default; };
void encode(std::string& out, const ProcessListRequest& v);
struct ProcessInfo {
  std::string id, command;     // the command line's head, printable
  uint32_t pid = 0;            // inside the sandbox; 0: not started
  int64_t started_ms = 0;      // since 1970-01-01 UTC
  bool background = false, terminal = false, running = false;
  uint64_t output = 0;         // bytes it has written
  uint64_t lost = 0;           // background: of those, how many are no longer there
  uint32_t attached = 0;       // streams
  int32_t code = 0;            // ended: Code of its Result; not ok: it could not be started
  ExecResult result;           // ended, and code is ok
  bool operator==(const ProcessInfo&) const = default;
};
/// Several follow one another; each is framed by its own length. Appends to `out`.
void encode(std::string& out, const ProcessInfo& v);
bool decode_processes(std::string_view in, std::vector<ProcessInfo>& out);

/// Acts on a command by its id. Signal 0: sets the terminal's size.
struct ProcessSignalRequest {
  std::string id;
  uint32_t signal = 0;             // 0 to 64
  uint32_t flags = 0;              // kSignalGroup or kSignalTree
  uint32_t rows = 0, columns = 0;  // 1 to kMaxTerminalSide with signal 0; otherwise 0
  bool operator==(const ProcessSignalRequest&) const = default;
};
void encode(std::string& out, const ProcessSignalRequest& v);

/// DATA(out), DATA(err) and DATA(gap) of what the sandbox's commands wrote, from the last `lines` lines on, as far as it is kept.
struct ConsoleRequest {
  uint64_t lines = 0;
  bool follow = false;  // goes on until CANCEL
  bool operator==(const ConsoleRequest&) const = default;
};
void encode(std::string& out, const ConsoleRequest& v);

/// DATA(bytes) follows, then Result with FileInfo of what was read.
struct ReadRequest { std::string path; uint64_t offset = 0, length = UINT64_MAX; User user; bool operator==(const ReadRequest&) const = default; };
void encode(std::string& out, const ReadRequest& v);

enum : uint32_t { kWriteParents = 1, kWriteExclusive = 2, kWriteAppend = 4, kWriteRestart = 8, kWriteStaged = 16 };
/// The host sends DATA(bytes) and END (commit: the file appears whole, replacing what was there), or CANCEL (nothing happened). With
/// `upload`, a name of the caller's, what has come survives its stream, and a next request with the same name and path goes on at `offset`, which
/// is how much that was. kWriteRestart drops that first; kWriteStaged only asks: the Result's FileInfo has it as size.
struct WriteRequest {
  std::string path;
  uint32_t mode = 0644;
  uint32_t flags = 0;
  User user;
  std::string upload;  // "": none. At most kMaxUploadBytes, printable
  uint64_t offset = 0;
  bool operator==(const WriteRequest&) const = default;
};
void encode(std::string& out, const WriteRequest& v);

struct StatRequest { std::string path; bool follow = true; User user; bool operator==(const StatRequest&) const = default; };
void encode(std::string& out, const StatRequest& v);
/// DATA(entry) frames of Entry, then Result. More than `limit` entries: Result is Code::limit. Names are sorted bytewise.
/// With a depth of more than 1 also what is below, as paths from `path` on; links and other file systems are not entered.
struct ListRequest { std::string path; uint32_t limit = 0; uint32_t depth = 1; User user; bool operator==(const ListRequest&) const = default; };
void encode(std::string& out, const ListRequest& v);
/// Pattern of absolute path components: *, ?, [set], and ** for any number of directories. DATA(entry), then Result.
struct GlobRequest { std::string pattern; uint32_t limit = 0; User user; bool operator==(const GlobRequest&) const = default; };
void encode(std::string& out, const GlobRequest& v);
/// DATA(entry) frames of SearchMatch, for every line that holds `text` in the file at `path` or in the files below it, then Result with a
/// SearchSummary. Links and other file systems are not entered, and files with a NUL in their first 512 bytes are passed over.
struct SearchRequest {
  std::string path;
  std::string text;    // literal, 1 to kMaxSearchBytes bytes, no newline
  uint32_t limit = 0;  // matches; what is beyond is not looked for
  User user;
  bool operator==(const SearchRequest&) const = default;
};
void encode(std::string& out, const SearchRequest& v);
struct SearchMatch {
  std::string path;   // absolute
  uint64_t line = 0;  // from 1
  std::string text;   // the line's first kMaxMatchBytes bytes
  bool operator==(const SearchMatch&) const = default;
};
/// Several may follow one another, as entries do.
void encode(std::string& out, const SearchMatch& v);
bool decode_matches(std::string_view in, std::vector<SearchMatch>& out);
struct SearchSummary {
  uint64_t files = 0, skipped = 0;  // searched; passed over, because they could not be read or are no text
  bool more = false;                // there are more matches than `limit`
  bool operator==(const SearchSummary&) const = default;
};
void encode(std::string& out, const SearchSummary& v);
bool decode(std::string_view in, SearchSummary& v);
/// Puts `replacement` in the place of `text` wherever it is in a regular file. Result has Replaced. The file changes whole or not at
/// all; its mode stays, its owner becomes who asked.
struct ReplaceRequest {
  std::string path;
  std::string text, replacement;  // at most kMaxSearchBytes and kMaxReplacementBytes; any bytes
  User user;
  bool operator==(const ReplaceRequest&) const = default;
};
void encode(std::string& out, const ReplaceRequest& v);
struct Replaced { uint64_t count = 0; bool operator==(const Replaced&) const = default; };
void encode(std::string& out, const Replaced& v);
bool decode(std::string_view in, Replaced& v);
struct MoveRequest { std::string from, to; bool replace = true; User user; bool operator==(const MoveRequest&) const = default; };
void encode(std::string& out, const MoveRequest& v);
/// Copies a file, a symlink as such, or with `recursive` a directory. `to` is whole when Result is ok, and as it was otherwise.
struct CopyRequest { std::string from, to; bool recursive = false, replace = true; User user; bool operator==(const CopyRequest&) const = default; };
void encode(std::string& out, const CopyRequest& v);
/// Sets what it names: the mode where `sets_mode` (otherwise 0), owner and group, each a name or a number, where they are not empty. At
/// least one of the three.
struct ChmodRequest {
  std::string path;
  uint32_t mode = 0;
  User user;
  bool sets_mode = true;
  std::string owner, group;
  bool operator==(const ChmodRequest&) const = default;
};
void encode(std::string& out, const ChmodRequest& v);
struct MkdirRequest { std::string path; uint32_t mode = 0755; bool parents = false; User user; bool operator==(const MkdirRequest&) const = default; };
void encode(std::string& out, const MkdirRequest& v);
struct RemoveRequest { std::string path; bool recursive = false; User user; bool operator==(const RemoveRequest&) const = default; };
void encode(std::string& out, const RemoveRequest& v);
/// Makes the symlink `path` whose text is `target`; with `parents` as in WriteRequest, with `replace` in the place of what is there and
/// is no directory.
struct SymlinkRequest { std::string target, path; bool parents = false; User user; bool replace = false; bool operator==(const SymlinkRequest&) const = default; };
void encode(std::string& out, const SymlinkRequest& v);
/// Hard link to a regular file.
struct LinkRequest { std::string existing, path; bool parents = false; User user; bool operator==(const LinkRequest&) const = default; };
void encode(std::string& out, const LinkRequest& v);

/// DATA(event) frames of WatchEvent, the first of which says that the watch stands. Result comes when what is watched is no more at its
/// path, and when a limit is passed.
struct WatchRequest { std::string path; bool recursive = false; User user; bool operator==(const WatchRequest&) const = default; };
void encode(std::string& out, const WatchRequest& v);
enum class WatchKind : uint8_t { watching = 0, created = 1, modified = 2, removed = 3, renamed = 4, attributes = 5, overflow = 6 };
struct WatchEvent {
  WatchKind kind{};
  bool is_directory = false;
  std::string path;  // absolute
  std::string to;    // renamed: the new path; otherwise empty
  bool operator==(const WatchEvent&) const = default;
};
/// Several may follow one another in one payload, as entries do.
void encode(std::string& out, const WatchEvent& v);
bool decode_watch_events(std::string_view in, std::vector<WatchEvent>& out);

/// The tree below a directory (or one file), as DATA(bytes) in the form of protocol/tree.hpp; Result has a TreeSummary. Devices, FIFOs,
/// sockets and other file systems are left out and counted.
struct PackRequest { std::string path; User user; bool operator==(const PackRequest&) const = default; };
void encode(std::string& out, const PackRequest& v);
/// The host sends a tree in that form and END; it is made below the directory `path`, which is made where it is missing. Result has a
/// TreeSummary. What a failed or cancelled one made stays, but for a file that had not come whole.
struct UnpackRequest { std::string path; User user; bool operator==(const UnpackRequest&) const = default; };
void encode(std::string& out, const UnpackRequest& v);
struct TreeSummary { uint64_t entries = 0, bytes = 0, skipped = 0; bool operator==(const TreeSummary&) const = default; };
void encode(std::string& out, const TreeSummary& v);
bool decode(std::string_view in, TreeSummary& v);

/// Connects to what listens inside: to a TCP port of the loopback device (127.0.0.1, then ::1), or to the unix socket at `path`. One of
/// the two. DATA(bytes) goes both ways, END is the end of one of them, and Result comes when both have ended or the connection broke.
struct DialRequest { uint32_t port = 0; std::string path; User user; bool operator==(const DialRequest&) const = default; };
void encode(std::string& out, const DialRequest& v);
/// With a port or a path: Result ok as soon as something listens there, Code::timeout when nothing does within wait_ms. With
/// neither: Listeners, at once. Not both.
struct ListeningRequest { uint32_t port = 0; std::string path; uint64_t wait_ms = 0; User user; bool operator==(const ListeningRequest&) const = default; };
void encode(std::string& out, const ListeningRequest& v);
struct Listener {
  uint32_t port = 0;    // 1 to kMaxPort
  uint32_t uid = 0;     // whose socket it is
  std::string address;  // "127.0.0.1", "::"
  bool operator==(const Listener&) const = default;
};
/// Body of an answer to ListeningRequest.
struct Listeners { std::vector<Listener> items; bool operator==(const Listeners&) const = default; };
void encode(std::string& out, const Listeners& v);
bool decode(std::string_view in, Listeners& v);

/// What the sandbox has written. Result has DiskStats, or is Code::unsupported where its file system does not tell.
struct StatsRequest { bool operator==(const StatsRequest&) const = default; };
void encode(std::string& out, const StatsRequest& v);
struct DiskStats {
  uint64_t size = 0, used = 0;           // bytes
  uint64_t inodes = 0, inodes_used = 0;  // inodes 0: not counted
  bool operator==(const DiskStats&) const = default;
};
void encode(std::string& out, const DiskStats& v);
/// Never more used than there is.
bool decode(std::string_view in, DiskStats& v);

enum class FileType : uint8_t { other = 0, regular = 1, directory = 2, symlink = 3, fifo = 4, socket = 5, character = 6, block = 7 };
struct FileInfo {
  FileType type{};
  uint32_t mode = 0;  // permission bits with setuid, setgid and sticky
  uint64_t size = 0, inode = 0;
  int64_t mtime_ns = 0;
  uint32_t uid = 0, gid = 0;
  uint64_t nlink = 0;
  std::string target;  // symlink: its text, as far as it may be known; otherwise empty
  bool operator==(const FileInfo&) const = default;
};
void encode(std::string& out, const FileInfo& v);
bool decode(std::string_view in, FileInfo& v);
/// One of a directory or glob: `name` is the last component for list, the whole absolute path for glob.
struct Entry { std::string name; FileInfo info; bool operator==(const Entry&) const = default; };
/// Several may follow one another in one DATA(entry) payload; each is framed by its own length. Appends to `out`.
void encode(std::string& out, const Entry& v);
bool decode_entries(std::string_view in, std::vector<Entry>& out);

/// Every request struct behind its Op, as decoded by the agent.
struct Request {
  Op op{};
  ExecRequest exec;
  ReadRequest read;
  WriteRequest write;
  StatRequest stat;
  ListRequest list;
  GlobRequest glob;
  SearchRequest search;
  ReplaceRequest replace;
  MoveRequest move;
  CopyRequest copy;
  ChmodRequest chmod;
  MkdirRequest mkdir;
  RemoveRequest remove;
  SymlinkRequest symlink;
  LinkRequest link;
  WatchRequest watch;
  DialRequest dial;
  PackRequest pack;
  ListeningRequest listening;
  StatsRequest stats;
  UnpackRequest unpack;
  AttachRequest attach;
  ProcessListRequest process_list;
  ProcessSignalRequest process_signal;
  ConsoleRequest console;
};
/// Only the member that `op` names is filled.
bool decode(std::string_view in, Request& v);

/// What of a request a failure is about, where a program may want to know.
enum class Subject : uint8_t { other = 0, user = 1, workdir = 2, owner = 3, group = 4 };

/// Ends a stream. code ok: `body` is the operation's own answer (ExecResult, FileInfo, or empty), error and message are empty.
/// Otherwise what failed, and no body. A subject only with a failure. Never Code::again or Code::end.
struct Result {
  Code code = Code::ok;
  int32_t error = 0;       // errno or 0
  std::string message;     // one line of printable ASCII naming the thing inside the sandbox that failed; at most 512 bytes
  std::string body;
  Subject subject{};
  bool operator==(const Result&) const = default;
};
void encode(std::string& out, const Result& v);
bool decode(std::string_view in, Result& v);

}  // namespace svm::protocol
