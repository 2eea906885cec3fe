// Background commands: they outlive their stream, keep their last output, and are read, written to and ended by id.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include "agent/process.hpp"
#include "agent/process_table.hpp"
#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using protocol::AttachRequest;
using protocol::ExecReason;

namespace {

protocol::ExecRequest background(const std::string& id, const std::string& script) {
  protocol::ExecRequest request = shell(script);
  request.id = id;
  request.background = true;
  return request;
}

uint32_t attach(Client& client, const std::string& id, uint64_t from = 0, bool quiet = false) { return client.start(AttachRequest{id, from, quiet}); }

protocol::ProcessInfo info(Client& client, const std::string& id) {
  for (const auto& process : client.call(protocol::ProcessListRequest{}).processes())
    if (process.id == id) return process;
  return {};
}

/// Waits until the command has written `bytes`.
void wait_output(Client& client, const std::string& id, uint64_t bytes) {
  const uint32_t stream = attach(client, id);
  REQUIRE(client.pump([&] { return client.reply(stream).both.size() + (client.reply(stream).gaps.empty() ? 0 : client.reply(stream).gaps.back().second) >= bytes; }));
  client.cancel(stream);
  client.wait(stream);
}

}  // namespace

TEST_CASE("a background command's own stream tells start and end, an attached one the output from any place") {
  Client client;
  const uint32_t own = client.start(background("a", "echo out; echo err >&2; read x; exit 3"));
  const uint32_t first = attach(client, "a");
  REQUIRE(client.pump([&] { return client.reply(first).both.size() == 8; }));
  CHECK(client.reply(own).pid > 0);
  CHECK(client.reply(own).both.empty());
  const Reply end = client.wait(own);
  CHECK(end.exec().reason == ExecReason::exited);
  CHECK(end.exec().exit_code == 3);
  const Reply reply = client.wait(first);
  CHECK(reply.out == "out\n");
  CHECK(reply.err == "err\n");
  CHECK(reply.exec().exit_code == 3);
  // after its end: from a place, with the kinds, and the result
  const Reply late = client.wait(attach(client, "a", 2));
  CHECK(late.both == reply.both.substr(2));
  CHECK(late.exec().exit_code == 3);
  CHECK(late.gaps.empty());
  CHECK(client.wait(attach(client, "a", 8)).both.empty());
  CHECK(client.wait(attach(client, "a", 9)).result.code == Code::invalid);
  CHECK(client.wait(attach(client, "a", 0, true)).both.empty());
  CHECK(client.wait(attach(client, "b")).result.code == Code::not_found);
}

TEST_CASE("a command that nobody reads runs on; the bytes that are gone are told as a gap, and the rest is exact") {
  Client client;
  protocol::ExecRequest request = background("loud", "head -c 1000000 /dev/zero | tr '\\0' x; echo end");
  request.ring_bytes = 8192;
  REQUIRE(client.call(request).exec().exit_code == 0);
  const Reply reply = client.wait(attach(client, "loud"));
  REQUIRE(reply.gaps.size() == 1);
  CHECK(reply.gaps[0] == std::pair<size_t, uint64_t>{0, 1'000'004 - 8192});
  CHECK(reply.out == std::string(8188, 'x') + "end\n");
  CHECK(client.wait(attach(client, "loud", 1'000'000)).out == "end\n");
  CHECK(info(client, "loud").output == 1'000'004);
  CHECK(info(client, "loud").lost == 1'000'004 - 8192);
}

TEST_CASE("a reader without credit is overtaken, is told where it goes on, and holds up nobody") {
  Client client;
  client.grant = false;
  protocol::ExecRequest request = background("o", "head -c 3000000 /dev/zero; read x; echo end");
  request.ring_bytes = 4096;
  request.use_stdin = true;
  client.start(request);
  const uint32_t slow = attach(client, "o");
  while (info(client, "o").output < 3'000'000) ::usleep(1000);
  CHECK(client.reply(slow).both.size() <= protocol::kWindow);
  client.grant = true;
  client.frame(protocol::FrameType::window, slow, std::string("\0\0\x10\0", 4));
  client.send_bytes(slow, "\n");
  const Reply reply = client.wait(slow);
  REQUIRE_FALSE(reply.gaps.empty());
  const auto [before, position] = reply.gaps.back();
  CHECK(position + (reply.both.size() - before) == 3'000'004);  // counts on exactly from the last gap
  CHECK(reply.both.ends_with("end\n"));
}

TEST_CASE("attached from now on: a gap tells the place, then only what is new comes") {
  Client client;
  protocol::ExecRequest request = background("n", "echo old; read x; echo \"new $x\"");
  request.use_stdin = true;
  client.start(request);
  wait_output(client, "n", 4);
  const uint32_t stream = attach(client, "n", UINT64_MAX);
  client.send_bytes(stream, "line\n");
  const Reply reply = client.wait(stream);
  CHECK(reply.out == "new line\n");
  REQUIRE(reply.gaps.size() == 1);
  CHECK(reply.gaps[0] == std::pair<size_t, uint64_t>{0, 4});
}

