// What an instance says about itself.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/requests.hpp"

namespace svm::model {

/// What came of the last look at a provider.
struct ProviderHealth {
  std::string name;
  bool healthy = false, is_default = false;
  int64_t latency_us = 0;   // how long the look took
  int64_t checked_ms = 0;   // wall clock
  std::string error;        // why it is not healthy
  std::vector<std::string> capabilities;
  uint32_t sandboxes = 0;   // of it, live ones
};
struct ProviderList { std::vector<ProviderHealth> items; };
struct ProviderIdRequest { std::string name; };
struct ProviderInfo {
  ProviderHealth health;
  StringMap config;
};
struct ProviderTest { std::vector<ProviderHealth> items; };

struct QuotaSummary { uint32_t total = 0, with_max_sandboxes = 0, with_max_ttl = 0, with_max_exec_timeout = 0; };
struct PoolStatus { bool enabled = false; };

struct SystemHealth {
  std::string status, version;  // ok, alive
  int64_t uptime_ms = 0;
};
struct SystemReady {
  std::string status, version;  // ready, not_ready
  int64_t uptime_ms = 0;
  std::vector<ProviderHealth> providers;
  uint32_t ready_providers = 0;
};

struct SandboxCounts {
  std::vector<std::pair<std::string, uint32_t>> by_state, by_provider;
  uint32_t total = 0, running = 0;  // live ones
};
struct EventCounts { uint32_t subscribers = 0; int64_t kept = 0, total = 0; };
struct ProviderCounts {
  uint32_t total = 0, healthy = 0;
  std::vector<ProviderHealth> items;
};
/// Of one operation, since the instance was opened.
struct OperationCount {
  std::string operation, provider;
  uint64_t success = 0, failure = 0;
  int64_t total_us = 0, least_us = 0, most_us = 0;
  std::string last_error;       // the code's word
  int64_t observed_ms = 0;      // wall clock, of the last one
};
struct SystemMetrics {
  int64_t uptime_ms = 0;
  SandboxCounts sandboxes;
  ProviderCounts providers;
  EventCounts events;
  std::vector<OperationCount> operations;
};
/// An answer that is no JSON.
struct Text { std::string text; };

}  // namespace svm::model
