// The manager of one instance on this machine.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <unordered_map>

#include "core/clock.hpp"
#include "core/id.hpp"
#include "events/event.hpp"
#include "images/image.hpp"
#include "manager/lifecycle.hpp"
#include "manager/manager.hpp"
#include "manager/private_instance.hpp"
#include "model/duration.hpp"
#include "model/fields.hpp"
#include "providers/native/native.hpp"

namespace svm::manager {
namespace {

using model::SandboxRecord, model::State;

constexpr unsigned kEndsPerPrune = 256;  // so that an instance that is never closed does not grow either
constexpr uint32_t kRecoveryPage = 1000;
constexpr int64_t kClockSlackMs = 2000;  // that two clocks may disagree by without one having jumped
constexpr std::chrono::milliseconds kMemoryPause{20};  // before a reaper tries again what there was no memory for
constexpr unsigned kReapers = 4;  // most expiries destroyed at a time, so that one that is stuck holds up no other

// What a spawn says about the one call and not about the sandbox that it makes.
constexpr std::string_view kNotRequest[] = {"idempotency_key"};
// What get_or_create does not compare: whose it is and how long it lives. Limits are compared as they were asked for, not as they came out: one
// that was written is enforced, one that was not may not be.
constexpr std::string_view kNotSpec[] = {"name", "get_or_create", "idempotency_key", "ttl", "metadata", "owner_id"};

Error not_found() { return Error(Code::not_found, "sandbox not found"); }
Error template_not_found(std::string_view name) {
  return Error(Code::not_found, "template not found: " + std::string(name)).with("field", "template");
}

/// One sandbox that this instance runs.
struct Live {
  SandboxRecord record;
  std::shared_ptr<providers::Session> session;  // none while it is being made
  // Of what its control groups count, how much has become events; kills that others have told of and that are not in it yet.
  int64_t kills_seen = 0, kills_told = 0, refusals_seen = 0;
  bool stuck = false;  // destroying, and the last attempt failed
};

/// A sandbox's id in a list of its own, made with the sandbox: that it ended can be noted without memory.
using EndNote = std::list<std::string>;

using TenantName = std::pair<std::string, std::string>;  // a tenant, and a name or key of its own

class LocalManager final : public Manager {
 public:
  explicit LocalManager(const Options& options) : options_(options) {
    refuse_unknown_provider(options.settings.defaults.provider, "defaults.provider", Code::invalid);
    if (options.state_directory.empty()) {
      private_ = std::make_unique<PrivateInstance>();
      store_ = store::open_sqlite_memory();
    } else {
      open_directory();
    }
    audit_ = audit::Log::create(*store_, options.durability);
    events_ = events::Log::create(*store_, options.read_only, options.log);
    if (options.read_only) return;  // looks, and starts nothing
    const std::string& instance = private_ ? private_->id() : store_->instance_id();
    provider_ = providers::native::create(reactor_, instance, options.state_directory, options.detached);
    std::string unheard;
    Sessions found = adopt_all(unheard);
    try {
      recover(found, unheard);
      prune_old();
      look();
      const std::lock_guard lock(mutex_);
      reapers_.emplace_back([this] { reap(); });
    } catch (...) {
      if (options.detached) provider_->detach();  // the next owner may have more luck
      throw;
    }
  }

  ~LocalManager() override {
    try {
      leave(kDestroyTimeoutMs);
    } catch (const std::exception& error) {
      complain("shutdown", error);
    }
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wake_.notify_all();
    for (std::thread& reaper : reapers_) reaper.join();
    release_kept();
    sandboxes_.clear();
    provider_.reset();  // ends the launcher, and with it whatever was left
    reactor_.stop();
    events_.reset();
    audit_.reset();
  }

  audit::Log& audit() noexcept override { return *audit_; }
  events::Log& events() noexcept override { return *events_; }
  channel::Reactor& reactor() noexcept override { return reactor_; }

  const model::Settings& settings() const noexcept override { return options_.settings; }

  ResolvedSpawn resolve(const model::SpawnRequest& request, const model::Identity& caller, bool host_path) override {
    const model::Defaults& defaults = options_.settings.defaults;
    refuse_unknown_provider(request.provider);
    if (!request.network.empty() && request.network != "none")
      throw Error(Code::unsupported, "network " + request.network + ": only none is offered").with("field", "network");
    ResolvedSpawn spawn;
    SandboxRecord& record = spawn.record;
    record.id = random_id("sb-");
    record.provider = "native";
    record.image = !request.image.empty() ? request.image : usual_image();
    record.memory_bytes = request.memory_bytes ? request.memory_bytes : defaults.usual_memory();
    // Files live in memory: a disk larger than memory could only end in an out-of-memory kill.
    record.disk_bytes = request.disk_bytes ? request.disk_bytes : std::min(defaults.usual_disk(), record.memory_bytes);
    if (record.disk_bytes > record.memory_bytes) {
      if (request.memory_bytes != 0)
        throw Error(Code::invalid, "disk: at most the memory limit, for files are kept in memory").with("field", "disk_mb").with("limit", static_cast<long long>(record.memory_bytes >> 20));
      record.memory_bytes = record.disk_bytes;
    }
    record.milli_cpus = request.milli_cpus ? request.milli_cpus : defaults.usual_cpus();
    record.pids = request.pids ? request.pids : defaults.usual_pids();
    record.profile = request.profile.empty() ? "default" : request.profile;
    record.user = request.user.empty() ? "user" : request.user;
    record.network = "none";
    record.owner_id = request.owner_id;
    record.tenant_id = caller.tenant;
    record.metadata = request.metadata;
    record.created_ms = system_clock().wall_ms();
    if (request.ttl_ms > defaults.most_ttl_ms()) throw beyond("ttl", defaults.most_ttl_ms());
    if (defaults.max_exec_timeout_ms != 0 && request.timeout_ms > defaults.max_exec_timeout_ms) throw beyond("timeout", defaults.max_exec_timeout_ms);
    record.expires_ms = record.created_ms + (request.ttl_ms ? request.ttl_ms : defaults.usual_ttl_ms());
    record.name = request.name;
    record.timeout_ms = request.timeout_ms;
    spawn.get_or_create = request.get_or_create;
    spawn.idempotency_key = request.idempotency_key;
    spawn.request = model::fingerprint(request, kNotRequest);
    model::SpawnRequest spec = request;
    spec.image = record.image, spec.provider = record.provider, spec.profile = record.profile, spec.user = record.user;
    spec.network = record.network;
    record.spec = model::fingerprint(spec, kNotSpec);

    providers::LaunchSpec& launch = spawn.launch;
    launch.id = record.id;
    launch.root = root_of(record.image, caller.local, host_path || request.image.empty());
    launch.memory_bytes = record.memory_bytes;
    launch.disk_bytes = record.disk_bytes;
    launch.milli_cpus = record.milli_cpus;
    launch.pids = record.pids;
    const bool strict = !request.best_effort && !options_.best_effort;
    launch.require_memory = strict && request.memory_bytes != 0;
    launch.require_disk = strict && request.disk_bytes != 0;
    launch.require_cpu = strict && request.milli_cpus != 0;
    launch.require_pids = strict && request.pids != 0;
    launch.profile = record.profile;
    launch.user = record.user;
    launch.mounts = request.mounts;
    launch.env = request.env;
    return spawn;
  }

