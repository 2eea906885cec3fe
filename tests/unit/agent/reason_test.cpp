// Why a command ended: one table, in every form a command can have.
#include <doctest/doctest.h>
#include <signal.h>

#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using protocol::ExecReason;

namespace {

struct Form {
  const char* name;
  bool terminal, background;
};
constexpr Form kForms[] = {{"foreground", false, false}, {"background", false, true}, {"terminal", true, false}, {"terminal in the background", true, true}};

struct Case {
  const char* what;
  const char* script;  // @: where it says "up"; first, without
  void (*act)(Client&, uint32_t stream, const std::string& id);  // once it has written "up"
  uint64_t timeout_ms, output_limit;
  ExecReason reason;
  int exit_code, signal;
};
void nothing(Client&, uint32_t, const std::string&) {}
void cancel(Client& client, uint32_t stream, const std::string&) { client.cancel(stream); }
void kill_leader(Client& client, uint32_t stream, const std::string&) { client.signal(stream, SIGKILL, false); }
void terminate(Client& client, uint32_t stream, const std::string&) { client.signal(stream, SIGTERM, false); }
void terminate_by_id(Client& client, uint32_t, const std::string& id) {
  CHECK(client.call(protocol::ProcessSignalRequest{id, SIGTERM, 0, 0, 0}).result.code == Code::ok);
}
void cancel_twice(Client& client, uint32_t stream, const std::string&) { client.cancel(stream), client.cancel(stream); }

constexpr Case kCases[] = {
    {"exits", "exit 0", nothing, 0, 0, ExecReason::exited, 0, 0},
    {"exits with a number", "exit 7", nothing, 0, 0, ExecReason::exited, 7, 0},
    {"exits with a number that looks like a signal's", "exit 137", nothing, 0, 0, ExecReason::exited, 137, 0},
    {"exits before its timeout", "exit 7", nothing, 60'000, 0, ExecReason::exited, 7, 0},
    {"exits within its limit of output", "exit 7", nothing, 0, 1000, ExecReason::exited, 7, 0},
    {"kills itself", "kill -KILL $$", nothing, 0, 0, ExecReason::signalled, 137, 9},
    {"dies of its own signal", "kill -SEGV $$", nothing, 0, 0, ExecReason::signalled, 139, 11},
    {"a child is killed", "sh -c 'kill -KILL $$'; exit 3", nothing, 0, 0, ExecReason::exited, 3, 0},
    {"is killed by the host", "sleep 100; exit 1", kill_leader, 0, 0, ExecReason::signalled, 137, 9},
    {"is asked to end by the host", "exec sleep 100", terminate, 0, 0, ExecReason::signalled, 143, 15},
    {"is asked to end by its id", "exec sleep 100", terminate_by_id, 0, 0, ExecReason::signalled, 143, 15},
    {"answers the host's signal", "trap 'exit 4' TERM; @; while :; do sleep 0.01; done", terminate, 0, 0, ExecReason::exited, 4, 0},
    {"takes too long", "exec sleep 100", nothing, 300, 0, ExecReason::timeout, 137, 9},
    {"takes too long, and its children", "sleep 100 & sleep 100 & wait", nothing, 300, 0, ExecReason::timeout, 137, 9},
    {"ignores signals and takes too long", "trap '' TERM HUP INT; @; sleep 100 & wait; sleep 100", nothing, 300, 0, ExecReason::timeout, 137, 9},
    {"writes too much", "cat /dev/zero", nothing, 0, 1000, ExecReason::output_limit, 137, 9},
    {"writes too much before its timeout", "cat /dev/zero", nothing, 60'000, 1000, ExecReason::output_limit, 137, 9},
};
// A terminal is hung up first: what that makes of the command is its own affair.
constexpr Case kCancels[] = {
    {"is cancelled", "sleep 100; exit 1", cancel, 0, 0, ExecReason::cancelled, 137, 9},
    {"is cancelled twice", "sleep 100; exit 1", cancel_twice, 0, 0, ExecReason::cancelled, 137, 9},
    {"is cancelled before its timeout", "sleep 100; exit 1", cancel, 60'000, 0, ExecReason::cancelled, 137, 9},
    {"ignores signals and is cancelled", "trap '' TERM HUP INT; @; while :; do sleep 1; done", cancel, 0, 0, ExecReason::cancelled, 137, 9},
};

protocol::ExecResult run(const Form& form, const Case& row) {
  Client client;
  std::string script = row.script;
  const size_t up = script.find('@');
  if (up == std::string::npos)
    script = "echo up; " + script;
  else
    script.replace(up, 1, "echo up");
  protocol::ExecRequest request = shell(script);
  request.id = "x";
  request.terminal = form.terminal;
  request.background = form.background;
  request.timeout_ms = row.timeout_ms;
  request.output_limit = row.output_limit;
  const uint32_t stream = client.start(request);
  const uint32_t reader = form.background ? client.start(protocol::AttachRequest{"x", 0, false}) : stream;
  REQUIRE(client.pump([&] { return client.reply(reader).out.find("up") != std::string::npos || client.reply(stream).done; }));
  row.act(client, stream, "x");
  const protocol::ExecResult result = client.wait(stream).exec();
  if (form.background) CHECK(client.wait(reader).exec() == result);
  if (row.output_limit > 0) CHECK(client.reply(reader).both.size() <= row.output_limit);
  if (row.reason == ExecReason::output_limit) CHECK(client.reply(reader).both.size() == row.output_limit);
  return result;
}

}  // namespace

TEST_CASE("the reason of an end, in every form") {
  for (const Form& form : kForms)
    for (const Case& row : kCases) {
      CAPTURE(std::string(form.name));
      CAPTURE(std::string(row.what));
      const protocol::ExecResult result = run(form, row);
      CHECK(result.reason == row.reason);
      CHECK(result.exit_code == row.exit_code);
      CHECK(result.signal == row.signal);
      CHECK(result.wall_us > 0);
      CHECK(result.memory_peak > 4096);
    }
}

TEST_CASE("cancelled, in every form") {
  for (const Form& form : kForms)
    for (const Case& row : kCancels) {
      CAPTURE(std::string(form.name));
      CAPTURE(std::string(row.what));
      const protocol::ExecResult result = run(form, row);
      CHECK(result.reason == row.reason);
      if (form.terminal) continue;
      CHECK(result.exit_code == row.exit_code);
      CHECK(result.signal == row.signal);
    }
}

TEST_CASE("a command that has ended is not cancelled by a cancel that comes later") {
  Client client;
  // Its child keeps the output open, so that the stream is not over yet.
  const uint32_t stream = client.start(shell("(while :; do echo x; sleep 0.02; done) & exit 6"));
  REQUIRE(client.pump([&] { return !client.reply(stream).out.empty(); }));
  client.pump([] { return false; }, 200);
  client.cancel(stream);
  const Reply reply = client.wait(stream);
  CHECK(reply.exec().reason == ExecReason::exited);
  CHECK(reply.exec().exit_code == 6);
}

TEST_CASE("processor time and memory are the command's, in every form") {
  for (const Form& form : kForms) {
    CAPTURE(std::string(form.name));
    const Case row{"works", "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; head -c 30000000 /dev/zero | tail -c 30000000 | wc -c", nothing, 0, 0, ExecReason::exited, 0, 0};
    const protocol::ExecResult result = run(form, row);
    CHECK(result.cpu_us > 1000);
    CHECK(result.memory_peak > 25'000'000);
  }
}
