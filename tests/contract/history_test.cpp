// The history of commands: what ran, how it ended, and for how long that is known.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab.hpp"

using namespace svm::test;
using std::chrono::milliseconds;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

size_t count(const std::string& list) {
  size_t n = 0;
  for (size_t at = 0; (at = list.find("\"exec_id\"", at)) != list.npos; ++at) ++n;
  return n;
}

std::string list(stacyvm::Session& session, const std::string& filter) { return session.call("exec.list", {}, filter); }

std::string newest(stacyvm::Session& session) {
  const std::string all = list(session, R"({"limit":1})"), key = "\"exec_id\":\"";
  const size_t at = all.find(key);
  return at == all.npos ? "" : all.substr(at + key.size(), all.find('"', at + key.size()) - at - key.size());
}

/// Runs it to its end; its id.
std::string run(Lab& lab, const stacyvm::Exec& exec) {
  lab.sandbox.exec(exec);
  return newest(lab.session);
}

void drain(stacyvm::Stream& stream) {
  stacyvm_chunk chunk;
  while (stream.next(chunk) == stacyvm::Stream::Next::chunk) {
  }
}

}  // namespace

TEST_CASE("a command is in the history as it started and as it ended, without what is secret") {
  Lab lab;
  auto exec = stacyvm::Exec::program({"sh", "-c", "echo out; echo error >&2; exit 4"});
  exec.env = {{"PASSWORD", "hunter2"}};
  exec.stdin_data = "secret input";
  exec.user = "user";
  const std::string id = run(lab, exec);
  const std::string info = lab.session.call("exec.get", {{"exec_id", id}});
  CAPTURE(info);
  for (const std::string& part : {"\"exec_id\":\"" + id + '"', "\"sandbox_id\":\"" + lab.sandbox.id() + '"', std::string(R"("user":"user")"), std::string("exit 4"),
                                  std::string(R"("shell":false)"), std::string(R"("reason":"exited")"), std::string(R"("exit_code":4)"),
                                  std::string(R"("stdout_bytes":4)"), std::string(R"("stderr_bytes":6)"), std::string("\"ended_at\"")})
    CHECK(has(info, part));
  for (const char* part : {"hunter2", "PASSWORD", "secret input"}) CHECK_FALSE(has(info, part));
  CHECK(code_of([&] { lab.session.call("exec.get", {{"exec_id", "ex-none"}}); }) == STACYVM_E_NOT_FOUND);
}

TEST_CASE("running and ended commands, newest first, page by page") {
  Lab lab;
  stacyvm::Stream runs = lab.sandbox.exec_start(stacyvm::Exec::program({"sleep", "1000"}));
  lab.sandbox.exec(stacyvm::Exec::program({"true"}));
  const std::string last = run(lab, stacyvm::Exec::program({"false"}));
  const std::string all = list(lab.session, "");
  CHECK(count(all) == 3);
  CHECK(all.find("false") < all.find("true\""));
  CHECK(count(list(lab.session, R"({"state":"running"})")) == 1);
  CHECK(has(list(lab.session, R"({"state":"running"})"), "sleep"));
  CHECK(count(list(lab.session, R"({"state":"ended"})")) == 2);
  CHECK(count(list(lab.session, R"({"limit":1})")) == 1);
  CHECK(count(list(lab.session, "{\"after\":\"" + last + "\"}")) == 2);
  CHECK(count(list(lab.session, R"({"sandbox_id":"sb-none"})")) == 0);
  CHECK(code_of([&] { list(lab.session, R"({"state":"old"})"); }) == STACYVM_E_INVALID);
  stacyvm_exec_signal(runs.get(), SIGTERM, 0, nullptr);
  drain(runs);
  CHECK(count(list(lab.session, R"({"state":"running"})")) == 0);
  CHECK(has(list(lab.session, R"({"state":"ended"})"), R"("reason":"signalled")"));
}

