/* stacyvm.h: the C ABI of libstacyvm. C11 and C++11; Linux.
 *
 * libstacyvm gives a program disposable, isolated computers (sandboxes): it starts them, runs commands and keeps files in
 * them. This header is the whole public interface and its documentation; everything else in the library may change.
 *
 * RULES OF EVERY CALL
 *
 *  Codes      A fallible function returns int32_t: STACYVM_OK (0) or a negative STACYVM_E_ code. New codes may appear: treat an
 *             unknown one as STACYVM_E_INTERNAL.
 *  Errors     The last parameter, `stacyvm_error **err`, may be NULL. *err is written only on failure, is overwritten without
 *             being read or freed, and belongs to the caller (stacyvm_error_free). All other outputs are untouched on failure.
 *             STACYVM_E_AGAIN and STACYVM_E_END are answers, not failures: they make no error object and leave *err alone.
 *             An error is a plain immutable value: any thread may read or free it, also after everything else is closed.
 *             Any fallible function may answer STACYVM_E_INVALID (an argument is NULL, out of range, or a handle of another
 *             type; the message names it), _CLOSED (the handle's instance is closed), _FORKED, _LIMIT (no memory, descriptors or
 *             threads) and _INTERNAL. Function comments list what comes beside these. Without memory the call fails and everything else
 *             goes on; only a sandbox whose words there is no memory to receive ends.
 *  Constants  #defines of fixed width, never enums. Flags are uint64_t; a flag this library does not know is STACYVM_E_INVALID.
 *  Structs    An option or result struct starts with struct_size; STACYVM_INIT(&s) zeroes the struct and fills it. Zero means default.
 *             Structs grow only at the tail. A larger struct than the library knows is accepted if every further byte is zero,
 *             and is STACYVM_E_INVALID otherwise: what a caller asks for is never ignored. A struct smaller than its first
 *             release, or with reserved fields set, is STACYVM_E_INVALID. Of an output struct the library fills what both know.
 *  Time       Durations are int64_t milliseconds. As an option: 0 default, -1 none. As the timeout_ms argument: 0 do not wait,
 *             -1 wait for ever. Anything below -1 is STACYVM_E_INVALID. Deadlines use the monotonic clock.
 *  Strings    Input strings are UTF-8, NUL-terminated and copied before the call returns. Paths inside a sandbox, argv and env
 *             are bytes without NUL. An optional string that is NULL or "" is the default.
 *  Ownership  A `char **` or `void **` output is the caller's: stacyvm_free. A `const char *` return value is borrowed and lives as
 *             long as the handle or error it came from. Descriptors returned by *_fd stay the handle's: poll them, do not close them.
 *  Handles    Reference-counted inside. Closing a parent (instance, session) makes its children answer STACYVM_E_CLOSED and never
 *             frees them: every handle is closed exactly once, in any order, from any thread. *_close(NULL) does nothing.
 *             A close never fails and never waits for a guest. Closing a handle while another thread is inside a call
 *             on that same handle is the caller's mistake; *_cancel that call first and join the thread.
 *  Threads    Instance, session and sandbox handles: any thread, concurrently. A stream, queue or op: one thread at a time, beside
 *             stacyvm_stream_cancel, stacyvm_op_cancel, stacyvm_exec_signal and stacyvm_exec_resize, which any thread may call at any time.
 *  fork       After fork without exec, every call on an inherited handle answers STACYVM_E_FORKED, and *_close and *_free only
 *             release memory. The parent's sandboxes are unaffected. A child may open an instance of its own.
 *  Poll fds   Level-triggered: readable exactly when the next call would not answer STACYVM_E_AGAIN. Made when first asked for.
 *  The host   The library installs no signal handler, changes no cwd, umask, environment or locale, never writes to stdout or
 *             stderr, never exits, and waits for no process but its own. It calls nobody back: diagnostics go to a descriptor.
 */
#ifndef STACYVM_H
#define STACYVM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define STACYVM_API __attribute__((visibility("default")))
#else
#define STACYVM_API
#endif

/** Version of this header: major << 16 | minor << 8 | patch. See stacyvm_version for the library's. */
#define STACYVM_VERSION 0x010000u

/* ---------------------------------------------------------------- handles */

/** One state directory and the sandboxes in it. */
typedef struct stacyvm_instance stacyvm_instance;
/** An authenticated caller. Everything a session does is checked and audited in its name. */
typedef struct stacyvm_session stacyvm_session;
/** A name for a sandbox, not the sandbox: closing the handle destroys nothing. */
typedef struct stacyvm_sandbox stacyvm_sandbox;
/** Bytes on their way: a command's output and input, a file being read or written. One type for all. */
typedef struct stacyvm_stream stacyvm_stream;
/** A call in flight. */
typedef struct stacyvm_op stacyvm_op;
/** Any number of streams and ops behind one descriptor. */
typedef struct stacyvm_queue stacyvm_queue;
/** What went wrong. */
typedef struct stacyvm_error stacyvm_error;

/* ------------------------------------------------------------------ codes */

#define STACYVM_OK 0                     /**< Success. */
#define STACYVM_E_INVALID (-1)           /**< BAD_REQUEST: an argument is wrong; the details' "field" names it. */
#define STACYVM_E_UNAUTHORIZED (-2)      /**< UNAUTHORIZED: the credential is not valid. */
#define STACYVM_E_FORBIDDEN (-3)         /**< FORBIDDEN: the caller, or the file's permissions, do not allow it. */
#define STACYVM_E_NOT_FOUND (-4)         /**< NOT_FOUND: no such sandbox, image or operation. */
#define STACYVM_E_CONFLICT (-5)          /**< CONFLICT: it exists, is busy, or is in another state. */
#define STACYVM_E_LIMIT (-6)             /**< RESOURCE_LIMIT: a quota or a resource is used up. */
#define STACYVM_E_TIMEOUT (-7)           /**< TIMEOUT: the work did not end in its time. */
#define STACYVM_E_CANCELLED (-8)         /**< CANCELLED: somebody cancelled it. */
#define STACYVM_E_UNAVAILABLE (-9)       /**< UNAVAILABLE: not now; trying again later may help. */
#define STACYVM_E_UNSUPPORTED (-10)      /**< UNSUPPORTED: this library or host cannot do it. */
#define STACYVM_E_CLOSED (-11)           /**< CLOSED: the instance, sandbox or stream is gone. */
#define STACYVM_E_FORKED (-12)           /**< FORKED: the handle belongs to the parent process. */
#define STACYVM_E_AGAIN (-13)            /**< AGAIN: nothing within timeout_ms. Not an error; no object is made. */
#define STACYVM_E_END (-14)              /**< END: the stream is over. Not an error; no object is made. */
#define STACYVM_E_IO (-15)               /**< IO_ERROR: reading or writing failed. */
#define STACYVM_E_FILE_NOT_FOUND (-16)   /**< FILE_NOT_FOUND: no such file, directory or program inside the sandbox. */
#define STACYVM_E_INTERNAL (-99)         /**< INTERNAL_ERROR: a fault of the library. */

/** "No limit", for uint64_t fields where zero means default. */
#define STACYVM_UNLIMITED UINT64_MAX

/** Zeroes the struct that p points to and fills its struct_size. Evaluates p once. */
#define STACYVM_INIT(p) stacyvm_struct_init((p), (uint32_t)sizeof *(p))

/* ---------------------------------------------------------------- structs */

/** A key and its value. Both strings are required. Never changes. */
typedef struct stacyvm_pair {
  const char *key;
  const char *value;
} stacyvm_pair;

#define STACYVM_MOUNT_WRITABLE UINT64_C(1) /**< The guest may change what is mounted. */

