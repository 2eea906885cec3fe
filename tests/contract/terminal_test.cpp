// Terminals through the library: what a person's program needs of them.
#include <signal.h>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Stream;
using std::chrono::milliseconds;

namespace {

Exec terminal(Exec exec, uint64_t flags = 0) {
  exec.flags = STACYVM_EXEC_PTY | flags;
  return exec;
}

/// Whether `text` appears on the screen, with `before` before it.
bool sees(Stream& stream, const std::string& text, const std::string& before = "") {
  std::string seen;
  stacyvm_chunk chunk;
  while (seen.find(text) == std::string::npos) {
    if (stream.next(chunk, milliseconds(20'000)) != Stream::Next::chunk) {
      MESSAGE("on the screen: ", seen);
      return false;
    }
    if (chunk.kind == STACYVM_CHUNK_STDOUT) seen.append(static_cast<const char*>(chunk.data), chunk.size);
  }
  return seen.find(before) <= seen.find(text);
}

void to_the_end(Stream& stream) {
  stacyvm_chunk chunk;
  Stream::Next next;
  while ((next = stream.next(chunk, milliseconds(60'000))) == Stream::Next::chunk) {
  }
  REQUIRE(next == Stream::Next::end);
}

}  // namespace

TEST_CASE("a terminal has the size asked for, the user's id, and one output") {
  Lab lab;
  Exec exec = terminal(Exec::sh("stty size; id -u; stat -c %u $(tty); echo err >&2; echo $TERM"));
  exec.rows = 31;
  exec.cols = 97;
  Stream stream = lab.sandbox.exec_start(exec);
  const std::string id = sh(lab.sandbox, "id -u");
  const std::string line = id.substr(0, id.size() - 1) + "\r\n";
  CHECK(stream.read_all() == "31 97\r\n" + line + line + "err\r\nxterm-256color\r\n");
}

TEST_CASE("a shell in a terminal: keys, Ctrl-C, a resize, the end of input") {
  Lab lab;
  Stream stream = lab.sandbox.exec_start(terminal(Exec::sh("echo up; while read line; do echo \"<$line>\"; done; exit 8")));
  REQUIRE(sees(stream, "up\r\n"));
  stream.write("keys\n");
  CHECK(sees(stream, "<keys>\r\n"));
  CHECK(code_of([&] { stream.resize(0, 1); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { stream.resize(1, 4097); }) == STACYVM_E_INVALID);
  stream.finish();
  to_the_end(stream);
  CHECK(stream.exec_result()->exit_code == 8);
  CHECK(code_of([&] { stream.resize(1, 1); }) == STACYVM_E_CLOSED);
  Stream sized = lab.sandbox.exec_start(terminal(Exec::sh("trap 'stty size; exit 9' WINCH; echo up; while :; do sleep 0.01; done")));
  REQUIRE(sees(sized, "up\r\n"));
  sized.resize(40, 100);
  CHECK(sees(sized, "40 100\r\n"));
  to_the_end(sized);
  CHECK(sized.exec_result()->exit_code == 9);
  Stream sleeper = lab.sandbox.exec_start(terminal(Exec::sh("echo up; exec sleep 100")));
  REQUIRE(sees(sleeper, "up\r\n"));
  sleeper.write("\x03");
  to_the_end(sleeper);
  CHECK(sleeper.exec_result()->signal == SIGINT);
}

TEST_CASE("closing a terminal's stream hangs up") {
  Lab lab;
  {
    Stream stream = lab.sandbox.exec_start(terminal(Exec::sh("trap 'echo bye > /tmp/bye; exit 0' HUP; echo up; while :; do sleep 0.01; done")));
    REQUIRE(sees(stream, "up\r\n"));
  }
  CHECK(within(5000, [&] { return code_of([&] { lab.sandbox.read_file("/tmp/bye"); }) == STACYVM_OK; }));
}

TEST_CASE("ending a terminal ends what it started: other sessions, and who does not listen to a hang-up") {
  Lab lab;
  const std::string text = "(trap '' HUP; exec sleep 1001) & setsid sleep 1002 & (trap 'sleep 1003' HUP; echo up; read line) & wait";
  const auto left = [&] {
    return sh(lab.sandbox, "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2> /dev/null | grep -x 'sleep 100[123] ' | sort | tr -d '\\n'");
  };
  SUBCASE("its stream is closed") {
    Stream stream = lab.sandbox.exec_start(terminal(Exec::sh(text)));
    REQUIRE(sees(stream, "up\r\n"));
    REQUIRE(within(5000, [&] { return left() == "sleep 1001 sleep 1002 "; }));
  }
  SUBCASE("it is killed") {
    Stream stream = lab.sandbox.exec_start(terminal(Exec::sh(text), STACYVM_EXEC_BACKGROUND));
    REQUIRE(sees(stream, "up\r\n"));
    REQUIRE(within(5000, [&] { return left() == "sleep 1001 sleep 1002 "; }));
    lab.session.call("exec.kill", {{"id", lab.sandbox.id()}, {"exec_id", stream.exec_id()}});
    to_the_end(stream);
    CHECK(stream.exec_result()->reason == STACYVM_REASON_CANCELLED);
  }
  CHECK(within(5000, [&] { return left().empty(); }));
}

TEST_CASE("a terminal that is left in the background and found again") {
  Lab lab;
  std::string id;
  {
    Stream stream = lab.sandbox.exec_start(terminal(Exec::sh("PS1='$ ' exec sh -i"), STACYVM_EXEC_BACKGROUND));
    id = stream.exec_id();
    REQUIRE(sees(stream, "$ "));
    stream.write("x=41\n");
    REQUIRE(sees(stream, "x=41\r\n"));
  }
  Stream again = lab.sandbox.attach(id);
  REQUIRE(sees(again, "x=41\r\n"));  // the screen as it was
  again.resize(11, 22);
  again.write("echo $((x + 1)) $(stty size); exit 4\n");
  CHECK(sees(again, "42 11 22\r\n"));
  to_the_end(again);
  CHECK(again.exec_result()->exit_code == 4);
}

TEST_CASE("the sandbox's own programs work on it: python3 -i") {
  Lab lab;
  SVM_SKIP_UNLESS(lab.sandbox.exec(Exec::sh("command -v python3")).exit_code == 0, "no python3 in this image");
  Stream stream = lab.sandbox.exec_start(terminal(Exec::program({"python3", "-i", "-q"})));
  REQUIRE(sees(stream, ">>> "));
  stream.write("6 * 7\n");
  CHECK(sees(stream, ">>> ", "42\r\n"));  // it listens again: what comes before that may be lost between two settings of the terminal
  stream.write("\x04");
  to_the_end(stream);
  CHECK(stream.exec_result()->exit_code == 0);
}

TEST_CASE("refused together, and what a request that has one output in pieces cannot have") {
  Lab lab;
  CHECK(code_of([&] { lab.sandbox.exec_start(terminal(Exec::sh("true"), STACYVM_EXEC_MERGE)); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.exec(terminal(Exec::sh("true"))); }) == STACYVM_E_INVALID);
  Exec exec = Exec::sh("true");
  exec.rows = 24;
  CHECK(details_of([&] { lab.sandbox.exec_start(exec); }) == R"({"field":"rows"})");
}
