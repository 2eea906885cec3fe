// stacyvm.hpp: libstacyvm for C++20. Header-only RAII over stacyvm.h, which documents what everything means; nothing here adds
// to the ABI. Failures are exceptions of type stacyvm::Error; "not yet" and "over" are values.
#ifndef STACYVM_HPP
#define STACYVM_HPP

#include <stacyvm/stacyvm.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stacyvm {

/// A failed call.
class Error : public std::runtime_error {
 public:
  Error(int32_t code, std::string name, const std::string& message, std::string details, int32_t http_status = 500)
      : std::runtime_error(message), code_(code), http_status_(http_status), name_(std::move(name)), details_(std::move(details)) {}
  int32_t code() const noexcept { return code_; }                     ///< STACYVM_E_
  const std::string& name() const noexcept { return name_; }          ///< "NOT_FOUND"
  const std::string& details() const noexcept { return details_; }    ///< JSON object
  int32_t http_status() const noexcept { return http_status_; }       ///< What carries it over HTTP.

 private:
  int32_t code_, http_status_;
  std::string name_, details_;
};

/// How long a call may wait.
class Timeout {
 public:
  Timeout(std::chrono::milliseconds time) : ms_(time.count() < 0 ? 0 : time.count()) {}  // NOLINT: implicit on purpose
  static Timeout none() { return Timeout(std::chrono::milliseconds(0)); }
  static Timeout forever() {
    Timeout t = none();
    t.ms_ = -1;
    return t;
  }
  int64_t ms() const noexcept { return ms_; }

 private:
  int64_t ms_;
};

namespace detail {

/// Calls f(stacyvm_error **). Answers the code where it is no failure (OK, AGAIN, END), throws Error otherwise.
template <class F>
int32_t call(F&& f) {
  stacyvm_error* error = nullptr;
  const int32_t code = f(&error);
  if (code == STACYVM_OK || code == STACYVM_E_AGAIN || code == STACYVM_E_END) return code;
  const std::unique_ptr<stacyvm_error, decltype(&stacyvm_error_free)> owner(error, &stacyvm_error_free);
  throw Error(code, stacyvm_error_name(error), stacyvm_error_message(error), stacyvm_error_details(error), stacyvm_error_http_status(error));
}

template <class Handle, void (*Close)(Handle*)>
struct Closer {
  void operator()(Handle* handle) const noexcept { Close(handle); }
};
template <class Handle, void (*Close)(Handle*)>
using Owned = std::unique_ptr<Handle, Closer<Handle, Close>>;

/// Calls f(char **out, stacyvm_error **) and takes the text.
template <class F>
std::string text(F&& f) {
  char* out = nullptr;
  call([&](stacyvm_error** error) { return f(&out, error); });
  const std::unique_ptr<char, decltype(&stacyvm_free)> owner(out, &stacyvm_free);
  return out ? std::string(out) : std::string();
}

template <class T>
T made() {
  T value;
  STACYVM_INIT(&value);
  return value;
}

}  // namespace detail

using Pairs = std::vector<std::pair<std::string, std::string>>;

namespace detail {
inline std::vector<stacyvm_pair> borrow(const Pairs& pairs) {
  std::vector<stacyvm_pair> out;
  out.reserve(pairs.size());
  for (const auto& [key, value] : pairs) out.push_back({key.c_str(), value.c_str()});
  return out;
}
}  // namespace detail

/// What a command is given. Empty means default throughout.
struct Exec {
  std::vector<std::string> argv;  ///< Or:
  std::string shell;
  Pairs env;
  std::string cwd, user;
  std::chrono::milliseconds timeout{0};
  uint64_t output_limit = 0;
  std::string stdin_data;  ///< Sandbox::exec only.
  uint64_t flags = 0;      ///< STACYVM_EXEC_
  uint32_t rows = 0, cols = 0;  ///< STACYVM_EXEC_PTY
  uint64_t ring_bytes = 0;      ///< STACYVM_EXEC_BACKGROUND

  static Exec sh(std::string text) {
    Exec exec;
    exec.shell = std::move(text);
    return exec;
  }
  static Exec program(std::vector<std::string> argv) {
    Exec exec;
    exec.argv = std::move(argv);
    return exec;
  }
};

/// How a command ended.
struct ExecResult {
  int32_t exit_code = 0, signal = 0, reason = STACYVM_REASON_EXITED;
  std::chrono::microseconds wall{0}, cpu{0};
  uint64_t memory_peak_bytes = 0;
  std::string out, err;  ///< Empty from Stream::exec_result.
};

