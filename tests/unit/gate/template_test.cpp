// Templates: what a spawn makes of one, and what its setup commands come to.
#include "fakes.hpp"
#include "gate/handlers.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::test;

namespace {

model::Template shape() {
  model::Template body;
  body.name = "t";
  body.image = "py";
  body.memory_bytes = 64u << 20;
  body.disk_bytes = 32u << 20;
  body.milli_cpus = 500;
  body.pids = 20;
  body.ttl_ms = 60'000;
  body.env = {{"A", "template"}, {"B", "template"}};
  body.metadata = {{"a", "template"}, {"b", "template"}};
  return body;
}

/// A session whose commands end so, one after another; what there is no script for ends with 0.
struct Scripted final : providers::Session {
  struct End {
    protocol::ExecReason reason;
    int32_t exit_code;
    std::string err;
  };
  std::vector<End> ends;
  std::vector<protocol::ExecRequest> ran;

  std::shared_ptr<channel::Stream> request(protocol::Op op, std::string payload) override {
    CHECK(op == protocol::Op::exec);
    protocol::Request request;
    REQUIRE(protocol::decode(payload, request));
    const size_t i = ran.size();
    ran.push_back(request.exec);
    auto stream = std::make_shared<FakeStream>();
    const End end = i < ends.size() ? ends[i] : End{protocol::ExecReason::exited, 0, ""};
    if (!end.err.empty()) {
      channel::Piece piece;
      piece.kind = protocol::DataKind::err;
      piece.data = end.err;
      stream->pieces.push_back(std::move(piece));
    }
    stream->result_value.body = exec_result(end.reason, end.exit_code);
    return stream;
  }
  const std::vector<std::string>& enforced() const noexcept override { return none; }
  const std::vector<std::string>& unenforced() const noexcept override { return none; }
  providers::Usage usage() override { return {}; }
  void expire(int64_t) noexcept override {}
  void destroy(int64_t) override {}
  std::vector<std::string> none;
};

}  // namespace

