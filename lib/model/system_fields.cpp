// The field lists of what an instance says about itself. Names are those that monitoring of 0.15 reads.
#include "model/common_fields.hpp"
#include "model/json.hpp"
#include "model/system.hpp"

namespace svm::model {
namespace {

/// Microseconds as the nearest whole number of milliseconds: clients of 0.15 read integers. Prometheus gets the fractions.
std::string milliseconds(int64_t us) { return std::to_string((us + 500) / 1000); }
template <class T, auto Member>
std::string milliseconds_of(const void* object) { return milliseconds(static_cast<const T*>(object)->*Member); }

std::string count_of(const void* object) {
  const auto& count = *static_cast<const OperationCount*>(object);
  return std::to_string(count.success + count.failure);
}
std::string average_of(const void* object) {
  const auto& count = *static_cast<const OperationCount*>(object);
  const auto times = static_cast<int64_t>(count.success + count.failure);
  return milliseconds(times == 0 ? 0 : count.total_us / times);
}
std::string observed_of(const void* object) { return std::to_string(static_cast<const OperationCount*>(object)->observed_ms / 1000); }

template <auto Member>
std::string counts_of(const void* object) {
  std::string out = "{";
  for (const auto& [name, count] : static_cast<const SandboxCounts*>(object)->*Member) {
    if (out.size() > 1) out += ',';
    json_append_string(out, name);
    out += ':' + std::to_string(count);
  }
  return out + '}';
}

constexpr Field kProviderHealthFields[] = {
    field<K::text, &ProviderHealth::name>("name", "The provider.").written(),
    field<K::flag, &ProviderHealth::healthy>("healthy", "Whether it can start sandboxes.").written(),
    field<K::flag, &ProviderHealth::is_default>("default", "Whether it serves spawns that do not say.").written(),
    derived("latency_ms", "integer", &milliseconds_of<ProviderHealth, &ProviderHealth::latency_us>, "How long the look at it took, in milliseconds."),
    field<K::time_ms, &ProviderHealth::checked_ms>("last_checked", "When it was looked at.").written(),
    field<K::text, &ProviderHealth::error>("error", "Why it is not healthy."),
    field<K::list, &ProviderHealth::capabilities>("capabilities", "What its sandboxes can do.").items(kMaxEntries).written(),
    field<K::integer, &ProviderHealth::sandboxes>("runtime_count", "Its live sandboxes.").written(),
};
constexpr Field kProviderListFields[] = {field<K::objects, &ProviderList::items>("", "Providers.").items(kMaxEntries).written()};
constexpr Field kProviderIdFields[] = {field<K::text, &ProviderIdRequest::name>("name", "The provider's name.").size(1, kMaxNameBytes).as(Format::label).required()};

constexpr auto kHealth = &ProviderInfo::health;
constexpr Field kProviderInfoFields[] = {
    field<K::text, kHealth, &ProviderHealth::name>("name", "The provider.").written(),
    field<K::flag, kHealth, &ProviderHealth::healthy>("healthy", "Whether it can start sandboxes.").written(),
    field<K::flag, kHealth, &ProviderHealth::is_default>("default", "Whether it serves spawns that do not say.").written(),
    field<K::integer, kHealth, &ProviderHealth::sandboxes>("sandbox_count", "Its live sandboxes.").written(),
    field<K::object, kHealth>("health", "As in the list.").written(),
    field<K::map, &ProviderInfo::config>("config", "How it is set up.").items(kMaxEntries).keys(kMaxNameBytes, Format::line).written(),
};

std::string tested(const void* object) {
  std::string out = "{";
  for (const ProviderHealth& provider : static_cast<const ProviderTest*>(object)->items) {
    if (out.size() > 1) out += ',';
    json_append_string(out, provider.name);
    out += provider.healthy ? ":true" : ":false";
  }
  return out + '}';
}
constexpr Field kProviderTestFields[] = {derived("", "object", &tested, "Of each provider whether it is healthy.")};

constexpr Field kQuotaSummaryFields[] = {
    field<K::integer, &QuotaSummary::total>("total", "Owners with a quota of their own.").written(),
    field<K::integer, &QuotaSummary::with_max_sandboxes>("with_max_sandboxes", "Those of them with a limit of sandboxes.").written(),
    field<K::integer, &QuotaSummary::with_max_ttl>("with_max_ttl", "Those with a limit of the life time.").written(),
    field<K::integer, &QuotaSummary::with_max_exec_timeout>("with_max_exec_timeout", "Those with a limit of the timeout.").written(),
};
constexpr Field kPoolStatusFields[] = {field<K::flag, &PoolStatus::enabled>("enabled", "Whether sandboxes are started in advance.").written()};

constexpr Field kHealthFields[] = {
    field<K::text, &SystemHealth::status>("status", "ok; of system.live: alive.").written(),
    field<K::text, &SystemHealth::version>("version", "The library's.").written(),
    field<K::duration_ms, &SystemHealth::uptime_ms>("uptime", "Since the instance was opened.").written(),
};
std::string total_providers(const void* object) { return std::to_string(static_cast<const SystemReady*>(object)->providers.size()); }
constexpr Field kReadyFields[] = {
    field<K::text, &SystemReady::status>("status", "ready, or not_ready: no provider is healthy.").written(),
    field<K::text, &SystemReady::version>("version", "The library's.").written(),
    field<K::duration_ms, &SystemReady::uptime_ms>("uptime", "Since the instance was opened.").written(),
    field<K::objects, &SystemReady::providers>("providers", "Providers.").items(kMaxEntries).written(),
    field<K::integer, &SystemReady::ready_providers>("ready_providers", "Those that are healthy.").written(),
    derived("total_providers", "integer", &total_providers, "All of them."),
};

constexpr Field kSandboxCountsFields[] = {
    field<K::integer, &SandboxCounts::total>("total", "Live ones.").written(),
    field<K::integer, &SandboxCounts::running>("active", "Those that run.").written(),
    derived("by_state", "object", &counts_of<&SandboxCounts::by_state>, "How many are in which state."),
    derived("by_provider", "object", &counts_of<&SandboxCounts::by_provider>, "How many are of which provider."),
};
constexpr Field kEventCountsFields[] = {
    field<K::integer, &EventCounts::subscribers>("subscribers", "Streams of events.").written(),
    field<K::integer, &EventCounts::kept>("history_size", "Events that are kept.").written(),
    field<K::integer, &EventCounts::total>("events_total", "Events since the state directory was made.").written(),
};
constexpr Field kProviderCountsFields[] = {
    field<K::integer, &ProviderCounts::total>("total", "All of them.").written(),
    field<K::integer, &ProviderCounts::healthy>("healthy", "Those that are healthy.").written(),
    field<K::objects, &ProviderCounts::items>("items", "Each of them.").items(kMaxEntries).written(),
};
constexpr Field kOperationFields[] = {
    field<K::text, &OperationCount::operation>("operation", "What was asked for.").written(),
    field<K::text, &OperationCount::provider>("provider", "Of which provider.").written(),
    field<K::integer, &OperationCount::success>("success_total", "How often it went well.").written(),
    field<K::integer, &OperationCount::failure>("failure_total", "How often it did not.").written(),
    derived("latency_count", "integer", &count_of, "How often it was timed."),
    derived("latency_total_ms", "integer", &milliseconds_of<OperationCount, &OperationCount::total_us>, "Milliseconds of all of them together."),
    derived("latency_min_ms", "integer", &milliseconds_of<OperationCount, &OperationCount::least_us>, "Of the shortest."),
    derived("latency_max_ms", "integer", &milliseconds_of<OperationCount, &OperationCount::most_us>, "Of the longest."),
    derived("latency_avg_ms", "integer", &average_of, "On average."),
    field<K::text, &OperationCount::last_error>("last_error", "The code of the last that did not go well."),
    derived("last_observed_unix", "integer", &observed_of, "When the last one ended, in seconds since 1970."),
};
constexpr Field kMetricsFields[] = {
    field<K::duration_ms, &SystemMetrics::uptime_ms>("uptime", "Since the instance was opened.").written(),
    field<K::object, &SystemMetrics::sandboxes>("sandboxes", "Sandboxes.").written(),
    field<K::object, &SystemMetrics::providers>("providers", "Providers.").written(),
    field<K::object, &SystemMetrics::events>("events", "Events.").written(),
    field<K::objects, &SystemMetrics::operations>("operations", "Operations that were asked for since the instance was opened.").items(kMaxEntries).written(),
};
constexpr Field kTextFields[] = {field<K::text, &Text::text>("", "Text.").written()};

}  // namespace

SVM_FIELDS(ProviderHealth, kProviderHealthFields, false)
SVM_FIELDS(ProviderList, kProviderListFields, true)
SVM_FIELDS(ProviderIdRequest, kProviderIdFields, false)
SVM_FIELDS(ProviderInfo, kProviderInfoFields, false)
SVM_FIELDS(ProviderTest, kProviderTestFields, true)
SVM_FIELDS(QuotaSummary, kQuotaSummaryFields, false)
SVM_FIELDS(PoolStatus, kPoolStatusFields, false)
SVM_FIELDS(SystemHealth, kHealthFields, false)
SVM_FIELDS(SystemReady, kReadyFields, false)
SVM_FIELDS(SandboxCounts, kSandboxCountsFields, false)
SVM_FIELDS(EventCounts, kEventCountsFields, false)
SVM_FIELDS(ProviderCounts, kProviderCountsFields, false)
SVM_FIELDS(OperationCount, kOperationFields, false)
SVM_FIELDS(SystemMetrics, kMetricsFields, false)
SVM_FIELDS(Text, kTextFields, true)

}  // namespace svm::model