namespace detail {

inline ExecResult convert(const stacyvm_exec_result& r) {
  ExecResult result;
  result.exit_code = r.exit_code;
  result.signal = r.signal;
  result.reason = r.reason;
  result.wall = std::chrono::microseconds(r.wall_us);
  result.cpu = std::chrono::microseconds(r.cpu_us);
  result.memory_peak_bytes = r.memory_peak_bytes;
  if (r.stdout_data) result.out.assign(static_cast<const char*>(r.stdout_data), r.stdout_size);
  if (r.stderr_data) result.err.assign(static_cast<const char*>(r.stderr_data), r.stderr_size);
  return result;
}

/// The C options of an Exec, for the length of one call.
class ExecOptions {
 public:
  explicit ExecOptions(const Exec& exec) : env_(borrow(exec.env)) {
    for (const std::string& argument : exec.argv) argv_.push_back(argument.c_str());
    STACYVM_INIT(&options_);
    options_.argv = argv_.data();
    options_.argc = static_cast<uint32_t>(argv_.size());
    options_.shell = exec.shell.c_str();
    options_.env = env_.data();
    options_.env_count = static_cast<uint32_t>(env_.size());
    options_.cwd = exec.cwd.c_str();
    options_.user = exec.user.c_str();
    options_.timeout_ms = exec.timeout.count();
    options_.output_limit = exec.output_limit;
    options_.stdin_data = exec.stdin_data.data();
    options_.stdin_size = exec.stdin_data.size();
    options_.flags = exec.flags;
    options_.rows = exec.rows;
    options_.cols = exec.cols;
    options_.ring_bytes = exec.ring_bytes;
  }
  ExecOptions(const ExecOptions&) = delete;
  ExecOptions& operator=(const ExecOptions&) = delete;
  const stacyvm_exec_options* get() const noexcept { return &options_; }

 private:
  std::vector<const char*> argv_;
  std::vector<stacyvm_pair> env_;
  stacyvm_exec_options options_;
};

}  // namespace detail

/// Bytes on their way. One thread at a time; cancel, signal and resize from any.
class Stream {
 public:
  explicit Stream(stacyvm_stream* owned) noexcept : handle_(owned) {}
  stacyvm_stream* get() const noexcept { return handle_.get(); }

  enum class Next { chunk, again, end };
  /// `out` is borrowed until the next call on this stream.
  Next next(stacyvm_chunk& out, Timeout timeout = Timeout::forever()) {
    STACYVM_INIT(&out);
    switch (detail::call([&](stacyvm_error** e) { return stacyvm_stream_next(get(), timeout.ms(), &out, e); })) {
      case STACYVM_E_AGAIN: return Next::again;
      case STACYVM_E_END: return Next::end;
      default: return Next::chunk;
    }
  }
  /// Everything up to the end. An exec stream needs STACYVM_EXEC_MERGE.
  std::string read_all() {
    std::string all;
    char buffer[16384];
    uint64_t n = 0;
    while (detail::call([&](stacyvm_error** e) { return stacyvm_stream_read(get(), buffer, sizeof buffer, -1, &n, e); }) == STACYVM_OK)
      all.append(buffer, n);
    return all;
  }
  /// How many bytes were taken in time.
  uint64_t write(std::string_view bytes, Timeout timeout = Timeout::forever()) {
    uint64_t n = 0;
    detail::call([&](stacyvm_error** e) { return stacyvm_stream_write(get(), bytes.data(), bytes.size(), timeout.ms(), &n, e); });
    return n;
  }
  /// False: not yet.
  bool finish(Timeout timeout = Timeout::forever()) {
    return detail::call([&](stacyvm_error** e) { return stacyvm_stream_finish(get(), timeout.ms(), e); }) == STACYVM_OK;
  }
  /// Empty for a stream that is no command's.
  std::string exec_id() const {
    const char* id = stacyvm_exec_id(get());
    return id ? id : "";
  }
  void signal(int32_t linux_signo, uint64_t flags = 0) {
    detail::call([&](stacyvm_error** e) { return stacyvm_exec_signal(get(), linux_signo, flags, e); });
  }
  void resize(uint32_t rows, uint32_t cols) {
    detail::call([&](stacyvm_error** e) { return stacyvm_exec_resize(get(), rows, cols, e); });
  }
  /// Nothing until the end has been delivered.
  std::optional<ExecResult> exec_result() {
    auto result = detail::made<stacyvm_exec_result>();
    if (detail::call([&](stacyvm_error** e) { return stacyvm_exec_result_of(get(), &result, e); }) != STACYVM_OK) return std::nullopt;
    return detail::convert(result);
  }
  void cancel() noexcept { stacyvm_stream_cancel(get()); }
  int fd(bool for_write = false) noexcept { return stacyvm_stream_fd(get(), for_write ? 1 : 0); }
  int32_t kind() const noexcept { return stacyvm_stream_kind(get()); }

