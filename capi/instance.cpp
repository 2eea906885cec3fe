#include "instance.hpp"

#include <fcntl.h>

#include <cerrno>
#include <optional>

#include "model/fields.hpp"
#include "model/json.hpp"
#include "model/limits.hpp"
#include "net/server_address.hpp"
#include "op.hpp"
#include "options.hpp"

namespace svm::capi {
namespace {

/// How long close() waits for calls that are still inside. Every one has been told to end; only a spawn in the middle of a containment
/// step may take a moment.
constexpr std::chrono::seconds kLeaveTime{30};
constexpr int64_t kCloseDestroyMs = manager::kDestroyTimeoutMs;

Fd duplicate_log(int fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw errno_error(Code::invalid, errno, "log_fd_plus1").with("field", "log_fd_plus1");
  return copy;
}

/// What is opened, before anything is.
struct Plan {
  manager::Options local;
  std::optional<net::ServerAddress> server;  // then the instance is that
  net::HttpOptions http;
};

/// Neither of them has what the other one has.
void refuse_settings(const model::Settings& settings, bool remote) {
  const auto refuse = [](const char* field, const char* why) { throw invalid("settings", std::string(field) + ": " + why); };
  const auto given = [](const auto& part) { return model::encode(part) != "{}"; };
  if (!remote && given(settings.remote)) refuse("remote", "is of a server, and state_dir names none");
  if (remote && given(settings.defaults)) refuse("defaults", "are the server's own");
  if (remote && given(settings.images)) refuse("images", "are the server's own");
}

/// `log_fd` is what its Log writes to.
Plan plan_of(const stacyvm_options& o, Fd& log_fd) {
  refuse_unknown_flags(o.flags, STACYVM_OPEN_READ_ONLY | STACYVM_OPEN_BEST_EFFORT | STACYVM_OPEN_DETACHED);
  if (o.log_fd_plus1 < 0) throw invalid("log_fd_plus1", "negative");
  if (o.log_level > STACYVM_LOG_DEBUG) throw invalid("log_level", "unknown");
  Plan plan;
  manager::Options& options = plan.local;
  options.state_directory = text_or_empty(o.state_dir);
  options.settings = settings_of(o);
  if (net::has_scheme(options.state_directory)) {
    plan.server = net::parse_server_address(options.state_directory, "state_dir");
    if (o.flags != 0) throw invalid("flags", "how a server keeps its sandboxes is for it to say");
    const int64_t timeout = options.settings.remote.connect_timeout_ms;
    plan.http = {options.settings.remote.ca_file, timeout != 0 ? timeout : model::kDefaultConnectTimeoutMs, std::string("libstacyvm/") + stacyvm_version_string()};
  }
  refuse_settings(options.settings, plan.server.has_value());
  options.read_only = (o.flags & STACYVM_OPEN_READ_ONLY) != 0;
  options.best_effort = (o.flags & STACYVM_OPEN_BEST_EFFORT) != 0;
  options.detached = (o.flags & STACYVM_OPEN_DETACHED) != 0;
  if (options.detached && options.state_directory.empty())
    throw invalid("flags", "DETACHED needs a state_dir: where else would sandboxes be found again");
  if (options.detached && options.read_only) throw invalid("flags", "DETACHED and READ_ONLY exclude each other");
  options.version = stacyvm_version_string();
  if (o.log_fd_plus1 > 0) {
    log_fd = duplicate_log(o.log_fd_plus1 - 1);
    const uint32_t level = o.log_level == STACYVM_LOG_DEFAULT ? STACYVM_LOG_INFO : o.log_level;
    options.log = Log(log_fd.get(), static_cast<LogLevel>(level - STACYVM_LOG_ERROR));
  }
  return plan;
}

std::shared_ptr<Instance> open_instance(const Plan& plan, Fd log_fd) {
  const manager::Options& options = plan.local;
  auto door = plan.server ? std::make_unique<Door>(std::make_unique<remote::Client>(*plan.server, plan.http)) : std::make_unique<Door>(manager::Manager::open(options));
  auto instance = std::make_shared<Instance>(std::move(door), std::move(log_fd), options.log);
  if (!options.read_only)
    for (const std::string& problem : instance->enter().door().adopt_commands())
      options.log.write(LogLevel::warn, "commands of a former owner are not watched: " + problem);
  return instance;
}

std::shared_ptr<Session> open_session(const std::shared_ptr<Instance>& instance, Caller caller) {
  const Lease lease = instance->enter();
  auto session = std::make_shared<Session>(instance, std::move(caller));
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
Door& Lease::door() const noexcept { return *instance_->door_; }

Instance::Instance(std::unique_ptr<Door> door, Fd log_fd, Log log)
    : log_fd_(std::move(log_fd)), log_(log), door_(std::move(door)), remote_(door_->is_remote()), waiting_(remote_ ? kServerThreads : waiting_threads()) {}

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
  release_door();
}

void Instance::release_door() noexcept {
  door_.reset();
}

void Instance::shutdown(int64_t timeout_ms) {
  const Lease lease = enter();
  door_->shutdown(timeout_ms);
}

void Instance::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  end_children();
  try {
    door_->leave(kCloseDestroyMs);
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
  release_door();
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
    const Plan plan = plan_of(read_options(o, "options"), log_fd);
    auto handle = make_handle<stacyvm_instance>(std::shared_ptr<Instance>());  // first: without memory nothing is opened
    handle->core = open_instance(plan, std::move(log_fd));
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_open_begin(const stacyvm_options* o, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(out, "out");
    Fd log_fd;
    const Plan plan = plan_of(read_options(o, "options"), log_fd);
    *out = make_op([plan, log = std::make_shared<Fd>(std::move(log_fd))] {
      return Op::Outcome{.json = "{}", .sandbox = {}, .instance = open_instance(plan, std::move(*log))};
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
    Caller caller = session_caller(read_options(o, "options"), instance->is_remote());
    auto handle = make_handle<stacyvm_session>(std::shared_ptr<Session>());
    handle->core = open_session(instance, std::move(caller));
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_session_open_begin(stacyvm_instance* vm, const stacyvm_session_options* o, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& instance = core_of(vm, "vm");
    require_output(out, "out");
    *out = make_op(instance, [instance, caller = session_caller(read_options(o, "options"), instance->is_remote())] {
      return Op::Outcome{.json = "{}", .sandbox = {}, .opened = open_session(instance, caller)};
    });
    return STACYVM_OK;
  });
}

int32_t stacyvm_session_check(stacyvm_session* s, char** who_json, stacyvm_error** err) {
  return guard(err, [&] {
    Session& session = *core_of(s, "s");
    require_output(who_json, "who_json");
    const Lease lease = session.enter();
    lease.door().check(session.caller());
    *who_json = static_cast<char*>(copy_out(identity_json(session.caller().identity)));
    return STACYVM_OK;
  });
}

void stacyvm_session_close(stacyvm_session* s) {
  close_handle(s, [](Session& session) {
    session.end();
    session.instance().forget(session);
  });
}
