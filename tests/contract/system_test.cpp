// What an instance says of itself, while it works.
#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec;

namespace {
bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }
}  // namespace

TEST_CASE("an instance is ready, healthy and counts what it does; nothing of the host's paths is told") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  stacyvm::Instance vm(options);
  stacyvm::SessionOptions who;
  who.flags = STACYVM_SESSION_REMOTE;
  stacyvm::Session session = vm.session(who);
  CHECK(has(session.call("system.health"), "{\"status\":\"ok\",\"version\":\"" + stacyvm::version() + "\",\"uptime\":\""));
  CHECK(has(session.call("system.live"), R"({"status":"alive",)"));
  CHECK(has(session.call("system.ready"), R"("ready_providers":1,"total_providers":1})"));
  CHECK(session.call("provider.test") == R"({"native":true})");
  stacyvm::Stream events = session.events(-1);
  stacyvm::Sandbox sandbox = session.spawn(spawn_options());
  sandbox.exec(Exec::sh("true"));
  sandbox.exec(Exec::sh("exit 3"));  // a success of the call
  CHECK(code_of([&] { sandbox.exec(Exec::program({"/none"})); }) == STACYVM_E_FILE_NOT_FOUND);
  const std::string metrics = session.call("system.metrics");
  CHECK_MESSAGE(has(metrics, R"("sandboxes":{"total":1,"active":1,"by_state":{"running":1},"by_provider":{"native":1}})"), metrics);
  CHECK(has(metrics, R"({"operation":"exec","provider":"native","success_total":2,"failure_total":1,"latency_count":3,)"));
  CHECK(has(metrics, R"("last_error":"FILE_NOT_FOUND")"));
  CHECK(has(metrics, R"("events":{"subscribers":1,)"));
  const std::string text = session.call("system.prometheus");
  CHECK(has(text, "\nstacyvm_operation_success_total{operation=\"exec\",provider=\"native\"} 2\n"));
  CHECK(has(text, "\nstacyvm_sandboxes_total{state=\"running\"} 1\n"));
  for (const char* op : {"provider.list", "provider.get", "system.ready", "system.metrics", "system.prometheus"}) {
    const std::string answer = session.call(op, std::string(op) == "provider.get" ? stacyvm::Pairs{{"name", "native"}} : stacyvm::Pairs{});
    CHECK_FALSE(has(answer, directory.path()));
  }
  CHECK(has(session.call("provider.get", {{"name", "native"}}), R"("sandbox_count":1,"health":{"name":"native","healthy":true,)"));
  sandbox.destroy();
  CHECK(has(session.call("system.metrics"), R"("sandboxes":{"total":0,"active":0,)"));
}

TEST_CASE("an instance that may only look is alive, and not ready") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  stacyvm::Instance(options).shutdown(std::chrono::milliseconds(10'000));
  options.flags = STACYVM_OPEN_READ_ONLY;
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  CHECK(has(session.call("system.live"), R"({"status":"alive",)"));
  CHECK(has(session.call("system.ready"), R"("providers":[],"ready_providers":0,"total_providers":0})"));
  CHECK(session.call("provider.list") == "[]");
  CHECK(has(session.call("system.metrics"), R"("providers":{"total":0,"healthy":0,"items":[]})"));
}
