// Templates: kept under a name, and what a sandbox of one is.
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Sandbox;

namespace {

std::string call(stacyvm::Session& session, const std::string& op, const std::string& name, const std::string& body = {}) {
  return session.call(op, name.empty() ? stacyvm::Pairs{} : stacyvm::Pairs{{"template", name}}, body);
}

/// The sandbox that a template.spawn answered.
Sandbox sandbox_of(stacyvm::Session& session, const std::string& answer) {
  REQUIRE(answer.starts_with("{\"id\":\""));
  return session.sandbox(answer.substr(7, answer.find('"', 7) - 7));
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("a template is made once, replaced, listed, removed, and outlives its instance") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  std::string first;
  {
    stacyvm::Instance vm(options);
    stacyvm::Session session = vm.session();
    CHECK(call(session, "template.list", "") == "[]");
    first = call(session, "template.create", "", R"({"name":"py","image":"host","memory_mb":512,"vcpus":1,"ttl":"30m","provider":"","metadata":{}})");
    CHECK_MESSAGE(has(first, R"("memory_mb":512,)"), first);
    CHECK(has(first, R"("vcpus":1,"cpu_cores":1,)"));
    CHECK(has(first, R"("ttl":"30m0s","ttl_seconds":1800,)"));
    CHECK(code_of([&] { call(session, "template.create", "", R"({"name":"py","image":"host"})"); }) == STACYVM_E_CONFLICT);
    CHECK(code_of([&] { call(session, "template.create", "", R"({"name":"x"})"); }) == STACYVM_E_INVALID);
    CHECK(code_of([&] { call(session, "template.update", "none", R"({"image":"host"})"); }) == STACYVM_E_NOT_FOUND);
    call(session, "template.create", "", R"({"name":"a","image":"host","cpu_cores":2,"ttl_seconds":60})");
  }
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  CHECK(call(session, "template.get", "py") == first);
  const std::string all = call(session, "template.list", "");
  CHECK(all.find(R"("name":"a")") < all.find(R"("name":"py")"));
  const std::string second = call(session, "template.update", "py", R"({"image":"host","description":"new"})");
  CHECK(has(second, R"("version":2,)"));
  CHECK(has(second, R"("memory_mb":1024,)"));  // nothing of the old one is left
  CHECK(call(session, "template.delete", "py") == R"({"status":"deleted"})");
  for (const char* op : {"template.get", "template.delete", "template.spawn"}) {
    CAPTURE(std::string(op));
    CHECK(code_of([&] { call(session, op, "py"); }) == STACYVM_E_NOT_FOUND);
  }
}

TEST_CASE("a sandbox of a template: its image, limits, environment, labels and setup; what the spawn says wins") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  call(session, "template.create", "", R"({"name":"py","image":"host","ttl":"7m","env":{"A":"template","B":"template"},"metadata":{"team":"x"},)"
                                       R"("setup":["echo $A > one","id -u > two; test -f one","cat one >> two"]})");
  Sandbox sandbox = sandbox_of(session, call(session, "template.spawn", "py", R"({"env":{"A":"spawn"}})"));
  CHECK(sh(sandbox, "echo $A $B") == "spawn template\n");
  CHECK(sh(sandbox, "cat two") == "1000\nspawn\n");  // in order, by the default user, where its commands begin
  CHECK(has(sandbox.info(), R"("metadata":{"team":"x","template":"py"})"));
  stacyvm::Spawn spawn = spawn_options();
  spawn.template_name = "py";
  spawn.ttl = std::chrono::minutes(1);
  spawn.labels = {{"team", "y"}};
  Sandbox other = session.spawn(spawn);
  CHECK(sh(other, "cat one") == "template\n");
  CHECK(has(other.info(), R"("metadata":{"team":"y","template":"py"})"));
}

TEST_CASE("a setup command that fails: which one, how, and what it said; nothing is left") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  call(session, "template.create", "", R"({"name":"bad","image":"host","setup":["true","echo 'no such package' >&2; exit 3","touch /tmp/never"]})");
  try {
    call(session, "template.spawn", "bad", R"({"idempotency_key":"k","name":"n"})");
    FAIL("it was spawned");
  } catch (const stacyvm::Error& error) {
    CHECK(error.code() == STACYVM_E_INVALID);
    CHECK(std::string(error.what()) == "template: setup[1] failed: exited 3: no such package");
    CHECK(error.details() == R"({"field":"setup[1]","exit_code":"3"})");
  }
  CHECK(session.call("sandbox.list") == "[]");
  call(session, "template.update", "bad", R"({"image":"host"})");
  CHECK_NOTHROW(call(session, "template.spawn", "bad", R"({"idempotency_key":"k","name":"n"})"));  // both are free again
}

TEST_CASE("nobody has a sandbox before its setup is done; closing does not wait for one") {
  auto vm = std::make_unique<stacyvm::Instance>();
  stacyvm::Session session = vm->session();
  call(session, "template.create", "", R"({"name":"slow","image":"host","setup":["sleep 600"]})");
  stacyvm::Op op = session.call_begin("template.spawn", {{"template", "slow"}}, R"({"name":"n"})");
  REQUIRE(within(10'000, [&] { return has(session.call("sandbox.list"), R"("state":"creating")"); }));
  const std::string id = session.call("sandbox.list").substr(8, 29);
  CHECK(code_of([&] { session.sandbox(id).exec(Exec::sh("true")); }) == STACYVM_E_CONFLICT);
  const auto start = std::chrono::steady_clock::now();
  vm.reset();
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(8));
  CHECK(code_of([&] { op.wait(); }) != STACYVM_OK);
}
