// Terminals, used as people use them.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using protocol::ExecReason;

namespace {

protocol::ExecRequest terminal(std::vector<std::string> argv, bool background = false) {
  protocol::ExecRequest request;
  request.id = "t";
  request.argv = std::move(argv);
  request.terminal = true;
  request.background = background;
  return request;
}

/// Types and waits for what appears.
class Screen {
 public:
  Screen(Client& client, uint32_t stream) : client_(client), stream_(stream) {}
  void type(const std::string& keys) { client_.send_bytes(stream_, keys); }
  /// Whether `text` appears after what was seen so far.
  bool sees(const std::string& text, int timeout_ms = 10000) {
    const auto find = [&] { return client_.reply(stream_).out.find(text, seen_); };
    const bool found = client_.pump([&] { return find() != std::string::npos || client_.reply(stream_).done; }, timeout_ms) && find() != std::string::npos;
    if (found)
      seen_ = find() + text.size();
    else
      MESSAGE("on the screen: ", client_.reply(stream_).out.substr(seen_));
    return found;
  }

 private:
  Client& client_;
  const uint32_t stream_;
  size_t seen_ = 0;
};

bool installed(Client& client, const char* program) {
  if (client.call(shell(std::string("command -v ") + program)).exec().exit_code == 0) return true;
  MESSAGE("skipped: no ", program, " here");
  return false;
}

}  // namespace

TEST_CASE("all three are one terminal of the size asked for, it is the controlling one, and TERM is set") {
  Client client;
  protocol::ExecRequest request = terminal({"sh", "-c", "stty size; tty <&1; test -t 2 && echo err; echo $TERM; stty -a </dev/tty | head -n 1"});
  request.rows = 33;
  request.columns = 121;
  const Reply reply = client.call(request);
  CHECK(reply.exec().exit_code == 0);
  CHECK(reply.out.starts_with("33 121\r\n/dev/pts/"));
  CHECK(reply.out.find("err\r\nxterm-256color\r\n") != std::string::npos);
  CHECK(reply.out.find("rows 33; columns 121") != std::string::npos);
  CHECK(reply.err.empty());
  request = terminal({"sh", "-c", "stty size; echo $TERM"});
  request.env = {{"TERM", "dumb"}};
  CHECK(client.call(request).out == "24 80\r\ndumb\r\n");
}

