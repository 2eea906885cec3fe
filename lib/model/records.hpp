// What the library knows and answers: plain data.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/requests.hpp"

namespace svm::model {

/// Lifecycle states; the table of what leads where is manager/lifecycle.hpp. The words are the wire's.
enum class State : uint8_t { creating, running, destroying, destroyed, error };
std::string_view state_name(State state) noexcept;
bool state_from_name(std::string_view name, State& out) noexcept;

/// Host ids of one sandbox, where it has a range of its own.
inline constexpr uint32_t kIdsPerRange = 65'536;

/// One sandbox as stored. Rows are kept after destroy until retention takes them.
struct SandboxRecord {
  std::string id;
  State state = State::creating;
  std::string provider, image;
  uint64_t memory_bytes = 0, disk_bytes = 0;
  uint32_t milli_cpus = 0, pids = 0;
  std::string profile, user, network;
  std::string owner_id, tenant_id;
  StringMap metadata;
  uint32_t id_base = 0;       // first host id of its range (0: none). Ranges of live sandboxes never overlap
  int64_t created_ms = 0, expires_ms = 0, destroyed_ms = 0;  // wall clock, UTC
  std::vector<std::string> enforced;    // what the boundary really does: names of protocol::enforced_name
  std::vector<std::string> unenforced;  // limits that were defaults and could not be enforced: "memory: no cgroup controller"
  std::string reason;         // why it ended or failed: "requested", "expired", "lost", "recovered", or an error message
  std::string name;           // "": none
  int64_t timeout_ms = 0;     // of commands without one; 0: none
  int64_t keep_until_ms = 0;  // the row, and what goes with it, stays until then at least; 0: the ordinary retention
  std::string spec;           // fingerprint of what it was made from, to compare with what get_or_create asks for; never answered
};

/// A sandbox as callers see it (0.15 names plus ours): made from the record.
struct SandboxInfo {
  SandboxRecord record;
  bool existed = false;  // spawn: the answer is a sandbox that an earlier call made
};
/// Whether a spawn would be let in now.
struct Admission {
  bool allowed = false;
  bool queueable = false;  // spawns do not wait for room
  std::string reason;      // not allowed: max_ttl, max_sandboxes, max_sandboxes_per_owner
  uint32_t active = 0, most = 0;              // live sandboxes
  uint32_t owner_active = 0, owner_most = 0;  // of the spawn's owner; 0: has none, or no limit of its own
  int64_t max_ttl_ms = 0;
};
struct SandboxList { std::vector<SandboxInfo> items; };
/// What a sandbox uses now. -1: cannot be read, and `missing` says why.
struct SandboxStats {
  std::string id;
  int64_t uptime_ms = 0;
  int64_t cpu_us = -1, memory = -1, memory_peak = -1, memory_limit = -1, pids = -1, pids_limit = -1, oom_kills = -1;
  int64_t disk = -1, disk_limit = -1, inodes = -1, inodes_limit = -1;
  uint32_t open_streams = 0, running_execs = 0;
  std::vector<std::string> missing;  // "cpu_us: no control group"
};
/// {"status": "destroyed"} and the like.
struct Status { std::string status; };
struct Pruned { uint32_t pruned = 0; };
struct Staged { uint64_t size = 0; };  // bytes of an upload that have come

struct ExecResponse {
  std::string exec_id;       // names the command in history and in the audit log
  int32_t exit_code = 0, signal = 0;
  std::string out, err;      // bytes; JSON: stdout, stderr, and stdout_b64, stderr_b64 where they are not UTF-8
  std::string reason;        // exited, signalled, timeout, oom, output_limit, cancelled
  int64_t wall_us = 0, cpu_us = 0;
  uint64_t memory_peak = 0;
};

/// A command that runs, or a background command that has ended and is still known to the sandbox.
struct ProcessInfo {
  std::string exec_id, command;  // command: the head of the command line
  std::string state;             // running, ended, failed (it could not be started)
  uint32_t pid = 0;              // inside; 0: not started
  int64_t started_ms = 0;        // wall clock, UTC
  bool background = false, tty = false;
  uint64_t output_bytes = 0, lost_bytes = 0;  // written; of that, what attach cannot give any more
  uint32_t attached = 0;         // streams
  std::string reason;            // ended: as ExecResponse
  int32_t exit_code = 0, signal = 0;
  int64_t wall_us = 0, cpu_us = 0;
  uint64_t memory_peak = 0;
};
struct ProcessList { std::vector<ProcessInfo> items; };
struct LogLines { std::vector<std::string> lines; };  // UTF-8; what is not comes as U+FFFD

struct FileInfo {
  std::string path;  // bytes
  uint64_t size = 0, inode = 0, nlink = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  std::string type;  // file, directory, symlink, fifo, socket, character, block, other
  int64_t mtime_ns = 0;
  std::string target;  // bytes; symlink: where it points
};
struct FileList { std::vector<FileInfo> items; };
struct PathList { std::vector<std::string> paths; };

/// A line that holds what was looked for.
struct FileMatch {
  std::string path;  // bytes
  uint64_t line = 0;
  std::string text;  // bytes: the line's beginning
};
struct FileMatches {
  std::vector<FileMatch> matches;
  uint64_t files = 0, skipped = 0;
  bool more = false;
};
struct FileReplaced { uint64_t replaced = 0; };

/// One thing that changed below a watched path.
struct FileEvent {
  std::string type;      // watching, created, modified, removed, renamed, attributes, overflow
  std::string path, to;  // bytes; to: renamed
  bool is_directory = false;
};

/// A TCP socket that listens inside.
struct Port {
  uint32_t port = 0, uid = 0;
  std::string address;  // "127.0.0.1", "::"
};
struct PortList { std::vector<Port> items; };

/// Who calls. Made by the gate's sessions only.
struct Identity {
  std::string actor = "local";  // "local", "remote", "system", later key ids and subjects
  std::string tenant;
  std::string owner;            // "": none. What this caller's spawns have as owner_id, whatever they say
  std::string source, request_id;
  bool local = true;            // the trusted embedding application: may name host paths
  std::vector<std::string> scopes;  // "*" or names such as "sandbox:write"
};

/// A command as history knows it: never its environment, its input or its output.
struct ExecRecord {
  std::string id, sandbox_id, tenant_id;
  std::string command;        // the beginning of its shell text, or of its arguments as a shell would be given them
  std::string user, workdir;  // as asked; "": the sandbox's
  bool shell = false, pty = false, background = false;
  int64_t started_ms = 0, ended_ms = 0;  // wall clock; ended_ms 0: it runs
  std::string reason;         // "" while it runs; exited, signalled, timeout, oom, output_limit, cancelled; failed: it could not be started;
                              // lost: its sandbox ended before it
  int32_t exit_code = 0, signal = 0;
  int64_t wall_us = 0, cpu_us = 0;
  uint64_t memory_peak = 0, out_bytes = 0, err_bytes = 0;  // bytes
  std::string error;          // of one that failed
};
struct ExecInfo { ExecRecord record; };
struct ExecList { std::vector<ExecInfo> items; };

/// Something that happened, for whoever looks on. id is given by the store.
struct Event {
  int64_t id = 0, wall_ms = 0;
  std::string type;                   // one of events::kTypes
  std::string sandbox_id, tenant_id;  // "": of none
  std::string data;                   // a JSON object, or ""
};

/// One audit row. seq is given by the log.
struct AuditRow {
  int64_t seq = 0, wall_ms = 0;
  std::string actor, tenant, source, request_id;
  std::string action;   // the operation's audit verb
  std::string object;   // sandbox id or path; never content
  std::string phase;    // "intent", "outcome", "denied"
  int64_t intent_seq = 0;   // outcome: its intent
  std::string outcome;  // code name
  std::string detail;   // redacted request or error message, at most 2048 bytes
};

}  // namespace svm::model
