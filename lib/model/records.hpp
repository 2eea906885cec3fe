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
};

/// A sandbox as callers see it (0.15 names plus ours): made from the record.
struct SandboxInfo { SandboxRecord record; };
struct SandboxList { std::vector<SandboxInfo> items; };
/// {"status": "destroyed"} and the like.
struct Status { std::string status; };

struct ExecResponse {
  std::string exec_id;       // names the command in history and in the audit log
  int32_t exit_code = 0, signal = 0;
  std::string out, err;      // bytes; JSON: stdout, stderr, and stdout_b64, stderr_b64 where they are not UTF-8
  std::string reason;        // exited, signalled, timeout, oom, output_limit, cancelled
  int64_t wall_us = 0, cpu_us = 0;
  uint64_t memory_peak = 0;
};

struct FileInfo {
  std::string path;  // bytes
  uint64_t size = 0, inode = 0, nlink = 0;
  uint32_t mode = 0, uid = 0, gid = 0;
  std::string type;  // file, directory, symlink, fifo, socket, character, block, other
  int64_t mtime_ns = 0;
};
struct FileList { std::vector<FileInfo> items; };
struct PathList { std::vector<std::string> paths; };

/// Who calls. Made by the gate's sessions only.
struct Identity {
  std::string actor = "local";  // "local", "system", later key ids and subjects
  std::string tenant;
  std::string source, request_id;
  bool local = true;            // the trusted embedding application: may name host paths
  std::vector<std::string> scopes;  // "*" or names such as "sandbox:write"
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