/** A file or directory of the host shown inside a sandbox, with what is mounted below it. Both paths are required and absolute. What runs
 *  inside can read the host path in /proc/self/mountinfo: the kernel shows it there. Never changes. */
typedef struct stacyvm_mount {
  const char *host;  /**< What to show. */
  const char *guest; /**< Where it appears. */
  uint64_t flags;    /**< STACYVM_MOUNT_. */
} stacyvm_mount;

#define STACYVM_OPEN_READ_ONLY UINT64_C(1)   /**< Change nothing in the state directory; spawn is refused. */
#define STACYVM_OPEN_BEST_EFFORT UINT64_C(2) /**< Every spawn behaves as with STACYVM_SPAWN_BEST_EFFORT. */
#define STACYVM_OPEN_DETACHED UINT64_C(4)    /**< Sandboxes and their background commands outlive this process and stacyvm_close: the next open of the
                                                  state directory, by the same user, has them again. Without an owner a sandbox ends at its expiry. Opened
                                                  without this flag, what is found ends with the instance. Needs a state_dir. */

#define STACYVM_LOG_DEFAULT 0u /**< As STACYVM_LOG_INFO. */
#define STACYVM_LOG_ERROR 1u
#define STACYVM_LOG_WARN 2u
#define STACYVM_LOG_INFO 3u
#define STACYVM_LOG_DEBUG 4u

/** How to open an instance. */
typedef struct stacyvm_options {
  uint32_t struct_size; /**< STACYVM_INIT. */
  uint32_t reserved0;   /**< 0. */
  const char *state_dir; /**< NULL: in memory, gone at close. Otherwise a directory, made if missing (mode 0700), used by one instance
                              at a time. Or the address of a server, "http://HOST[:PORT][/PATH]" or "https://...": the instance is then the server's,
                              and every handle works as if it were here. See "a server's sandboxes" below. */
  uint64_t flags;        /**< STACYVM_OPEN_. */
  int32_t log_fd_plus1;  /**< 0: no diagnostics. Otherwise a descriptor + 1, which the library duplicates; one line per record. A
                              descriptor that would block loses the line. */
  uint32_t log_level;    /**< STACYVM_LOG_. */
  const char *settings;  /**< NULL: none. What holds for everybody who uses the instance, as a JSON object of at most 1 MiB; each member may be left
                              out, one that is not known is STACYVM_E_INVALID ("field" is its path: "defaults.ttl"):
                              {"defaults": {what a request gets that does not say: "image", "provider", "memory_mb", "disk_mb", "vcpus", "pids" (best
                              effort), "ttl", "default_exec_timeout"; and the most there may be: "max_ttl" (of spawns, extends and templates), "max_exec_timeout"
                              (no command does without one then), "max_sandboxes", "max_sandboxes_per_owner". Beyond these: STACYVM_E_LIMIT},
                              "images": {"aliases": {an image's name: what it stands for, "host" or an absolute path, also for callers that may name no path}},
                              "remote": {of a server alone, which has all others itself: "ca_file" (absolute path of certificates in PEM that are trusted
                              instead of the system's), "connect_timeout" (default 10s)}}.
                              Durations are text such as "1h30m"; 0 and "" are the library's own. */
} stacyvm_options;