TEST_CASE("any attached stream may write; the end of input comes only from an end") {
  Client client;
  protocol::ExecRequest request = background("cat", "cat; echo over");
  request.use_stdin = true;
  const uint32_t own = client.start(request);
  const uint32_t one = attach(client, "cat"), two = attach(client, "cat");
  client.send_bytes(one, "1");
  REQUIRE(client.pump([&] { return client.reply(two).out == "1"; }));
  client.cancel(one);
  CHECK(client.wait(one).result.code == Code::cancelled);
  client.send_bytes(two, "2");
  REQUIRE(client.pump([&] { return client.reply(two).out == "12"; }));
  client.end(two);
  CHECK(client.wait(two).out == "12over\n");
  CHECK(client.wait(own).exec().exit_code == 0);
}

TEST_CASE("megabytes through an attached stream's input, under its credit") {
  Client client;
  protocol::ExecRequest request = background("wc", "wc -c");
  request.use_stdin = true;
  client.start(request);
  const uint32_t stream = attach(client, "wc");
  client.send_bytes(stream, std::string(3'000'000, 'x'));
  client.end(stream);
  CHECK(client.wait(stream).out == "3000000\n");
}

TEST_CASE("cancelling an attached stream lets go; cancelling the command's own, or killing through any, ends the tree") {
  Client client;
  for (const bool through_own : {true, false}) {
    CAPTURE(through_own);
    const std::string id = through_own ? "own" : "attached";
    TemporaryDirectory dir;
    const uint32_t own = client.start(background(id, "sleep 100 & echo $! > " + (dir / "pid") + "; echo up; wait"));
    const uint32_t reader = attach(client, id), other = attach(client, id);
    REQUIRE(client.pump([&] { return client.reply(reader).out == "up\n" && client.reply(other).out == "up\n"; }));
    client.cancel(other);
    CHECK(client.wait(other).result.code == Code::cancelled);
    CHECK(info(client, id).running);
    if (through_own)
      client.cancel(own);
    else
      client.kill(reader);
    CHECK(client.wait(own).exec().reason == ExecReason::cancelled);
    CHECK(client.wait(reader).exec().reason == ExecReason::cancelled);
    const int child = std::stoi(read_text(dir / "pid"));
    int left = 500;
    while (::kill(child, 0) == 0 && --left > 0) ::usleep(10'000);
    CHECK(left > 0);
  }
}

TEST_CASE("signals by id, to the command or its group; who is not there, or has ended, is told so") {
  Client client;
  const uint32_t own = client.start(background("s", "trap 'echo got; exit 5' TERM; echo up; while :; do sleep 0.01; done"));
  wait_output(client, "s", 3);
  CHECK(client.call(protocol::ProcessSignalRequest{"s", SIGTERM, 0, 0, 0}).result.code == Code::ok);
  CHECK(client.wait(own).exec().exit_code == 5);
  CHECK(client.call(protocol::ProcessSignalRequest{"s", SIGTERM, 0, 0, 0}).result.code == Code::closed);
  CHECK(client.call(protocol::ProcessSignalRequest{"none", SIGTERM, 0, 0, 0}).result.code == Code::not_found);
  // a foreground command has an id as well
  protocol::ExecRequest foreground = shell("sleep 100; true");
  foreground.id = "f";
  const uint32_t stream = client.start(foreground);
  REQUIRE(client.pump([&] { return client.reply(stream).pid != 0; }));
  CHECK(client.wait(attach(client, "f")).result.code == Code::conflict);
  CHECK(client.call(protocol::ProcessSignalRequest{"f", 0, 0, 24, 80}).result.code == Code::conflict);  // no terminal
  CHECK(client.call(protocol::ProcessSignalRequest{"f", SIGKILL, protocol::kSignalGroup, 0, 0}).result.code == Code::ok);
  CHECK(client.wait(stream).exec().reason == ExecReason::signalled);
  CHECK(info(client, "f").id.empty());  // only background commands are remembered
}

TEST_CASE("the list says what runs and how the others ended") {
  Client client;
  protocol::ExecRequest request = background("one", "");
  request.shell.clear();
  request.argv = {"sh", "-c", "echo 12345\n\nexit 4"};
  client.call(request);
  const uint32_t two = client.start(background("two", "sleep 100"));
  REQUIRE(client.pump([&] { return client.reply(two).pid != 0; }));
  client.call(background("three", std::string(600, ' ') + "true"));
  request = background("four", "");
  request.shell.clear();
  request.argv = {"/no/such"};
  CHECK(client.call(request).result.code == Code::file_not_found);
  const uint32_t reader = attach(client, "two");
  const auto list = client.call(protocol::ProcessListRequest{}).processes();
  REQUIRE(list.size() == 4);
  CHECK(list[0].id == "one");
  CHECK(list[0].command == "sh -c echo 12345\\x0a\\x0aexit 4");
  CHECK_FALSE(list[0].running);
  CHECK(list[0].result.exit_code == 4);
  CHECK(list[0].output == 6);
  CHECK(list[0].started_ms > 1'700'000'000'000);
  CHECK(list[1].command.size() <= protocol::kMaxCommandHead);
  CHECK(list[2].code == static_cast<int32_t>(Code::file_not_found));
  CHECK(list[2].pid == 0);
  CHECK(list[3].id == "two");
  CHECK(list[3].running);
  CHECK(list[3].background);
  CHECK(list[3].pid == client.reply(two).pid);
  CHECK(list[3].attached == 1);
  // why it did not start is what an attached stream is told too
  CHECK(client.wait(attach(client, "four")).result.code == Code::file_not_found);
  client.cancel(two);
  client.wait(reader);
}

TEST_CASE("an id names one command") {
  Client client;
  const uint32_t one = client.start(background("x", "sleep 100"));
  CHECK(client.call(background("x", "true")).result.code == Code::conflict);
  CHECK(info(client, "x").running);
  client.cancel(one);
  client.wait(one);
  CHECK(client.call(background("x", "true")).result.code == Code::conflict);  // still remembered
}

TEST_CASE("kMaxAttached streams per command, one more is refused and a place becomes free") {
  Client client;
  const uint32_t own = client.start(background("m", "sleep 100"));
  std::vector<uint32_t> streams;
  for (size_t i = 0; i < agent::kMaxAttached; ++i) streams.push_back(attach(client, "m"));
  CHECK(client.wait(attach(client, "m")).result.code == Code::limit);
  client.cancel(streams[0]);
  client.wait(streams[0]);
  const uint32_t again = attach(client, "m");
  client.cancel(own);
  CHECK(client.wait(again).exec().reason == ExecReason::cancelled);
}

TEST_CASE("kMaxBackground run at a time, one more is refused; kMaxEnded are remembered, the oldest go first") {
  Client client;
  std::vector<uint32_t> streams;
  for (size_t i = 0; i < agent::kMaxBackground; ++i) {
    protocol::ExecRequest request = background("r" + std::to_string(i), "");
    request.shell.clear();
    request.argv = {"sleep", "100"};
    streams.push_back(client.start(request));
  }
  CHECK(client.call(background("more", "true")).result.code == Code::limit);
  CHECK(client.wait(attach(client, "more")).result.code == Code::limit);
  for (const uint32_t stream : streams) client.cancel(stream);
  for (const uint32_t stream : streams) CHECK(client.wait(stream).exec().reason == ExecReason::cancelled);
  CHECK(client.call(protocol::ProcessListRequest{}).processes().size() == agent::kMaxEnded);
  CHECK(client.call(background("last", "true")).exec().exit_code == 0);
  const auto list = client.call(protocol::ProcessListRequest{}).processes();
  CHECK(list.size() == agent::kMaxEnded);
  CHECK(list.back().id == "last");
  CHECK(client.wait(attach(client, "more")).result.code == Code::not_found);
}

TEST_CASE("the console has the last of what every command wrote, in lines or all, and follows") {
  Client client;
  client.call(shell("echo one; echo two"));
  client.call(background("b", "echo three >&2"));
  Reply reply = client.call(protocol::ConsoleRequest{UINT64_MAX, false});
  CHECK(reply.both == "one\ntwo\nthree\n");
  CHECK(reply.err == "three\n");
  CHECK(reply.gaps.empty());
  reply = client.call(protocol::ConsoleRequest{2, false});
  CHECK(reply.both == "two\nthree\n");
  CHECK(reply.gaps == std::vector<std::pair<size_t, uint64_t>>{{0, 4}});
  const uint32_t follow = client.start(protocol::ConsoleRequest{0, true});
  client.call(shell("echo four"));
  REQUIRE(client.pump([&] { return client.reply(follow).both == "four\n"; }));
  client.cancel(follow);
  CHECK(client.wait(follow).result.code == Code::cancelled);
  client.call(shell("head -c 200000 /dev/zero"));
  reply = client.call(protocol::ConsoleRequest{UINT64_MAX, false});
  CHECK(reply.both == std::string(agent::kConsoleBytes, '\0'));
  CHECK(reply.gaps == std::vector<std::pair<size_t, uint64_t>>{{0, 200'019 - agent::kConsoleBytes}});
}

TEST_CASE("a flood in the background does not keep others waiting") {
  Client client;
  const uint32_t own = client.start(background("flood", "cat /dev/zero"));
  for (int i = 0; i < 10; ++i) CHECK(client.call(shell("echo " + std::to_string(i))).out == std::to_string(i) + "\n");
  client.cancel(own);
  CHECK(client.wait(own, 5000).exec().reason == ExecReason::cancelled);
}
