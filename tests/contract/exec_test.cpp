// Commands: how they are started, fed, bounded and ended.
#include <signal.h>

#include <map>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::ExecResult, stacyvm::Stream;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPatience{30'000};
constexpr uint64_t kDefaultOutput = 16u << 20;
constexpr milliseconds kMaxTimeout{24ll * 60 * 60 * 1000};

/// Processes inside that have the marker among their arguments; the pattern does not match its own.
std::string count_running(stacyvm::Sandbox& sandbox, const std::string& marker) {
  return sh(sandbox, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '^[" + marker.substr(0, 1) + "]" + marker.substr(1) + "$' || true");
}

void wait_for_output(Stream& stream) {
  stacyvm_chunk chunk;
  REQUIRE(stream.next(chunk, kPatience) == Stream::Next::chunk);
}

/// Reads to the end.
ExecResult finish(Stream& stream) {
  stacyvm_chunk chunk;
  while (stream.next(chunk, kPatience) == Stream::Next::chunk) {
  }
  const auto result = stream.exec_result();
  REQUIRE(result.has_value());
  return *result;
}

}  // namespace

TEST_CASE("exit codes and signals are told apart") {
  Lab lab;
  for (const int code : {0, 1, 2, 126, 127, 128, 254, 255}) {
    const ExecResult result = lab.sandbox.exec(Exec::sh("exit " + std::to_string(code)));
    CHECK(result.exit_code == code);
    CHECK(result.signal == 0);
    CHECK(result.reason == STACYVM_REASON_EXITED);
  }
  for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGSEGV, SIGPIPE, SIGTERM, SIGUSR1, 34, 64}) {
    CAPTURE(number);
    const ExecResult result = lab.sandbox.exec(Exec::sh("kill -" + std::to_string(number) + " $$"));
    CHECK(result.exit_code == 128 + number);
    CHECK(result.signal == number);
    CHECK(result.reason == STACYVM_REASON_SIGNALLED);
  }
}

TEST_CASE("signals are sent to the command, or to its group") {
  Lab lab;
  Stream one = lab.sandbox.exec_start(Exec::sh("trap 'echo got; exit 3' USR1; echo up; while :; do sleep 0.05; done"));
  wait_for_output(one);
  one.signal(SIGUSR1);
  CHECK(finish(one).exit_code == 3);
  CHECK(code_of([&] { one.signal(SIGUSR1); }) == STACYVM_E_CLOSED);

  Stream group = lab.sandbox.exec_start(Exec::sh("sleep 4321 & echo up; wait"));
  wait_for_output(group);
  CHECK(code_of([&] { group.signal(0); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { group.signal(65); }) == STACYVM_E_INVALID);
  group.signal(SIGKILL, STACYVM_SIGNAL_GROUP);
  CHECK(finish(group).signal == SIGKILL);
  CHECK(within(5000, [&] { return count_running(lab.sandbox, "4321") == "0\n"; }));
}

TEST_CASE("the environment is the sandbox's, then the command's") {
  auto spawn = spawn_options();
  spawn.env = {{"A", "sandbox"}, {"B", "sandbox"}};
  Lab lab(spawn);
  auto exec = Exec::sh("echo $A $B $C; echo \"$D\"");
  exec.env = {{"B", "command"}, {"C", "command"}, {"D", " \xff\"'$x\n"}};
  CHECK(lab.sandbox.exec(exec).out == "sandbox command command\n \xff\"'$x\n\n");
  CHECK(lab.sandbox.exec(Exec::sh("echo $A $B $C")).out == "sandbox sandbox\n");
  exec.env = {{"X", "1"}, {"X", "2"}};
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);
  exec.env = {{"", "1"}};
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);
}