TEST_CASE("templates: a spawn has what the template says where it says nothing itself") {
  model::SpawnRequest request;
  gate::apply_template(shape(), request);
  CHECK((request.image == "py" && request.memory_bytes == 64u << 20 && request.disk_bytes == 32u << 20 && request.milli_cpus == 500 && request.pids == 20));
  CHECK(request.ttl_ms == 60'000);
  CHECK(request.env == shape().env);
  CHECK(request.metadata == model::StringMap{{"a", "template"}, {"b", "template"}, {"template", "t"}});
}

TEST_CASE("templates: what a spawn says itself wins") {
  model::SpawnRequest request;
  request.image = "own";
  request.provider = "own";
  request.memory_bytes = 1, request.disk_bytes = 2, request.milli_cpus = 3, request.pids = 4, request.ttl_ms = 5;
  request.env = {{"A", "own"}};
  request.metadata = {{"a", "own"}, {"template", "forged"}};
  model::Template body = shape();
  body.provider = "template";
  gate::apply_template(body, request);
  CHECK((request.image == "own" && request.provider == "own" && request.memory_bytes == 1 && request.disk_bytes == 2 && request.milli_cpus == 3));
  CHECK((request.pids == 4 && request.ttl_ms == 5));
  CHECK(request.env == model::StringMap{{"A", "own"}, {"B", "template"}});
  CHECK(request.metadata == model::StringMap{{"a", "own"}, {"b", "template"}, {"template", "t"}});
}

TEST_CASE("templates: the same by either operation; too much together is refused") {
  for (const char* operation : {"sandbox.spawn", "template.spawn", "sandbox.admission"}) {
    CAPTURE(operation);
    Rig rig;
    rig.manager.shape = shape();
    rig.caller.tenant = "mine";
    model::SpawnRequest seen;
    rig.manager.resolving = [&](const model::SpawnRequest& request) { seen = request; };
    rig.gate.call(rig.caller, operation, {{"template", "t"}}, R"({"ttl":"5s"})");
    CHECK((seen.image == "py" && seen.ttl_ms == 5000 && seen.metadata.at("template") == "t"));
    CHECK(std::find(rig.manager.journal.begin(), rig.manager.journal.end(), "manager get_template mine t") != rig.manager.journal.end());
  }
  Rig rig;
  rig.manager.shape = shape();
  for (size_t i = 2; i < model::kMaxMetadata; ++i) rig.manager.shape.metadata.emplace("k" + std::to_string(i), "");
  const auto error = error_of([&] { rig.gate.call(rig.caller, "template.spawn", {{"template", "t"}}, ""); });
  REQUIRE(error);
  CHECK((error->code() == Code::invalid && fact(*error, "field") == "metadata"));
  rig.manager.shape.metadata.erase("a");
  CHECK_NOTHROW(rig.gate.call(rig.caller, "template.spawn", {{"template", "t"}}, ""));
  CHECK(fact(*error_of([&] { rig.gate.call(rig.caller, "template.spawn", {}, ""); }), "field") == "template");
}

TEST_CASE("templates: a path in one is for all to use; in a request, and in a template of theirs, others may have none") {
  Rig rig;
  rig.manager.shape = shape();
  rig.manager.shape.image = "/srv/root";
  rig.caller.local = false;
  rig.gate.call(rig.caller, "template.spawn", {{"template", "t"}}, "");
  CHECK(rig.manager.host_path);
  rig.gate.call(rig.caller, "template.spawn", {{"template", "t"}}, R"({"image":"py"})");
  CHECK_FALSE(rig.manager.host_path);
  CHECK(code_of([&] { rig.gate.call(rig.caller, "template.spawn", {{"template", "t"}}, R"({"image":"/srv/root"})"); }) == Code::forbidden);
  CHECK(code_of([&] { rig.gate.call(rig.caller, "template.create", {}, R"({"name":"t","image":"/srv/root"})"); }) == Code::forbidden);
  CHECK(code_of([&] { rig.gate.call(rig.caller, "template.update", {{"template", "t"}}, R"({"image":"./root"})"); }) == Code::forbidden);
  for (const std::string& answer : {rig.gate.call(rig.caller, "template.get", {{"template", "t"}}, ""), rig.gate.call(rig.caller, "template.list", {}, "")}) {
    CHECK(answer.find(R"-("image":"(host path)")-") != answer.npos);
    CHECK(answer.find("/srv") == answer.npos);
  }
  rig.caller.local = true;
  CHECK(rig.gate.call(rig.caller, "template.get", {{"template", "t"}}, "").find(R"("image":"/srv/root")") != std::string::npos);
}

TEST_CASE("templates: answers say what a spawn would get, in both spellings") {
  Rig rig;
  rig.manager.decided.defaults.memory_bytes = 256u << 20;
  rig.manager.decided.defaults.ttl_ms = 90'500;
  const std::string answer = rig.gate.call(rig.caller, "template.create", {}, R"({"name":"t","image":"host","cpu_cores":2})");
  CHECK_MESSAGE(answer.starts_with(R"({"name":"t","version":1,"image":"host","memory_mb":256,"disk_mb":256,"vcpus":2,"cpu_cores":2,"pids":256,"ttl":"1m30.5s","ttl_seconds":91,)"
                                   R"("provider":"","metadata":{},"pool_size":0,"created_at":"1970-01-01T00:00:01Z",)"), answer);
  CHECK(rig.gate.call(rig.caller, "template.update", {{"template", "t"}}, R"({"image":"host","ttl_seconds":7})").find(R"("ttl":"7s","ttl_seconds":7)") != std::string::npos);
}

TEST_CASE("templates: no longer life than the settings allow") {
  Rig rig;
  rig.manager.decided.defaults.max_ttl_ms = 60'000;
  CHECK_NOTHROW(rig.gate.call(rig.caller, "template.create", {}, R"({"name":"t","image":"host","ttl":"1m"})"));
  const auto error = error_of([&] { rig.gate.call(rig.caller, "template.create", {}, R"({"name":"t","image":"host","ttl_seconds":61})"); });
  REQUIRE(error);
  CHECK((error->code() == Code::limit && fact(*error, "field") == "ttl" && fact(*error, "limit") == "1m0s"));
}

TEST_CASE("templates: the audit log names them, and never what is in their environment") {
  Rig rig;
  rig.gate.call(rig.caller, "template.create", {}, R"({"name":"py","image":"host","env":{"TOKEN":"hunter2"}})");
  rig.gate.call(rig.caller, "template.delete", {{"template", "py"}}, "");
  REQUIRE(rig.rows().size() == 4);
  for (const model::AuditRow& row : rig.rows()) {
    CHECK(row.object == "py");
    CHECK(row.detail.find("hunter2") == row.detail.npos);
  }
  CHECK(rig.rows()[0].action == "template.create");
  CHECK(rig.rows()[3].action == "template.delete");
}

TEST_CASE("templates: setup commands run in order, by a shell, until one does not end well") {
  Scripted session;
  gate::run_setup(session, {"one", "two"});
  REQUIRE(session.ran.size() == 2);
  CHECK((session.ran[0].shell == "one" && session.ran[1].shell == "two" && session.ran[0].user.empty() && session.ran[0].argv.empty()));
  CHECK((session.ran[0].timeout_ms > 0 && session.ran[0].timeout_ms <= static_cast<uint64_t>(model::kSetupTimeoutMs)));
  CHECK(session.ran[0].output_limit == model::kMaxSetupOutput);
  CHECK(session.ran[0].id != session.ran[1].id);

  Scripted failing;
  failing.ends = {{protocol::ExecReason::exited, 0, ""}, {protocol::ExecReason::exited, 3, "first\nno such package\n"}};
  const auto error = error_of([&] { gate::run_setup(failing, {"a", "b", "c"}); });
  REQUIRE(error);
  CHECK(failing.ran.size() == 2);
  CHECK(error->code() == Code::invalid);
  CHECK((fact(*error, "field") == "setup[1]" && fact(*error, "exit_code") == "3"));
  CHECK(error->message() == "template: setup[1] failed: exited 3: first\nno such package");
}

TEST_CASE("templates: of a long standard error the end is told, whole characters; a timeout is one") {
  Scripted session;
  session.ends = {{protocol::ExecReason::exited, 1, "\xc3\xa4" + std::string(model::kSetupErrorBytes - 1, 'x')}};
  auto error = error_of([&] { gate::run_setup(session, {"a"}); });
  REQUIRE(error);
  CHECK(error->message() == "template: setup[0] failed: exited 1: " + std::string(model::kSetupErrorBytes - 1, 'x'));
  Scripted late;
  late.ends = {{protocol::ExecReason::timeout, 137, ""}};
  error = error_of([&] { gate::run_setup(late, {"a"}); });
  REQUIRE(error);
  CHECK((error->code() == Code::timeout && error->message() == "template: setup[0] failed: timeout 137"));
}

TEST_CASE("templates: a spawn of one with setup carries it, one without does not") {
  Rig rig;
  gate::Meters meters(1);
  gate::Act act{rig.manager, rig.caller, meters};
  model::SpawnRequest request;
  request.template_name = "t";
  rig.manager.shape = shape();
  CHECK_FALSE(gate::resolve_spawn(act, request).prepare);
  rig.manager.shape.setup = {"one"};
  const auto prepare = gate::resolve_spawn(act, request).prepare;
  REQUIRE(prepare);
  Scripted session;
  prepare(session);
  CHECK(session.ran.size() == 1);
}
