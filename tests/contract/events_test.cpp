// What a program sees that looks on: the events of sandboxes, commands and files, live and replayed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "lab.hpp"

using namespace svm::test;
using std::chrono::milliseconds;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

struct Seen {
  int64_t id = 0;
  std::string text;
};

/// The next event; id 0 when none comes.
Seen next(stacyvm::Stream& stream, int64_t wait_ms = 5000) {
  stacyvm_chunk chunk;
  if (stream.next(chunk, milliseconds(wait_ms)) != stacyvm::Stream::Next::chunk) return {};
  CHECK(chunk.kind == STACYVM_CHUNK_EVENT);
  return {chunk.position, std::string(static_cast<const char*>(chunk.data), chunk.size)};
}

std::string type_of(const Seen& seen) {
  const std::string key = "\"type\":\"";
  const size_t at = seen.text.find(key);
  if (at == seen.text.npos) return "";
  return seen.text.substr(at + key.size(), seen.text.find('"', at + key.size()) - at - key.size());
}

/// The types that come until one of that type, which is the last; whatever comes has an id one larger.
std::vector<std::string> types_until(stacyvm::Stream& stream, const std::string& last) {
  std::vector<std::string> types;
  while (types.empty() || types.back() != last) {
    const Seen seen = next(stream);
    if (seen.id == 0) break;
    types.push_back(type_of(seen));
  }
  return types;
}

using Types = std::vector<std::string>;

}  // namespace

