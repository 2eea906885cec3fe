#include <thread>

#include "core/id.hpp"
#include "fakes.hpp"
#include "gate/exchange.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::test;
using protocol::DataKind;
using protocol::ExecReason;

namespace {
model::ExecRequest shell(std::string command) {
  model::ExecRequest request;
  request.id = kId;
  request.command = std::move(command);
  return request;
}
}  // namespace

TEST_CASE("exec: mode shell is one line with quoted arguments, argv is a vector") {
  Rig rig;
  model::ExecRequest request = shell("echo");
  request.args = {"a b", "it's"};
  rig.gate.run<ops::ExecRun>(rig.caller, request);
  protocol::ExecRequest sent = rig.session().last().exec;
  CHECK(sent.argv.empty());
  CHECK(sent.shell == "echo 'a b' 'it'\"'\"'s'");
  request.mode = "argv";
  rig.gate.run<ops::ExecRun>(rig.caller, request);
  sent = rig.session().last().exec;
  CHECK(sent.shell.empty());
  CHECK(sent.argv == std::vector<std::string>{"echo", "a b", "it's"});
}

TEST_CASE("exec: everything that was asked reaches the agent") {
  Rig rig;
  model::ExecRequest request = shell("c");
  request.env = {{"A", "1"}, {"B", "2"}};
  request.workdir = "/w";
  request.user = "root";
  request.timeout_ms = 1234;
  request.merge = true;
  request.output_limit = 99;
  rig.gate.run<ops::ExecRun>(rig.caller, request);
  const protocol::ExecRequest sent = rig.session().last().exec;
  CHECK(sent.env == std::vector<std::pair<std::string, std::string>>{{"A", "1"}, {"B", "2"}});
  CHECK(sent.cwd == "/w");
  CHECK(sent.user == "root");
  CHECK(sent.timeout_ms == 1234);
  CHECK(sent.merge);
  CHECK(sent.output_limit == 99);
  CHECK_FALSE(sent.use_stdin);
}

TEST_CASE("exec: a command without a timeout has its sandbox's, one with -1 has none") {
  Rig rig;
  const auto sent = [&](int64_t timeout_ms) {
    model::ExecRequest request = shell("c");
    request.timeout_ms = timeout_ms;
    rig.gate.run<ops::ExecRun>(rig.caller, request);
    const uint64_t run = rig.session().last().exec.timeout_ms;
    rig.gate.start<ops::ExecStart>(rig.caller, request);
    CHECK(rig.session().last().exec.timeout_ms == run);
    return run;
  };
  CHECK(sent(0) == 0);
  CHECK(sent(-1) == 0);
  CHECK(sent(5) == 5);
  rig.manager.records[0].timeout_ms = 77;
  CHECK(sent(0) == 77);
  CHECK(sent(-1) == 0);
  CHECK(sent(5) == 5);
}

TEST_CASE("exec: the settings' timeouts: one for commands without, one that none may pass") {
  Rig rig;
  model::Defaults& defaults = rig.manager.decided.defaults;
  const auto sent = [&](int64_t timeout_ms) -> int64_t {
    model::ExecRequest request = shell("c");
    request.timeout_ms = timeout_ms;
    const auto error = error_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); });
    CHECK(code_of([&] { rig.gate.start<ops::ExecStart>(rig.caller, request); }) == (error ? Code::limit : Code::ok));
    if (!error) return static_cast<int64_t>(rig.session().last().exec.timeout_ms);
    CHECK(error->code() == Code::limit);
    CHECK(fact(*error, "field") == "timeout");
    CHECK(fact(*error, "limit") == "2s");
    return -2;
  };
  defaults.default_exec_timeout_ms = 1500;
  CHECK(sent(0) == 1500);
  CHECK(sent(-1) == 0);
  CHECK(sent(60'000) == 60'000);
  defaults.max_exec_timeout_ms = 2000;
  CHECK(sent(0) == 1500);
  CHECK(sent(2000) == 2000);
  CHECK(sent(2001) == -2);
  CHECK(sent(-1) == -2);
  defaults.default_exec_timeout_ms = 0;
  CHECK(sent(0) == 2000);
  rig.manager.records[0].timeout_ms = 77;
  CHECK(sent(0) == 77);
  rig.manager.records[0].timeout_ms = 5000;  // made when more was allowed
  CHECK(sent(0) == 2000);
}

