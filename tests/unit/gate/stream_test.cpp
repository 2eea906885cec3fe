#include "fakes.hpp"

using namespace svm;
using namespace svm::test;
using Next = channel::Stream::Next;

namespace {
std::shared_ptr<channel::Stream> start(Rig& rig) {
  model::ExecRequest request;
  request.id = kId;
  request.command = "c";
  request.use_stdin = true;
  return rig.gate.start<ops::ExecStart>(rig.caller, request);
}
}  // namespace

TEST_CASE("stream: the outcome is written once, when the end is read") {
  Rig rig;
  FakeStream& script = rig.script();
  script.pieces = {{protocol::DataKind::out, "a"}};
  script.result_value.body = exec_result(protocol::ExecReason::exited, 4);
  auto stream = start(rig);
  channel::Piece piece;
  CHECK(rig.rows().size() == 1);
  CHECK(stream->next(0, piece) == Next::piece);
  CHECK(rig.rows().size() == 1);
  CHECK(stream->result() == nullptr);
  CHECK(stream->next(0, piece) == Next::end);
  CHECK(stream->next(0, piece) == Next::end);
  REQUIRE(stream->result());
  stream.reset();
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].phase == "outcome");
  CHECK(rig.rows()[1].intent_seq == rig.rows()[0].seq);
  CHECK(rig.rows()[1].outcome == "OK");
  CHECK(rig.rows()[1].detail == rig.session().last().exec.id + " exited 4");
}

TEST_CASE("stream: dropped before its end it is recorded as cancelled") {
  Rig rig;
  rig.script().held = true;
  auto stream = start(rig);
  channel::Piece piece;
  CHECK(stream->next(0, piece) == Next::again);
  stream.reset();
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].outcome == "CANCELLED");
}

TEST_CASE("stream: a failed result is recorded with its message") {
  Rig rig;
  rig.script().result_value = {Code::invalid, 20, "/a: Not a directory", ""};
  auto stream = start(rig);
  channel::Piece piece;
  CHECK(stream->next(0, piece) == Next::end);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].outcome == "BAD_REQUEST");
  CHECK(rig.rows()[1].detail == std::string(stream->exec_id()) + " /a: Not a directory");
}

TEST_CASE("stream: an end that cannot be recorded is said once, and the result is there") {
  Rig rig;
  rig.manager.log.failures_after = 1;
  rig.script();
  auto stream = start(rig);
  channel::Piece piece;
  CHECK(code_of([&] { stream->next(0, piece); }) == Code::io);
  CHECK(stream->next(0, piece) == Next::end);
  CHECK(stream->result());
}

TEST_CASE("stream: dropping one that cannot be recorded does not throw") {
  Rig rig;
  rig.manager.log.failures_after = 1;
  auto stream = start(rig);
  CHECK_NOTHROW(stream.reset());
  CHECK(rig.rows().size() == 1);
}

TEST_CASE("stream: everything else passes through") {
  Rig rig;
  rig.script();
  const auto inner = rig.session().stream;
  auto stream = start(rig);
  CHECK(stream->pid() == 7);
  CHECK(stream->write("abc", 3, 0) == 3);
  CHECK(inner->written == "abc");
  stream->finish();
  CHECK(inner->finished);
  stream->send_signal(15, true);
  CHECK(inner->last_signal == 15);
  CHECK(stream->readable());
  CHECK(stream->writable());
  bool called = false;
  stream->set_notify([&] { called = true; });
  inner->grant(0);
  CHECK(called);
  stream->cancel();
  CHECK(*inner->cancelled);
}

TEST_CASE("stream: one that cannot be opened is an outcome like any other") {
  Rig rig;
  rig.manager.fault = [](std::string_view call) {
    if (call == "session") throw Error(Code::conflict, "being destroyed");
  };
  CHECK(code_of([&] { start(rig); }) == Code::conflict);
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[1].phase == "outcome");
  CHECK(rig.rows()[1].outcome == "CONFLICT");
}