  SandboxRecord spawn(ResolvedSpawn spawn) override {
    require_writable();
    SandboxRecord& record = spawn.record;
    const Claims claims(*this, spawn);
    if (claims.found()) return *claims.found();
    {
      const std::lock_guard lock(mutex_);
      if (closed_) throw Error(Code::closed, "the instance is shutting down");
      ++spawning_;
    }
    const Counted counted(*this);
    store::Store::Reserve reserve;
    reserve.max_live = options_.settings.defaults.most_sandboxes();
    reserve.max_live_of_owner = options_.settings.defaults.max_sandboxes_per_owner;
    reserve.key = spawn.idempotency_key;
    reserve.request = spawn.request;
    reserve.now_ms = system_clock().wall_ms();
    reserve.key_expires_ms = reserve.now_ms + model::kIdempotencyRetentionMs;
    if (const auto space = provider_->id_space()) {
      reserve.ranges = true;
      reserve.range_first = space->first;
      reserve.range_end = space->end;
      reserve.claim = [this](uint32_t base) { return provider_->claim_ids(base); };
    }
    try {
      store_->insert(record, reserve);
    } catch (...) {
      if (record.id_base != 0) provider_->release_ids(record.id_base);
      throw;
    }
    spawn.launch.id_base = record.id_base;
    std::shared_ptr<providers::Session> session;
    bool gone = false;
    try {
      add(record);
      announce("sandbox.created", record, [&](events::Data& data) { data.text("image", images::is_path(record.image) ? kHiddenPath : record.image).text("provider", record.provider).text("name", record.name); });
      session = provider_->launch(spawn.launch, kSpawnTimeoutMs, when_gone(record.id));
      if (spawn.prepare) prepare(spawn, session);
      record.enforced = session->enforced();
      record.unenforced = session->unenforced();
      record.state = State::running;
      const bool recorded = store_->update(record, State::creating);
      SandboxRecord copy = record;
      const std::lock_guard lock(mutex_);
      const auto found = sandboxes_.find(record.id);
      gone = !recorded || found == sandboxes_.end() || take_early_end(record.id);
      if (!gone) {
        deadlines_.emplace(monotonic_deadline(record.expires_ms), record.id);
        found->second.record = std::move(copy);
        found->second.session = session;
      }
    } catch (const std::exception& error) {
      end_quietly(session);
      forget(record, Event::start_failed, error);
      throw;
    }
    if (options_.detached && !gone) session->expire(record.expires_ms - system_clock().wall_ms());
    if (gone) {
      forget_running(std::move(record), "lost");
      if (!spawn.idempotency_key.empty()) store_->free_key(claims.id());  // for the caller it never ran
      throw Error(Code::unavailable, "the sandbox ended while it was being started").with("step", "start");
    }
    wake_.notify_one();
    announce("sandbox.running", record);
    return record;
  }

  SandboxRecord get(std::string_view id) override {
    {
      const std::lock_guard lock(mutex_);
      if (const Live* live = find(id)) return live->record;
    }
    if (!options_.read_only) throw not_found();
    const std::optional<SandboxRecord> record = store_->get(id);
    if (!record || record->state == State::destroyed || record->state == State::error) throw not_found();
    return *record;
  }

  SandboxRecord get_named(std::string_view tenant, std::string_view name) override {
    {
      const std::lock_guard lock(mutex_);
      const auto named = names_.find({std::string(tenant), std::string(name)});
      const Live* live = named == names_.end() ? nullptr : find(named->second.id);
      if (live) return live->record;
    }
    if (!options_.read_only) throw not_found();
    const std::optional<SandboxRecord> record = store_->get_named(tenant, name);
    if (!record) throw not_found();
    return *record;
  }

  std::vector<SandboxRecord> list(uint32_t limit, std::string_view after) override { return store_->list(limit, after); }

  std::vector<model::ExecRecord> execs(const store::Store::ExecQuery& query) override {
    events_->flush();  // who has seen a command end finds its end here
    return store_->execs(query);
  }

  std::optional<model::ExecRecord> exec(std::string_view id) override {
    events_->flush();
    return store_->exec(id);
  }

  SandboxRecord extend(std::string_view id, int64_t ttl_ms) override {
    require_writable();
    if (ttl_ms < kMinTtlMs) throw Error(Code::invalid, "ttl: more than 0").with("field", "ttl").with("limit", kMinTtlMs);
    if (ttl_ms > options_.settings.defaults.most_ttl_ms()) throw beyond("ttl", options_.settings.defaults.most_ttl_ms());
    const std::lock_guard edit(edit_mutex_);
    SandboxRecord record;
    std::shared_ptr<providers::Session> session;
    {
      const std::lock_guard lock(mutex_);
      Live& live = running(id);
      record = live.record;
      record.expires_ms = system_clock().wall_ms() + ttl_ms;
    }
    if (!store_->update(record, State::running)) throw Error(Code::conflict, "the sandbox is being destroyed");
    {
      const std::lock_guard lock(mutex_);
      Live& live = running(id);
      live.record.expires_ms = record.expires_ms;
      std::erase_if(deadlines_, [&](const auto& deadline) { return deadline.second == id; });
      deadlines_.emplace(monotonic_deadline(record.expires_ms), record.id);
      session = live.session;
    }
    if (options_.detached) session->expire(ttl_ms);
    wake_.notify_one();
    announce("sandbox.updated", record, [](events::Data& data) { data.text("operation", "extend"); });
    return record;
  }

