#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "gate/handlers.hpp"

namespace svm::gate {
namespace {

/// What clients of 0.15 call it: "spawn", "exec", "file_write". Of the others, the operation's name.
std::string metric_name(std::string_view operation) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"sandbox.spawn", "spawn"}, {"sandbox.destroy", "destroy"}, {"exec.run", "exec"}, {"exec.start", "exec_stream"}, {"file.remove", "file_delete"}};
  for (const auto& [ours, theirs] : kNames)
    if (ours == operation) return std::string(theirs);
  std::string name(operation);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

template <class... O>
constexpr std::array<std::string_view, sizeof...(O)> names_of(std::tuple<O...>*) { return {O::row.name...}; }

std::vector<model::OperationCount> counts(const Meters& meters) {
  static constexpr auto kNames = names_of(static_cast<ops::All*>(nullptr));
  std::vector<model::OperationCount> all;
  for (size_t i = 0; i < kNames.size(); ++i) {
    const Meters::Meter meter = meters.read(i);
    if (meter.success + meter.failure == 0) continue;
    model::OperationCount count{metric_name(kNames[i]), "native", meter.success, meter.failure, meter.total_us, meter.least_us, meter.most_us, "", meter.observed_ms};
    if (meter.failure > 0) count.last_error = code_name(meter.last_failure);
    all.push_back(std::move(count));
  }
  return all;
}

uint32_t healthy(const std::vector<model::ProviderHealth>& providers) {
  return static_cast<uint32_t>(std::count_if(providers.begin(), providers.end(), [](const model::ProviderHealth& p) { return p.healthy; }));
}

model::SystemMetrics metrics_of(const Act& act) {
  model::SystemMetrics metrics;
  metrics.uptime_ms = act.manager.uptime_ms();
  metrics.sandboxes = act.manager.counts();
  metrics.providers.items = act.manager.providers(false);
  metrics.providers.total = static_cast<uint32_t>(metrics.providers.items.size());
  metrics.providers.healthy = healthy(metrics.providers.items);
  metrics.events = act.manager.events().counts();
  metrics.operations = counts(act.meters);
  return metrics;
}

}  // namespace

#define SVM_NOTHING_TO_RESOLVE(O) \
  NoPlan Handler<ops::O>::resolve(Act&, model::EmptyRequest&) { return {}; }
SVM_NOTHING_TO_RESOLVE(ProviderList)
SVM_NOTHING_TO_RESOLVE(ProviderTest)
SVM_NOTHING_TO_RESOLVE(QuotaSummary)
SVM_NOTHING_TO_RESOLVE(PoolStatus)
SVM_NOTHING_TO_RESOLVE(SystemHealth)
SVM_NOTHING_TO_RESOLVE(SystemLive)
SVM_NOTHING_TO_RESOLVE(SystemReady)
SVM_NOTHING_TO_RESOLVE(SystemMetrics)
SVM_NOTHING_TO_RESOLVE(SystemPrometheus)
#undef SVM_NOTHING_TO_RESOLVE

model::ProviderList Handler<ops::ProviderList>::run(Act& act, model::EmptyRequest&, NoPlan&) { return {act.manager.providers(false)}; }

NoPlan Handler<ops::ProviderGet>::resolve(Act&, model::ProviderIdRequest&) { return {}; }
model::ProviderInfo Handler<ops::ProviderGet>::run(Act& act, model::ProviderIdRequest& request, NoPlan&) {
  for (model::ProviderHealth& provider : act.manager.providers(false))
    if (provider.name == request.name) return {std::move(provider), act.manager.provider_config(request.name)};
  throw Error(Code::not_found, "provider not found: " + request.name).with("field", "name");
}

model::ProviderTest Handler<ops::ProviderTest>::run(Act& act, model::EmptyRequest&, NoPlan&) { return {act.manager.providers(true)}; }

// No owner has limits of his own in this release, and nothing is started in advance.
model::QuotaSummary Handler<ops::QuotaSummary>::run(Act&, model::EmptyRequest&, NoPlan&) { return {}; }
model::PoolStatus Handler<ops::PoolStatus>::run(Act&, model::EmptyRequest&, NoPlan&) { return {}; }

model::SystemHealth Handler<ops::SystemHealth>::run(Act& act, model::EmptyRequest&, NoPlan&) { return {"ok", act.manager.version(), act.manager.uptime_ms()}; }
model::SystemHealth Handler<ops::SystemLive>::run(Act& act, model::EmptyRequest&, NoPlan&) { return {"alive", act.manager.version(), act.manager.uptime_ms()}; }
model::SystemReady Handler<ops::SystemReady>::run(Act& act, model::EmptyRequest&, NoPlan&) {
  model::SystemReady ready;
  ready.providers = act.manager.providers(false);
  ready.ready_providers = healthy(ready.providers);
  ready.status = ready.ready_providers > 0 ? "ready" : "not_ready";
  ready.version = act.manager.version();
  ready.uptime_ms = act.manager.uptime_ms();
  return ready;
}

model::SystemMetrics Handler<ops::SystemMetrics>::run(Act& act, model::EmptyRequest&, NoPlan&) { return metrics_of(act); }
model::Text Handler<ops::SystemPrometheus>::run(Act& act, model::EmptyRequest&, NoPlan&) { return {prometheus_text(metrics_of(act))}; }

}  // namespace svm::gate