TEST_CASE("exec: the largest command that is valid is one that the agent can decode") {
  Rig rig;
  model::ExecRequest request = shell("c");
  request.mode = "argv";
  request.args.assign(model::kMaxArgs, "");
  request.args[0] = std::string(model::kMaxArgumentBytes, 'a');
  request.env = {{"A", std::string(model::kMaxArgumentBytes - 2, 'v')}};
  request.workdir = "/" + std::string(model::kMaxPathBytes - 1, 'w');
  request.user = std::string(model::kMaxNameBytes, 'u');
  rig.gate.run<ops::ExecRun>(rig.caller, request);
  CHECK(rig.session().payloads.back().size() <= protocol::kMaxPayload);
  CHECK(rig.session().last().exec.argv.size() == protocol::kMaxArgs);
}

TEST_CASE("exec: output and error are collected apart, the result is mapped") {
  Rig rig;
  FakeStream& stream = rig.script();
  stream.pieces = {{DataKind::out, "a"}, {DataKind::err, "x"}, {DataKind::out, "b\xff"}, {DataKind::err, "y"}};
  stream.result_value.body = exec_result(ExecReason::timeout, 137, 9);
  const model::ExecResponse response = rig.gate.run<ops::ExecRun>(rig.caller, shell("c"));
  CHECK(response.out == "ab\xff");
  CHECK(response.err == "xy");
  CHECK(response.reason == "timeout");
  CHECK(response.exit_code == 137);
  CHECK(response.signal == 9);
  CHECK(response.wall_us == 1500);
  CHECK(response.cpu_us == 700);
  CHECK(response.memory_peak == 4096);
}

TEST_CASE("exec: every command gets an id of its own, which the agent, the caller and the log all see") {
  Rig rig;
  const std::string first = rig.gate.run<ops::ExecRun>(rig.caller, shell("c")).exec_id;
  CHECK(is_random_id("ex-", first));
  CHECK(rig.session().last().exec.id == first);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[0].detail == first + ' ' + R"({"id":")" + kId + R"(","command":"c","output_limit":16777216})");
  CHECK(rig.rows()[1].detail == first + " exited 0");
  const auto stream = rig.gate.start<ops::ExecStart>(rig.caller, shell("c"));
  CHECK(is_random_id("ex-", stream->exec_id()));
  CHECK(stream->exec_id() != first);
  CHECK(rig.session().last().exec.id == stream->exec_id());
  CHECK(rig.rows()[2].detail.starts_with(std::string(stream->exec_id()) + " {"));
  // a stream that is no command's has none, and its rows begin with what they are about
  CHECK(rig.gate.start<ops::FileRead>(rig.caller, {kId, "/a"})->exec_id().empty());
  CHECK(rig.rows()[3].detail.starts_with("{"));
}

TEST_CASE("exec: an id is not the caller's to choose") {
  Rig rig;
  rig.gate.call(rig.caller, "exec.run", {}, R"({"id":")" + kId + R"(","command":"c","exec_id":"ex-mine"})");
  CHECK(is_random_id("ex-", rig.session().last().exec.id));
}

TEST_CASE("exec: every reason has its word") {
  const std::pair<ExecReason, std::string_view> reasons[] = {{ExecReason::exited, "exited"}, {ExecReason::signalled, "signalled"},       {ExecReason::timeout, "timeout"},
                                                             {ExecReason::oom, "oom"},       {ExecReason::output_limit, "output_limit"}, {ExecReason::cancelled, "cancelled"}};
  for (const auto& [reason, word] : reasons) {
    Rig rig;
    rig.script().result_value.body = exec_result(reason, 0);
    CHECK(rig.gate.run<ops::ExecRun>(rig.caller, shell("c")).reason == word);
  }
}

TEST_CASE("exec: the output limit has a default, a most, and one beyond") {
  Rig rig;
  model::ExecRequest request = shell("c");
  rig.gate.run<ops::ExecRun>(rig.caller, request);
  CHECK(rig.session().last().exec.output_limit == model::kDefaultUnaryOutput);
  request.output_limit = model::kMaxUnaryOutput;
  CHECK_NOTHROW(rig.gate.run<ops::ExecRun>(rig.caller, request));
  ++request.output_limit;
  const auto error = error_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); });
  REQUIRE(error);
  CHECK(fact(*error, "field") == "output_limit");
  // a stream has no such bound, and no default
  CHECK_NOTHROW(rig.gate.start<ops::ExecStart>(rig.caller, request));
  CHECK(rig.session().last().exec.output_limit == request.output_limit);
  request.output_limit = 0;
  rig.gate.start<ops::ExecStart>(rig.caller, request);
  CHECK(rig.session().last().exec.output_limit == 0);
}

