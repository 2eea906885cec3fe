#include "fakes.hpp"

using namespace svm;
using namespace svm::test;

TEST_CASE("audit: an act leaves an intent and an outcome that names it") {
  Rig rig;
  rig.caller.actor = "key-1";
  rig.caller.source = "192.0.2.1";
  rig.caller.request_id = "r-1";
  rig.gate.run<ops::SandboxDestroy>(rig.caller, {kId});
  REQUIRE(rig.rows().size() == 2);
  const model::AuditRow &intent = rig.rows()[0], &outcome = rig.rows()[1];
  CHECK(intent.phase == "intent");
  CHECK(intent.action == "sandbox.destroy");
  CHECK(intent.object == kId);
  CHECK(intent.actor == "key-1");
  CHECK(intent.source == "192.0.2.1");
  CHECK(intent.request_id == "r-1");
  CHECK(intent.outcome.empty());
  CHECK(intent.detail == R"({"id":")" + kId + "\"}");
  CHECK(outcome.phase == "outcome");
  CHECK(outcome.intent_seq == intent.seq);
  CHECK(outcome.outcome == "OK");
  CHECK(outcome.object == kId);
}

TEST_CASE("audit: a spawn's rows name the sandbox that it made") {
  Rig rig;
  rig.gate.run<ops::SandboxSpawn>(rig.caller, {});
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[0].object == kOther);
  CHECK(rig.rows()[1].object == kOther);
}

TEST_CASE("audit: a command's outcome says how it ended") {
  Rig rig;
  rig.script().result_value.body = exec_result(protocol::ExecReason::signalled, 137, 9);
  rig.gate.call(rig.caller, "exec.run", {}, body_of<ops::ExecRun>());
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[0].action == "exec");
  CHECK(rig.rows()[1].detail == rig.session().last().exec.id + " signalled 137");
}

TEST_CASE("audit: reads of our own records leave a row only when they fail") {
  Rig rig;
  rig.gate.run<ops::SandboxGet>(rig.caller, {kId});
  rig.gate.run<ops::SandboxList>(rig.caller, {});
  CHECK(rig.rows().empty());
  CHECK(code_of([&] { rig.gate.run<ops::SandboxGet>(rig.caller, {kOther}); }) == Code::not_found);
  REQUIRE(rig.rows().size() == 1);
  CHECK(rig.rows()[0].phase == "denied");
  CHECK(rig.rows()[0].outcome == "NOT_FOUND");
  CHECK(rig.rows()[0].object == kOther);
}

TEST_CASE("audit: an act that fails leaves its error as the outcome of its intent") {
  Rig rig;
  rig.manager.fault = [](std::string_view call) {
    if (call == "spawn") throw Error(Code::limit, "too many sandboxes");
  };
  CHECK(code_of([&] { rig.gate.run<ops::SandboxSpawn>(rig.caller, {}); }) == Code::limit);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].phase == "outcome");
  CHECK(rig.rows()[1].intent_seq == rig.rows()[0].seq);
  CHECK(rig.rows()[1].outcome == "RESOURCE_LIMIT");
  CHECK(rig.rows()[1].detail == "too many sandboxes");
}

TEST_CASE("audit: an exception that is no Error passes on, and the log gets no text of it") {
  Rig rig;
  rig.manager.fault = [](std::string_view call) {
    if (call == "spawn") throw std::runtime_error("CANARY");
  };
  CHECK_THROWS_AS(rig.gate.run<ops::SandboxSpawn>(rig.caller, {}), std::runtime_error);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].outcome == "INTERNAL_ERROR");
  CHECK(rig.rows()[1].detail.empty());
}

TEST_CASE("audit: what cannot be recorded does not happen") {
  each_operation([]<class O>() {
    if (ops::reads_records(O::row.scope)) return;
    INFO("operation: ", std::string(O::row.name));
    Rig rig;
    rig.manager.log.failures_after = 0;
    CHECK(code_of([&] { call_json<O>(rig, body_of<O>()); }) == Code::io);
    for (const std::string& entry : rig.manager.journal) CHECK_FALSE((entry == "stage run" || entry == "manager spawn" || entry == "manager session" || entry == "manager extend"));
  });
}

TEST_CASE("audit: reads of our own records go on without a log") {
  Rig rig;
  rig.manager.log.failures_after = 0;
  CHECK_NOTHROW(rig.gate.run<ops::SandboxGet>(rig.caller, {kId}));
  // and a denial stays the denial it is
  CHECK(code_of([&] { rig.gate.run<ops::SandboxGet>(rig.caller, {kOther}); }) == Code::not_found);
}

TEST_CASE("audit: an act whose outcome cannot be recorded is reported, with what it made") {
  Rig rig;
  rig.manager.log.failures_after = 1;
  const auto error = error_of([&] { rig.gate.run<ops::SandboxSpawn>(rig.caller, {}); });
  REQUIRE(error);
  CHECK(error->code() == Code::io);
  CHECK(fact(*error, "object") == kOther);
  CHECK(error->message().starts_with("sandbox.spawn was done"));
}

TEST_CASE("audit: an act that failed keeps its own error when its outcome cannot be recorded") {
  Rig rig;
  rig.manager.log.failures_after = 1;
  rig.manager.fault = [](std::string_view call) {
    if (call == "spawn") throw Error(Code::unavailable, "no");
  };
  CHECK(code_of([&] { rig.gate.run<ops::SandboxSpawn>(rig.caller, {}); }) == Code::unavailable);
}

TEST_CASE("audit: no row holds a secret, whatever happens to the call") {
  constexpr std::string_view kCanary = "CANARY-91d0";
  const std::string exec = R"({"command":"c","env":{"T":"CANARY-91d0"},"stdin":"CANARY-91d0"})";
  const std::string write = R"({"path":"/a","content":"CANARY-91d0"})";
  const std::string spawn = R"({"env":{"T":"CANARY-91d0"}})";
  for (const bool failing : {false, true}) {
    Rig rig;
    if (failing)
      rig.manager.fault = [](std::string_view call) {
        if (call == "session" || call == "spawn") throw Error(Code::conflict, "busy");
      };
    const gate::Pairs id = {{"id", kId}};
    const auto attempt = [&](std::string_view name, const std::string& body, const gate::Pairs& pairs) {
      CHECK(code_of([&] { rig.gate.call(rig.caller, name, pairs, body); }) == (failing ? Code::conflict : Code::ok));
    };
    attempt("exec.run", exec, id);
    attempt("file.write", write, id);
    attempt("sandbox.spawn", spawn, {});
    CHECK(rig.rows().size() == 6);
    for (const model::AuditRow& row : rig.rows()) CHECK((row.detail + row.object + row.action + row.outcome).find(kCanary) == std::string::npos);
  }
}
