// What the instance says of itself: the answers' shapes, and that calls are counted.
#include "fakes.hpp"
#include "gate/handlers.hpp"
#include "model/json.hpp"

using namespace svm;
using namespace svm::test;

namespace {
std::string call(Rig& rig, std::string_view operation, const gate::Pairs& pairs = {}, std::string_view body = "") { return rig.gate.call(rig.caller, operation, pairs, body); }
constexpr const char* kNative =
    R"({"name":"native","healthy":true,"default":true,"latency_ms":2,"last_checked":"1970-01-01T00:00:04Z","capabilities":["spawn","exec"],"runtime_count":3})";
}  // namespace

TEST_CASE("system: health, life, readiness") {
  Rig rig;
  CHECK(call(rig, "system.health") == R"({"status":"ok","version":"1.2.3","uptime":"1m1s"})");
  CHECK(call(rig, "system.live") == R"({"status":"alive","version":"1.2.3","uptime":"1m1s"})");
  CHECK(call(rig, "system.ready") ==
        R"({"status":"ready","version":"1.2.3","uptime":"1m1s","providers":[)" + std::string(kNative) + R"(],"ready_providers":1,"total_providers":1})");
  rig.manager.healthy = false;
  const std::string answer = call(rig, "system.ready");
  CHECK(answer.starts_with(R"({"status":"not_ready",)"));
  CHECK(answer.find(R"("error":"broken")") != answer.npos);
  CHECK(answer.ends_with(R"("ready_providers":0,"total_providers":1})"));
  CHECK(rig.rows().empty());  // what is asked each second is not audited
}

TEST_CASE("system: providers, from what was seen last; a test looks") {
  Rig rig;
  const auto looked = [&] { return std::count(rig.manager.journal.begin(), rig.manager.journal.end(), "manager look"); };
  CHECK(call(rig, "provider.list") == '[' + std::string(kNative) + ']');
  CHECK(call(rig, "provider.get", {{"name", "native"}}) ==
        R"({"name":"native","healthy":true,"default":true,"sandbox_count":3,"health":)" + std::string(kNative) + R"(,"config":{"type":"native"}})");
  CHECK(looked() == 0);
  CHECK(call(rig, "provider.test") == R"({"native":true})");
  CHECK(looked() == 1);
  const auto error = error_of([&] { call(rig, "provider.get", {{"name", "docker"}}); });
  REQUIRE(error);
  CHECK((error->code() == Code::not_found && fact(*error, "field") == "name"));
}

TEST_CASE("system: quotas and pool have exactly the members that clients know") {
  Rig rig;
  CHECK(call(rig, "quota.summary") == R"({"total":0,"with_max_sandboxes":0,"with_max_ttl":0,"with_max_exec_timeout":0})");
  CHECK(call(rig, "pool.status") == R"({"enabled":false})");
}

TEST_CASE("system: calls are counted by how they went; what was refused before it was looked at is not") {
  Rig rig;
  call(rig, "exec.run", {{"id", kId}}, R"({"command":"true"})");
  call(rig, "exec.run", {{"id", kId}}, R"({"command":"true"})");
  rig.manager.fault = [](std::string_view what) {
    if (what == "spawn" || what == "resolve") throw Error(Code::limit, "full");
  };
  CHECK(code_of([&] { call(rig, "sandbox.spawn"); }) == Code::limit);
  rig.manager.fault = nullptr;
  CHECK(code_of([&] { call(rig, "file.write", {{"id", kId}}, "{"); }) == Code::invalid);  // undecodable
  const std::string json = call(rig, "system.metrics");
  const model::Json metrics = model::json_parse(json, "metrics");
  CHECK(metrics.names == std::vector<std::string>{"uptime", "sandboxes", "providers", "events", "operations"});
  CHECK(json.find(R"("sandboxes":{"total":3,"active":2,"by_state":{"running":2,"creating":1},"by_provider":{"native":3}})") != json.npos);
  CHECK(json.find(R"("events":{"subscribers":1,"history_size":2,"events_total":3})") != json.npos);
  CHECK(json.find(R"({"operation":"exec","provider":"native","success_total":2,"failure_total":0,"latency_count":2,)") != json.npos);
  CHECK(json.find(R"({"operation":"spawn","provider":"native","success_total":0,"failure_total":1,"latency_count":1,)") != json.npos);
  CHECK(json.find(R"("last_error":"RESOURCE_LIMIT")") != json.npos);
  CHECK(json.find("file_write") == json.npos);
}

TEST_CASE("system: a meter's numbers") {
  gate::Meters meters(2);
  meters.count(1, Code::ok, 300);
  meters.count(1, Code::timeout, 100);
  meters.count(1, Code::ok, 200);
  const auto meter = meters.read(1);
  CHECK((meter.success == 2 && meter.failure == 1 && meter.total_us == 600 && meter.least_us == 100 && meter.most_us == 300 && meter.last_failure == Code::timeout));
  CHECK(meter.observed_ms > 0);
  CHECK((meters.read(0).success == 0 && meters.read(0).observed_ms == 0));
}

TEST_CASE("system: the text for Prometheus: a family's samples together, counters as counters, labels escaped") {
  model::SystemMetrics metrics;
  metrics.uptime_ms = 1500;
  metrics.sandboxes.by_state = {{"running", 2}};
  metrics.providers.items = {{"a\"b\\c\nd", false, true, 2500, 0, "", {}, 7}};
  metrics.events = {1, 2, 3};
  metrics.operations = {{"exec", "native", 5, 1, 12'345, 1, 9'000, "", 0}, {"spawn", "native", 1, 0, 4'000, 4'000, 4'000, "", 0}};
  const std::string text = gate::prometheus_text(metrics);
  for (const char* line : {"# TYPE stacyvm_uptime_seconds gauge\nstacyvm_uptime_seconds 1.500\n", "stacyvm_sandboxes_total{state=\"running\"} 2\n",
                           "stacyvm_provider_healthy{provider=\"a\\\"b\\\\c\\nd\",default=\"true\"} 0\n", "# TYPE stacyvm_events_total counter\nstacyvm_events_total 3\n",
                           "# TYPE stacyvm_operation_success_total counter\nstacyvm_operation_success_total{operation=\"exec\",provider=\"native\"} 5\n"
                           "stacyvm_operation_success_total{operation=\"spawn\",provider=\"native\"} 1\n",
                           "stacyvm_operation_failure_total{operation=\"exec\",provider=\"native\"} 1\n",
                           "stacyvm_operation_latency_milliseconds_sum{operation=\"exec\",provider=\"native\"} 12.345\n",
                           "stacyvm_operation_latency_milliseconds_count{operation=\"exec\",provider=\"native\"} 6\n",
                           "stacyvm_operation_latency_milliseconds_max{operation=\"exec\",provider=\"native\"} 9.000\n"})
    CHECK_MESSAGE(text.find(line) != text.npos, line, "\n", text);
  CHECK(text.ends_with('\n'));
  Rig rig;
  CHECK(call(rig, "system.prometheus").starts_with("# HELP stacyvm_uptime_seconds "));
  CHECK(gate::describe_operations().find(R"("media":"text/plain; version=0.0.4; charset=utf-8")") != std::string::npos);
}