TEST_CASE("the working directory and the user are the default's, or the command's") {
  Lab lab;
  CHECK(sh(lab.sandbox, "pwd; id -u; id -g; id -G") == "/workspace\n1000\n1000\n1000\n");
  auto exec = Exec::sh("pwd");
  exec.cwd = "/usr/bin";
  CHECK(lab.sandbox.exec(exec).out == "/usr/bin\n");
  exec.cwd = "/none";
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(details_of([&] { lab.sandbox.exec(exec); }) == R"({"field":"workdir","step":"working_directory","errno":2})");
  exec.cwd = "/root";  // the user's own where one id is mapped
  if (enforces(lab.sandbox, "id_range"))
    CHECK(details_of([&] { lab.sandbox.exec(exec); }) == R"({"field":"workdir","step":"working_directory","errno":13})");
  exec.cwd = "relative";
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);

  const std::pair<const char*, const char*> users[] = {{"root", "0\n"}, {"0", "0\n"}, {"1234", "1234\n"}, {"nobody", "65534\n"}, {"1000:7", "1000\n"}};
  for (const auto& [user, id] : users) {
    CAPTURE(std::string(user));
    exec = Exec::sh("id -u");
    exec.user = user;
    if (enforces(lab.sandbox, "user_per_exec")) {
      CHECK(lab.sandbox.exec(exec).out == id);
    } else {
      const int32_t code = code_of([&] { lab.sandbox.exec(exec); });
      CHECK(code == STACYVM_E_UNSUPPORTED);
      CHECK(details_of([&] { lab.sandbox.exec(exec); }) == R"({"field":"user"})");
    }
  }
  for (const char* beyond : {"65535", "1000:65535", "4294967294"}) {
    exec.user = beyond;
    if (enforces(lab.sandbox, "user_per_exec")) {
      CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);
      CHECK(details_of([&] { lab.sandbox.exec(exec); }) == R"({"field":"user"})");
    }
  }
  auto spawn = spawn_options();
  spawn.user = "root";
  Lab root(spawn);
  CHECK(sh(root.sandbox, "id -u; echo $HOME") == "0\n/root\n");
}

TEST_CASE("standard input arrives whole, and ends") {
  Lab lab;
  CHECK(sh(lab.sandbox, "wc -c") == "0\n");
  std::string bytes(3 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 256);
  auto exec = Exec::program({"/bin/cat"});
  exec.stdin_data = bytes;
  CHECK(lab.sandbox.exec(exec).out == bytes);

  exec = Exec::program({"/bin/cat"});
  exec.flags = STACYVM_EXEC_STDIN | STACYVM_EXEC_MERGE;
  Stream stream = lab.sandbox.exec_start(exec);
  CHECK(stream.write("one ") == 4);
  CHECK(stream.write("two") == 3);
  stream.finish();
  CHECK(stream.read_all() == "one two");
  CHECK(stream.exec_result()->exit_code == 0);
}

TEST_CASE("standard output and standard error are kept apart, or merged in order") {
  Lab lab;
  const ExecResult result = lab.sandbox.exec(Exec::sh("echo out; echo err >&2; echo out"));
  CHECK(result.out == "out\nout\n");
  CHECK(result.err == "err\n");
  auto exec = Exec::sh("echo 1; echo 2 >&2; echo 3; echo 4 >&2");
  exec.flags = STACYVM_EXEC_MERGE;
  CHECK(lab.sandbox.exec(exec).out == "1\n2\n3\n4\n");
}