 private:
  detail::Owned<stacyvm_stream, stacyvm_stream_close> handle_;
};

class Op;
class Instance;
class Session;

/// A name for a sandbox. Any thread.
class Sandbox {
 public:
  explicit Sandbox(stacyvm_sandbox* owned) noexcept : handle_(owned) {}
  stacyvm_sandbox* get() const noexcept { return handle_.get(); }

  std::string id() const {
    const char* id = stacyvm_sandbox_id(get());
    return id ? id : "";
  }
  std::string info() {
    return detail::text([&](char** out, stacyvm_error** e) { return stacyvm_sandbox_info(get(), out, e); });
  }
  void extend(std::chrono::milliseconds ttl) {
    detail::call([&](stacyvm_error** e) { return stacyvm_sandbox_extend(get(), ttl.count(), e); });
  }
  void destroy() {
    detail::call([&](stacyvm_error** e) { return stacyvm_sandbox_destroy(get(), e); });
  }
  inline Op destroy_begin();

  ExecResult exec(const Exec& exec) {
    const detail::ExecOptions options(exec);
    auto result = detail::made<stacyvm_exec_result>();
    detail::call([&](stacyvm_error** e) { return stacyvm_exec(get(), options.get(), &result, e); });
    const std::unique_ptr<stacyvm_exec_result, decltype(&stacyvm_exec_result_clear)> clear(&result, &stacyvm_exec_result_clear);
    return detail::convert(result);
  }
  Stream exec_start(const Exec& exec) {
    const detail::ExecOptions options(exec);
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_exec_start(get(), options.get(), out, e); });
  }

  /// A background command's output from `from_offset` on (STACYVM_UNLIMITED: what comes from now on), its input and its end.
  Stream attach(const std::string& exec_id, uint64_t from_offset = 0) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_exec_attach(get(), exec_id.c_str(), from_offset, out, e); });
  }
  /// What the sandbox's commands wrote. flags: STACYVM_CONSOLE_.
  Stream console(uint64_t flags = 0) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_console(get(), flags, out, e); });
  }

  std::string read_file(const std::string& path, uint64_t max = 0) {
    void* data = nullptr;
    uint64_t size = 0;
    detail::call([&](stacyvm_error** e) { return stacyvm_file_read(get(), path.c_str(), max, &data, &size, e); });
    const std::unique_ptr<void, decltype(&stacyvm_free)> owner(data, &stacyvm_free);
    return std::string(static_cast<const char*>(data), size);
  }
  void write_file(const std::string& path, std::string_view bytes, uint32_t mode = 0, uint64_t flags = 0) {
    detail::call([&](stacyvm_error** e) { return stacyvm_file_write(get(), path.c_str(), bytes.data(), bytes.size(), mode, flags, e); });
  }
  stacyvm_stat stat(const std::string& path, uint64_t flags = 0) {
    auto stat = detail::made<stacyvm_stat>();
    detail::call([&](stacyvm_error** e) { return stacyvm_file_stat(get(), path.c_str(), flags, &stat, e); });
    return stat;
  }
  Stream reader(const std::string& path, uint64_t offset = 0, uint64_t length = STACYVM_UNLIMITED) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_file_reader(get(), path.c_str(), offset, length, out, e); });
  }
  Stream writer(const std::string& path, uint32_t mode = 0, uint64_t flags = 0) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_file_writer(get(), path.c_str(), mode, flags, out, e); });
  }
  /// A writer of what comes in several streams: goes on at `offset`, of which "file.staged" tells.
  Stream upload(const std::string& path, const std::string& name, uint64_t offset = 0, uint32_t mode = 0, uint64_t flags = 0) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) {
      return stacyvm_file_upload(get(), path.c_str(), name.c_str(), offset, mode, flags, out, e);
    });
  }
  /// A file, or with STACYVM_FILE_TAR a tree as a tar archive, to a descriptor, which is duplicated.
  inline Op get_file(const std::string& path, int to_fd, uint64_t flags = 0);
  /// The same from a descriptor.
  inline Op put_file(const std::string& path, int from_fd, uint64_t flags = 0);
  /// Events, as JSON, of what changes there.
  Stream watch(const std::string& path, uint64_t flags = 0) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_file_watch(get(), path.c_str(), flags, out, e); });
  }
  /// A connection to a TCP port of the loopback device, or to a unix socket.
  Stream dial(uint16_t port) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_port_dial(get(), port, 0, out, e); });
  }
  Stream dial(const std::string& socket_path) {
    return stream([&](stacyvm_stream** out, stacyvm_error** e) { return stacyvm_socket_dial(get(), socket_path.c_str(), 0, out, e); });
  }

 private:
  template <class F>
  static Stream stream(F&& f) {
    stacyvm_stream* out = nullptr;
    detail::call([&](stacyvm_error** e) { return f(&out, e); });
    return Stream(out);
  }
  detail::Owned<stacyvm_sandbox, stacyvm_sandbox_close> handle_;
};