TEST_CASE("exec: an agent that sends more than it was allowed is cut off") {
  Rig rig;
  model::ExecRequest request = shell("c");
  request.output_limit = 1;
  FakeStream& exact = rig.script();
  exact.pieces = {{DataKind::out, std::string(protocol::kWindow + 1, 'x')}};
  exact.result_value.body = exec_result(ExecReason::output_limit, 137);
  CHECK(rig.gate.run<ops::ExecRun>(rig.caller, request).out.size() == protocol::kWindow + 1);
  FakeStream& beyond = rig.script();
  const auto cancelled = beyond.cancelled;
  beyond.pieces = {{DataKind::out, std::string(protocol::kWindow, 'x')}, {DataKind::err, "xx"}};
  CHECK(code_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); }) == Code::limit);
  CHECK(*cancelled);
}

TEST_CASE("exec: standard input larger than the window goes in while output comes out") {
  Rig rig;
  FakeStream& stream = rig.script();
  const std::string input(10'000, 'i');
  stream.credit = 1000;
  stream.bytes_per_piece = 1000;
  stream.waits_for_end = true;
  for (int i = 0; i < 10; ++i) stream.pieces.push_back({DataKind::out, std::string(1000, 'o')});
  stream.result_value.body = exec_result(ExecReason::exited, 0);
  const auto kept = rig.session().stream;
  model::ExecRequest request = shell("cat");
  request.stdin_data = input;
  const model::ExecResponse response = rig.gate.run<ops::ExecRun>(rig.caller, request);
  CHECK(kept->written == input);
  CHECK(kept->finished);
  CHECK(response.out.size() == 10'000);
  CHECK_FALSE(*kept->cancelled);
  CHECK(rig.session().last().exec.use_stdin);
}

TEST_CASE("exec: standard input waits for credit that another thread brings") {
  Rig rig;
  FakeStream& stream = rig.script();
  stream.credit = 0;
  stream.waits_for_end = true;
  stream.result_value.body = exec_result(ExecReason::exited, 0);
  const auto kept = rig.session().stream;
  model::ExecRequest request = shell("cat");
  request.stdin_data = std::string(100, 'i');
  std::thread agent([kept] {
    for (int i = 0; i < 10; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      kept->grant(10);
    }
  });
  CHECK_NOTHROW(rig.gate.run<ops::ExecRun>(rig.caller, request));
  agent.join();
  CHECK(kept->written.size() == 100);
}

TEST_CASE("exec: a command that does not read its input is not an error") {
  Rig rig;
  FakeStream& stream = rig.script();
  stream.closes_after = 0;
  stream.result_value.body = exec_result(ExecReason::exited, 3);
  model::ExecRequest request = shell("exit 3");
  request.stdin_data = "unread";
  CHECK(rig.gate.run<ops::ExecRun>(rig.caller, request).exit_code == 3);
}

TEST_CASE("exec: use_stdin belongs to the stream, stdin to the answer") {
  Rig rig;
  model::ExecRequest request = shell("c");
  request.use_stdin = true;
  auto error = error_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); });
  REQUIRE(error);
  CHECK(fact(*error, "field") == "use_stdin");
  CHECK_NOTHROW(rig.gate.start<ops::ExecStart>(rig.caller, request));
  CHECK(rig.session().last().exec.use_stdin);
  request.use_stdin = false;
  request.stdin_data = "x";
  error = error_of([&] { rig.gate.start<ops::ExecStart>(rig.caller, request); });
  REQUIRE(error);
  CHECK(fact(*error, "field") == "stdin");
}

TEST_CASE("exec: a result that is no ExecResult is an internal error") {
  Rig rig;
  rig.script().result_value.body = "garbage";
  CHECK(code_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, shell("c")); }) == Code::internal);
}

