#include "fakes.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::test;
using protocol::DataKind;
using protocol::ExecReason;

namespace {

const std::string kExec = "ex-" + std::string(26, 'c');

model::ExecRequest background(std::string command = "c") {
  model::ExecRequest request;
  request.id = kId;
  request.command = std::move(command);
  request.background = true;
  return request;
}

}  // namespace

TEST_CASE("background: the command's own stream stays with the manager, the caller gets one that is attached") {
  Rig rig;
  model::ExecRequest request = background();
  request.tty = true;
  request.rows = 5;
  request.cols = 6;
  request.ring_bytes = 8192;
  const auto stream = rig.gate.start<ops::ExecStart>(rig.caller, request);
  REQUIRE(rig.session().operations == std::vector{protocol::Op::exec, protocol::Op::attach});
  protocol::Request sent;
  REQUIRE(protocol::decode(rig.session().payloads[0], sent));
  CHECK((sent.exec.background && sent.exec.terminal && sent.exec.rows == 5 && sent.exec.columns == 6 && sent.exec.ring_bytes == 8192));
  CHECK(sent.exec.id == stream->exec_id());
  const std::string id = sent.exec.id;
  REQUIRE(protocol::decode(rig.session().payloads[1], sent));
  CHECK(sent.attach == protocol::AttachRequest{id, 0, false});
  REQUIRE(rig.manager.kept.size() == 1);
}

TEST_CASE("background: the outcome is recorded when the command ends, not when its reader goes") {
  Rig rig;
  FakeStream& own = rig.script();
  own.result_value.body = exec_result(ExecReason::exited, 4);
  auto stream = rig.gate.start<ops::ExecStart>(rig.caller, background());
  stream.reset();
  REQUIRE(rig.rows().size() == 1);
  CHECK(rig.rows()[0].phase == "intent");
  channel::Piece piece;
  CHECK(rig.manager.kept[0]->next(0, piece) == channel::Stream::Next::end);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].detail.ends_with(" exited 4"));
  CHECK(rig.rows()[1].intent_seq == rig.rows()[0].seq);
}

TEST_CASE("background and terminal are for exec.start") {
  Rig rig;
  model::ExecRequest request = background();
  auto error = error_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); });
  REQUIRE(error);
  CHECK(fact(*error, "field") == "background");
  request.background = false;
  request.tty = true;
  error = error_of([&] { rig.gate.run<ops::ExecRun>(rig.caller, request); });
  REQUIRE(error);
  CHECK(fact(*error, "field") == "tty");
}

TEST_CASE("attach: the offset reaches the agent; letting go is recorded as that") {
  Rig rig;
  auto stream = rig.gate.start<ops::ExecAttach>(rig.caller, {kId, kExec, 77});
  CHECK(rig.session().last().attach == protocol::AttachRequest{kExec, 77, false});
  CHECK(stream->exec_id() == kExec);
  stream.reset();
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].outcome == "OK");
  CHECK(rig.rows()[1].detail == kExec + " detached");
  rig.gate.start<ops::ExecAttach>(rig.caller, {kId, kExec, UINT64_MAX});
  CHECK(rig.session().last().attach.from == UINT64_MAX);
}

TEST_CASE("attach: kill and resize go through") {
  Rig rig;
  const auto killed = rig.script().killed;
  const auto below = rig.session().stream;
  const auto stream = rig.gate.start<ops::ExecAttach>(rig.caller, {kId, kExec, 0});
  stream->resize(3, 4);
  CHECK(below->size == std::pair<uint32_t, uint32_t>{3, 4});
  stream->kill();
  CHECK(*killed);
}

TEST_CASE("by id: signals, kill and resize as the agent is asked") {
  Rig rig;
  CHECK(rig.gate.run<ops::ExecSignal>(rig.caller, {kId, kExec, 15, false}).status == "signalled");
  CHECK(rig.session().last().process_signal == protocol::ProcessSignalRequest{kExec, 15, 0, 0, 0});
  rig.gate.run<ops::ExecSignal>(rig.caller, {kId, kExec, 2, true});
  CHECK(rig.session().last().process_signal == protocol::ProcessSignalRequest{kExec, 2, protocol::kSignalGroup, 0, 0});
  CHECK(rig.gate.run<ops::ExecKill>(rig.caller, {kId, kExec}).status == "killed");
  CHECK(rig.session().last().process_signal == protocol::ProcessSignalRequest{kExec, 9, protocol::kSignalTree, 0, 0});
  CHECK(rig.gate.run<ops::ExecResize>(rig.caller, {kId, kExec, 30, 99}).status == "resized");
  CHECK(rig.session().last().process_signal == protocol::ProcessSignalRequest{kExec, 0, 0, 30, 99});
}