/// A call in flight. One thread at a time; cancel from any.
class Op {
 public:
  explicit Op(stacyvm_op* owned) noexcept : handle_(owned) {}
  stacyvm_op* get() const noexcept { return handle_.get(); }

  /// False: not yet. Throws what the call failed with.
  bool wait(Timeout timeout = Timeout::forever()) {
    return detail::call([&](stacyvm_error** e) { return stacyvm_op_wait(get(), timeout.ms(), e); }) == STACYVM_OK;
  }
  /// Waits, then the answer.
  std::string json() {
    wait();
    return detail::text([&](char** out, stacyvm_error** e) { return stacyvm_op_json(get(), out, e); });
  }
  /// Waits, then the sandbox that was spawned.
  Sandbox sandbox() {
    wait();
    stacyvm_sandbox* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_op_sandbox(get(), &out, e); });
    return Sandbox(out);
  }
  /// Waits, then the instance or session that was opened, once.
  inline Instance instance();
  inline Session session();
  void cancel() noexcept { stacyvm_op_cancel(get()); }
  int fd() noexcept { return stacyvm_op_fd(get()); }

 private:
  detail::Owned<stacyvm_op, stacyvm_op_close> handle_;
};

inline Op Sandbox::get_file(const std::string& path, int to_fd, uint64_t flags) {
  stacyvm_op* out = nullptr;
  detail::call([&](stacyvm_error** e) { return stacyvm_file_get(get(), path.c_str(), flags, to_fd, &out, e); });
  return Op(out);
}

inline Op Sandbox::put_file(const std::string& path, int from_fd, uint64_t flags) {
  stacyvm_op* out = nullptr;
  detail::call([&](stacyvm_error** e) { return stacyvm_file_put(get(), path.c_str(), flags, from_fd, &out, e); });
  return Op(out);
}

inline Op Sandbox::destroy_begin() {
  stacyvm_op* out = nullptr;
  detail::call([&](stacyvm_error** e) { return stacyvm_sandbox_destroy_begin(get(), &out, e); });
  return Op(out);
}

/// What sandbox to start. Empty and zero mean default throughout.
struct Spawn {
  std::string image, provider, profile, user, network, owner;
  uint64_t memory_bytes = 0, disk_bytes = 0;
  uint32_t milli_cpus = 0, pids = 0;
  std::chrono::milliseconds ttl{0};
  Pairs labels, env;
  struct Mount {
    std::string host, guest;
    bool writable = false;
  };
  std::vector<Mount> mounts;
  uint64_t flags = 0;  ///< STACYVM_SPAWN_
  std::string name, idempotency_key;
  std::chrono::milliseconds timeout{0};  ///< of commands that give none
  std::string template_name = {};
};