  model::SandboxStats stats(std::string_view id) override {
    SandboxRecord record;
    std::shared_ptr<providers::Session> session;
    {
      const std::lock_guard lock(mutex_);
      const Live& live = running(id);
      record = live.record;
      session = live.session;
    }
    providers::Usage usage = session->usage();
    tell_limits(record.id, usage);
    const auto enforced = [&](std::string_view what) { return std::find(record.enforced.begin(), record.enforced.end(), what) != record.enforced.end(); };
    model::SandboxStats stats;
    stats.id = record.id;
    stats.uptime_ms = std::max<int64_t>(0, system_clock().wall_ms() - record.created_ms);
    stats.cpu_us = usage.cpu_us;
    stats.memory = usage.memory;
    stats.memory_peak = usage.memory_peak;
    stats.pids = usage.pids;
    stats.oom_kills = usage.oom_kills;
    if (enforced("memory")) stats.memory_limit = static_cast<int64_t>(record.memory_bytes);
    if (enforced("pids")) stats.pids_limit = record.pids;
    if (enforced("disk_limit")) stats.disk_limit = static_cast<int64_t>(record.disk_bytes);
    stats.open_streams = usage.open_streams;
    stats.running_execs = static_cast<uint32_t>(execs({record.id, "", "", store::Store::ExecState::running, UINT32_MAX}).size());
    stats.missing = std::move(usage.missing);
    return stats;
  }

  SandboxRecord relabel(std::string_view id, model::StringMap metadata) override {
    require_writable();
    const std::lock_guard edit(edit_mutex_);
    SandboxRecord record;
    {
      const std::lock_guard lock(mutex_);
      record = running(id).record;
    }
    record.metadata = std::move(metadata);
    if (!store_->update(record, State::running)) throw Error(Code::conflict, "the sandbox is being destroyed");
    {
      const std::lock_guard lock(mutex_);
      running(id).record.metadata = record.metadata;
    }
    announce("sandbox.updated", record, [](events::Data& data) { data.text("operation", "update"); });
    return record;
  }

  uint32_t prune(std::string_view tenant, int64_t older_than_ms) override {
    require_writable();
    const int64_t now = system_clock().wall_ms();
    uint32_t removed = 0;
    for (uint32_t last = store::Store::kMaxPrune; last == store::Store::kMaxPrune; removed += last)
      last = store_->prune({now - older_than_ms + 1, now, std::string(tenant)});  // also what ended in this very millisecond
    return removed;
  }

  void destroy(std::string_view id, std::string_view reason, int64_t keep_ms) override {
    require_writable();
    SandboxRecord record;
    std::shared_ptr<providers::Session> session;
    {
      const std::lock_guard lock(mutex_);
      Live* const live = find(id);
      if (!live) throw not_found();
      record = live->record;
      const auto next = next_state(record.state, Event::destroy_asked);
      if (!next) {
        // A destroy that timed out may be asked again; a second one at the same moment is told so.
        if (record.state != State::destroying || !std::exchange(live->stuck, false))
          throw Error(Code::conflict, "the sandbox is being started or destroyed");
      } else {
        record.state = *next;
        record.reason = reason;
        if (keep_ms > 0) record.keep_until_ms = system_clock().wall_ms() + keep_ms;
        SandboxRecord copy = record;
        live->record = std::move(copy);
        std::erase_if(deadlines_, [&](const auto& deadline) { return deadline.second == id; });
      }
      session = live->session;
    }
    std::string why;
    try {
      why = record.reason;
      store_->update(record, State::running);
      session->destroy(kDestroyTimeoutMs);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (Live* const live = find(record.id)) live->stuck = true;
      throw;
    }
    finish(std::move(record), Event::gone, why);
  }

  model::Admission admission(const model::SpawnRequest& request, const model::Identity& caller) override {
    const model::Defaults& defaults = options_.settings.defaults;
    refuse_unknown_provider(request.provider);
    model::Admission answer;
    answer.max_ttl_ms = defaults.most_ttl_ms();
    answer.most = defaults.most_sandboxes();
    answer.active = store_->live_count();
    if (!request.owner_id.empty()) {
      answer.owner_most = defaults.max_sandboxes_per_owner;
      answer.owner_active = store_->live_count_of(caller.tenant, request.owner_id);
    }
    if (request.ttl_ms > answer.max_ttl_ms)
      answer.reason = "max_ttl";
    else if (answer.active >= answer.most)
      answer.reason = "max_sandboxes";
    else if (answer.owner_most != 0 && answer.owner_active >= answer.owner_most)
      answer.reason = "max_sandboxes_per_owner";
    answer.allowed = answer.reason.empty();
    return answer;
  }

  const std::string& version() const noexcept override { return options_.version; }
  int64_t uptime_ms() const noexcept override { return system_clock().monotonic_ms() - opened_ms_; }

  model::SandboxCounts counts() override {
    model::SandboxCounts counts;
    std::map<State, uint32_t> states;
    if (options_.read_only) {
      counts.total = store_->live_count();
      return counts;
    }
    const std::lock_guard lock(mutex_);
    for (const auto& [id, live] : sandboxes_) ++states[live.record.state];
    for (const auto& [state, count] : states) counts.by_state.emplace_back(model::state_name(state), count);
    counts.total = static_cast<uint32_t>(sandboxes_.size());
    counts.running = states[State::running];
    counts.by_provider.emplace_back(provider_->name(), counts.total);
    return counts;
  }

  std::vector<model::ProviderHealth> providers(bool now) override {
    if (!provider_) return {};  // read-only: nothing can be started
    model::ProviderHealth health;
    {
      std::unique_lock looking(look_mutex_, std::defer_lock);
      const bool fresh = !now && system_clock().monotonic_ms() - looked_ms_.load() < kHealthMaxAgeMs;
      if (!fresh && (now ? (looking.lock(), true) : looking.try_lock())) look();
      const std::lock_guard lock(mutex_);
      health = health_;
      health.sandboxes = static_cast<uint32_t>(sandboxes_.size());
    }
    return {std::move(health)};
  }

  model::StringMap provider_config(std::string_view name) override {
    return provider_ && provider_->name() == name ? provider_->config() : model::StringMap();
  }

  model::TemplateRecord create_template(std::string_view tenant, model::Template body) override {
    require_writable();
    model::TemplateRecord record{std::string(tenant), std::move(body), system_clock().wall_ms(), 0};
    record.updated_ms = record.created_ms;
    if (!store_->insert_template(record)) throw Error(Code::conflict, "name: a template " + record.body.name + " already exists").with("field", "name");
    return record;
  }

  model::TemplateRecord update_template(std::string_view tenant, model::Template body) override {
    require_writable();
    const std::lock_guard edit(edit_mutex_);
    const model::TemplateRecord before = get_template(tenant, body.name);
    model::TemplateRecord record{std::string(tenant), std::move(body), before.created_ms, system_clock().wall_ms()};
    if (record.body.version == 0) record.body.version = before.body.version < INT32_MAX ? before.body.version + 1 : before.body.version;
    if (!store_->update_template(record)) throw template_not_found(record.body.name);
    return record;
  }

  void delete_template(std::string_view tenant, std::string_view name) override {
    require_writable();
    if (!store_->remove_template(tenant, name)) throw template_not_found(name);
  }

