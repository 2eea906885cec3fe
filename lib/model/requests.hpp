// What callers ask for: plain data. Bounds, defaults, JSON names and documentation are in each struct's field list
// (model/fields.hpp and the lists beside it); the comments here say what a value means.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace svm::model {

using StringMap = std::map<std::string, std::string>;

/// A directory or file of the host shown inside. Only a local session may ask for one.
struct Mount {
  std::string host, guest;  // absolute paths
  bool writable = false;
};

struct SpawnRequest {
  std::string image;     // "": the instance's default. "host", a rootfs directory, a rootfs tar; else a registry reference
  std::string provider;  // "": the instance's default
  uint64_t memory_bytes = 0, disk_bytes = 0;  // 0: default, best effort. A value the caller wrote is enforced or the spawn fails
  uint32_t milli_cpus = 0, pids = 0;
  int64_t ttl_ms = 0;    // 0: default 30 minutes; at most 24 hours
  StringMap env;         // base environment of every exec
  StringMap metadata;    // labels
  std::string profile;   // "default", "debug", "build"
  std::string user;      // default user: "user" (uid 1000), "root", "nobody", "UID" or "UID:GID" up to 65534
  std::string network;   // "none"
  std::vector<Mount> mounts;
  bool best_effort = false;  // go without limits that this host cannot enforce, also those written above
  std::string owner_id;      // a label that old clients send; never an authority
  std::string name;          // "": none. Unique among the tenant's live sandboxes
  bool get_or_create = false;      // a live sandbox of that name and the same spec is the answer
  std::string idempotency_key;     // the same key and request: the same sandbox
  int64_t timeout_ms = 0;    // of commands that have none of their own; 0: none
  std::string template_name; // "": none. What it says holds where this request says nothing
};

/// Of operations that are asked for nothing in particular.
struct EmptyRequest {};

struct SandboxIdRequest { std::string id; };
using GetRequest = SandboxIdRequest;
struct ListRequest {
  uint32_t limit = 0;              // page: at most limit; 0: default 1000
  std::string after;               // those after this id
  std::vector<std::string> labels; // "key=value": all of them
  std::string state, name, owner_id;  // "": any
};
struct DestroyRequest { std::string id; int64_t keep_ms = 0; };  // 0: the ordinary retention
struct UpdateRequest { std::string id; StringMap metadata; };    // the new labels, instead of the old ones
struct PruneRequest { int64_t older_than_ms = 0; };              // since it ended; 0: all
struct ExtendRequest { std::string id; int64_t ttl_ms = 0; };   // new expiry = now + ttl

struct ExecRequest {
  std::string id;
  std::string command;             // shell text, or the program with mode "argv"
  std::vector<std::string> args;   // further arguments; with mode "shell" they become "$@" ... as 0.15 joins them with blanks
  std::string mode;                // "" and "shell": /bin/sh -c command; "argv": no shell
  StringMap env;
  std::string workdir, user;
  int64_t timeout_ms = 0;          // 0: the sandbox's; -1: none; at most 24 h
  std::string stdin_data;          // bytes given on standard input, then end of file
  bool use_stdin = false;          // exec.start: the caller writes standard input to the stream
  bool merge = false;              // stderr into stdout
  uint64_t output_limit = 0;       // bytes; 0: default (unary: 16 MiB; stream: none)
  // exec.start only:
  bool tty = false;                // a terminal for input and both outputs
  uint32_t rows = 0, cols = 0;     // of the terminal; 0: 24 and 80
  bool background = false;         // it outlives the stream; exec.attach comes back to it
  uint64_t ring_bytes = 0;         // background: how much of the output is kept; 0: 256 KiB
};

struct ExecListRequest {
  uint32_t limit = 0;      // 0: default 1000
  std::string after;       // those that started before this one
  std::string sandbox_id;  // "": of every sandbox, also of those that have ended
  std::string state;       // "", "running", "ended"
};
struct ExecGetRequest { std::string exec_id; };

struct EventFollowRequest {
  int64_t after = 0;               // events with a larger id; 0: all there are; -1: those to come
  std::vector<std::string> types;  // empty: every type
  std::string sandbox_id;          // "": of every sandbox
};

/// A command by its id.
struct ExecAttachRequest { std::string id, exec_id; uint64_t from_offset = 0; };  // all ones: what comes from now on
struct ExecSignalRequest { std::string id, exec_id; uint32_t signal = 0; bool group = false; };
struct ExecKillRequest { std::string id, exec_id; };
struct ExecResizeRequest { std::string id, exec_id; uint32_t rows = 0, cols = 0; };
struct LogsRequest { std::string id; uint32_t lines = 0; };                       // 0: 100
struct ConsoleRequest { std::string id; bool follow = false; };

struct FileReadRequest { std::string id, path; uint64_t offset = 0, length = UINT64_MAX; std::string user; };
struct FileWriteRequest {
  std::string id, path;
  std::string content;             // bytes
  uint32_t mode = 0644;
  bool parents = true, exclusive = false, append = false;
  std::string user;
};
struct FileUploadRequest {
  std::string id, path;
  uint32_t mode = 0644;
  bool parents = true, exclusive = false;
  std::string user;
  std::string upload;    // a name under which what has come survives the stream; "": none
  uint64_t offset = 0;   // with `upload`: how much has come
  bool restart = false;  // with `upload`: nothing that has come counts
};
struct FileStagedRequest { std::string id, path, upload, user; };
struct FileListRequest { std::string id, path; uint32_t limit = 0; uint32_t depth = 1; std::string user; };  // 0: 10,000
struct FileStatRequest { std::string id, path; bool follow = true; std::string user; };
struct FileGlobRequest { std::string id, pattern; uint32_t limit = 0; std::string user; };
struct FileSearchRequest { std::string id, path, text; uint32_t limit = 0; std::string user; };
struct FileReplaceRequest { std::string id, path, text, replacement, user; };
struct FileMoveRequest { std::string id, old_path, new_path; bool replace = true; std::string user; };
struct FileCopyRequest { std::string id, path, new_path; bool recursive = false, replace = true; std::string user; };
struct FileSymlinkRequest { std::string id, path, target; bool replace = false; std::string user; };
inline constexpr uint32_t kKeepMode = UINT32_MAX;  // of chmod: the mode stays
struct FileChmodRequest { std::string id, path; uint32_t mode = kKeepMode; std::string user, owner, group; };  // owner, group "": it stays
struct FileMkdirRequest { std::string id, path; uint32_t mode = 0755; bool parents = false; std::string user; };
struct FileRemoveRequest { std::string id, path; bool recursive = false; std::string user; };

struct FileWatchRequest { std::string id, path; bool recursive = false; std::string user; };
struct FileTarGetRequest { std::string id, path, user; };
struct FileTarPutRequest { std::string id, path, user; };
/// A TCP port of the sandbox's loopback device, or a unix socket inside: one of the two.
struct PortDialRequest { std::string id; uint32_t port = 0; std::string path, user; };
struct PortWaitRequest { std::string id; uint32_t port = 0; std::string path; int64_t timeout_ms = 0; std::string user; };  // 0: 30 s
struct PortListRequest { std::string id; };

}  // namespace svm::model