namespace detail {

/// The C options of a Spawn, for the length of one call.
class SpawnOptions {
 public:
  explicit SpawnOptions(const Spawn& spawn) : labels_(borrow(spawn.labels)), env_(borrow(spawn.env)) {
    for (const Spawn::Mount& m : spawn.mounts) mounts_.push_back({m.host.c_str(), m.guest.c_str(), m.writable ? STACYVM_MOUNT_WRITABLE : 0});
    STACYVM_INIT(&options_);
    options_.image = spawn.image.c_str();
    options_.provider = spawn.provider.c_str();
    options_.profile = spawn.profile.c_str();
    options_.user = spawn.user.c_str();
    options_.network = spawn.network.c_str();
    options_.owner = spawn.owner.c_str();
    options_.memory_bytes = spawn.memory_bytes;
    options_.disk_bytes = spawn.disk_bytes;
    options_.milli_cpus = spawn.milli_cpus;
    options_.pids = spawn.pids;
    options_.ttl_ms = spawn.ttl.count();
    options_.labels = labels_.data();
    options_.label_count = static_cast<uint32_t>(labels_.size());
    options_.env = env_.data();
    options_.env_count = static_cast<uint32_t>(env_.size());
    options_.mounts = mounts_.data();
    options_.mount_count = static_cast<uint32_t>(mounts_.size());
    options_.flags = spawn.flags;
    options_.name = spawn.name.c_str();
    options_.idempotency_key = spawn.idempotency_key.c_str();
    options_.timeout_ms = spawn.timeout.count();
    options_.template_name = spawn.template_name.c_str();
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;
  const stacyvm_spawn_options* get() const noexcept { return &options_; }

 private:
  std::vector<stacyvm_pair> labels_, env_;
  std::vector<stacyvm_mount> mounts_;
  stacyvm_spawn_options options_;
};

}  // namespace detail

/// An authenticated caller. Any thread.
class Session {
 public:
  explicit Session(stacyvm_session* owned) noexcept : handle_(owned) {}
  stacyvm_session* get() const noexcept { return handle_.get(); }

  /// Who this is, as JSON; throws where it would not be let in any more.
  std::string check() {
    return detail::text([&](char** out, stacyvm_error** e) { return stacyvm_session_check(get(), out, e); });
  }

  Sandbox spawn(const Spawn& spawn = {}) {
    const detail::SpawnOptions options(spawn);
    stacyvm_sandbox* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_spawn(get(), options.get(), &out, e); });
    return Sandbox(out);
  }
  Op spawn_begin(const Spawn& spawn = {}) {
    const detail::SpawnOptions options(spawn);
    stacyvm_op* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_spawn_begin(get(), options.get(), &out, e); });
    return Op(out);
  }
  Sandbox sandbox(const std::string& id) {
    stacyvm_sandbox* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_sandbox_get(get(), id.c_str(), &out, e); });
    return Sandbox(out);
  }
  std::string call(const std::string& op, const Pairs& pairs = {}, std::string_view body = {}) {
    const auto borrowed = detail::borrow(pairs);
    return detail::text([&](char** out, stacyvm_error** e) {
      return stacyvm_call(get(), op.c_str(), borrowed.data(), static_cast<uint32_t>(borrowed.size()), body.data(), body.size(), out, e);
    });
  }
  Op call_begin(const std::string& op, const Pairs& pairs = {}, std::string_view body = {}) {
    const auto borrowed = detail::borrow(pairs);
    stacyvm_op* out = nullptr;
    detail::call([&](stacyvm_error** e) {
      return stacyvm_call_begin(get(), op.c_str(), borrowed.data(), static_cast<uint32_t>(borrowed.size()), body.data(), body.size(), &out, e);
    });
    return Op(out);
  }
  Stream call_stream(const std::string& op, const Pairs& pairs = {}, std::string_view body = {}) {
    const auto borrowed = detail::borrow(pairs);
    stacyvm_stream* out = nullptr;
    detail::call([&](stacyvm_error** e) {
      return stacyvm_call_stream(get(), op.c_str(), borrowed.data(), static_cast<uint32_t>(borrowed.size()), body.data(), body.size(), &out, e);
    });
    return Stream(out);
  }

  /// See stacyvm_events. `filter`: JSON, or empty.
  Stream events(int64_t after_id = 0, const std::string& filter = {}) {
    stacyvm_stream* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_events(get(), filter.c_str(), after_id, &out, e); });
    return Stream(out);
  }

 private:
  detail::Owned<stacyvm_session, stacyvm_session_close> handle_;
};

/// Any number of streams and ops behind one descriptor. One thread at a time.
class Queue {
 public:
  explicit Queue(stacyvm_queue* owned) noexcept : handle_(owned) {}
  stacyvm_queue* get() const noexcept { return handle_.get(); }

  void add(const Stream& stream, uint32_t interest, uint64_t tag) {
    detail::call([&](stacyvm_error** e) { return stacyvm_queue_add_stream(get(), stream.get(), interest, tag, e); });
  }
  void add(const Op& op, uint64_t tag) {
    detail::call([&](stacyvm_error** e) { return stacyvm_queue_add_op(get(), op.get(), tag, e); });
  }
  /// The ready members, stored in `room`; empty when the time is over.
  std::span<stacyvm_ready> wait(std::span<stacyvm_ready> room, Timeout timeout = Timeout::forever()) {
    uint32_t n = 0;
    const auto cap = static_cast<uint32_t>(room.size() < UINT32_MAX ? room.size() : UINT32_MAX);
    detail::call([&](stacyvm_error** e) { return stacyvm_queue_wait(get(), timeout.ms(), room.data(), cap, &n, e); });
    return room.first(n);
  }
  int fd() noexcept { return stacyvm_queue_fd(get()); }