TEST_CASE("arguments arrive as they were given") {
  Lab lab;
  const ExecResult result = lab.sandbox.exec(Exec::program({"/usr/bin/printf", "[%s]", "", " ", "a b", "'\"$x`", "\n", "\xff\xc3", "-"}));
  CHECK(result.out == "[][ ][a b]['\"$x`][\n][\xff\xc3][-]");
  CHECK(code_of([&] { lab.sandbox.exec(Exec::program({"/none"})); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(code_of([&] { lab.sandbox.exec(Exec::program({"no-such-program"})); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(code_of([&] { lab.sandbox.exec(Exec::program({"/etc/passwd"})); }) == STACYVM_E_FORBIDDEN);
  CHECK(code_of([&] { lab.sandbox.exec(Exec()); }) == STACYVM_E_INVALID);
  auto both = Exec::program({"/bin/true"});
  both.shell = "true";
  CHECK(code_of([&] { lab.sandbox.exec(both); }) == STACYVM_E_INVALID);
}

TEST_CASE("a timeout ends the command and its children") {
  Lab lab;
  auto exec = Exec::sh("sleep 4322 & (sleep 4322; true) & sleep 4322");
  exec.timeout = milliseconds(400);
  const ExecResult result = lab.sandbox.exec(exec);
  CHECK(result.reason == STACYVM_REASON_TIMEOUT);
  CHECK(result.signal == SIGKILL);
  CHECK(result.wall >= milliseconds(400));
  CHECK(within(5000, [&] { return count_running(lab.sandbox, "4322") == "0\n"; }));
  exec = Exec::sh("true");
  exec.timeout = kMaxTimeout;
  CHECK(lab.sandbox.exec(exec).exit_code == 0);
  exec.timeout = kMaxTimeout + milliseconds(1);
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);
  exec.timeout = milliseconds(-2);
  CHECK(code_of([&] { lab.sandbox.exec(exec); }) == STACYVM_E_INVALID);
}

TEST_CASE("output is bounded: at the limit, and one byte beyond") {
  Lab lab;
  auto exec = Exec::sh("head -c 600 /dev/zero; head -c 400 /dev/zero >&2");
  exec.output_limit = 1000;
  ExecResult result = lab.sandbox.exec(exec);
  CHECK(result.reason == STACYVM_REASON_EXITED);
  CHECK(result.out.size() + result.err.size() == 1000);
  exec.shell = "head -c 600 /dev/zero; head -c 401 /dev/zero >&2; sleep 1000";
  result = lab.sandbox.exec(exec);
  CHECK(result.reason == STACYVM_REASON_OUTPUT_LIMIT);
  CHECK(result.out.size() + result.err.size() <= 1001);

  exec = Exec::sh("head -c " + std::to_string(kDefaultOutput) + " /dev/zero");
  result = lab.sandbox.exec(exec);
  CHECK(result.reason == STACYVM_REASON_EXITED);
  CHECK(result.out.size() == kDefaultOutput);
  exec = Exec::sh("head -c " + std::to_string(kDefaultOutput + 1) + " /dev/zero; sleep 1000");
  CHECK(lab.sandbox.exec(exec).reason == STACYVM_REASON_OUTPUT_LIMIT);
}

TEST_CASE("64 commands at once, each with its own output and end") {
  Lab lab;
  std::vector<Stream> streams;
  for (int i = 0; i < 64; ++i) {
    auto exec = Exec::sh("read line; echo $line; exit " + std::to_string(i));
    exec.flags = STACYVM_EXEC_STDIN | STACYVM_EXEC_MERGE;
    streams.push_back(lab.sandbox.exec_start(exec));
  }
  for (int i = 63; i >= 0; --i) {
    Stream& stream = streams[static_cast<size_t>(i)];
    const std::string line = "number " + std::to_string(i) + "\n";
    stream.write(line);
    CHECK(stream.read_all() == line);
    CHECK(stream.exec_result()->exit_code == i);
  }
}

TEST_CASE("a command over JSON answers what the typed call answers") {
  Lab lab;
  const std::string answer = lab.session.call("exec.run", {{"id", lab.sandbox.id()}}, R"({"command":"cat; echo bad >&2; exit 7","stdin":"in"})");
  CAPTURE(answer);
  for (const char* member : {R"("exit_code":7)", R"("stdout":"in")", R"("stderr":"bad\n")", R"("reason":"exited")", R"("signal":0)"})
    CHECK(answer.find(member) != answer.npos);
  CHECK(lab.session.call("exec.run", {{"id", lab.sandbox.id()}}, R"({"command":"/usr/bin/printf","args":["%s|","a b",""],"mode":"argv"})").find(R"("stdout":"a b||")") !=
        std::string::npos);
  Stream stream = lab.session.call_stream("exec.start", {{"id", lab.sandbox.id()}}, R"({"command":"cat","use_stdin":true,"merge_output":true})");
  stream.write("x");
  stream.finish();
  CHECK(stream.read_all() == "x");
}