TEST_CASE("every reason of an end is in the history") {
  Lab lab;
  auto exec = stacyvm::Exec::program({"sleep", "10"});
  exec.timeout = milliseconds(20);
  const auto reason = [&](const std::string& id) {
    const std::string info = lab.session.call("exec.get", {{"exec_id", id}}), key = "\"reason\":\"";
    const size_t at = info.find(key);
    return at == info.npos ? std::string() : info.substr(at + key.size(), info.find('"', at + key.size()) - at - key.size());
  };
  CHECK(reason(run(lab, exec)) == "timeout");
  exec = stacyvm::Exec::program({"yes"});
  exec.output_limit = 100;
  CHECK(reason(run(lab, exec)) == "output_limit");
  stacyvm::Stream missing = lab.sandbox.exec_start(stacyvm::Exec::program({"/no/such"}));
  CHECK(code_of([&] { drain(missing); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(reason(missing.exec_id()) == "failed");
  std::string dropped;
  {
    stacyvm::Stream stream = lab.sandbox.exec_start(stacyvm::Exec::program({"sleep", "1000"}));
    dropped = stream.exec_id();
  }
  CHECK(reason(dropped) == "cancelled");
  stacyvm::Stream lost = lab.sandbox.exec_start(stacyvm::Exec::program({"sleep", "1000"}));
  lab.session.call("sandbox.destroy", {{"id", lab.sandbox.id()}, {"keep", "1h"}});
  CHECK(reason(lost.exec_id()) == "lost");
  CHECK(count(list(lab.session, "{\"sandbox_id\":\"" + lab.sandbox.id() + "\"}")) == 5);  // it has ended, and is kept
}

TEST_CASE("commands of an owner that was killed are lost, and said to be") {
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
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      sandbox.exec(stacyvm::Exec::program({"true"}));
      stacyvm::Stream stream = sandbox.exec_start(stacyvm::Exec::program({"sleep", "1000"}));
      if (count(list(session, "")) != 2 || write(told[1], "x", 1) < 0) _exit(1);  // the list says what is stored
      for (;;) pause();
    } catch (const std::exception&) {
      _exit(1);
    }
  }
  close(told[1]);
  char byte;
  CHECK(read(told[0], &byte, 1) == 1);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  close(told[0]);
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  const std::string all = list(session, "");
  CAPTURE(all);
  CHECK(count(all) == 2);
  CHECK(has(all, R"("reason":"lost")"));
  CHECK(has(all, R"("reason":"exited")"));
  CHECK(count(list(session, R"({"state":"running"})")) == 0);
  session.call("sandbox.prune");
  CHECK(count(list(session, "")) == 0);
}

TEST_CASE("what a sandbox uses, or why that cannot be read") {
  Lab lab;
  const auto stats = [&] { return lab.session.call("sandbox.stats", {{"id", lab.sandbox.id()}}); };
  const auto number = [](const std::string& text, const std::string& name) -> int64_t {
    const std::string key = '"' + name + "\":";
    const size_t at = text.find(key);
    REQUIRE(at != text.npos);
    return text.compare(at + key.size(), 4, "null") == 0 ? -1 : std::stoll(text.substr(at + key.size()));
  };
  const std::string before = stats();
  CAPTURE(before);
  CHECK(number(before, "running_execs") == 0);
  stacyvm::Stream runs = lab.sandbox.exec_start(stacyvm::Exec::program({"sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo ready; exec sleep 1000"}));
  stacyvm_chunk chunk;
  REQUIRE(runs.next(chunk) == stacyvm::Stream::Next::chunk);
  const std::string during = stats();
  CAPTURE(during);
  CHECK(number(during, "running_execs") == 1);
  CHECK(number(during, "open_streams") == 1);
  // What is null has its reason in `missing`, and what is not is as it must be.
  for (const std::string name : {"cpu_us", "memory_bytes", "memory_peak_bytes", "pids", "oom_kills", "disk_bytes", "inodes"})
    CHECK((number(during, name) == -1) == has(during, '"' + name + ": "));
  if (number(during, "cpu_us") != -1) CHECK(number(during, "cpu_us") > number(before, "cpu_us"));
  if (number(during, "pids") != -1) CHECK(number(during, "pids") == 1);
  if (number(during, "memory_bytes") != -1) CHECK(number(during, "memory_bytes") > 0);
  if (number(during, "oom_kills") != -1) CHECK(number(during, "oom_kills") == 0);
  CHECK((number(during, "memory_limit_bytes") == -1) == !enforces(lab.sandbox, "memory"));
  CHECK((number(during, "pids_limit") == -1) == !enforces(lab.sandbox, "pids"));
  if (enforces(lab.sandbox, "memory")) CHECK(number(during, "memory_limit_bytes") == 1024ll << 20);
  if (enforces(lab.sandbox, "disk_limit")) {
    constexpr int64_t kWritten = 3 << 20;
    lab.sandbox.write_file("/workspace/some", std::string(kWritten, 's'));
    const std::string after = stats();
    CAPTURE(after);
    CHECK(number(during, "disk_bytes") >= 0);
    CHECK(number(after, "disk_bytes") >= number(during, "disk_bytes") + kWritten);
    CHECK(number(after, "disk_bytes") < number(during, "disk_bytes") + 2 * kWritten);
    CHECK(number(after, "disk_bytes") <= number(after, "disk_limit_bytes"));
    CHECK(number(after, "inodes") == number(during, "inodes") + 1);
    CHECK(number(after, "inodes_limit") > number(after, "inodes"));
  }
  lab.sandbox.destroy();
  CHECK(code_of([&] { stats(); }) == STACYVM_E_NOT_FOUND);
}