TEST_CASE("by id: what cannot be an id is not asked for, and does not enter the log") {
  Rig rig;
  const auto error = error_of([&] { rig.gate.run<ops::ExecKill>(rig.caller, {kId, "ex-\x1b[31m"}); });
  REQUIRE(error);
  CHECK(error->code() == Code::invalid);
  CHECK(code_of([&] { rig.gate.run<ops::ExecKill>(rig.caller, {kId, "CANARY"}); }) == Code::not_found);
  CHECK(rig.session().operations.empty());
  for (const model::AuditRow& row : rig.rows()) CHECK(row.detail.find("CANARY") == std::string::npos);
}

TEST_CASE("processes: what the agent lists, as callers see it") {
  Rig rig;
  protocol::ProcessInfo running, ended, failed;
  running.id = "ex-1";
  running.pid = 5;
  running.command = "sleep 1";
  running.background = running.running = true;
  running.output = 10;
  running.lost = 3;
  running.attached = 2;
  ended.id = "ex-2";
  ended.terminal = true;
  ended.result = {ExecReason::timeout, 137, 9, 1500, 700, 4096};
  failed.id = "ex-3";
  failed.code = static_cast<int32_t>(Code::file_not_found);
  FakeStream& agent = rig.script();
  for (const auto& process : {running, ended, failed}) protocol::encode(agent.result_value.body, process);
  const auto list = rig.gate.run<ops::ExecProcesses>(rig.caller, {kId}).items;
  REQUIRE(list.size() == 3);
  CHECK((list[0].state == "running" && list[0].pid == 5 && list[0].background && !list[0].tty && list[0].reason.empty()));
  CHECK((list[0].output_bytes == 10 && list[0].lost_bytes == 3 && list[0].attached == 2 && list[0].command == "sleep 1"));
  CHECK((list[1].state == "ended" && list[1].tty && list[1].reason == "timeout" && list[1].exit_code == 137 && list[1].signal == 9));
  CHECK((list[1].wall_us == 1500 && list[1].cpu_us == 700 && list[1].memory_peak == 4096));
  CHECK((list[2].state == "failed" && list[2].reason.empty()));
  rig.script().result_value.body = "garbage";
  CHECK(code_of([&] { rig.gate.run<ops::ExecProcesses>(rig.caller, {kId}); }) == Code::internal);
}

TEST_CASE("logs: lines of both outputs; what is not UTF-8 is replaced; no more than asked for") {
  Rig rig;
  FakeStream& agent = rig.script();
  agent.pieces = {{DataKind::gap, std::string(8, '\0')}, {DataKind::out, "a\nb"}, {DataKind::err, "\xff!\n\n"}, {DataKind::out, "end"}};
  CHECK(rig.gate.run<ops::SandboxLogs>(rig.caller, {kId, 10}).lines == std::vector<std::string>{"a", "b\xef\xbf\xbd!", "", "end"});
  CHECK(rig.session().last().console == protocol::ConsoleRequest{10, false});
  rig.script().pieces = {{DataKind::out, "a\nb\nc\n"}};
  CHECK(rig.gate.run<ops::SandboxLogs>(rig.caller, {kId, 2}).lines == std::vector<std::string>{"b", "c"});
  rig.gate.run<ops::SandboxLogs>(rig.caller, {kId, 0});
  CHECK(rig.session().last().console.lines == model::kDefaultLogLines);
  rig.script().pieces = {{DataKind::out, std::string(protocol::kWindow + 1, 'x')}};
  CHECK(code_of([&] { rig.gate.run<ops::SandboxLogs>(rig.caller, {kId, 0}); }) == Code::internal);
}