TEST_CASE("exec: what happens to a command is told, and kept in the history without its environment") {
  Rig rig;
  rig.manager.records[0].tenant_id = "t";
  FakeStream& script = rig.script();
  script.pieces.push_back({protocol::DataKind::out, "12345"});
  script.result_value.body = exec_result(ExecReason::exited, 3);
  model::ExecRequest request = shell("echo $A");
  request.env = {{"A", "secret"}};
  const std::string id = rig.gate.run<ops::ExecRun>(rig.caller, request).exec_id;
  const auto& log = rig.manager.event_log;
  REQUIRE(log.execs.size() == 2);
  CHECK((log.execs[0].id == id && log.execs[0].ended_ms == 0 && log.execs[0].sandbox_id == kId && log.execs[0].tenant_id == "t"));
  CHECK((log.execs[1].id == id && log.execs[1].ended_ms > 0 && log.execs[1].exit_code == 3 && log.execs[1].out_bytes == 5));
  CHECK((log.execs[1].reason == "exited" && log.execs[1].command == "echo $A" && log.execs[1].shell));
  REQUIRE(log.events.size() == 2);
  CHECK(log.events[0].type == "exec.started");
  CHECK(log.events[1].type == "exec.completed");
  for (const model::Event& event : log.events) {
    CHECK(event.sandbox_id == kId);
    CHECK(event.tenant_id == "t");
    CHECK(event.data.find(id) != event.data.npos);
    CHECK(event.data.find("secret") == event.data.npos);
  }
}

TEST_CASE("exec: history keeps the beginning of a long command, up to its limit") {
  Rig rig;
  rig.gate.run<ops::ExecRun>(rig.caller, shell(std::string(model::kMaxExecCommandBytes, 'x')));
  rig.gate.run<ops::ExecRun>(rig.caller, shell(std::string(model::kMaxExecCommandBytes - 1, 'x') + "\xc3\xa4"));
  const auto& execs = rig.manager.event_log.execs;
  CHECK(execs[0].command.size() == model::kMaxExecCommandBytes);
  CHECK(execs[2].command.size() == model::kMaxExecCommandBytes - 1);  // not in the middle of a character
}

TEST_CASE("exec: a stream's end is told once: when it is read, or when it is dropped") {
  for (const bool reads : {true, false}) {
    Rig rig;
    rig.script().result_value.body = exec_result(ExecReason::timeout, 137, 9);
    {
      const auto stream = rig.gate.start<ops::ExecStart>(rig.caller, shell("c"));
      channel::Piece piece;
      for (int i = 0; reads && i < 3; ++i) stream->next(0, piece);
      CHECK(rig.manager.event_log.execs.size() == (reads ? 2 : 1));
    }
    const auto& log = rig.manager.event_log;
    REQUIRE(log.execs.size() == 2);
    CHECK(log.execs[1].reason == (reads ? "timeout" : "cancelled"));
    REQUIRE(log.events.size() == 2);
    CHECK(log.events[1].type == (reads ? "exec.timeout" : "exec.failed"));
  }
}

TEST_CASE("exec: a limit that ended a command is told as such") {
  for (const auto& [reason, resource] : {std::pair{ExecReason::oom, "memory"}, std::pair{ExecReason::output_limit, "output"}}) {
    Rig rig;
    rig.script().result_value.body = exec_result(reason, 137, 9);
    rig.gate.run<ops::ExecRun>(rig.caller, shell("c"));
    const model::Event& last = rig.manager.event_log.events.back();
    CHECK(last.type == "resource.limit");
    CHECK(last.data == std::string(R"({"resource":")") + resource + "\"}");
    CHECK(rig.manager.looks == std::vector<std::pair<std::string, int64_t>>{{kId, reason == ExecReason::oom ? 1 : 0}});
  }
}

TEST_CASE("exec: limits are looked at when a command did not end well, and only then") {
  for (const int code : {0, 1}) {
    Rig rig;
    rig.script().result_value.body = exec_result(ExecReason::exited, code);
    rig.gate.run<ops::ExecRun>(rig.caller, shell("c"));
    CHECK(rig.manager.looks.size() == static_cast<size_t>(code));
  }
}

TEST_CASE("exec: another tenant's history cannot be told from none") {
  Rig rig;
  rig.caller.tenant = "mine";
  CHECK(rig.gate.run<ops::ExecGet>(rig.caller, {"ex-1"}).record.id == "ex-1");
  rig.caller.tenant = "theirs";
  CHECK(code_of([&] { rig.gate.run<ops::ExecGet>(rig.caller, {"ex-1"}); }) == Code::not_found);
  rig.gate.run<ops::ExecList>(rig.caller, {5, "ex-0", kId, "running"});
  const auto& asked = rig.manager.asked;
  CHECK((asked.tenant == "theirs" && asked.sandbox == kId && asked.after == "ex-0" && asked.limit == 5 && asked.state == store::Store::ExecState::running));
}