#define STACYVM_SESSION_REMOTE UINT64_C(1) /**< The caller is somebody else than the embedding application, such as a client of its server: it may
                                                name no path of the host (mounts, an image's directory or archive: FORBIDDEN) and is told none:
                                                no message has one, and an image that is one is shown as "(host path)". */

/** Who calls. */
typedef struct stacyvm_session_options {
  uint32_t struct_size;   /**< STACYVM_INIT. */
  uint32_t reserved0;     /**< 0. */
  const char *source;     /**< For the audit log: where the caller sits, such as a remote address. At most 256 bytes. */
  const char *request_id; /**< For the audit log: the caller's own name for what it is doing. At most 256 bytes. */
  uint64_t flags;         /**< STACYVM_SESSION_. */
  const char *actor;      /**< For the audit log: who calls; a line of at most 256 bytes. NULL: "local", with REMOTE "remote". "system", the library's own
                               name, is refused; with REMOTE "local", too. */
  const char *owner;      /**< NULL: none. The owner_id of what this session spawns, whatever the request says. Blanks around it are cut off; at most 128
                               bytes, without blanks, control characters, '/' and '\'. */
  const char *api_key;    /**< NULL: none. For a server: shown to it with every call; a line of at most 4,096 bytes of visible ASCII. Otherwise
                               STACYVM_E_UNSUPPORTED: who has the process needs no key. */
} stacyvm_session_options;

#define STACYVM_SPAWN_BEST_EFFORT UINT64_C(1) /**< Go without limits this host cannot enforce; sandbox.info lists them. */
#define STACYVM_SPAWN_GET_OR_CREATE UINT64_C(2) /**< With `name`: if a live sandbox has it, that sandbox is the answer. It must have been asked for
                                                     with the same image, provider, profile, user, network, limits (as written, 0 included),
                                                     timeout_ms, env, mounts and BEST_EFFORT: otherwise CONFLICT. ttl_ms, labels and owner may
                                                     differ and change nothing. One that is being started or destroyed is waited for. */

/** What sandbox to start. */
typedef struct stacyvm_spawn_options {
  uint32_t struct_size;  /**< STACYVM_INIT. */
  uint32_t reserved0;    /**< 0. */
  const char *image;     /**< NULL: the default. "host" (the host's /usr, read-only), a root file system's directory or tar. */
  const char *provider;  /**< NULL: the default. Otherwise a back end's name, such as "native". */
  const char *profile;   /**< NULL: "default". "debug" allows ptrace, "build" allows package installs. Fixed at spawn. */
  const char *user;      /**< NULL: the default, "user" (uid 1000). "root", "nobody", "UID" or "UID:GID" up to 65534. */
  const char *network;   /**< NULL: the default. "none": loopback only. */
  const char *owner;     /**< A label for listings; never an authority. */
  uint64_t memory_bytes; /**< 0: 1,024 MiB, best effort. A value written here is enforced or the spawn fails. */
  uint64_t disk_bytes;   /**< 0: 1,024 MiB, best effort. As memory_bytes; counts all that the sandbox writes. */
  uint32_t milli_cpus;   /**< 0: 1,000 (one processor), best effort. As memory_bytes. */
  uint32_t pids;         /**< Processes and threads. 0: 256, best effort. As memory_bytes. */
  int64_t ttl_ms;        /**< Life time. 0: 30 minutes. At most 24 hours, LIMIT beyond; -1 (none) is refused. stacyvm_sandbox_extend renews it. */
  const stacyvm_pair *labels; /**< Metadata; keys must differ. */
  const stacyvm_pair *env;    /**< Environment every command starts from; keys must differ. */
  uint32_t label_count;
  uint32_t env_count;
  const stacyvm_mount *mounts; /**< Only a local session may mount host paths. */
  uint32_t mount_count;
  uint32_t reserved1;    /**< 0. */
  uint64_t flags;        /**< STACYVM_SPAWN_. */
  const char *name;      /**< NULL: none. Unique among the live sandboxes of the tenant, CONFLICT otherwise; free again when the sandbox is
                              gone. 1 to 63 ASCII letters, digits, '.', '_' and '-', the first one a letter or digit; not beginning with "sb-". */
  const char *idempotency_key; /**< NULL: none. 1 to 255 bytes, the caller's choice. For 24 hours the same key with the same options answers the
                              same sandbox and starts nothing, also while the first call is under way, after a reopen, and when the sandbox
                              has ended since (stacyvm_sandbox_info then says NOT_FOUND). With other options: CONFLICT. A spawn that fails
                              frees its key. */
  int64_t timeout_ms;    /**< timeout_ms of commands that give none. 0, -1: that of the settings, or none. At most 24 hours. */
  const char *template_name; /**< NULL: none. A template of "template.create": what it says holds where these options say nothing (labels and env: both),
                              the sandbox has the label template=NAME, and the template's setup commands have run when it is handed out. One that fails is
                              STACYVM_E_INVALID, field "setup[N]", with "exit_code" and the end of its standard error, and destroys the sandbox; TIMEOUT when all
                              together take more than 10 minutes. NOT_FOUND there is none. */
} stacyvm_spawn_options;

#define STACYVM_EXEC_STDIN UINT64_C(1) /**< exec_start: the caller writes standard input. Otherwise it is stdin_data, or empty. */
#define STACYVM_EXEC_MERGE UINT64_C(2) /**< Standard error goes where standard output goes, in order. */
#define STACYVM_EXEC_TEXT UINT64_C(4)  /**< exec_start: no chunk ends inside a UTF-8 character. Bytes that are not UTF-8 pass unchanged. */
#define STACYVM_EXEC_PTY UINT64_C(8)   /**< exec_start: a terminal is standard input, output and error, and the controlling one; output is STDOUT.
                                            Input as with STACYVM_EXEC_STDIN; Ctrl-C is the byte 3. stacyvm_stream_finish types the end-of-file
                                            character (twice where a line was begun; not where the program reads keys). TERM is xterm-256color unless
                                            the environment has one. Ending the stream hangs up, and kills what is left 250 ms later. Not with MERGE. */
#define STACYVM_EXEC_BACKGROUND UINT64_C(16) /**< exec_start: the command goes on when its stream is closed, and is killed when it is cancelled. Its
                                            output is never held up: the last ring_bytes of it are kept, and the stream is attached as if by
                                            stacyvm_exec_attach from 0. Not with TEXT. At most 256 run in a sandbox at a time (LIMIT). */

/** What command to run. Either argv or shell. */
typedef struct stacyvm_exec_options {
  uint32_t struct_size;    /**< STACYVM_INIT. */
  uint32_t reserved0;      /**< 0. */
  const char *const *argv; /**< The program and its arguments; argc of them. No shell is involved. */
  uint32_t argc;
  uint32_t env_count;
  const char *shell;       /**< Text for /bin/sh -c. Only with argc 0. */
  const stacyvm_pair *env; /**< Over the sandbox's environment; keys must differ. */
  const char *cwd;         /**< NULL: the sandbox's working directory. */
  const char *user;        /**< NULL: the sandbox's default user. */
  int64_t timeout_ms;      /**< 0: the sandbox's timeout_ms, or the settings'. -1: none. After it, the command's process group and session, and all that descend from them, are
                                killed; at most 24 hours. A process that has made a session of its own and whose parent has ended is no longer
                                known as the command's: it ends with the sandbox. */
  uint64_t output_limit;   /**< Bytes of stdout and stderr together, after which the group is killed. 0: stacyvm_exec 16 MiB (at most
                                64 MiB), exec_start none. STACYVM_UNLIMITED: none, for exec_start only. */
  const void *stdin_data;  /**< stacyvm_exec only: standard input, then end of file. */
  uint64_t stdin_size;     /**< Bytes in stdin_data, at most 64 MiB. */
  uint64_t flags;          /**< STACYVM_EXEC_. */
  uint32_t rows;           /**< Of the terminal, 1 to 4,096. 0: 24. Only with STACYVM_EXEC_PTY. */
  uint32_t cols;           /**< The same; 0: 80. */
  uint64_t ring_bytes;     /**< Bytes of output that are kept, 4 KiB to 4 MiB. 0: 256 KiB. Only with STACYVM_EXEC_BACKGROUND. All of a sandbox's
                                commands together keep at most 32 MiB; beyond that a command keeps less. */
} stacyvm_exec_options;

#define STACYVM_REASON_EXITED 0       /**< The command ended by itself. */
#define STACYVM_REASON_SIGNALLED 1    /**< A signal ended it. */
#define STACYVM_REASON_TIMEOUT 2      /**< timeout_ms passed. */
#define STACYVM_REASON_OOM 3          /**< The sandbox was out of memory. */
#define STACYVM_REASON_OUTPUT_LIMIT 4 /**< output_limit was passed, and the output is cut there. exit_code and signal are 137 and 9, or
                                           those of a command that had ended before the kill reached it: then exit_code may be 0. */
#define STACYVM_REASON_CANCELLED 5    /**< It was cancelled. */

/** How a command ended. Output. */
typedef struct stacyvm_exec_result {
  uint32_t struct_size;       /**< STACYVM_INIT. */
  int32_t exit_code;          /**< 128 + signal where a signal ended it. */
  int32_t signal;             /**< Linux signal number, or 0. */
  int32_t reason;             /**< STACYVM_REASON_. A number this header does not know: treat as STACYVM_REASON_SIGNALLED. */
  int64_t wall_us;            /**< Microseconds from start to end. */
  int64_t cpu_us;             /**< Microseconds of processor time, user and system. */
  uint64_t memory_peak_bytes; /**< Of the largest process. */
  uint64_t stdout_size;       /**< Bytes of output. From stacyvm_exec_result_of: how many the stream delivered. */
  uint64_t stderr_size;
  const void *stdout_data;    /**< The bytes, and a NUL after them. NULL from stacyvm_exec_result_of. Valid until result_clear. */
  const void *stderr_data;
  uint64_t flags;             /**< 0. */
  void *owner;                /**< What stacyvm_exec_result_clear frees. Must be NULL on entry. */
} stacyvm_exec_result;

#define STACYVM_CHUNK_BYTES 0  /**< Bytes of a file or other single byte stream. */
#define STACYVM_CHUNK_STDOUT 1 /**< Bytes of standard output (with STACYVM_EXEC_MERGE: of both). */
#define STACYVM_CHUNK_STDERR 2 /**< Bytes of standard error. */
#define STACYVM_CHUNK_EXIT 3   /**< The command ended: exit_code and signal are set. STACYVM_E_END follows. */
#define STACYVM_CHUNK_EVENT 4  /**< Something that happened, as a JSON object; position is its id, or of a watch its running number from 1 on. */
#define STACYVM_CHUNK_GAP 6    /**< Bytes were lost, or not asked for: output goes on at `position`. Size 0. Attached and console streams only. */

/** One piece of a stream. Output. */
typedef struct stacyvm_chunk {
  uint32_t struct_size; /**< STACYVM_INIT once; reuse freely. */
  int32_t kind;         /**< STACYVM_CHUNK_. Skip kinds you do not know. */
  const void *data;     /**< Borrowed until the next call on the same stream. NULL when size is 0. */
  uint64_t size;        /**< Bytes at data. */
  int64_t position;     /**< How many bytes of this kind came before. EVENT: the event's id. Attached and console streams: where in the whole
                             output, both kinds together, the chunk begins; position + size is a place to attach from. */
  int32_t exit_code;    /**< EXIT only: 128 + signal where a signal ended it. */
  int32_t signal;       /**< EXIT only: Linux signal number, or 0. */
  uint64_t flags;       /**< 0. */
} stacyvm_chunk;

#define STACYVM_TYPE_OTHER 0
#define STACYVM_TYPE_FILE 1
#define STACYVM_TYPE_DIRECTORY 2
#define STACYVM_TYPE_SYMLINK 3
#define STACYVM_TYPE_FIFO 4
#define STACYVM_TYPE_SOCKET 5
#define STACYVM_TYPE_CHARACTER 6
#define STACYVM_TYPE_BLOCK 7

/** What a path is. Output. */
typedef struct stacyvm_stat {
  uint32_t struct_size; /**< STACYVM_INIT. */
  uint32_t mode;        /**< Permission bits with setuid, setgid and sticky. */
  uint64_t size;        /**< Bytes. */
  uint64_t inode;
  int64_t mtime_ns;     /**< Nanoseconds since 1970-01-01 UTC. */
  uint32_t uid;         /**< As seen inside. */
  uint32_t gid;
  int32_t type;         /**< STACYVM_TYPE_. */
  uint32_t nlink;       /**< Hard links, at most UINT32_MAX. */
} stacyvm_stat;

#define STACYVM_READY_READ 1u  /**< stacyvm_stream_next and _read would not answer AGAIN. */
#define STACYVM_READY_WRITE 2u /**< stacyvm_stream_write would not answer AGAIN. */
#define STACYVM_READY_DONE 4u  /**< The op has ended. */

/** One ready member of a queue. Never changes. */
typedef struct stacyvm_ready {
  uint64_t tag;   /**< As given when the member was added. */
  uint32_t ready; /**< STACYVM_READY_ bits. */
  int32_t code;   /**< DONE: the code stacyvm_op_wait would return. Otherwise 0. */
} stacyvm_ready;

/* ---------------------------------------------------------------- library */

/** The library's version, as STACYVM_VERSION. Never fails. */
STACYVM_API uint32_t stacyvm_version(void);
/** The same as text: "1.0.0". Static. */
STACYVM_API const char *stacyvm_version_string(void);
/** 1 if this library has the named feature, else 0 (also for NULL). Names: "native" (the native back end), "files", "queue",
 *  "exec.text", "detached", "names", "idempotency", "events", "exec.pty", "exec.background", "console", "settings", "templates", "metrics", "remote". Later releases add names and never remove one. */
STACYVM_API int32_t stacyvm_has_feature(const char *name);
/** What STACYVM_INIT calls: zeroes `size` bytes at `options` and stores `size` in the first four. NULL or a size below 4: does nothing. */
STACYVM_API void stacyvm_struct_init(void *options, uint32_t size);
/** Frees what a `char **` or `void **` output received. NULL: does nothing. */
STACYVM_API void stacyvm_free(void *owned);
/** What this host can enforce, as a JSON object: kernel features, limits, and what is missing and why. Opens nothing; may take some
 *  milliseconds, for it tries rather than guesses. */
STACYVM_API int32_t stacyvm_host_report(char **json_out, stacyvm_error **err);
/** The same for people: a line for each row with its name, yes or no, and what it means. Not to be parsed. */
STACYVM_API int32_t stacyvm_host_report_text(char **text_out, stacyvm_error **err);

/* ----------------------------------------------------------------- errors */

/** The STACYVM_E_ code. NULL: STACYVM_OK. */
STACYVM_API int32_t stacyvm_error_code(const stacyvm_error *e);
/** The code's word, the same on every surface of the library: "NOT_FOUND". Static. NULL: "OK". */
STACYVM_API const char *stacyvm_error_name(const stacyvm_error *e);
/** One line of UTF-8: what failed and on what. Never a secret. Borrowed. NULL: "". */
STACYVM_API const char *stacyvm_error_message(const stacyvm_error *e);
/** Facts for programs, as a JSON object. Members that may be there: "field", "limit" (number or text), "step" (the containment step
 *  that failed), "errno" (number), "request_id", "rule". Borrowed. NULL: "{}". */
STACYVM_API const char *stacyvm_error_details(const stacyvm_error *e);
/** The HTTP status that carries it: 400 BAD_REQUEST, 401 UNAUTHORIZED, 403 FORBIDDEN, 404 NOT_FOUND, 408 TIMEOUT, 409 CONFLICT, 410 CLOSED, 422
 *  UNSUPPORTED and FILE_NOT_FOUND (clients take 404 for the sandbox's end), 429 RESOURCE_LIMIT, 499 CANCELLED, 503 UNAVAILABLE, 500 the others.
 *  NULL: 200. */
STACYVM_API int32_t stacyvm_error_http_status(const stacyvm_error *e);
/** Frees an error. NULL: does nothing. */
STACYVM_API void stacyvm_error_free(stacyvm_error *e);

/* --------------------------------------------------------------- instance
 * A server's sandboxes. With a server's address as state_dir (stacyvm_options) the instance is that server's: `stacyvm serve` or another of this library's.
 * Every handle, code and detail is as it would be here, with these differences:
 *  - stacyvm_open asks nobody. Whatever reaches the server may also answer UNAVAILABLE (it cannot be reached, is not who its certificate says, or the
 *    connection broke: whether it was done is then not known; an idempotency key tells), TIMEOUT (no connection in time), UNAUTHORIZED (the session's
 *    api_key), and IO_ERROR (what it says cannot be understood).
 *  - A call holds a thread while it waits, of at most 64 for calls in flight; what a begin function or stacyvm_call_stream says of never waiting is then of
 *    the sandbox, not of the way there. Streams share one thread, and have a connection each.
 *  - The server says who may do what, and knows no paths of this host: mounts and images that are paths are FORBIDDEN. memory_bytes and disk_bytes are taken
 *    in whole MiB, rounded up.
 *  - Closing a stream tells the server without waiting for it: what is asked next may overtake that. Bytes that were written to a stream which is closed before
 *    it is finished may be lost.
 *  - stacyvm_shutdown and stacyvm_close end nothing but what is here: sandboxes live on.
 *  - libcurl (libcurl.so.4) is loaded by the first such open, and stays. It takes proxies from the environment (http_proxy, https_proxy, no_proxy), but for a
 *    server on this machine; redirections are not followed. */

/** Opens a state directory, or a private instance in memory (o NULL: all defaults). Sandboxes that a detached owner (STACYVM_OPEN_DETACHED) left
 *  running are adopted, with their background commands; of what these wrote meanwhile each ring holds the end, and the rest is told as a
 *  gap. Commands that were tied to a stream have ended with their owner. Whatever else a killed owner left is destroyed. May block for as long as that takes.
 *  Errors: CONFLICT another instance has the directory, or its data is of a newer release; IO its data is damaged or cannot be read;
 *  FORBIDDEN; UNSUPPORTED an address that is no server's, or a host without libcurl. */
STACYVM_API int32_t stacyvm_open(const stacyvm_options *o, stacyvm_instance **out, stacyvm_error **err);
/** The same without waiting: stacyvm_op_instance has the instance. Wrong options and UNSUPPORTED are answered here, the rest arrives on the op,
 *  which may be in a queue of any instance. The strings are copied and the log descriptor is duplicated here. Takes a thread while it lasts. Cancelled or
 *  closed meanwhile, the opening goes on to its end, and what it opened is then closed: until then the state directory is taken. */
STACYVM_API int32_t stacyvm_open_begin(const stacyvm_options *o, stacyvm_op **out, stacyvm_error **err);
/** Refuses new work (STACYVM_E_CLOSED) and destroys every sandbox. Blocks up to timeout_ms. Calling it again continues the wait. The
 *  handle must still be closed. Errors: TIMEOUT some are not gone yet. */
STACYVM_API int32_t stacyvm_shutdown(stacyvm_instance *vm, int64_t timeout_ms, stacyvm_error **err);
/** Closes the instance. Its sandboxes are killed (their processes are not asked, so no guest can delay it), or with STACYVM_OPEN_DETACHED left
 *  to the next owner. Calls in flight in other threads answer STACYVM_E_CLOSED, and the state directory is free for the next open when this returns. */
STACYVM_API void stacyvm_close(stacyvm_instance *vm);

/* --------------------------------------------------------------- sessions */

/** Opens a session of the local, fully trusted application, or of one of its callers (STACYVM_SESSION_REMOTE); or one that shows its api_key to a server. It is
 *  open at once: a server looks at the key with every call. */
STACYVM_API int32_t stacyvm_session_open(stacyvm_instance *vm, const stacyvm_session_options *o, stacyvm_session **out, stacyvm_error **err);
/** The same without ever waiting: stacyvm_op_session has the session. */
STACYVM_API int32_t stacyvm_session_open_begin(stacyvm_instance *vm, const stacyvm_session_options *o, stacyvm_op **out, stacyvm_error **err);
/** Whether the session would still be let in, and as whom. *who_json: {"actor", "owner_id", "tenant_id", "local", "scopes": [...]}; "local" is
 *  false with STACYVM_SESSION_REMOTE. Does not wait, but for a server, which is asked. Errors: of a server UNAUTHORIZED, its key is not valid, or no more. */
STACYVM_API int32_t stacyvm_session_check(stacyvm_session *s, char **who_json, stacyvm_error **err);
/** Closes the session; its sandboxes live on, their handles and its streams and ops answer STACYVM_E_CLOSED. */
STACYVM_API void stacyvm_session_close(stacyvm_session *s);

/* ------------------------------------------------ every operation, as JSON */

/** Calls one operation of stacyvm_operations by name. `pairs` are its path and query parameters (at most 1,024), `body` its JSON (the
 *  HTTP body, at most 64 MiB; NULL and 0 for none). Blocks until it has ended. *json_out: the answer, JSON unless
 *  the operation's "media" says otherwise. May answer any code; NOT_FOUND also for an unknown name. */
STACYVM_API int32_t stacyvm_call(stacyvm_session *s, const char *op, const stacyvm_pair *pairs, uint32_t pair_count, const void *body,
                                 uint64_t body_size, char **json_out, stacyvm_error **err);
/** The same without waiting. Everything that the operation itself may answer arrives on the op. A call takes no thread while a sandbox
 *  works at it: any number may be in flight (at most 10,000 of them not begun yet; then LIMIT). */
STACYVM_API int32_t stacyvm_call_begin(stacyvm_session *s, const char *op, const stacyvm_pair *pairs, uint32_t pair_count, const void *body,
                                       uint64_t body_size, stacyvm_op **out, stacyvm_error **err);
/** Starts a stream-shaped operation ("exec.start", "file.read", "file.upload", "file.watch", "file.tar_get", "file.tar_put", "port.dial",
 *  "event.follow"). Never waits for the guest: what the guest answers,
 *  also that there is no such program or file, arrives on the stream. A wrong request or an unknown sandbox is answered here. */
STACYVM_API int32_t stacyvm_call_stream(stacyvm_session *s, const char *op, const stacyvm_pair *pairs, uint32_t pair_count, const void *body,
                                        uint64_t body_size, stacyvm_stream **out, stacyvm_error **err);
/** Every operation as a JSON array: name, scope, effect, shape, doc, media (the answer's media type), and JSON Schemas of request and response. */
STACYVM_API int32_t stacyvm_operations(char **json_out, stacyvm_error **err);

/* --------------------------------------------------------- calls in flight */

/** A descriptor, readable once the op has ended. -1 when there is none to be had; a queue serves any number of ops with one. */
STACYVM_API int32_t stacyvm_op_fd(stacyvm_op *op);
/** Waits for the end of the call. STACYVM_OK; STACYVM_E_AGAIN not yet; otherwise the error of the call, the same at every call. */
STACYVM_API int32_t stacyvm_op_wait(stacyvm_op *op, int64_t timeout_ms, stacyvm_error **err);
/** The answer of a call that has succeeded: of stacyvm_call_begin, the JSON stacyvm_call would give; of a typed begin function, "{}" or
 *  the sandbox as {"id": ...}. Does not wait (STACYVM_E_AGAIN); a failed call's error otherwise. */
STACYVM_API int32_t stacyvm_op_json(stacyvm_op *op, char **json_out, stacyvm_error **err);
/** A handle for the sandbox that stacyvm_spawn_begin started; from then on the sandbox is the caller's. Does not wait (STACYVM_E_AGAIN); a
 *  failed call's error otherwise. Errors: INVALID the op spawns nothing. */
STACYVM_API int32_t stacyvm_op_sandbox(stacyvm_op *op, stacyvm_sandbox **out, stacyvm_error **err);
/** The instance that stacyvm_open_begin opened, once: from then on it is the caller's, to be closed with stacyvm_close. Does not wait
 *  (STACYVM_E_AGAIN); a failed call's error otherwise. Errors: INVALID the op opens no instance; CONFLICT it has been taken. */
STACYVM_API int32_t stacyvm_op_instance(stacyvm_op *op, stacyvm_instance **out, stacyvm_error **err);
/** The same for the session of stacyvm_session_open_begin. */
STACYVM_API int32_t stacyvm_op_session(stacyvm_op *op, stacyvm_session **out, stacyvm_error **err);
/** Ends the waiting: an op that has not ended answers STACYVM_E_CANCELLED at once. A call that had not started never does. Of one that was
 *  running the sandbox is asked to stop: a command is killed, a file not yet complete does not appear. Other calls may still have their
 *  effect, except for a spawn, whose sandbox is destroyed, and an open, whose instance or session is closed. Any thread. NULL: does nothing. */
STACYVM_API void stacyvm_op_cancel(stacyvm_op *op);
/** Closes the op; the call goes on to its end. A spawned sandbox that nobody took with stacyvm_op_sandbox is destroyed, but not
 *  one that an earlier call had made (name, idempotency_key). An instance or session that nobody took is closed, as by stacyvm_close. */
STACYVM_API void stacyvm_op_close(stacyvm_op *op);

/* -------------------------------------------------------------- sandboxes
 * Templates are made, listed, shown, replaced and removed with "template.create" (CONFLICT one has the name), "template.list", ".get", ".update",
 * ".delete" ("template": its name); "template.spawn" is "sandbox.spawn" of one. They keep what to spawn under a name: image, provider, limits, ttl, env, metadata,
 * and setup commands. A tenant has at most 1,000. "allowed_hosts" and "secrets" are UNSUPPORTED unless empty; "pool_size" has no effect.
 * "sandbox.admission" tells whether a spawn would be let in now. "provider.list", "provider.get", "provider.test", "system.health", ".live", ".ready"
 * ("status" is "ready" or "not_ready"), ".metrics", and ".prometheus", whose answer is text and no JSON, say how the instance is.
 * More by stacyvm_call: "sandbox.list" with filters ("label": ["KEY=VALUE", at most 16], "state", "name", "owner_id"); "sandbox.update" replaces
 * "metadata"; "sandbox.destroy" with "keep" (a duration, at most 720h): how long the sandbox's record and history stay at least. Unasked
 * they stay 7 days with a state directory, and some moments without. "sandbox.prune" forgets what ended at least "older_than" ago (0: all
 * that ended), but not what is to be kept or what an idempotency key stands for. "sandbox.stats" is what a sandbox uses now: CPU time, memory
 * and processes of its commands, what is on its disk, open streams, running commands; a number that this host does not tell is null, and
 * "missing" says why. */

/** Starts a sandbox (o NULL: all defaults) and waits until it runs.
 *  Errors: LIMIT; NOT_FOUND the image's path, or the provider; UNSUPPORTED the image is one that this build cannot get, or a limit that was
 *  asked for cannot be enforced here; FORBIDDEN; TIMEOUT; and any
 *  code of a containment step, with "step" in the details. Nothing is left behind on failure. */
STACYVM_API int32_t stacyvm_spawn(stacyvm_session *s, const stacyvm_spawn_options *o, stacyvm_sandbox **out, stacyvm_error **err);
/** The same without waiting; take the sandbox with stacyvm_op_sandbox. Errors here: only malformed options. */
STACYVM_API int32_t stacyvm_spawn_begin(stacyvm_session *s, const stacyvm_spawn_options *o, stacyvm_op **out, stacyvm_error **err);
/** A handle for a live sandbox, by its id or its name. Every other call takes the id alone. Errors: NOT_FOUND. */
STACYVM_API int32_t stacyvm_sandbox_get(stacyvm_session *s, const char *id_or_name, stacyvm_sandbox **out, stacyvm_error **err);
/** Its id: ASCII, unique, never used again. Borrowed; NULL for NULL. Works on closed and inherited handles too. */
STACYVM_API const char *stacyvm_sandbox_id(const stacyvm_sandbox *sb);
/** State, limits, expiry, and what is enforced, as a JSON object. Errors: NOT_FOUND it is gone. */
STACYVM_API int32_t stacyvm_sandbox_info(stacyvm_sandbox *sb, char **json_out, stacyvm_error **err);
/** Sets the expiry to now + ttl_ms (1 to 24 hours' worth). Errors: NOT_FOUND it is gone; LIMIT beyond the settings' max_ttl. */
STACYVM_API int32_t stacyvm_sandbox_extend(stacyvm_sandbox *sb, int64_t ttl_ms, stacyvm_error **err);
/** Kills the sandbox and waits until its processes, mounts and groups are gone. Errors: NOT_FOUND it is gone already; TIMEOUT. */
STACYVM_API int32_t stacyvm_sandbox_destroy(stacyvm_sandbox *sb, stacyvm_error **err);
/** The same without waiting. */
STACYVM_API int32_t stacyvm_sandbox_destroy_begin(stacyvm_sandbox *sb, stacyvm_op **out, stacyvm_error **err);
/** Closes the handle. The sandbox lives on. */
STACYVM_API void stacyvm_sandbox_close(stacyvm_sandbox *sb);

/* ------------------------------------------------------------------- exec
 * "exec.list" and "exec.get" of stacyvm_call are the history: the first 1,024 bytes of a command, its user and directory, when and how it
 * ended, how many bytes it wrote; never its environment, input or output. Of each sandbox those that run and the 1,000 newest, for as long
 * as the sandbox's record is there. A command whose sandbox ended before it has the reason "lost". */

/** Runs a command and waits for its end. A command that fails is a success of this call: look at exit_code and reason. Free the
 *  output with stacyvm_exec_result_clear.
 *  Errors: FILE_NOT_FOUND, FORBIDDEN: the program cannot be started; NOT_FOUND the sandbox is gone; CLOSED it went during the call. */
STACYVM_API int32_t stacyvm_exec(stacyvm_sandbox *sb, const stacyvm_exec_options *o, stacyvm_exec_result *out, stacyvm_error **err);
/** Frees what the result holds and zeroes its fields. Any number of times; NULL: does nothing. */
STACYVM_API void stacyvm_exec_result_clear(stacyvm_exec_result *r);
/** Starts a command whose output and end arrive on a stream, and whose input is written to it with STACYVM_EXEC_STDIN. Never waits for the
 *  guest: that there is no such program arrives on the stream (FILE_NOT_FOUND). Errors here: NOT_FOUND, and malformed options. */
STACYVM_API int32_t stacyvm_exec_start(stacyvm_sandbox *sb, const stacyvm_exec_options *o, stacyvm_stream **out, stacyvm_error **err);
/** Attaches to a background command: its output from the byte `from_offset` on (stdout and stderr together, as chunks' `position` counts;
 *  STACYVM_UNLIMITED: what comes from now on, after a GAP that tells where), its EXIT, and its input. Never waits; what is wrong arrives on
 *  the stream: NOT_FOUND no such command, or one that ended so long ago that it is forgotten (the last 64 are known); INVALID from_offset is beyond
 *  the output; CONFLICT not a background command; LIMIT 16 streams are attached. Bytes that are no longer kept, or that the stream was too slow for, are
 *  one GAP chunk. Any attached stream may write, if the command was started with STACYVM_EXEC_STDIN or _PTY (otherwise the bytes are
 *  dropped); end of file comes only from stacyvm_stream_finish. Close detaches; cancel kills the command. */
STACYVM_API int32_t stacyvm_exec_attach(stacyvm_sandbox *sb, const char *exec_id, uint64_t from_offset, stacyvm_stream **out,
                                        stacyvm_error **err);
/** Sets the size of the command's terminal (1 to 4,096 each); what runs in its foreground gets SIGWINCH. Any thread. Without a terminal nothing
 *  happens. A command that has ended is STACYVM_E_CLOSED. */
STACYVM_API int32_t stacyvm_exec_resize(stacyvm_stream *st, uint32_t rows, uint32_t cols, stacyvm_error **err);
/** The id of the command that an exec stream belongs to: ASCII, unique, never used again; it names the command in the audit log too.
 *  Borrowed; NULL for other streams and for NULL. Works on closed and inherited handles too. */
STACYVM_API const char *stacyvm_exec_id(const stacyvm_stream *st);
#define STACYVM_SIGNAL_GROUP UINT64_C(1) /**< The command's whole process group. */

/** Sends a Linux signal number (1 to 64) to the command: flags 0 its first process, STACYVM_SIGNAL_GROUP its process group. Any thread.
 *  A command that has ended is STACYVM_E_CLOSED. */
STACYVM_API int32_t stacyvm_exec_signal(stacyvm_stream *st, int32_t linux_signo, uint64_t flags, stacyvm_error **err);
/** How the command ended. STACYVM_E_AGAIN until the stream has delivered STACYVM_CHUNK_EXIT; the stream's error if it failed. The numbers of
 *  bytes are those delivered; there is no data and nothing to clear. */
STACYVM_API int32_t stacyvm_exec_result_of(stacyvm_stream *st, stacyvm_exec_result *out, stacyvm_error **err);

#define STACYVM_CONSOLE_FOLLOW UINT64_C(1) /**< Go on with what comes. */

/** A stream of the last 64 KiB of what all commands of the sandbox wrote, in order of arrival: chunks STDOUT, STDERR and GAP. Never waits.
 *  The last lines as text: the operation "sandbox.logs". */
STACYVM_API int32_t stacyvm_console(stacyvm_sandbox *sb, uint64_t flags, stacyvm_stream **out, stacyvm_error **err);

/* ------------------------------------------------------------------ files
 * Listing, globbing, searching, replacing, moving, copying, linking, chmod and chown, mkdir and removing are operations of stacyvm_call
 * ("file.list", "file.copy", ...). Paths are absolute, are resolved inside the sandbox, and act as its default user. */

#define STACYVM_FILE_EXCLUSIVE UINT64_C(1)  /**< Fail with CONFLICT if the file exists. */
#define STACYVM_FILE_APPEND UINT64_C(2)     /**< stacyvm_file_write: add to the file's end. */
#define STACYVM_FILE_NO_PARENTS UINT64_C(4) /**< Do not make missing parent directories. */
#define STACYVM_FILE_NO_FOLLOW UINT64_C(8)  /**< stacyvm_file_stat: describe a symbolic link, not its target. */

/** Reads a regular file whole. One that is larger than `max` bytes is STACYVM_E_LIMIT, never cut; max 0: 64 MiB. *data_out is the
 *  caller's (stacyvm_free), has a NUL after its end, and is not NULL for an empty file. Errors: FILE_NOT_FOUND, FORBIDDEN, INVALID not a file. */
STACYVM_API int32_t stacyvm_file_read(stacyvm_sandbox *sb, const char *path, uint64_t max, void **data_out, uint64_t *size_out,
                                      stacyvm_error **err);
/** Writes a file whole: it appears complete or not at all. Replaces what was there. At most 64 MiB; stacyvm_file_writer has no limit.
 *  mode: permission bits, 0: 0644. flags: EXCLUSIVE, APPEND, NO_PARENTS. Errors: FILE_NOT_FOUND, FORBIDDEN, CONFLICT, LIMIT the disk is full. */
STACYVM_API int32_t stacyvm_file_write(stacyvm_sandbox *sb, const char *path, const void *data, uint64_t size, uint32_t mode, uint64_t flags,
                                       stacyvm_error **err);
/** What a path is. flags: NO_FOLLOW. Errors: FILE_NOT_FOUND, FORBIDDEN. */
STACYVM_API int32_t stacyvm_file_stat(stacyvm_sandbox *sb, const char *path, uint64_t flags, stacyvm_stat *out, stacyvm_error **err);
/** A stream of `length` bytes (0 and STACYVM_UNLIMITED: to the end) from `offset` on. Never waits; that there is no such file arrives on
 *  the stream. */
STACYVM_API int32_t stacyvm_file_reader(stacyvm_sandbox *sb, const char *path, uint64_t offset, uint64_t length, stacyvm_stream **out,
                                        stacyvm_error **err);
/** A stream to write a file with. It appears, whole, when stacyvm_stream_finish has succeeded; closed before, nothing happened.
 *  mode: permission bits, 0: 0644. flags: EXCLUSIVE, NO_PARENTS. Never waits; failures arrive on the stream. */
STACYVM_API int32_t stacyvm_file_writer(stacyvm_sandbox *sb, const char *path, uint32_t mode, uint64_t flags, stacyvm_stream **out,
                                        stacyvm_error **err);

#define STACYVM_FILE_RESTART UINT64_C(64) /**< stacyvm_file_upload: what has come so far is dropped. */

/** As stacyvm_file_writer, for a file that may come in several streams: what has come is kept under the name `upload` when its stream is closed or
 *  breaks, or its owner dies (STACYVM_OPEN_DETACHED), and a next stream for the same path goes on at `offset`, which must be as many bytes as have
 *  come; the operation "file.staged" ("path", "upload") tells {"size"}. Until stacyvm_stream_finish has succeeded nothing is at `path`.
 *  upload: 1 to 64 ASCII letters, digits, '.', '_' and '-', the first one a letter or digit. A sandbox keeps 16 of them: a further one drops that
 *  which was left longest ago. They count as disk, in a file ".stacyvm-..." beside `path`; where commands of the sandbox have changed or
 *  moved that file, nothing has come. flags: EXCLUSIVE, NO_PARENTS, RESTART (offset 0). On the stream also: CONFLICT another number of bytes
 *  has come (the message says how many), it is being written, or it is for another path; LIMIT 16 others are being written. */
STACYVM_API int32_t stacyvm_file_upload(stacyvm_sandbox *sb, const char *path, const char *upload, uint64_t offset, uint32_t mode, uint64_t flags,
                                        stacyvm_stream **out, stacyvm_error **err);

#define STACYVM_FILE_TAR UINT64_C(16)       /**< stacyvm_file_get, _put: a tree, as a tar archive. */
#define STACYVM_FILE_RECURSIVE UINT64_C(32) /**< stacyvm_file_watch: with all directories below. */

/** Writes a file, or with STACYVM_FILE_TAR the tree at `path` as a tar archive (POSIX pax; bits setuid and setgid are not in it; devices, FIFOs,
 *  sockets and other file systems are left out), to a descriptor of the caller's: a file, pipe or socket, which is duplicated here and
 *  may be closed at once. No SIGPIPE. The op's JSON: {"bytes": written}. A failed or cancelled one has written a part, and a tar without its end mark.
 *  flags: TAR. Errors here: INVALID to_fd is none, or not open for that. On the op: as stacyvm_file_reader; IO the descriptor; CONFLICT a file shrank meanwhile. */
STACYVM_API int32_t stacyvm_file_get(stacyvm_sandbox *sb, const char *path, uint64_t flags, int32_t to_fd, stacyvm_op **out, stacyvm_error **err);
/** Writes what a descriptor gives, to its end, to a file, which appears whole or not at all; or with STACYVM_FILE_TAR unpacks it as a tar archive
 *  (plain, gzip, zstd, xz or bzip2) into the directory `path`, which is made where it is missing. There everything becomes the sandbox's default
 *  user's, without setuid and setgid; files that exist are replaced, directories are kept; no symbolic link is followed; an archive
 *  that readers may understand differently is refused where that shows, and a failure leaves the entries before it. The op's JSON: {"bytes": read}.
 *  flags: TAR, EXCLUSIVE, NO_PARENTS (the latter two without TAR). Errors: as stacyvm_file_get; LIMIT (the message names the archive's
 *  limit: entries, bytes, path_bytes or ratio); INVALID no tar; CONFLICT something is in the way. */
STACYVM_API int32_t stacyvm_file_put(stacyvm_sandbox *sb, const char *path, uint64_t flags, int32_t from_fd, stacyvm_op **out, stacyvm_error **err);
/** A stream of EVENT chunks: what changes in a directory (with RECURSIVE: below it, too) or to a file. Each is
 *  {"type", "path", "is_dir"}: first "watching" (from here on nothing is missed), then "created", "modified" (closed after writing),
 *  "removed", "renamed" (with "to"), "attributes"; "overflow": events were lost, look again. Paths that are not UTF-8 come as "path_b64" and "to_b64".
 *  A name in a directory that has just appeared may be told twice. STACYVM_E_END after what is watched has gone from its path. Never waits.
 *  flags: RECURSIVE. On the stream: FILE_NOT_FOUND, FORBIDDEN; LIMIT beyond 8,192 directories, 16 watches of a sandbox, or
 *  the sandbox's inotify quota, which its commands share: as root what the host gives one user; of an ordinary user, a quarter of what
 *  he may have, at most 256 instances and 65,536 watched inodes. */
STACYVM_API int32_t stacyvm_file_watch(stacyvm_sandbox *sb, const char *path, uint64_t flags, stacyvm_stream **out, stacyvm_error **err);

/* ------------------------------------------------------------------ ports
 * Connections to what listens inside; nothing else is reached by them. "port.wait" of stacyvm_call answers as soon as something listens,
 * "port.list" says what does. Each way of a connection ends by itself: stacyvm_stream_finish ends ours (the other side reads an end of
 * file), STACYVM_E_END is the end of theirs, after which ours goes on. The server sees the sandbox's process 1 as the client. */

/** Connects to a TCP port of the sandbox's loopback device: 127.0.0.1, then ::1. flags: 0. Never waits: that nothing listens arrives on the
 *  stream (UNAVAILABLE, "errno" in the details), as does a connection that breaks (IO) after all bytes that came before. What is written
 *  meanwhile is kept, up to a mebibyte. Errors: INVALID port 0. */
STACYVM_API int32_t stacyvm_port_dial(stacyvm_sandbox *sb, uint16_t port, uint64_t flags, stacyvm_stream **out, stacyvm_error **err);
/** Connects to the unix stream socket at a path, as the sandbox's default user: who may connect is for the file's permissions to say
 *  (FORBIDDEN). flags: 0. Never waits; on the stream also FILE_NOT_FOUND, and INVALID for what is no socket. */
STACYVM_API int32_t stacyvm_socket_dial(stacyvm_sandbox *sb, const char *path, uint64_t flags, stacyvm_stream **out, stacyvm_error **err);

/* ----------------------------------------------------------------- events */

/** A stream of what happens to the sandboxes of the instance: those after event `after_id` (0: all that are kept; -1: only those to come), then
 *  those that come. Each chunk is one event (STACYVM_CHUNK_EVENT): {"id": "evt-12", "type": "exec.completed", "sandbox_id": ..., "timestamp":
 *  ..., "data": {...}}, position 12. Ids grow by one, survive a reopen of the state directory and are never used again, so that a reader that
 *  remembers the last position misses nothing. An event comes within some 20 ms of what it tells.
 *  filter_json: NULL, or an object with "types" (at most 32 of: sandbox.created, .running, .updated, .destroyed, .error; exec.started,
 *  .completed, .failed, .timeout; file.written, .read; operation.failed; resource.limit; reconcile.action) and "sandbox_id".
 *  resource.limit has data.resource: output, disk, memory (a process was killed for want of it) or pids (one was refused). The last two are
 *  looked for when a command did not end with 0 and by sandbox.stats, where this host counts them.
 *  Kept are the newest 100,000 events (10,000 without a state directory) of the last 7 days. Where events are gone that this stream has not
 *  delivered, an event "events.gap" takes their place, whatever the filter: position the last one that is gone, data.first_id the next one.
 *  "events.lost" (data.count) stands for events that could not be stored. A slow reader costs nothing and delays nobody.
 *  Ends with CLOSED, or CANCELLED. Errors: INVALID, also for an after_id beyond the last event. */
STACYVM_API int32_t stacyvm_events(stacyvm_session *s, const char *filter_json, int64_t after_id, stacyvm_stream **out, stacyvm_error **err);

/* ---------------------------------------------------------------- streams */

#define STACYVM_STREAM_EXEC 1   /**< A command: chunks STDOUT, STDERR, EXIT; attached also GAP. */
#define STACYVM_STREAM_READER 2 /**< A file being read: chunks BYTES. */
#define STACYVM_STREAM_WRITER 3 /**< A file being written: no chunks; STACYVM_E_END once it is committed. */
#define STACYVM_STREAM_PORT 4   /**< A connection into the sandbox: chunks BYTES; STACYVM_E_END when the other side sends no more. */
#define STACYVM_STREAM_WATCH 5  /**< Changes of files: chunks EVENT. */
#define STACYVM_STREAM_EVENTS 6 /**< What happens: chunks EVENT. */
#define STACYVM_STREAM_CONSOLE 7 /**< What a sandbox's commands wrote: chunks STDOUT, STDERR, GAP. */

/** The next chunk. STACYVM_E_END after the last one, STACYVM_E_AGAIN when none came in time, otherwise what ended the stream; END and
 *  failures repeat. The library holds at most a mebibyte or so per stream that is not read; the guest then waits.
 *  Errors: what the guest answered (FILE_NOT_FOUND ...); CLOSED the sandbox went away; CANCELLED. */
STACYVM_API int32_t stacyvm_stream_next(stacyvm_stream *st, int64_t timeout_ms, stacyvm_chunk *out, stacyvm_error **err);
/** Copies at most `cap` (> 0) bytes, at least one, and stores their number in *n. What does not fit stays for the next call. On an exec
 *  stream only with STACYVM_EXEC_MERGE or _PTY and not attached (INVALID otherwise: outputs would be mixed, or a gap unseen); its EXIT chunk is
 *  then skipped.
 *  Answers as stacyvm_stream_next. */
STACYVM_API int32_t stacyvm_stream_read(stacyvm_stream *st, void *buf, uint64_t cap, int64_t timeout_ms, uint64_t *n, stacyvm_error **err);
/** Queues bytes for the guest until all are taken or timeout_ms is over. *n: how many were; STACYVM_E_AGAIN instead of none.
 *  Errors: INVALID this stream takes none; CLOSED the other side takes no more, or after finish; CANCELLED; on a writer, what failed. */
STACYVM_API int32_t stacyvm_stream_write(stacyvm_stream *st, const void *data, uint64_t size, int64_t timeout_ms, uint64_t *n,
                                         stacyvm_error **err);
/** No more bytes from this side. An exec or a port: end of file for the other side; does not wait. A writer: commits the file and waits up to
 *  timeout_ms for that; STACYVM_E_AGAIN: call again. Any number of times. Errors: as stacyvm_stream_write; on a writer, why it did not appear. */
STACYVM_API int32_t stacyvm_stream_finish(stacyvm_stream *st, int64_t timeout_ms, stacyvm_error **err);
/** A descriptor that is readable exactly while stacyvm_stream_next (for_write 0) or stacyvm_stream_write (1) would not answer
 *  STACYVM_E_AGAIN. Poll both for POLLIN. -1 when there is none to be had, or for writing on a stream that takes no bytes; a queue
 *  serves any number of streams with one. */
STACYVM_API int32_t stacyvm_stream_fd(stacyvm_stream *st, int32_t for_write);
/** STACYVM_STREAM_; 0 for NULL. Never changes for a stream. */
STACYVM_API int32_t stacyvm_stream_kind(const stacyvm_stream *st);
/** Ends the stream: every call on it, waiting or later, answers STACYVM_E_CANCELLED. A command's process group is killed, an uncommitted
 *  file dropped; a terminal is hung up first. Nothing happens to a stream that has ended. Any thread. NULL: does nothing. */
STACYVM_API void stacyvm_stream_cancel(stacyvm_stream *st);
/** As cancel, and frees the handle. A background command goes on. */
STACYVM_API void stacyvm_stream_close(stacyvm_stream *st);

/* ------------------------------------------------------ one descriptor for many
 * A stream or op is in at most one queue. It stays until it, or the queue, is closed. */

/** Makes an empty queue. */
STACYVM_API int32_t stacyvm_queue_new(stacyvm_instance *vm, stacyvm_queue **out, stacyvm_error **err);
/** A descriptor, readable exactly while stacyvm_queue_wait would not answer STACYVM_E_AGAIN. -1 when there is none to be had. */
STACYVM_API int32_t stacyvm_queue_fd(stacyvm_queue *q);
/** Adds a stream, or changes the interest (STACYVM_READY_READ, _WRITE) and tag of one that is in this queue; interest 0 removes it.
 *  An ended stream counts as ready until then. Errors: CONFLICT it is in another queue; INVALID it is of another instance. */
STACYVM_API int32_t stacyvm_queue_add_stream(stacyvm_queue *q, stacyvm_stream *st, uint32_t interest, uint64_t tag, stacyvm_error **err);
/** Adds an op, or changes its tag; it is ready (STACYVM_READY_DONE) from its end until it is closed. Errors: as add_stream. */
STACYVM_API int32_t stacyvm_queue_add_op(stacyvm_queue *q, stacyvm_op *op, uint64_t tag, stacyvm_error **err);
/** Waits until a member is ready, then stores up to `cap` (> 0) ready ones in `out` and their number in *n. A member that is not served
 *  is reported again, after the others. Cost grows with the ready members, not with all. STACYVM_E_AGAIN: none in time. */
STACYVM_API int32_t stacyvm_queue_wait(stacyvm_queue *q, int64_t timeout_ms, stacyvm_ready *out, uint32_t cap, uint32_t *n,
                                       stacyvm_error **err);
/** Closes the queue. Its members live on. */
STACYVM_API void stacyvm_queue_close(stacyvm_queue *q);

#ifdef __cplusplus
}
#endif
#endif