  model::TemplateRecord get_template(std::string_view tenant, std::string_view name) override {
    std::optional<model::TemplateRecord> record = store_->get_template(tenant, name);
    if (!record) throw template_not_found(name);
    return std::move(*record);
  }

  std::vector<model::TemplateRecord> templates(std::string_view tenant) override { return store_->templates(tenant); }

  std::shared_ptr<providers::Session> session(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    return running(id).session;
  }

  void keep(std::shared_ptr<channel::Stream> stream) override {
    channel::Stream* const raw = stream.get();
    {
      const std::lock_guard lock(mutex_);
      kept_.emplace(raw, stream);
    }
    raw->set_notify([this, raw] { may_have_ended(raw); });
    may_have_ended(raw);  // it may have come before the hook
  }

  void leave(int64_t timeout_ms) override {
    if (!options_.detached) return shutdown(timeout_ms);
    end_preparations();
    {
      std::unique_lock lock(mutex_);
      closed_ = true;
      (void)idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return spawning_ == 0; });
    }
    provider_->detach();
    Streams kept;
    std::vector<std::shared_ptr<providers::Session>> sessions;  // their streams end here, outside the lock
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
      kept.merge(to_read_);
      for (auto& [id, live] : sandboxes_) sessions.push_back(std::move(live.session));
      sandboxes_.clear();
      deadlines_.clear();
    }
    for (const auto& [raw, stream] : kept) {
      stream->set_notify({});
      stream->forget_end();
    }
    sessions.clear();
    kept.clear();  // last: dropped on an open channel they would cancel their commands
    audit_->flush();
  }

  void shutdown(int64_t timeout_ms) override {
    const int64_t deadline = system_clock().monotonic_ms() + timeout_ms;
    std::vector<std::string> ids;
    end_preparations();
    {
      std::unique_lock lock(mutex_);
      settled_.notify_all();
      // A spawn that passed the check before may still be adding itself.
      if (!idle_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [&] { return spawning_ == 0; }))
        throw Error(Code::timeout, "shutdown: sandboxes are still being started");
      for (const auto& [id, live] : sandboxes_)
        if (live.record.state == State::running || live.stuck) ids.push_back(id);
    }
    // All are killed at once, then waited for one after another.
    std::vector<std::thread> workers;
    std::mutex guard;
    std::exception_ptr failure;
    const size_t count = std::min<size_t>(ids.size(), kReapers);
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      for (size_t i; (i = next.fetch_add(1)) < ids.size();) {
        while (!try_destroying(ids[i], "shutdown", deadline, [&] {
          const std::lock_guard lock(guard);
          failure = std::current_exception();
        }))
          std::this_thread::sleep_for(kMemoryPause);
      }
    };
    try {
      workers.reserve(count);
      for (size_t i = 1; i < count; ++i) workers.emplace_back(work);
    } catch (const std::exception&) {  // fewer do it as well
    }
    work();
    for (std::thread& worker : workers) worker.join();
    {
      std::unique_lock lock(mutex_);
      const auto left = std::max<int64_t>(0, deadline - system_clock().monotonic_ms());
      // Others may be ending some; what nobody ends will not go away by waiting.
      const auto nobody_ends = [](const auto& entry) { return entry.second.stuck || entry.second.record.state == State::running; };
      idle_.wait_for(lock, std::chrono::milliseconds(left), [&] { return std::all_of(sandboxes_.begin(), sandboxes_.end(), nobody_ends); });
    }
    audit_->flush();
    events_->flush();
    if (failure) std::rethrow_exception(failure);
  }

 private:
  void open_directory() {
    try {
      if (!options_.read_only) lock_ = store::DirectoryLock::take(options_.state_directory);
      store_ = store::open_sqlite(options_.state_directory, options_.read_only);
    } catch (Error& error) {
      error.prefix(options_.state_directory);
      throw std::move(error).with("field", "state_dir");
    }
  }

  static void refuse_unknown_provider(const std::string& name, const char* field = "provider", Code code = Code::not_found) {
    if (!name.empty() && name != "native")
      throw Error(code, "provider not found: " + name + " is not in this build; native is").with("field", field);
  }

  /// Needs look_mutex_, which it takes time with.
  void look() {
    model::ProviderHealth health;
    health.name = provider_->name();
    health.is_default = true;
    health.capabilities = provider_->capabilities();
    const auto start = std::chrono::steady_clock::now();
    try {
      provider_->check();
      health.healthy = true;
    } catch (const Error& error) {
      health.error = error.message();
    }
    health.latency_us = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
    health.checked_ms = system_clock().wall_ms() / 1000 * 1000;
    {
      const std::lock_guard lock(mutex_);
      health_ = std::move(health);
    }
    looked_ms_ = system_clock().monotonic_ms();
  }

  const std::string& usual_image() const {
    static const std::string kHost = "host";
    const std::string& image = options_.settings.defaults.image;
    return image.empty() ? kHost : image;
  }

  /// What an image's name stands for. `local`: the caller may know paths of the host; `host_path`: the name may be one.
  images::Root root_of(const std::string& name, bool local, bool host_path) const {
    const model::StringMap& aliases = options_.settings.images.aliases;
    auto alias = aliases.find(name);
    if (alias == aliases.end() && !images::has_tag(name)) alias = aliases.find(name + ":latest");
    const bool known = alias != aliases.end();
    if (!known && !host_path) return images::resolve(name, false);
    try {
      return images::resolve(known ? alias->second : name, true);
    } catch (const Error& error) {
      if (local || (!known && !images::is_path(name))) throw;
      options_.log.write(LogLevel::warn, error.message());
      const std::string shown = images::is_path(name) ? std::string(kHiddenPath) : name;
      throw Error(Code::unavailable, "image " + shown + ": what it stands for cannot be used").with("field", "image");
    }
  }

  /// Has the sandbox made ready. One whose owner dies or leaves meanwhile is not to live on.
  void prepare(ResolvedSpawn& spawn, const std::shared_ptr<providers::Session>& session) {
    const int64_t start = system_clock().monotonic_ms();
    if (options_.detached) session->expire(spawn.record.expires_ms - system_clock().wall_ms() + model::kSetupTimeoutMs);
    const auto place = [&] {
      const std::lock_guard lock(mutex_);
      if (closed_) throw Error(Code::closed, "the instance is shutting down");
      return preparing_.insert(preparing_.end(), session);
    }();
    const auto leave = [&] {
      const std::lock_guard lock(mutex_);
      preparing_.erase(place);
    };
    try {
      spawn.prepare(*session);
    } catch (...) {
      leave();
      throw;
    }
    leave();
    spawn.record.expires_ms += system_clock().monotonic_ms() - start;  // its life begins now
  }

  /// From here on nothing is begun, and what is being made ready fails.
  void end_preparations() {
    std::list<std::shared_ptr<providers::Session>> preparing;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      preparing = preparing_;
    }
    for (const auto& session : preparing) end_quietly(session);
  }

  using Streams = std::map<channel::Stream*, std::shared_ptr<channel::Stream>>;  // entries move from one to another without memory

  /// False: there was no memory for it, and there is time to try again. `failed` is called where it failed, with the exception current.
  template <class Failed>
  bool try_destroying(const std::string& id, std::string_view reason, int64_t deadline_ms, Failed&& failed) {
    try {
      destroy(id, reason, 0);
    } catch (const Error& error) {
      if (error.code() != Code::not_found && error.code() != Code::conflict) failed();  // otherwise somebody else is doing it
    } catch (const std::bad_alloc&) {
      if (system_clock().monotonic_ms() < deadline_ms) return false;
      failed();
    }
    return true;
  }

  /// Lowers the count of spawns under way.
  struct Counted {
    explicit Counted(LocalManager& owner) : manager(owner) {}
    ~Counted() {
      {
        const std::lock_guard lock(manager.mutex_);
        --manager.spawning_;
      }
      manager.idle_.notify_all();
    }
    LocalManager& manager;
  };

  /// The name and the idempotency key of a spawn, held so that no other spawn has them meanwhile. The key until the end of the call: from
  /// then on the store knows it. The name for as long as the sandbox lives.
  class Claims {
   public:
    Claims(LocalManager& manager, const ResolvedSpawn& spawn)
        : manager_(manager), key_(spawn.record.tenant_id, spawn.idempotency_key), name_(spawn.record.tenant_id, spawn.record.name), id_(spawn.record.id) {
      try {
        if (!spawn.idempotency_key.empty()) found_ = manager_.claim_key(key_, spawn.request, holds_key_);
        if (!found_ && !spawn.record.name.empty()) found_ = manager_.claim_name(name_, spawn);
      } catch (...) {
        release();
        throw;
      }
    }
    ~Claims() { release(); }
    Claims(const Claims&) = delete;
    Claims& operator=(const Claims&) = delete;
    const std::optional<SandboxRecord>& found() const noexcept { return found_; }
    const std::string& id() const noexcept { return id_; }

   private:
    void release() noexcept {
      if (holds_key_) {
        const std::lock_guard lock(manager_.mutex_);
        manager_.keys_.erase(key_);
      }
      {
        const std::lock_guard lock(manager_.mutex_);
        if (!manager_.sandboxes_.contains(id_)) manager_.release_name(name_, id_);
      }
      manager_.settled_.notify_all();
    }
    LocalManager& manager_;
    const TenantName key_, name_;
    const std::string id_;
    bool holds_key_ = false;
    std::optional<SandboxRecord> found_;
  };

  /// The sandbox that the key stands for; nothing once the key is held for this call.
  std::optional<SandboxRecord> claim_key(const TenantName& key, const std::string& request, bool& held) {
    const auto other = [] {
      return Error(Code::conflict, "idempotency_key: it was used with another request").with("field", "idempotency_key");
    };
    {
      std::unique_lock lock(mutex_);
      await(lock, [&] {
        const auto busy = keys_.find(key);
        if (busy == keys_.end()) return true;
        if (busy->second != request) throw other();
        return false;
      });
      keys_.emplace(key, request);
      held = true;
    }
    const std::optional<store::Store::Key> known = store_->get_key(key.first, key.second, system_clock().wall_ms());
    if (!known) return std::nullopt;
    if (known->request != request) throw other();
    {
      const std::lock_guard lock(mutex_);
      if (const Live* live = find(known->sandbox)) return live->record;
    }
    std::optional<SandboxRecord> ended = store_->get(known->sandbox);
    if (!ended) throw Error(Code::internal, "an idempotency key stands for a sandbox without a record");
    return ended;
  }

  /// The sandbox that has the name, where that is what is asked for; nothing once the name is the spawn's.
  std::optional<SandboxRecord> claim_name(const TenantName& name, const ResolvedSpawn& spawn) {
    std::unique_lock lock(mutex_);
    std::optional<SandboxRecord> found;
    await(lock, [&] {
      const auto taken = names_.find(name);
      if (taken == names_.end()) return true;
      if (!spawn.get_or_create) throw Error(Code::conflict, "name: a live sandbox has it").with("field", "name");
      const Live* live = find(taken->second.id);
      // One that is not there yet, or ends, is waited for, whatever it was made from: what comes after it is what counts.
      if (live && live->record.state != State::destroying && taken->second.spec != spawn.record.spec)
        throw Error(Code::conflict, "name: a live sandbox has it that was made from another spec").with("field", "name");
      if (!live || live->record.state != State::running) return false;
      found = live->record;
      return true;
    });
    if (!found) names_[name] = {spawn.record.id, spawn.record.spec};
    return found;
  }

  /// Waits until `ready`, for as long as a spawn may take.
  template <class Ready>
  void await(std::unique_lock<std::mutex>& lock, Ready ready) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(kSpawnTimeoutMs);
    while (!closed_) {
      if (ready()) return;
      if (settled_.wait_until(lock, until) == std::cv_status::timeout) throw Error(Code::timeout, "another spawn of the same sandbox has not ended");
    }
    throw Error(Code::closed, "the instance is shutting down");
  }

  /// Needs mutex_.
  void release_name(const TenantName& name, const std::string& id) noexcept {
    const auto named = names_.find(name);
    if (named != names_.end() && named->second.id == id) names_.erase(named);
  }

  void require_writable() const {
    if (options_.read_only) throw Error(Code::unsupported, "the instance was opened read-only");
  }

  static int64_t monotonic_deadline(int64_t expires_wall_ms) {
    // Once, when it is set: a wall clock that jumps later moves no deadline.
    return system_clock().monotonic_ms() + (expires_wall_ms - system_clock().wall_ms());
  }

  /// nullptr when there is none, or none any more: one that ended by itself is in the map until its row says so. Needs mutex_.
  Live* find(std::string_view id) {
    const auto found = sandboxes_.find(std::string(id));
    return found == sandboxes_.end() || found->second.record.state == State::destroyed ? nullptr : &found->second;
  }

  /// Needs mutex_.
  Live& running(std::string_view id) {
    Live* const live = find(id);
    if (!live) throw not_found();
    if (live->record.state != State::running) throw Error(Code::conflict, "the sandbox is being started or destroyed");
    return *live;
  }

  void add(const SandboxRecord& record) {
    const std::lock_guard lock(mutex_);
    sandboxes_[record.id] = {record, nullptr};
  }

  /// Writes the last state and drops the sandbox from memory.
  void finish(SandboxRecord record, Event event, std::string_view reason) {
    const State from = record.state;
    record.state = next_state(from, event).value_or(State::error);
    record.destroyed_ms = system_clock().wall_ms();
    // Before the row says so: from then on another spawn of ours may have the range, and claim it.
    if (record.id_base != 0) provider_->release_ids(record.id_base);
    std::exception_ptr failure;
    bool prunes = false;
    try {
      record.reason = reason;
      store_->update(record, from);
    } catch (const std::exception&) {
      failure = std::current_exception();  // nothing runs any more: the next open records it
    }
    {
      const std::lock_guard lock(mutex_);
      sandboxes_.erase(record.id);
      if (!record.name.empty()) std::erase_if(names_, [&](const auto& named) { return named.second.id == record.id; });
      (void)take_early_end(record.id);
      std::erase_if(deadlines_, [&](const auto& deadline) { return deadline.second == record.id; });
      prunes = ++ended_ % kEndsPerPrune == 0;
    }
    idle_.notify_all();
    settled_.notify_all();
    end_execs(record);
    announce(record.state == State::error ? "sandbox.error" : "sandbox.destroyed", record, [&](events::Data& data) { data.text("reason", told_to_all(record.reason)); });
    if (failure) std::rethrow_exception(failure);
    if (!prunes) return;
    try {
      prune_old();
    } catch (const std::exception& error) {  // it ended all the same
      complain("store", error);
    }
  }

  /// Without a state directory nobody asks for what has ended, but where the caller said so.
  void prune_old() {
    const int64_t now = system_clock().wall_ms();
    store_->prune({private_ ? INT64_MAX : now - model::kEndedRetentionMs, now});
  }

  /// As finish(), for where another error is on its way to the caller.
  void forget(SandboxRecord& record, Event event, const std::exception& why) noexcept {
    record.state = State::creating;
    try {
      const auto* error = dynamic_cast<const Error*>(&why);
      finish(std::move(record), event, error ? error->message() : why.what());
    } catch (const std::exception& error) {
      complain("store", error);
    }
  }
  void forget_running(SandboxRecord&& record, std::string_view reason) noexcept {
    try {
      finish(std::move(record), Event::ended_by_itself, reason);
    } catch (const std::exception& error) {
      complain("store", error);
    }
  }

  /// Where another error is on its way to the caller.
  void end_quietly(const std::shared_ptr<providers::Session>& session) noexcept {
    try {
      if (session) session->destroy(kDestroyTimeoutMs);
    } catch (const std::exception& error) {  // its last reference kills it all the same
      complain("end of a sandbox", error);
    }
  }

  void complain(const char* what, const std::exception& error) const noexcept {
    try {
      options_.log.write(LogLevel::error, std::string(what) + ": " + error.what());
    } catch (const std::bad_alloc&) {  // the log is for people, who have other troubles now
    }
  }

  /// What the provider calls when the sandbox has ended.
  std::function<void()> when_gone(const std::string& id) {
    return [this, note = std::make_shared<EndNote>(1, id)] { ended(*note); };
  }

  /// The sandbox ended without being asked to. Must not block, nor fail: a reaper records it.
  void ended(EndNote& note) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (note.empty()) return;  // it was told before
      const auto found = sandboxes_.find(note.front());
      // One that is being made, or was found and is not adopted yet: whoever does that looks.
      if (found == sandboxes_.end() ? recovering_ : found->second.record.state == State::creating) return early_ends_.splice(early_ends_.end(), note);
      if (found == sandboxes_.end()) return;
      lost_.splice(lost_.end(), note);
    }
    wake_.notify_one();
  }

  /// Whether the sandbox ended before who made or adopted it was done. Needs mutex_.
  bool take_early_end(std::string_view id) noexcept {
    return early_ends_.remove_if([&](const std::string& ended) { return ended == id; }) > 0;
  }

  void look_at_limits(std::string_view id, int64_t told) override {
    {
      const std::lock_guard lock(mutex_);
      const auto found = sandboxes_.find(std::string(id));
      if (found == sandboxes_.end() || !found->second.session) return;
      found->second.kills_told += told;
      to_look_at_.insert(found->first);
    }
    wake_.notify_one();
  }

  /// Makes events of what `usage` counts more than the last one did.
  void tell_limits(const std::string& id, const providers::Usage& usage) {
    SandboxRecord record;
    int64_t kills = 0, refusals = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = sandboxes_.find(id);
      if (found == sandboxes_.end()) return;
      Live& live = found->second;
      kills = std::max<int64_t>(0, usage.oom_kills - live.kills_seen);
      refusals = std::max<int64_t>(0, usage.pids_refused - live.refusals_seen);
      live.kills_seen += kills;
      live.refusals_seen += refusals;
      const int64_t told = std::min(kills, live.kills_told);
      live.kills_told -= told;
      kills -= told;
      record = live.record;
    }
    if (kills > 0) announce("resource.limit", record, [&](events::Data& data) { data.text("resource", "memory").number("count", kills); });
    if (refusals > 0) announce("resource.limit", record, [&](events::Data& data) { data.text("resource", "pids").number("count", refusals); });
  }

  /// What has happened is not undone for want of memory to tell of it: then it counts as lost. `add` puts more into the event.
  template <class Add>
  void announce(std::string_view type, const SandboxRecord& record, Add&& add) noexcept {
    try {
      events::Data data;
      add(data);
      events_->append(std::string(type), record.id, record.tenant_id, data.json());
    } catch (const std::exception&) {
      events_->note_lost();
    }
  }
  void announce(std::string_view type, const SandboxRecord& record) noexcept {
    announce(type, record, [](events::Data&) {});
  }

  /// Commands that nobody saw end ended with their sandbox.
  void end_execs(const SandboxRecord& record) noexcept {
    try {
      model::ExecRecord all;
      all.sandbox_id = record.id;
      all.ended_ms = record.destroyed_ms;
      all.reason = "lost";
      events_->record(std::move(all));
    } catch (const std::exception&) {
      events_->note_lost();  // the next open ends them
    }
  }

  /// What no reaper has read: its end is recorded as far as it is known.
  void release_kept() {
    Streams kept;
    {
      const std::lock_guard lock(mutex_);
      kept.swap(kept_);
      kept.merge(to_read_);
    }
    for (const auto& [raw, stream] : kept) {
      stream->set_notify({});
      read_end(*stream);
    }
  }

  /// On any thread, must neither block nor fail: a reaper looks.
  void may_have_ended(channel::Stream* stream) noexcept {
    if (!stream->readable()) return;
    {
      const std::lock_guard lock(mutex_);
      auto node = kept_.extract(stream);
      if (node.empty()) return;
      to_read_.insert(std::move(node));
    }
    wake_.notify_one();
  }

  /// Of a stream that is neither in kept_ nor in to_read_. False: it has not ended, or there is no memory to say so.
  bool read_end(channel::Stream& stream) {
    try {
      channel::Piece piece;
      channel::Stream::Next next;
      while ((next = stream.next(0, piece)) == channel::Stream::Next::piece) {
      }
      if (next == channel::Stream::Next::again) return false;
    } catch (const Error& error) {
      complain("end of a command", error);
    } catch (const std::bad_alloc&) {
      return false;
    }
    stream.set_notify({});
    return true;
  }

  void audit_system(std::string_view action, std::string_view object, std::string_view outcome, std::string_view detail) noexcept {
    try {
      model::AuditRow row;
      row.actor = "system";
      row.action = action;
      row.object = object;
      row.phase = "outcome";
      row.outcome = outcome;
      row.detail = detail;
      audit_->append(std::move(row));
    } catch (const std::exception& error) {
      complain("audit", error);
    }
  }

  /// One reaper thread: records sandboxes that were lost, destroys those that have expired.
  void reap() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    std::unique_lock lock(mutex_);
    while (!ending_) {
      try {
        if (reap_one(lock)) continue;
        if (deadlines_.empty())
          wake_.wait(lock);
        else
          wake_.wait_for(lock, std::chrono::milliseconds(deadlines_.begin()->first - system_clock().monotonic_ms()));
      } catch (const std::bad_alloc&) {  // what could not be done is still to be done
        if (!lock.owns_lock()) lock.lock();
        wake_.wait_for(lock, kMemoryPause);
      }
    }
  }

  /// Does what is due, if something is. Called with mutex_, which it lets go meanwhile. On bad_alloc nothing is lost.
  bool reap_one(std::unique_lock<std::mutex>& lock) {
    if (!lost_.empty()) {
      const auto found = sandboxes_.find(lost_.front());
      if (found == sandboxes_.end() || found->second.record.state != State::running) return lost_.pop_front(), true;
      SandboxRecord record = found->second.record;
      const std::shared_ptr<providers::Session> session = std::move(found->second.session);
      // From here on it is gone for everybody, although its row still says otherwise.
      found->second.record.state = next_state(State::running, Event::ended_by_itself).value();
      EndNote note;
      note.splice(note.end(), lost_, lost_.begin());
      lock.unlock();
      forget_running(std::move(record), "lost");
      audit_system("sandbox.destroy", note.front(), "OK", "lost: it ended by itself");
      lock.lock();
      return true;
    }
    if (!to_read_.empty()) {
      // Out of both while it is read: streams have one reader at a time.
      auto node = to_read_.extract(to_read_.begin());
      lock.unlock();
      if (read_end(*node.mapped())) {
        node = {};  // may write to the log
        lock.lock();
        return true;
      }
      const std::shared_ptr<channel::Stream> stream = node.mapped();
      lock.lock();
      kept_.insert(std::move(node));
      lock.unlock();
      may_have_ended(stream.get());
      lock.lock();
      return true;
    }
    if (!to_look_at_.empty()) {
      const auto node = to_look_at_.extract(to_look_at_.begin());
      const auto found = sandboxes_.find(node.value());
      std::shared_ptr<providers::Session> session = found == sandboxes_.end() ? nullptr : found->second.session;
      if (!session) return true;
      lock.unlock();
      try {
        tell_limits(node.value(), session->usage());
      } catch (const std::bad_alloc&) {
        events_->note_lost();
      }
      session.reset();  // may be the last one, and may call us
      lock.lock();
      return true;
    }
    if (!deadlines_.empty() && deadlines_.begin()->first <= system_clock().monotonic_ms()) {
      auto deadline = deadlines_.extract(deadlines_.begin());
      ++expiring_;
      reinforce();
      lock.unlock();
      const bool again = !expire(deadline.value().second);
      lock.lock();
      --expiring_;
      if (again && sandboxes_.contains(deadline.value().second)) {
        deadline.value().first = system_clock().monotonic_ms() + kDestroyTimeoutMs;
        deadlines_.insert(std::move(deadline));
      }
      return true;
    }
    return false;
  }

  /// Somebody must be left to look at the next deadline. Needs mutex_.
  void reinforce() {
    if (expiring_ < reapers_.size() || reapers_.size() >= kReapers) return;
    try {
      reapers_.emplace_back([this] { reap(); });
    } catch (const std::system_error& error) {
      options_.log.write(LogLevel::warn, std::string("no thread for a further reaper: ") + error.what());
    }
  }

  /// Also tries again what could not be ended before: that keeps its reason. False: it must be tried again.
  bool expire(const std::string& id) noexcept {
    try {
      std::string why = "expired";
      {
        const std::lock_guard lock(mutex_);
        const Live* live = find(id);
        if (live && live->record.state == State::destroying) why = live->record.reason;
      }
      try {
        destroy(id, "expired", 0);
        audit_system("sandbox.destroy", id, "OK", why);
      } catch (const Error& error) {
        if (error.code() == Code::not_found || error.code() == Code::conflict) return true;
        audit_system("sandbox.destroy", id, code_name(error.code()), why + ": " + error.message());
        complain(("end of " + id + " (" + why + ")").c_str(), error);
        return false;
      }
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  using Sessions = std::map<std::string, providers::Adopted>;

  /// What a former owner left running. `unheard`: why nothing of it can be used, if so; it is being ended.
  Sessions adopt_all(std::string& unheard) {
    try {
      return provider_->adopt([this](const std::string& id) { return when_gone(id); });
    } catch (const Error& error) {  // no reason to have nothing at all
      unheard = error.message();
      options_.log.write(LogLevel::error, "sandboxes of a former owner cannot be adopted: " + unheard);
      return {};
    }
  }

  /// A sandbox that lives and has a record goes on, one without the other ends. Empties `found` but for those without a record.
  void recover(Sessions& found, const std::string& unheard) {
    std::string after;
    for (;;) {
      const std::vector<SandboxRecord> page = store_->list(kRecoveryPage, after);
      if (page.empty()) break;
      for (const SandboxRecord& record : page) {
        after = record.id;
        const auto session = found.extract(record.id);
        if (session && record.state == State::running)
          adopt(record, session.mapped());
        else
          bury(record, session ? session.mapped().session : nullptr, unheard);
      }
    }
    for (const auto& [id, adopted] : found) {
      constexpr const char* kWhy = "recovered: it had no record";
      try {
        adopted.session->destroy(kDestroyTimeoutMs);
        audit_system("sandbox.destroy", id, "OK", kWhy);
      } catch (const Error& error) {  // it is killed; the launcher removes what is left of it when that can be
        audit_system("sandbox.destroy", id, code_name(error.code()), std::string(kWhy) + ": " + error.message());
        options_.log.write(LogLevel::error, "recovery of " + id + ": " + error.message());
      }
    }
    end_lost_execs();
    const std::lock_guard lock(mutex_);
    recovering_ = false;
    early_ends_.clear();  // of those that had no record
  }

  /// Commands that run on record, of sandboxes that ended on record: their owner was killed between the two.
  void end_lost_execs() {
    std::set<std::string> seen;
    store::Store::ExecQuery query;
    query.state = store::Store::ExecState::running;
    query.limit = kRecoveryPage;
    for (;;) {
      const std::vector<model::ExecRecord> page = store_->execs(query);
      for (const model::ExecRecord& exec : page) {
        query.after = exec.id;
        if (!seen.insert(exec.sandbox_id).second) continue;
        const std::optional<SandboxRecord> record = store_->get(exec.sandbox_id);
        if (record && (record->state == State::destroyed || record->state == State::error)) end_execs(*record);
      }
      if (page.size() < query.limit) return;
    }
  }

  void adopt(SandboxRecord record, const providers::Adopted& adopted) {
    const std::shared_ptr<providers::Session>& session = adopted.session;
    const int64_t now = system_clock().wall_ms();
    int64_t left = std::min(record.expires_ms - now, kMaxTtlMs);
    if (adopted.expires_in_ms != INT64_MAX && std::abs(left - adopted.expires_in_ms) > kClockSlackMs) {
      // The wall clock has jumped while nobody looked. The sandbox lasts as long as it was to last.
      left = adopted.expires_in_ms;
      record.expires_ms = now + left;
      store_->update(record, State::running);
    }
    const providers::Usage usage = session->usage();
    {
      const std::lock_guard lock(mutex_);
      sandboxes_[record.id] = {record, session, std::max<int64_t>(0, usage.oom_kills), 0, std::max<int64_t>(0, usage.pids_refused), false};
      deadlines_.emplace(system_clock().monotonic_ms() + left, record.id);
      if (!record.name.empty()) names_[{record.tenant_id, record.name}] = {record.id, record.spec};
      if (take_early_end(record.id)) lost_.push_back(record.id);
    }
    if (options_.detached) session->expire(left);
    audit_system("sandbox.adopt", record.id, "OK", "its former owner has ended");
    announce("reconcile.action", record, [](events::Data& data) { data.text("action", "adopted").text("reason", "its former owner has ended"); });
  }

  void bury(SandboxRecord record, const std::shared_ptr<providers::Session>& session, const std::string& unheard) {
    try {
      if (session) session->destroy(kDestroyTimeoutMs);
    } catch (const Error& error) {  // no reason not to have the others
      leave_to_reaper(std::move(record), session, error);
      return;
    }
    const State from = record.state;
    const bool lost = (options_.detached || !unheard.empty()) && !session && from == State::running;  // it should have lived on
    record.state = next_state(from, Event::recovered).value_or(State::error);
    record.destroyed_ms = system_clock().wall_ms();
    record.reason = lost ? "lost" : "recovered";
    store_->update(record, from);
    const std::string why = !lost ? "its owner was killed" : unheard.empty() ? "it did not outlive its owner" : "it could not be adopted: " + unheard;
    audit_system("sandbox.destroy", record.id, "OK", record.reason + ": " + why);
    end_execs(record);
    announce("reconcile.action", record, [&](events::Data& data) { data.text("action", "destroyed").text("reason", why); });
    announce("sandbox.destroyed", record, [&](events::Data& data) { data.text("reason", record.reason); });
  }

  /// It stays on record as being destroyed until it can be.
  void leave_to_reaper(SandboxRecord record, const std::shared_ptr<providers::Session>& session, const Error& why) {
    const State from = record.state;
    record.state = next_state(from, Event::recovery_stuck).value_or(State::destroying);
    record.reason = "recovered";
    store_->update(record, from);
    audit_system("sandbox.destroy", record.id, code_name(why.code()), record.reason + ": " + why.message());
    options_.log.write(LogLevel::error, "recovery of " + record.id + ": " + why.message());
    const std::lock_guard lock(mutex_);
    if (!record.name.empty()) names_[{record.tenant_id, record.name}] = {record.id, record.spec};
    deadlines_.emplace(system_clock().monotonic_ms(), record.id);
    sandboxes_[record.id] = {record, session, 0, 0, 0, true};
  }

  const Options options_;
  std::unique_ptr<PrivateInstance> private_;
  std::unique_ptr<store::DirectoryLock> lock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<audit::Log> audit_;
  std::unique_ptr<events::Log> events_;
  channel::Reactor reactor_;
  std::unique_ptr<providers::Provider> provider_;

  const int64_t opened_ms_ = system_clock().monotonic_ms();
  std::mutex look_mutex_;  // who looks at the provider. Taken before mutex_
  std::atomic<int64_t> looked_ms_ = 0;  // monotonic
  std::mutex edit_mutex_;  // extend and relabel: each reads a record, writes its row and the record. Taken before mutex_
  std::mutex mutex_;  // guards what follows; never held across a provider or store call
  std::vector<std::thread> reapers_;  // grows until ending_
  std::condition_variable wake_;  // reapers
  std::condition_variable idle_;  // shutdown
  std::condition_variable settled_;  // spawns that wait for another one, or for an end
  bool closed_ = false, ending_ = false, recovering_ = true;
  unsigned spawning_ = 0, ended_ = 0;  // sandboxes being started; ended ones so far
  std::list<std::shared_ptr<providers::Session>> preparing_;
  model::ProviderHealth health_;
  unsigned expiring_ = 0;              // reapers in expire()
  std::unordered_map<std::string, Live> sandboxes_;
  struct Named {
    std::string id, spec;
  };
  std::map<TenantName, Named> names_;       // of live sandboxes, and of spawns under way
  std::map<TenantName, std::string> keys_;  // idempotency keys of spawns under way: the request's fingerprint
  std::set<std::string> to_look_at_;   // what their limits did is to be told
  std::set<std::pair<int64_t, std::string>> deadlines_;  // monotonic
  EndNote lost_;        // ended by themselves, and not recorded yet
  EndNote early_ends_;  // ended before who makes or adopts them was done
  Streams kept_;        // background commands whose end nobody else reads
  Streams to_read_;     // those of them that may have ended
};

}  // namespace

Error beyond(std::string field, int64_t most_ms) {
  std::string most = model::duration_format(most_ms * 1'000'000);
  std::string message = field + ": at most " + most;
  return Error(Code::limit, std::move(message)).with("field", std::move(field)).with("limit", std::move(most));
}

std::unique_ptr<Manager> Manager::open(const Options& options) { return std::make_unique<LocalManager>(options); }

}  // namespace svm::manager
