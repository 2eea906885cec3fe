// Commands that outlive their stream: found again, read from any place, written to and ended by id.
#include <signal.h>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::ExecResult, stacyvm::Stream;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPatience{30'000};

Exec background(Exec exec, uint64_t flags = 0) {
  exec.flags = STACYVM_EXEC_BACKGROUND | flags;
  return exec;
}

/// What a stream told: bytes of both outputs in order, and gaps as "<position>".
struct Told {
  std::string text;
  int64_t place = 0;  // one could attach from here
};

/// Reads until `end` is there, or to the end of the stream.
Told read_until(Stream& stream, const std::string& end) {
  Told told;
  stacyvm_chunk chunk;
  while (end.empty() || !told.text.ends_with(end)) {
    const Stream::Next next = stream.next(chunk, kPatience);
    if (next == Stream::Next::end && end.empty()) break;
    CAPTURE(told.text);
    REQUIRE(next == Stream::Next::chunk);
    if (chunk.kind == STACYVM_CHUNK_GAP) told.text += '<' + std::to_string(chunk.position) + '>';
    if (chunk.kind == STACYVM_CHUNK_STDOUT || chunk.kind == STACYVM_CHUNK_STDERR) {
      if (!told.text.empty() && told.text.back() != '>') CHECK(chunk.position == told.place);
      told.text.append(static_cast<const char*>(chunk.data), chunk.size);
    }
    if (chunk.kind != STACYVM_CHUNK_EXIT) told.place = chunk.position + static_cast<int64_t>(chunk.size);
  }
  return told;
}

std::string processes(Lab& lab) { return lab.session.call("exec.processes", {{"id", lab.sandbox.id()}}); }
stacyvm::Pairs of(Lab& lab, const std::string& exec_id) { return {{"id", lab.sandbox.id()}, {"exec_id", exec_id}}; }

}  // namespace

TEST_CASE("a background command goes on when its stream is closed, and is found again where it was left") {
  Lab lab;
  std::string id;
  int64_t place = 0;
  {
    Stream stream = lab.sandbox.exec_start(background(Exec::sh("echo one; echo two >&2; read x; echo \"got $x\"; exit 5"), STACYVM_EXEC_STDIN));
    id = stream.exec_id();
    place = read_until(stream, "two\n").place;
  }
  CHECK(place == 8);
  CHECK(processes(lab).find("\"state\":\"running\"") != std::string::npos);
  CHECK(within(5000, [&] { return processes(lab).find("\"attached\":0") != std::string::npos; }));
  Stream again = lab.sandbox.attach(id, static_cast<uint64_t>(place));
  CHECK(within(5000, [&] { return processes(lab).find("\"attached\":1") != std::string::npos; }));
  CHECK(again.exec_id() == id);
  CHECK(again.kind() == STACYVM_STREAM_EXEC);
  again.write("line\n");
  CHECK(read_until(again, "").text == "got line\n");
  CHECK(again.exec_result()->exit_code == 5);
  // once more, after its end, from the beginning
  Stream late = lab.sandbox.attach(id);
  const Told all = read_until(late, "");
  CHECK(all.text == "one\ntwo\ngot line\n");
  CHECK(all.place == 17);
  CHECK(late.exec_result()->exit_code == 5);
  const std::string list = processes(lab);
  CHECK(list.find("\"exec_id\":\"" + id + "\"") != std::string::npos);
  CHECK(list.find("\"state\":\"ended\"") != std::string::npos);
  CHECK(list.find("\"exit_code\":5") != std::string::npos);
}