 private:
  detail::Owned<stacyvm_queue, stacyvm_queue_close> handle_;
};

/// How to open an instance.
struct Options {
  std::string state_dir;  ///< Empty: in memory. A directory, or a server's address.
  uint64_t flags = 0;     ///< STACYVM_OPEN_
  int log_fd = -1;
  uint32_t log_level = STACYVM_LOG_DEFAULT;
  std::string settings = {};  ///< JSON; empty: none.
};

/// Who calls. Empty means default throughout.
struct SessionOptions {
  std::string source, request_id;  ///< For the audit log.
  std::string actor, owner;
  uint64_t flags = 0;  ///< STACYVM_SESSION_
  std::string api_key = {};  ///< For a server.
};

/// One state directory and the sandboxes in it. Any thread.
class Instance {
 public:
  explicit Instance(const Options& options = {}) {
    const stacyvm_options o = convert(options);
    stacyvm_instance* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_open(&o, &out, e); });
    handle_.reset(out);
  }
  explicit Instance(stacyvm_instance* owned) noexcept : handle_(owned) {}
  /// Opens without waiting: Op::instance.
  static Op open_begin(const Options& options = {}) {
    const stacyvm_options o = convert(options);
    stacyvm_op* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_open_begin(&o, &out, e); });
    return Op(out);
  }
  stacyvm_instance* get() const noexcept { return handle_.get(); }

  Session session(const std::string& source = {}, const std::string& request_id = {}) { return session(SessionOptions{source, request_id, {}, {}}); }
  Session session(const SessionOptions& options) {
    const stacyvm_session_options o = convert(options);
    stacyvm_session* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_session_open(get(), &o, &out, e); });
    return Session(out);
  }
  /// Opens without waiting: Op::session.
  Op session_begin(const std::string& source = {}, const std::string& request_id = {}) {
    return session_begin(SessionOptions{source, request_id, {}, {}});
  }
  Op session_begin(const SessionOptions& options) {
    const stacyvm_session_options o = convert(options);
    stacyvm_op* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_session_open_begin(get(), &o, &out, e); });
    return Op(out);
  }
  Queue queue() {
    stacyvm_queue* out = nullptr;
    detail::call([&](stacyvm_error** e) { return stacyvm_queue_new(get(), &out, e); });
    return Queue(out);
  }
  void shutdown(Timeout timeout) {
    detail::call([&](stacyvm_error** e) { return stacyvm_shutdown(get(), timeout.ms(), e); });
  }

 private:
  // Borrowed from the arguments.
  static stacyvm_options convert(const Options& options) {
    auto o = detail::made<stacyvm_options>();
    o.state_dir = options.state_dir.c_str();
    o.flags = options.flags;
    o.log_fd_plus1 = options.log_fd + 1;
    o.log_level = options.log_level;
    o.settings = options.settings.c_str();
    return o;
  }
  static stacyvm_session_options convert(const SessionOptions& options) {
    auto o = detail::made<stacyvm_session_options>();
    o.source = options.source.c_str();
    o.request_id = options.request_id.c_str();
    o.flags = options.flags;
    o.actor = options.actor.c_str();
    o.owner = options.owner.c_str();
    o.api_key = options.api_key.c_str();
    return o;
  }
  detail::Owned<stacyvm_instance, stacyvm_close> handle_;
};

inline Instance Op::instance() {
  wait();
  stacyvm_instance* out = nullptr;
  detail::call([&](stacyvm_error** e) { return stacyvm_op_instance(get(), &out, e); });
  return Instance(out);
}

inline Session Op::session() {
  wait();
  stacyvm_session* out = nullptr;
  detail::call([&](stacyvm_error** e) { return stacyvm_op_session(get(), &out, e); });
  return Session(out);
}

inline std::string version() { return stacyvm_version_string(); }
inline std::string host_report() { return detail::text(stacyvm_host_report); }
inline std::string host_report_text() { return detail::text(stacyvm_host_report_text); }
inline std::string operations() { return detail::text(stacyvm_operations); }

}  // namespace stacyvm
#endif