TEST_CASE("the life of a sandbox, its commands and files, as events") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  stacyvm::Stream stream = session.events(-1);
  CHECK(stream.kind() == STACYVM_STREAM_EVENTS);
  stacyvm::Sandbox sandbox = session.spawn(spawn_options());
  CHECK(types_until(stream, "sandbox.running") == Types{"sandbox.created", "sandbox.running"});

  sandbox.exec(stacyvm::Exec::program({"sh", "-c", "exit 3"}));
  Seen seen = next(stream);
  CHECK(type_of(seen) == "exec.started");
  CHECK(has(seen.text, sandbox.id()));
  CHECK(has(seen.text, "exit 3"));
  seen = next(stream);
  CHECK(type_of(seen) == "exec.completed");
  CHECK(has(seen.text, R"("exit_code":3)"));

  auto slow = stacyvm::Exec::program({"sleep", "10"});
  slow.timeout = milliseconds(50);
  sandbox.exec(slow);
  CHECK(types_until(stream, "exec.timeout") == Types{"exec.started", "exec.timeout"});
  CHECK(code_of([&] { sandbox.exec(stacyvm::Exec::program({"/no/such"})); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(types_until(stream, "operation.failed") == Types{"exec.started", "exec.failed", "operation.failed"});

  {
    stacyvm::Stream command = sandbox.exec_start(stacyvm::Exec::program({"sh", "-c", "echo out; echo error >&2"}));
    stacyvm_chunk chunk;
    while (command.next(chunk) == stacyvm::Stream::Next::chunk) {
    }
  }
  CHECK(type_of(next(stream)) == "exec.started");
  seen = next(stream);
  CHECK(type_of(seen) == "exec.completed");
  CHECK(has(seen.text, R"("stdout_bytes":4,"stderr_bytes":6)"));

  sandbox.write_file("/tmp/a", "12345");
  seen = next(stream);
  CHECK(type_of(seen) == "file.written");
  CHECK(has(seen.text, R"("path":"/tmp/a","size":5)"));
  CHECK(sandbox.read_file("/tmp/a") == "12345");
  CHECK(type_of(next(stream)) == "file.read");
  CHECK(code_of([&] { sandbox.read_file("/tmp/none"); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(type_of(next(stream)) == "operation.failed");

  auto loud = stacyvm::Exec::program({"sh", "-c", "yes"});
  loud.output_limit = 1000;
  sandbox.exec(loud);
  CHECK(types_until(stream, "resource.limit") == Types{"exec.started", "exec.completed", "resource.limit"});

  sandbox.extend(std::chrono::hours(1));
  CHECK(type_of(next(stream)) == "sandbox.updated");
  sandbox.destroy();
  seen = next(stream);
  CHECK(type_of(seen) == "sandbox.destroyed");
  CHECK(has(seen.text, R"("reason":"requested")"));
}

TEST_CASE("a full disk is an event") {
  stacyvm::Spawn spawn = spawn_options();
  spawn.disk_bytes = 1 << 20;
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  Lab lab(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "disk_limit"), "no disk limit here");
  stacyvm::Stream stream = lab.session.events(-1, R"({"types":["resource.limit"]})");
  CHECK(code_of([&] { lab.sandbox.write_file("/tmp/large", std::string(4 << 20, 'x')); }) == STACYVM_E_LIMIT);
  CHECK(has(next(stream).text, R"("resource":"disk")"));
}

TEST_CASE("a process that is killed for want of memory, or refused, is an event, whatever becomes of its command") {
  stacyvm::Spawn spawn = spawn_options();
  spawn.memory_bytes = 64 << 20;
  spawn.pids = 16;
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  Lab lab(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "memory") && enforces(lab.sandbox, "pids"), "this host cannot limit memory and processes");
  stacyvm::Stream stream = lab.session.events(-1, R"({"types":["resource.limit"]})");
  // The shell goes on after the kill of what it ran: no command's reason tells of it.
  auto hog = stacyvm::Exec::program({"sh", "-c", "tail /dev/zero; exit 3"});
  const auto end = lab.sandbox.exec(hog);
  CHECK(end.exit_code == 3);
  CHECK(end.reason == STACYVM_REASON_EXITED);
  Seen seen = next(stream);
  CHECK(has(seen.text, R"("resource":"memory","count":1)"));
  lab.sandbox.exec(stacyvm::Exec::program({"sh", "-c", "for i in $(seq 40); do sleep 5 & done; exit 4"}));
  seen = next(stream);
  CHECK(has(seen.text, R"("resource":"pids","count":)"));
  // One that is killed itself is told once: by its own end.
  CHECK(lab.sandbox.exec(stacyvm::Exec::program({"tail", "/dev/zero"})).reason == STACYVM_REASON_OOM);
  seen = next(stream);
  CHECK(has(seen.text, R"({"resource":"memory"})"));
  (void)lab.session.call("sandbox.stats", {{"id", lab.sandbox.id()}}, "");
  lab.sandbox.exec(stacyvm::Exec::program({"false"}));
  lab.sandbox.destroy();
  stacyvm::Stream all = lab.session.events(0, R"({"types":["resource.limit","sandbox.destroyed"]})");
  size_t memory = 0;
  while (type_of(seen = next(all)) != "sandbox.destroyed") memory += has(seen.text, R"("resource":"memory")");
  CHECK(memory == 2);
}

TEST_CASE("events are filtered, replayed from an id, and refused beyond the last") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  stacyvm::Sandbox one = session.spawn(spawn_options()), two = session.spawn(spawn_options());
  two.destroy();
  stacyvm::Stream all = session.events();
  int64_t last = 0;
  for (const Seen& seen : {next(all), next(all), next(all), next(all), next(all)}) CHECK(seen.id == ++last);
  stacyvm::Stream filtered = session.events(0, R"({"types":["sandbox.running","sandbox.destroyed"],"sandbox_id":")" + two.id() + "\"}");
  CHECK(type_of(next(filtered)) == "sandbox.running");
  const Seen end = next(filtered);
  CHECK(type_of(end) == "sandbox.destroyed");
  CHECK(end.id == last);
  CHECK(next(filtered, 0).id == 0);
  stacyvm::Stream rest = session.events(last - 1);
  CHECK(next(rest).id == last);
  CHECK(code_of([&] { session.events(last + 1); }) == STACYVM_E_INVALID);
  CHECK(has(details_of([&] { session.events(last + 1); }), R"("field":"after")"));
  CHECK(code_of([&] { session.events(-2); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { session.events(0, R"({"types":["sandbox.created","nonsense"]})"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { session.events(0, R"({"after":1})"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { session.events(0, "["); }) == STACYVM_E_INVALID);
  // By its name, through the JSON door.
  stacyvm::Stream called = session.call_stream("event.follow", {{"after", "0"}});
  CHECK(called.kind() == STACYVM_STREAM_EVENTS);
  CHECK(next(called).id == 1);
}

TEST_CASE("a stream of events is readable exactly when there is one, and ends with its instance") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  stacyvm::Stream stream = session.events(-1, R"({"types":["sandbox.created"]})");
  stacyvm::Queue queue = vm.queue();
  queue.add(stream, STACYVM_READY_READ, 7);
  stacyvm_ready ready[1];
  CHECK(queue.wait(ready, milliseconds(0)).empty());
  stacyvm::Sandbox sandbox = session.spawn(spawn_options());
  REQUIRE(queue.wait(ready, milliseconds(5000)).size() == 1);
  CHECK(type_of(next(stream, 0)) == "sandbox.created");
  sandbox.destroy();  // not of the type
  CHECK(queue.wait(ready, milliseconds(50)).empty());
  char byte;
  uint64_t n = 0;
  CHECK(stacyvm_stream_read(stream.get(), &byte, 1, 0, &n, nullptr) == STACYVM_E_INVALID);
  stacyvm_chunk chunk;
  STACYVM_INIT(&chunk);
  std::thread waits([&] { CHECK(stacyvm_stream_next(stream.get(), -1, &chunk, nullptr) == STACYVM_E_CANCELLED); });
  std::this_thread::sleep_for(milliseconds(20));
  stream.cancel();
  waits.join();
}

TEST_CASE("events survive an owner that was killed, and their ids are never used again") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  int told[2];
  REQUIRE(pipe(told) == 0);
  const pid_t owner = fork();
  REQUIRE(owner >= 0);
  if (owner == 0) {
    try {
      stacyvm::Instance vm(options);
      stacyvm::Session session = vm.session();
      stacyvm::Stream stream = session.events();
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      while (type_of(next(stream)) != "sandbox.running") {
      }
      if (write(told[1], sandbox.id().data(), sandbox.id().size()) < 0) _exit(1);
      for (;;) pause();
    } catch (const std::exception&) {
      _exit(1);
    }
  }
  close(told[1]);
  std::string id(29, '\0');
  REQUIRE(read(told[0], id.data(), id.size()) == 29);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  close(told[0]);

  int64_t last = 0;
  {
    stacyvm::Instance vm(options);
    stacyvm::Session session = vm.session();
    stacyvm::Stream stream = session.events();
    for (const char* type : {"sandbox.created", "sandbox.running", "reconcile.action", "sandbox.destroyed"}) {
      const Seen seen = next(stream);
      CHECK(type_of(seen) == type);
      CHECK(has(seen.text, id));
      CHECK(seen.id == ++last);
    }
    CHECK(session.call("sandbox.prune") == R"({"pruned":1})");
  }
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  stacyvm::Stream stream = session.events(last);
  session.spawn(spawn_options());
  CHECK(next(stream).id == last + 1);
}
