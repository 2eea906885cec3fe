// A host that reads nothing for an hour, as the agent's clock has it.
#include <doctest/doctest.h>

#include "client.hpp"
#include "simulated_clock.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace std::chrono_literals;
using protocol::ExecReason;

namespace {

/// An hour, in which the agent looks at its clock every minute: each command that starts and ends makes it.
void an_hour_passes(Client& client) {
  for (int minute = 0; minute < 60; ++minute) {
    svm::test::pass_time(1min);
    REQUIRE(client.call(shell("echo quick")).out == "quick\n");
  }
}

/// The reader goes on, from everything that its window holds.
void read_on(Client& client, uint32_t stream) {
  client.grant = true;
  client.frame(protocol::FrameType::window, stream, std::string("\0\0\x10\0", 4));
}

}  // namespace

TEST_CASE("what a command wrote waits an hour for its reader, also when the command has ended") {
  const svm::test::ClockKeeper keeper;
  Client client;
  client.grant = false;
  // The window, what the pipe holds besides, and more.
  const uint32_t waits = client.start(shell("head -c 3000000 /dev/zero; exit 5"));
  const uint32_t ended = client.start(shell("head -c " + std::to_string(protocol::kWindow + 20'000) + " /dev/zero; exit 6"));
  for (const uint32_t stream : {waits, ended}) REQUIRE(client.pump([&] { return client.reply(stream).out.size() == protocol::kWindow; }));
  an_hour_passes(client);
  for (const uint32_t stream : {waits, ended}) {
    CHECK_FALSE(client.reply(stream).done);
    CHECK(client.reply(stream).out.size() == protocol::kWindow);
  }
  read_on(client, waits);
  Reply reply = client.wait(waits);
  CHECK(reply.out.size() == 3'000'000);
  CHECK(reply.exec().exit_code == 5);
  CHECK(reply.exec().reason == ExecReason::exited);
  CHECK(reply.exec().wall_us >= 3'600'000'000);
  read_on(client, ended);
  reply = client.wait(ended);
  CHECK(reply.out.size() == protocol::kWindow + 20'000);
  CHECK(reply.exec().exit_code == 6);
  CHECK(reply.exec().wall_us < 3'600'000'000);  // it ended long ago
}

TEST_CASE("a timeout counts the time that passes, whatever the wall clock says") {
  const svm::test::ClockKeeper keeper;
  Client client;
  protocol::ExecRequest request = shell("echo up; sleep 1000");
  request.timeout_ms = 30 * 60 * 1000;
  const uint32_t stream = client.start(request);
  REQUIRE(client.pump([&] { return client.reply(stream).out == "up\n"; }));
  svm::test::jump_wall_clock(24h);
  REQUIRE(client.call(shell("echo quick")).out == "quick\n");
  CHECK_FALSE(client.reply(stream).done);
  svm::test::jump_wall_clock(-48h);
  REQUIRE(client.call(shell("echo quick")).out == "quick\n");
  CHECK_FALSE(client.reply(stream).done);
  svm::test::pass_time(31min);
  REQUIRE(client.call(shell("echo quick")).out == "quick\n");
  CHECK(client.wait(stream).exec().reason == ExecReason::timeout);
}
