#include "instance.hpp"

#include <fcntl.h>

#include <cerrno>

#include "model/json.hpp"
#include "op.hpp"
#include "options.hpp"

namespace svm::capi {
namespace {

/// How long close() waits for calls that are still inside. Every one has been told to end; only a spawn in the middle of a containment
/// step may take a moment.
constexpr std::chrono::seconds kLeaveTime{30};
constexpr int64_t kCloseDestroyMs = manager::kDestroyTimeoutMs;

/// RFC 3986 scheme "://": what no sensible directory name begins with.
bool has_scheme(std::string_view location) {
  const size_t colon = location.find("://");
  if (colon == std::string_view::npos || colon == 0) return false;
  for (const char c : location.substr(0, colon)) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!fits) return false;
  }
  return true;
}

Fd duplicate_log(int fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw errno_error(Code::invalid, errno, "log_fd_plus1").with("field", "log_fd_plus1");
  return copy;
}

/// What to open; `log_fd` is what its Log writes to.
manager::Options manager_options(const stacyvm_options& o, Fd& log_fd) {
  refuse_unknown_flags(o.flags, STACYVM_OPEN_READ_ONLY | STACYVM_OPEN_BEST_EFFORT | STACYVM_OPEN_DETACHED);
  if (o.log_fd_plus1 < 0) throw invalid("log_fd_plus1", "negative");
  if (o.log_level > STACYVM_LOG_DEBUG) throw invalid("log_level", "unknown");
  manager::Options options;
  options.state_directory = text_or_empty(o.state_dir);
  if (has_scheme(options.state_directory))
    throw Error(Code::unsupported, "state_dir: remote locations are not supported by this release").with("field", "state_dir");
  options.read_only = (o.flags & STACYVM_OPEN_READ_ONLY) != 0;
  options.best_effort = (o.flags & STACYVM_OPEN_BEST_EFFORT) != 0;
  options.detached = (o.flags & STACYVM_OPEN_DETACHED) != 0;
  if (options.detached && options.state_directory.empty())
    throw invalid("flags", "DETACHED needs a state_dir: where else would sandboxes be found again");
  if (options.detached && options.read_only) throw invalid("flags", "DETACHED and READ_ONLY exclude each other");
  options.settings = settings_of(o);
  options.version = stacyvm_version_string();
  if (o.log_fd_plus1 > 0) {
    log_fd = duplicate_log(o.log_fd_plus1 - 1);
    const uint32_t level = o.log_level == STACYVM_LOG_DEFAULT ? STACYVM_LOG_INFO : o.log_level;
    options.log = Log(log_fd.get(), static_cast<LogLevel>(level - STACYVM_LOG_ERROR));
  }
  return options;
}

std::shared_ptr<Instance> open_instance(const manager::Options& options, Fd log_fd) {
  auto instance = std::make_shared<Instance>(manager::Manager::open(options), std::move(log_fd), options.log);
  if (!options.read_only)
    for (const std::string& problem : instance->enter().gate().adopt_commands())
      options.log.write(LogLevel::warn, "commands of a former owner are not watched: " + problem);
  return instance;
}

std::shared_ptr<Session> open_session(const std::shared_ptr<Instance>& instance, model::Identity identity) {
  const Lease lease = instance->enter();
  auto session = std::make_shared<Session>(instance, std::move(identity));
  instance->adopt(session);
  return session;
}

std::string identity_json(const model::Identity& who) {
  std::string json = "{\"actor\":";
  model::json_append_string(json, who.actor);
  json += ",\"owner_id\":";
  model::json_append_string(json, who.owner);
  json += ",\"tenant_id\":";
  model::json_append_string(json, who.tenant);
  json += who.local ? ",\"local\":true,\"scopes\":[" : ",\"local\":false,\"scopes\":[";
  for (const std::string& scope : who.scopes) {
    if (json.back() != '[') json += ',';
    model::json_append_string(json, scope);
  }
  return json + "]}";
}

}  // namespace

Lease::~Lease() {
  if (instance_) instance_->leave();
}
gate::Gate& Lease::gate() const noexcept { return *instance_->gate_; }

Instance::Instance(std::unique_ptr<manager::Manager> manager, Fd log_fd, Log log)
    : log_fd_(std::move(log_fd)), log_(log), manager_(std::move(manager)), gate_(std::make_unique<gate::Gate>(*manager_)) {}