TEST_CASE("bytes that are no longer kept are a gap, told with the place where output goes on") {
  Lab lab;
  Exec exec = background(Exec::sh("head -c 100000 /dev/zero | tr '\\0' x; echo end"));
  exec.ring_bytes = 4096;
  std::string id;
  {
    Stream stream = lab.sandbox.exec_start(exec);
    id = stream.exec_id();
    read_until(stream, "");
  }
  Stream late = lab.sandbox.attach(id);
  CHECK(read_until(late, "").text == "<95908>" + std::string(4092, 'x') + "end\n");
  Stream now = lab.sandbox.attach(id, STACYVM_UNLIMITED);
  CHECK(read_until(now, "").text == "<100004>");
  CHECK(code_of([&] {
          Stream beyond = lab.sandbox.attach(id, 100'005);
          read_until(beyond, "");
        }) == STACYVM_E_INVALID);
  for (const uint64_t beyond : {uint64_t{INT64_MAX}, uint64_t{INT64_MAX} + 1, STACYVM_UNLIMITED - 1})
    CHECK(details_of([&] { lab.sandbox.attach(id, beyond); }) == R"({"field":"from_offset"})");
}

TEST_CASE("any number of streams, up to the limit, see the same") {
  Lab lab;
  Stream first = lab.sandbox.exec_start(background(Exec::sh("read x; echo $x"), STACYVM_EXEC_STDIN));
  std::vector<Stream> others;
  for (int i = 0; i < 14; ++i) others.push_back(lab.sandbox.attach(first.exec_id()));
  Stream writer = lab.sandbox.attach(first.exec_id());
  Stream one_too_many = lab.sandbox.attach(first.exec_id());
  CHECK(code_of([&] { read_until(one_too_many, ""); }) == STACYVM_E_LIMIT);
  writer.write("hello\n");
  CHECK(read_until(first, "").text == "hello\n");
  for (Stream& other : others) CHECK(read_until(other, "").text == "hello\n");
}

TEST_CASE("cancel kills the command, through its first stream and through an attached one") {
  Lab lab;
  for (const bool first : {true, false}) {
    Stream stream = lab.sandbox.exec_start(background(Exec::sh("echo up; sleep 4322")));
    read_until(stream, "up\n");
    Stream other = lab.sandbox.attach(stream.exec_id());
    Stream watcher = lab.sandbox.attach(stream.exec_id());
    (first ? stream : other).cancel();
    read_until(watcher, "");
    CHECK(watcher.exec_result()->reason == STACYVM_REASON_CANCELLED);
    CHECK(code_of([&] { read_until(first ? stream : other, ""); }) == STACYVM_E_CANCELLED);
  }
}

TEST_CASE("signals, kill and the errors of ids") {
  Lab lab;
  Stream stream = lab.sandbox.exec_start(background(Exec::sh("trap 'echo got' USR1; echo up; while :; do sleep 0.02; done")));
  read_until(stream, "up\n");
  lab.session.call("exec.signal", of(lab, stream.exec_id()), R"({"signal":10})");
  read_until(stream, "got\n");
  stream.signal(SIGUSR1);
  read_until(stream, "got\n");
  CHECK(code_of([&] { lab.session.call("exec.resize", of(lab, stream.exec_id()), R"({"rows":1,"cols":1})"); }) == STACYVM_E_CONFLICT);
  lab.session.call("exec.kill", of(lab, stream.exec_id()));
  read_until(stream, "");
  CHECK(stream.exec_result()->reason == STACYVM_REASON_CANCELLED);
  CHECK(code_of([&] { lab.session.call("exec.kill", of(lab, stream.exec_id())); }) == STACYVM_E_CLOSED);
  CHECK(code_of([&] { lab.session.call("exec.kill", of(lab, "ex-" + std::string(26, 'a'))); }) == STACYVM_E_NOT_FOUND);
  Stream none = lab.sandbox.attach("ex-" + std::string(26, 'a'));
  CHECK(code_of([&] { read_until(none, ""); }) == STACYVM_E_NOT_FOUND);
  CHECK(code_of([&] { lab.sandbox.attach("x"); }) == STACYVM_E_NOT_FOUND);
  Stream foreground = lab.sandbox.exec_start(Exec::sh("echo up; sleep 100"));
  stacyvm_chunk chunk;
  REQUIRE(foreground.next(chunk, kPatience) == Stream::Next::chunk);
  Stream refused = lab.sandbox.attach(foreground.exec_id());
  CHECK(code_of([&] { read_until(refused, ""); }) == STACYVM_E_CONFLICT);
}

TEST_CASE("a command that cannot be started says so to who started it and who attaches") {
  Lab lab;
  Stream stream = lab.sandbox.exec_start(background(Exec::program({"/no/such"})));
  CHECK(code_of([&] { read_until(stream, ""); }) == STACYVM_E_FILE_NOT_FOUND);
  Stream late = lab.sandbox.attach(stream.exec_id());
  CHECK(code_of([&] { read_until(late, ""); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(processes(lab).find("\"state\":\"failed\"") != std::string::npos);
}

TEST_CASE("timeouts and limits of output hold when nobody is attached") {
  Lab lab;
  Exec exec = background(Exec::sh("sleep 100"));
  exec.timeout = milliseconds(100);
  const std::string slow = lab.sandbox.exec_start(exec).exec_id();
  exec = background(Exec::sh("cat /dev/zero"));
  exec.output_limit = 1000;
  const std::string loud = lab.sandbox.exec_start(exec).exec_id();
  Stream first = lab.sandbox.attach(slow), second = lab.sandbox.attach(loud);
  read_until(first, "");
  CHECK(first.exec_result()->reason == STACYVM_REASON_TIMEOUT);
  CHECK(read_until(second, "").place == 1000);
  CHECK(second.exec_result()->reason == STACYVM_REASON_OUTPUT_LIMIT);
}

TEST_CASE("how a command ended is on record although nobody is attached") {
  Lab lab;
  const std::string id = lab.sandbox.exec_start(background(Exec::sh("sleep 0.1; echo out; echo error >&2; exit 6"))).exec_id();
  std::string record;
  CHECK(within(10'000, [&] { return (record = lab.session.call("exec.get", {{"exec_id", id}})).find("\"reason\":\"exited\"") != std::string::npos; }));
  CAPTURE(record);
  CHECK(record.find("\"exit_code\":6") != std::string::npos);
  CHECK(record.find("\"background\":true") != std::string::npos);
  CHECK(record.find(R"("stdout_bytes":4,"stderr_bytes":6)") != std::string::npos);
}

TEST_CASE("the console has what all commands wrote, and follows; logs are its last lines") {
  Lab lab;
  CHECK(lab.session.call("sandbox.logs", {{"id", lab.sandbox.id()}}) == "[]");
  lab.sandbox.exec(Exec::sh("echo one; echo two >&2"));
  Stream follow = lab.sandbox.console(STACYVM_CONSOLE_FOLLOW);
  CHECK(follow.kind() == STACYVM_STREAM_CONSOLE);
  CHECK(read_until(follow, "two\n").text == "one\ntwo\n");
  lab.sandbox.exec(Exec::sh("echo three"));
  CHECK(read_until(follow, "three\n").text == "three\n");
  Stream once = lab.sandbox.console();
  CHECK(read_until(once, "").text == "one\ntwo\nthree\n");
  CHECK(lab.session.call("sandbox.logs", {{"id", lab.sandbox.id()}}) == R"(["one","two","three"])");
  CHECK(lab.session.call("sandbox.logs", {{"id", lab.sandbox.id()}, {"lines", "1"}}) == R"(["three"])");
}

TEST_CASE("a sandbox that is destroyed ends the streams of its background commands") {
  Lab lab;
  Stream stream = lab.sandbox.exec_start(background(Exec::sh("echo up; sleep 100")));
  read_until(stream, "up\n");
  lab.sandbox.destroy();
  CHECK(code_of([&] { read_until(stream, ""); }) == STACYVM_E_CLOSED);
}
