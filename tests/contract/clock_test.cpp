// Clocks that jump, and readers that take an hour. The clocks of the sandboxes' own processes stay: only the host's move.
#include <chrono>
#include <thread>
#include <vector>

#include "lab.hpp"
#include "simulated_clock.hpp"

using namespace svm::test;
using stacyvm::Sandbox, stacyvm::Spawn, stacyvm::Stream;
using namespace std::chrono_literals;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kTenYears = 10 * 365 * 24h, kDay = 24h;

Spawn for_time(milliseconds ttl) {
  Spawn spawn = spawn_options();
  spawn.ttl = ttl;
  return spawn;
}

stacyvm::Exec reads(const char* script) {
  stacyvm::Exec exec = stacyvm::Exec::sh(script);
  exec.flags = STACYVM_EXEC_STDIN;
  return exec;
}

bool is_gone(Sandbox& sandbox) { return code_of([&] { sandbox.info(); }) == STACYVM_E_NOT_FOUND; }

/// All that is there, from an id; the stream is asked until it has nothing more.
std::vector<int64_t> event_ids(stacyvm::Session& session, int64_t after) {
  Stream stream = session.events(after);
  std::vector<int64_t> ids;
  stacyvm_chunk chunk;
  while (stream.next(chunk, 200ms) == Stream::Next::chunk) ids.push_back(chunk.position);
  return ids;
}

void check_wall_jump(milliseconds by) {
  CAPTURE(by.count());
  const ClockKeeper keeper;
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  std::string id;
  {
    Lab lab(for_time(kDay), options);
    id = lab.sandbox.id();
    Sandbox brief = lab.session.spawn(for_time(1500ms));
    Stream running = lab.sandbox.exec_start(reads("read x; echo $x; sleep 0.3"));
    jump_wall_clock(by);
    // What runs goes on, what starts now starts, and each lasts as long as it was to last.
    Sandbox late = lab.session.spawn(for_time(1s));
    CHECK(sh(late, "echo late") == "late\n");
    std::this_thread::sleep_for(200ms);
    CHECK(sh(lab.sandbox, "echo here") == "here\n");
    running.write("line\n");
    std::string out;
    stacyvm_chunk chunk;
    while (running.next(chunk, milliseconds(20'000)) == Stream::Next::chunk)
      if (chunk.kind == STACYVM_CHUNK_STDOUT) out.append(static_cast<const char*>(chunk.data), chunk.size);
    CHECK(out == "line\n");
    REQUIRE(running.exec_result());
    CHECK(running.exec_result()->exit_code == 0);
    CHECK(running.exec_result()->wall < 1min);
    CHECK(within(20'000, [&] { return is_gone(brief); }));
    CHECK(within(20'000, [&] { return is_gone(late); }));
    lab.sandbox.extend(1h);
    std::this_thread::sleep_for(200ms);
    CHECK_FALSE(is_gone(lab.sandbox));
    auto timed = stacyvm::Exec::sh("sleep 100");
    timed.timeout = 200ms;
    CHECK(lab.sandbox.exec(timed).reason == STACYVM_REASON_TIMEOUT);
  }
  // What was recorded before and after the jump is whole, and goes on to be.
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  const std::vector<int64_t> ids = event_ids(session, 0);
  REQUIRE_FALSE(ids.empty());
  for (size_t i = 1; i < ids.size(); ++i) CHECK(ids[i] == ids[i - 1] + 1);
  CHECK(session.call("sandbox.list") == "[]");
  CHECK(code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
  Sandbox again = session.spawn(spawn_options());
  CHECK(sh(again, "echo again") == "again\n");
}

}  // namespace

TEST_CASE("a wall clock that jumps ends no sandbox early, keeps none alive, and spoils no record") {
  SUBCASE("ahead") { check_wall_jump(kTenYears); }
  SUBCASE("back, to before 1970") { check_wall_jump(-80 * 365 * 24h); }
}

TEST_CASE("a wall clock that jumps while nobody owns a sandbox leaves it as long as it had") {
  const ClockKeeper keeper;
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  options.flags = STACYVM_OPEN_DETACHED;
  for (const milliseconds by : {kTenYears, -kTenYears}) {
    CAPTURE(by.count());
    std::string longer, shorter;
    {
      Lab lab(for_time(1h), options);
      longer = lab.sandbox.id();
      shorter = lab.session.spawn(for_time(4s)).id();
    }
    jump_wall_clock(by);
    stacyvm::Instance vm(options);
    stacyvm::Session session = vm.session();
    Sandbox one = session.sandbox(longer);
    CHECK(sh(one, "echo here") == "here\n");
    CHECK(within(20'000, [&] { return code_of([&] { session.sandbox(shorter); }) == STACYVM_E_NOT_FOUND; }));
    CHECK(sh(one, "echo still") == "still\n");
    vm.shutdown(milliseconds(20'000));
  }
}

TEST_CASE("an hour that passes ends what lasts less, and nothing else") {
  const ClockKeeper keeper;
  Lab lab(for_time(2h));
  Sandbox shorter = lab.session.spawn(for_time(59min));
  Stream running = lab.sandbox.exec_start(reads("read x; exit 7"));
  pass_time(1h);
  lab.session.spawn(for_time(1h)).destroy();  // who waits for the next deadline looks at the clock again
  CHECK(within(20'000, [&] { return is_gone(shorter); }));
  CHECK(sh(lab.sandbox, "echo here") == "here\n");
  running.write("\n");
  stacyvm_chunk chunk;
  while (running.next(chunk, milliseconds(20'000)) == Stream::Next::chunk) {
  }
  REQUIRE(running.exec_result());
  CHECK(running.exec_result()->exit_code == 7);
}

TEST_CASE("a reader that takes an hour loses nothing and holds up nobody") {
  const ClockKeeper keeper;
  Lab lab(for_time(kDay));
  constexpr size_t kBytes = 8u << 20;
  // More than every buffer on the way holds, so that all three wait for their reader.
  Stream command = lab.sandbox.exec_start(stacyvm::Exec::sh("head -c " + std::to_string(kBytes) + " /dev/zero; exit 3"));
  lab.sandbox.write_file("/tmp/big", std::string(kBytes, 'b'));
  Stream file = lab.sandbox.reader("/tmp/big");
  Stream events = lab.session.events(0);
  for (int minute = 0; minute < 60; ++minute) {
    pass_time(1min);
    if (minute % 10 == 0) CHECK(sh(lab.sandbox, "echo quick") == "quick\n");
    // A few bytes now and then are no reason to be let go, either.
    if (minute % 20 == 0) {
      stacyvm_chunk chunk;
      CHECK(events.next(chunk, milliseconds(20'000)) == Stream::Next::chunk);
    }
  }
  const auto count = [](Stream& stream, int32_t kind) {
    size_t bytes = 0;
    stacyvm_chunk chunk;
    while (stream.next(chunk, milliseconds(20'000)) == Stream::Next::chunk)
      if (chunk.kind == kind) bytes += chunk.size;
    return bytes;
  };
  CHECK(count(command, STACYVM_CHUNK_STDOUT) == kBytes);
  REQUIRE(command.exec_result());
  CHECK(command.exec_result()->exit_code == 3);
  CHECK(command.exec_result()->reason == STACYVM_REASON_EXITED);
  CHECK(count(file, STACYVM_CHUNK_BYTES) == kBytes);
  int64_t last = 0;
  stacyvm_chunk chunk;
  while (events.next(chunk, 200ms) == Stream::Next::chunk) {
    CHECK(chunk.position > last);
    last = chunk.position;
  }
  CHECK(last > 0);
}