Lease Instance::enter() {
  auto self = shared_from_this();
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error(Code::closed, "the instance is closed");
  ++leases_;
  return Lease(std::move(self));
}

bool Instance::closed() const noexcept {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Instance::leave() noexcept {
  std::unique_lock lock(mutex_);
  if (--leases_ > 0) return;
  idle_.notify_all();
  if (!abandoned_) return;
  lock.unlock();
  release_manager();
}

void Instance::release_manager() noexcept {
  gate_.reset();
  manager_.reset();
}

void Instance::shutdown(int64_t timeout_ms) {
  const Lease lease = enter();
  manager_->shutdown(timeout_ms);
}

void Instance::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  end_children();
  try {
    manager_->leave(kCloseDestroyMs);
  } catch (const std::exception& error) {
    // Nobody can be told but the log; the manager's end kills what is left, and so does the end of the process.
    log_.write(LogLevel::error, std::string("closing the instance: ") + error.what());
  }
  std::unique_lock lock(mutex_);
  if (!idle_.wait_for(lock, kLeaveTime, [this] { return leases_ == 0; })) {
    abandoned_ = true;
    log_.write(LogLevel::error, "closing the instance: calls are still inside; the last one will finish the close");
    return;
  }
  lock.unlock();
  waiting_.stop();
  transfers_.stop();
  quick_.stop();
  release_manager();
}

Lease Session::enter() {
  if (closed_.load()) throw Error(Code::closed, "the session is closed");
  return instance_->enter();
}

void Session::end() noexcept {
  closed_.store(true);
  end_children();
}

}  // namespace svm::capi

using namespace svm;
using namespace svm::capi;

int32_t stacyvm_open(const stacyvm_options* o, stacyvm_instance** out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(out, "out");
    Fd log_fd;
    const manager::Options options = manager_options(read_options(o, "options"), log_fd);
    auto handle = make_handle<stacyvm_instance>(std::shared_ptr<Instance>());  // first: without memory nothing is opened
    handle->core = open_instance(options, std::move(log_fd));
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_open_begin(const stacyvm_options* o, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(out, "out");
    Fd log_fd;
    const manager::Options options = manager_options(read_options(o, "options"), log_fd);
    *out = make_op([options, log = std::make_shared<Fd>(std::move(log_fd))] {
      return Op::Outcome{.json = "{}", .sandbox = {}, .instance = open_instance(options, std::move(*log))};
    });
    return STACYVM_OK;
  });
}

int32_t stacyvm_shutdown(stacyvm_instance* vm, int64_t timeout_ms, stacyvm_error** err) {
  return guard(err, [&] {
    Instance& instance = *core_of(vm, "vm");
    if (timeout_ms < -1) throw invalid("timeout_ms", "below -1");
    constexpr int64_t kForEver = int64_t{365} * 24 * 3600 * 1000;
    instance.shutdown(timeout_ms < 0 || timeout_ms > kForEver ? kForEver : timeout_ms);
    return STACYVM_OK;
  });
}

void stacyvm_close(stacyvm_instance* vm) {
  close_handle(vm, [](Instance& instance) { instance.close(); });
}

int32_t stacyvm_session_open(stacyvm_instance* vm, const stacyvm_session_options* o, stacyvm_session** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& instance = core_of(vm, "vm");
    require_output(out, "out");
    model::Identity identity = session_identity(read_options(o, "options"));
    auto handle = make_handle<stacyvm_session>(std::shared_ptr<Session>());
    handle->core = open_session(instance, std::move(identity));
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_session_open_begin(stacyvm_instance* vm, const stacyvm_session_options* o, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& instance = core_of(vm, "vm");
    require_output(out, "out");
    *out = make_op(instance, [instance, identity = session_identity(read_options(o, "options"))] {
      return Op::Outcome{.json = "{}", .sandbox = {}, .opened = open_session(instance, identity)};
    });
    return STACYVM_OK;
  });
}

int32_t stacyvm_session_check(stacyvm_session* s, char** who_json, stacyvm_error** err) {
  return guard(err, [&] {
    Session& session = *core_of(s, "s");
    require_output(who_json, "who_json");
    const Lease lease = session.enter();
    *who_json = static_cast<char*>(copy_out(identity_json(session.identity())));
    return STACYVM_OK;
  });
}

void stacyvm_session_close(stacyvm_session* s) {
  close_handle(s, [](Session& session) {
    session.end();
    session.instance().forget(session);
  });
}
