#include "gate/handlers.hpp"

namespace svm::gate {
namespace {

/// A label's value, between its quotes.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

std::string thousandths(int64_t value) {
  const std::string rest = std::to_string(value % 1000);
  return std::to_string(value / 1000) + '.' + std::string(3 - rest.size(), '0') + rest;
}

class Families {
 public:
  void begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "stacyvm_" + std::string(name);
    out_ += "# HELP " + name_ + ' ' + std::string(help) + "\n# TYPE " + name_ + ' ' + std::string(type) + '\n';
  }
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
  void sample(const std::string& value, Labels labels = {}) {
    out_ += name_;
    char before = '{';
    for (const auto& [name, text] : labels) {
      (out_ += before) += std::string(name) + "=\"" + escaped(text) + '"';
      before = ',';
    }
    if (before == ',') out_ += '}';
    out_ += ' ' + value + '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_, name_;
};

}  // namespace

std::string prometheus_text(const model::SystemMetrics& metrics) {
  Families out;
  out.begin("uptime_seconds", "gauge", "Seconds since the instance was opened.");
  out.sample(thousandths(metrics.uptime_ms));
  out.begin("sandboxes_total", "gauge", "Live sandboxes by state.");
  for (const auto& [state, count] : metrics.sandboxes.by_state) out.sample(std::to_string(count), {{"state", state}});
  out.begin("sandboxes_by_provider_total", "gauge", "Live sandboxes by provider.");
  for (const auto& [provider, count] : metrics.sandboxes.by_provider) out.sample(std::to_string(count), {{"provider", provider}});
  const auto providers = [&](std::string_view name, std::string_view help, auto value) {
    out.begin(name, "gauge", help);
    for (const model::ProviderHealth& p : metrics.providers.items) out.sample(value(p), {{"provider", p.name}, {"default", p.is_default ? "true" : "false"}});
  };
  providers("provider_healthy", "Whether the provider can start sandboxes.", [](const auto& p) { return std::string(p.healthy ? "1" : "0"); });
  providers("provider_health_latency_milliseconds", "How long the last look at the provider took.", [](const auto& p) { return thousandths(p.latency_us); });
  providers("provider_runtime_sandboxes", "Live sandboxes of the provider.", [](const auto& p) { return std::to_string(p.sandboxes); });
  out.begin("events_total", "counter", "Events since the state directory was made.");
  out.sample(std::to_string(metrics.events.total));
  out.begin("event_subscribers", "gauge", "Streams of events.");
  out.sample(std::to_string(metrics.events.subscribers));
  out.begin("event_history_size", "gauge", "Events that are kept.");
  out.sample(std::to_string(metrics.events.kept));
  const auto operations = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    out.begin(name, type, help);
    for (const model::OperationCount& o : metrics.operations) out.sample(value(o), {{"operation", o.operation}, {"provider", o.provider}});
  };
  operations("operation_success_total", "counter", "Operations that went well.", [](const auto& o) { return std::to_string(o.success); });
  operations("operation_failure_total", "counter", "Operations that did not go well.", [](const auto& o) { return std::to_string(o.failure); });
  operations("operation_latency_milliseconds_sum", "counter", "Time of all of them together.", [](const auto& o) { return thousandths(o.total_us); });
  operations("operation_latency_milliseconds_count", "counter", "How many were timed.", [](const auto& o) { return std::to_string(o.success + o.failure); });
  operations("operation_latency_milliseconds_max", "gauge", "Time of the longest.", [](const auto& o) { return thousandths(o.most_us); });
  return out.take();
}

}  // namespace svm::gate
