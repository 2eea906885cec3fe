// Sandboxes as a set: lifecycle, reservations, deadlines, recovery. Reached only through the gate.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "events/log.hpp"
#include "model/limits.hpp"
#include "model/records.hpp"
#include "model/settings.hpp"
#include "model/system.hpp"
#include "model/templates.hpp"
#include "providers/provider.hpp"
#include "store/store.hpp"

namespace svm::manager {

// Limits of an instance; those of one sandbox are in model/limits.hpp. Each has a test at the limit and beyond.
using model::kMaxTtlMs, model::kMinTtlMs;
inline constexpr int64_t kSpawnTimeoutMs = 30'000;
inline constexpr int64_t kDestroyTimeoutMs = 10'000;
inline constexpr int64_t kHealthMaxAgeMs = 5'000;

/// What those who may not know paths of the host see in the place of one.
inline constexpr std::string_view kHiddenPath = "(host path)";

struct Options {
  std::string state_directory;  // "": in memory
  bool read_only = false;
  bool best_effort = false;
  bool detached = false;  // sandboxes outlive this process; needs a state directory
  audit::Durability durability = audit::Durability::interval;
  model::Settings settings;
  std::string version;  // that the instance says it is of
  Log log;
};

/// Why a sandbox could not be started, as events may say it, which callers read that may not know paths of the host.
constexpr std::string_view told_to_all(std::string_view why) noexcept { return why.find('/') == why.npos ? why : "it could not be started"; }

/// Error limit: the field may be at most so long.
Error beyond(std::string field, int64_t most_ms);

/// A spawn with every default filled in.
struct ResolvedSpawn {
  model::SandboxRecord record;  // id, limits, profile, user, expiry ... ; state creating
  providers::LaunchSpec launch;
  bool get_or_create = false;
  std::string idempotency_key, request;  // and the fingerprint of what was asked
  // Called with the sandbox before anybody else has it; where it throws the spawn fails, and nothing is left.
  std::function<void(providers::Session&)> prepare;
};

/// Thread-safe; no lock is held across a provider call. Functions throw Error.
class Manager {
 public:
  virtual ~Manager() = default;  // as leave(), flushes the audit log
  /// Opens the state directory, starts the reactor and the native launcher, recovers: sandboxes that a detached owner left running are adopted, whatever
  /// else one that was killed left is destroyed and recorded as "recovered", or "lost" where it should have lived on. Where it throws, the next
  /// one to open a detached instance finds what ran.
  static std::unique_ptr<Manager> open(const Options& options);

  virtual audit::Log& audit() noexcept = 0;
  virtual events::Log& events() noexcept = 0;
  /// What drives the sandboxes' channels; lives as long as the manager.
  virtual channel::Reactor& reactor() noexcept = 0;
  virtual const model::Settings& settings() const noexcept = 0;
  /// Fills defaults, resolves the image, chooses the provider. Nothing is reserved. `host_path`: the image may be one.
  virtual ResolvedSpawn resolve(const model::SpawnRequest& request, const model::Identity& caller, bool host_path) = 0;
  /// Whether it would be let in now. Error not_found as resolve() for the provider; the image is not looked at.
  virtual model::Admission admission(const model::SpawnRequest& request, const model::Identity& caller) = 0;
  /// Writes the record (the reservation), starts the sandbox, returns its running record. A record with another id than the spawn's is that
  /// of a sandbox which is there already: the one that the idempotency key stands for (in whatever state it is now), or with get_or_create
  /// the live one of that name and spec. One that is being started or destroyed is waited for.
  virtual model::SandboxRecord spawn(ResolvedSpawn spawn) = 0;
  /// The record of a live sandbox the caller may see; Error not_found otherwise (also for destroyed ones).
  virtual model::SandboxRecord get(std::string_view id) = 0;
  /// The same by its name among the tenant's.
  /// A command of it did not end well: what its limits did meanwhile becomes events, soon. `told`: processes killed for want of memory of
  /// which the caller told itself. Any thread, does not block.
  virtual void look_at_limits(std::string_view id, int64_t told) = 0;
  virtual model::SandboxRecord get_named(std::string_view tenant, std::string_view name) = 0;
  virtual std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) = 0;
  /// The history of commands, up to this moment.
  virtual std::vector<model::ExecRecord> execs(const store::Store::ExecQuery& query) = 0;
  virtual std::optional<model::ExecRecord> exec(std::string_view id) = 0;
  /// Error limit beyond the settings' max_ttl.
  virtual model::SandboxRecord extend(std::string_view id, int64_t ttl_ms) = 0;
  /// What a running sandbox uses now.
  virtual model::SandboxStats stats(std::string_view id) = 0;
  /// Replaces the labels of a running sandbox.
  virtual model::SandboxRecord relabel(std::string_view id, model::StringMap metadata) = 0;
  /// Destroys and waits until it is gone. Unknown or already destroyed: Error not_found. keep_ms: how long its record stays at least.
  virtual void destroy(std::string_view id, std::string_view reason, int64_t keep_ms = 0) = 0;
  /// Forgets sandboxes of the tenant ("": of all) that ended at least so long ago, but for those that are to be kept or that an idempotency
  /// key still stands for; returns how many.
  virtual uint32_t prune(std::string_view tenant, int64_t older_than_ms) = 0;
  virtual const std::string& version() const noexcept = 0;
  virtual int64_t uptime_ms() const noexcept = 0;
  virtual model::SandboxCounts counts() = 0;
  /// As of at most kHealthMaxAgeMs ago; `now`: looked at for this call. One caller at a time looks, the others get what was seen before.
  virtual std::vector<model::ProviderHealth> providers(bool now) = 0;
  virtual model::StringMap provider_config(std::string_view name) = 0;
  /// The tenant's templates. Error conflict when there is one of the name already; not_found, the same for each, when there is none.
  virtual model::TemplateRecord create_template(std::string_view tenant, model::Template body) = 0;
  virtual model::TemplateRecord update_template(std::string_view tenant, model::Template body) = 0;
  virtual void delete_template(std::string_view tenant, std::string_view name) = 0;
  virtual model::TemplateRecord get_template(std::string_view tenant, std::string_view name) = 0;
  virtual std::vector<model::TemplateRecord> templates(std::string_view tenant) = 0;
  /// The session of a running sandbox. Error not_found as get(); Error conflict while it is being made or destroyed.
  virtual std::shared_ptr<providers::Session> session(std::string_view id) = 0;
  /// Keeps a stream that nobody reads, until its end, and reads that end. Throws nothing but bad_alloc.
  virtual void keep(std::shared_ptr<channel::Stream> stream) = 0;
  /// Refuses new work (Error closed) and destroys everything within the time. Idempotent.
  virtual void shutdown(int64_t timeout_ms) = 0;
  /// shutdown(), but of a detached instance the sandboxes run on.
  virtual void leave(int64_t timeout_ms) = 0;
};

}  // namespace svm::manager