TEST_CASE("a resize is seen by who asks, and by SIGWINCH") {
  Client client;
  const uint32_t stream = client.start(terminal({"sh", "-c", "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.01; done"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees("up\r\n"));
  client.resize(stream, 50, 132);
  CHECK(screen.sees("50 132"));
  CHECK(client.wait(stream).exec().exit_code == 0);
  // and by id, beside the stream
  const uint32_t other = client.start(terminal({"sh", "-c", "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.01; done"}));
  Screen again(client, other);
  REQUIRE(again.sees("up\r\n"));
  CHECK(client.call(protocol::ProcessSignalRequest{"t", 0, 0, 7, 9}).result.code == Code::ok);
  CHECK(again.sees("7 9"));
  client.wait(other);
}

TEST_CASE("Ctrl-C, Ctrl-\\ and Ctrl-Z go through the terminal") {
  Client client;
  uint32_t stream = client.start(terminal({"sh", "-c", "echo up; exec sleep 100"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees("up"));
  screen.type("\x03");
  CHECK(client.wait(stream).exec().reason == ExecReason::signalled);
  CHECK(client.reply(stream).exec().signal == SIGINT);
  stream = client.start(terminal({"sh", "-c", "ulimit -c 0; echo up; exec sleep 100"}));
  Screen quit(client, stream);
  REQUIRE(quit.sees("up"));
  quit.type("\x1c");
  CHECK(client.wait(stream).exec().signal == SIGQUIT);
}

TEST_CASE("end of input: an empty line's, a begun line's, and of a program that reads keys none") {
  Client client;
  uint32_t stream = client.start(terminal({"sh", "-c", "cat; echo over"}));
  client.send_bytes(stream, "line\n");
  client.end(stream);
  CHECK(client.wait(stream).out == "line\r\nline\r\nover\r\n");
  stream = client.start(terminal({"sh", "-c", "cat; echo over"}));
  client.send_bytes(stream, "begun");
  client.end(stream);
  CHECK(client.wait(stream).out == "begunbegunover\r\n");
  stream = client.start(terminal({"sh", "-c", "stty raw -echo; echo up; dd bs=1 count=1 2>/dev/null | od -An -tx1; echo over"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees("up"));
  client.end(stream);
  CHECK_FALSE(client.pump([&] { return client.reply(stream).done; }, 200));  // nothing was typed
  client.cancel(stream);
  CHECK(client.wait(stream).exec().reason == ExecReason::cancelled);
}

TEST_CASE("a cancel hangs up: who catches SIGHUP may say goodbye, who ignores it is killed") {
  Client client;
  TemporaryDirectory dir;
  uint32_t stream = client.start(terminal({"sh", "-c", "trap 'echo bye > " + (dir / "bye") + "; exit 9' HUP; echo up; while :; do sleep 0.01; done"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees("up"));
  client.cancel(stream);
  CHECK(client.wait(stream).exec().reason == ExecReason::cancelled);
  CHECK(read_text(dir / "bye") == "bye\n");
  stream = client.start(terminal({"sh", "-c", "trap '' HUP; (trap '' HUP; echo $$ > " + (dir / "pid") + "; exec sleep 100) & echo up; while :; do sleep 0.1; done"}));
  Screen stubborn(client, stream);
  REQUIRE(stubborn.sees("up"));
  client.cancel(stream);
  const protocol::ExecResult result = client.wait(stream, 5000).exec();
  CHECK(result.reason == ExecReason::cancelled);
  CHECK(result.signal == SIGKILL);
}

TEST_CASE("a terminal in the background: it is left and found again, with what it showed") {
  Client client;
  const uint32_t own = client.start(terminal({"sh", "-c", "PS1='$ ' exec sh -i"}, true));
  uint32_t stream = client.start(protocol::AttachRequest{"t", 0, false});
  Screen first(client, stream);
  REQUIRE(first.sees("$ "));
  first.type("x=41; echo a$x\n");
  REQUIRE(first.sees("a41\r\n$ "));
  client.cancel(stream);
  client.wait(stream);
  stream = client.start(protocol::AttachRequest{"t", 0, false});
  Screen second(client, stream);
  REQUIRE(second.sees("a41\r\n$ "));
  second.type("echo b$((x + 1))\n");
  CHECK(second.sees("b42\r\n"));
  second.type("exit 6\n");
  CHECK(client.wait(own).exec().exit_code == 6);
  CHECK(client.wait(stream).exec().exit_code == 6);
}

TEST_CASE("bash: job control") {
  Client client;
  if (!installed(client, "bash")) return;
  const uint32_t stream = client.start(terminal({"bash", "--norc", "--noprofile", "-i"}));
  Screen screen(client, stream);
  screen.type("PS1='> '\n");
  REQUIRE(screen.sees("> "));
  screen.type("echo rea'dy'; cat\n");
  REQUIRE(screen.sees("ready\r\n"));  // the shell's own way of reading keys is over
  screen.type("ping\n");
  REQUIRE(screen.sees("ping\r\nping\r\n"));
  screen.type("\x1a");  // cat has answered: the terminal is its own
  CHECK(screen.sees("Stopped"));
  screen.type("jobs; echo done-$?\n");
  CHECK(screen.sees("cat"));
  CHECK(screen.sees("done-0"));
  screen.type("echo ba'ck'; fg\n");
  CHECK(screen.sees("back\r\n"));
  bool answered = false;  // keys that come before it has the terminal again are nobody's
  for (int i = 0; i < 50 && !answered; ++i) {
    screen.type("pong\n");
    answered = screen.sees("pong\r\npong\r\n", 200);
  }
  CHECK(answered);
  screen.type("\x03");
  REQUIRE(screen.sees("> "));
  screen.type("echo go'ing'; sleep 100\n");
  REQUIRE(screen.sees("going\r\n"));
  bool stopped = false;  // before the program has the terminal the shell passes over it
  for (int i = 0; i < 50 && !stopped; ++i) {
    screen.type("\x1a");
    stopped = screen.sees("Stopped", 200);
  }
  CHECK(stopped);
  REQUIRE(screen.sees("> "));
  screen.type("bg; kill %%; wait; echo go'ne'\n");
  CHECK(screen.sees("gone\r\n"));
  screen.type("exit 3\n");
  CHECK(client.wait(stream).exec().exit_code == 3);
}

TEST_CASE("python3 -i: lines, an interrupt, and the end") {
  Client client;
  if (!installed(client, "python3")) return;
  const uint32_t stream = client.start(terminal({"python3", "-i", "-q"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees(">>> "));
  screen.type("import sys, os; sys.stdout.isatty(), os.get_terminal_size()[0]\n");
  CHECK(screen.sees("(True, 80)"));
  REQUIRE(screen.sees(">>> "));  // it listens again: what comes before that may be lost between two settings of the terminal
  screen.type("while True: pass\n\n");
  ::usleep(200'000);
  screen.type("\x03");
  CHECK(screen.sees("KeyboardInterrupt"));
  REQUIRE(screen.sees(">>> "));
  screen.type("6 * 7\n");
  CHECK(screen.sees("42"));
  REQUIRE(screen.sees(">>> "));
  screen.type("\x04");
  CHECK(client.wait(stream).exec().exit_code == 0);
}

TEST_CASE("less, top and vim draw and are left by their keys") {
  Client client;
  struct Row { const char* program; std::vector<std::string> argv; const char* shows; const char* keys; };
  const Row rows[] = {{"less", {"sh", "-c", "seq 1 500 | less"}, "20", "q"}, {"top", {"top", "-d", "1"}, "PID", "q"}, {"vim", {"vim", "-u", "NONE"}, "VIM", ":q!\r"}};
  for (const Row& row : rows) {
    CAPTURE(row.program);
    if (!installed(client, row.program)) continue;
    const uint32_t stream = client.start(terminal(row.argv));
    Screen screen(client, stream);
    CHECK(screen.sees(row.shows));
    screen.type(row.keys);
    CHECK(client.wait(stream).exec().exit_code == 0);
  }
}

TEST_CASE("what is typed faster than it is read waits, and nothing of it is lost") {
  Client client;
  const uint32_t stream = client.start(terminal({"sh", "-c", "stty raw -echo; echo up; sleep 0.3; head -c 300000 | wc -c"}));
  Screen screen(client, stream);
  REQUIRE(screen.sees("up"));
  screen.type(std::string(300'000, 'k'));
  CHECK(screen.sees("300000"));
  CHECK(client.wait(stream).exec().exit_code == 0);
}

TEST_CASE("a flood on a terminal, read or not, keeps nobody waiting") {
  Client client;
  for (const bool background : {false, true}) {
    client.grant = background;
    const uint32_t stream = client.start(terminal({"cat", "/dev/zero"}, background));
    for (int i = 0; i < 5; ++i) CHECK(client.call(shell("echo " + std::to_string(i))).out == std::to_string(i) + "\n");
    client.cancel(stream);
    CHECK(client.wait(stream, 5000).exec().reason == ExecReason::cancelled);
    client.grant = true;
    if (background) break;
  }
}

TEST_CASE("what the command left behind and holds the terminal does not hold the stream") {
  Client client;
  const uint32_t stream = client.start(terminal({"sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (trap '' HUP; setsid sleep 30) & done; sleep 0.2; exit 4"}));
  const protocol::ExecResult result = client.wait(stream, 10'000).exec();
  CHECK(result.reason == ExecReason::exited);
  CHECK(result.exit_code == 4);
}

TEST_CASE("the terminal is its user's alone") {
  Client client;
  const Reply reply = client.call(terminal({"sh", "-c", "stat -c '%u %a' $(tty)"}));
  CHECK(reply.out == std::to_string(::geteuid()) + " 600\r\n");
}
