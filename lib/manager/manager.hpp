// Sandboxes as a set: lifecycle, reservations, deadlines, recovery. Reached only through the gate.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "audit/log.hpp"
#include "core/log.hpp"
#include "model/limits.hpp"
#include "model/records.hpp"
#include "providers/provider.hpp"
#include "store/store.hpp"

namespace svm::manager {

// Limits of an instance; those of one sandbox are in model/limits.hpp. Each has a test at the limit and beyond.
using model::kDefaultTtlMs, model::kMaxTtlMs, model::kMinTtlMs;
using model::kDefaultMemoryBytes, model::kDefaultDiskBytes, model::kDefaultMilliCpus, model::kDefaultPids;
inline constexpr uint32_t kMaxSandboxes = 10'000;      // live in one instance
inline constexpr int64_t kSpawnTimeoutMs = 30'000;
inline constexpr int64_t kDestroyTimeoutMs = 10'000;

struct Options {
  std::string state_directory;  // "": in memory
  bool read_only = false;
  bool best_effort = false;
  audit::Durability durability = audit::Durability::interval;
  Log log;
};

/// A spawn with every default filled in.
struct ResolvedSpawn {
  model::SandboxRecord record;  // id, limits, profile, user, expiry ... ; state creating
  providers::LaunchSpec launch;
};

/// Thread-safe; no lock is held across a provider call. Functions throw Error.
class Manager {
 public:
  virtual ~Manager() = default;  // destroys every sandbox (the instance is not detached), flushes the audit log
  /// Opens the state directory, starts the reactor and the native launcher, recovers (whatever a killed owner left is destroyed and
  /// recorded as "recovered").
  static std::unique_ptr<Manager> open(const Options& options);

  virtual audit::Log& audit() noexcept = 0;
  /// Fills defaults, resolves the image, chooses the provider. Nothing is reserved.
  virtual ResolvedSpawn resolve(const model::SpawnRequest& request, const model::Identity& caller) = 0;
  /// Writes the record (the reservation), starts the sandbox, returns its running record.
  virtual model::SandboxRecord spawn(ResolvedSpawn spawn) = 0;
  /// The record of a live sandbox the caller may see; Error not_found otherwise (also for destroyed ones).
  virtual model::SandboxRecord get(std::string_view id) = 0;
  virtual std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) = 0;
  virtual model::SandboxRecord extend(std::string_view id, int64_t ttl_ms) = 0;
  /// Destroys and waits until it is gone. Unknown or already destroyed: Error not_found.
  virtual void destroy(std::string_view id, std::string_view reason) = 0;
  /// The session of a running sandbox. Error not_found as get(); Error conflict while it is being made or destroyed.
  virtual std::shared_ptr<providers::Session> session(std::string_view id) = 0;
  /// Refuses new work (Error closed) and destroys everything within the time. Idempotent.
  virtual void shutdown(int64_t timeout_ms) = 0;
};

}  // namespace svm::manager
