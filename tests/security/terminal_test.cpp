// Attacks on terminals: on those of others, and with one of one's own on the agent.
#include <chrono>

#include "../contract/lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Stream;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPatience{30'000};

Exec on_terminal(Exec exec, const std::string& user = "", uint64_t flags = 0) {
  exec.flags = STACYVM_EXEC_PTY | flags;
  exec.user = user;
  return exec;
}

std::string read_until(Stream& stream, const std::string& end) {
  std::string text;
  stacyvm_chunk chunk;
  while (!text.ends_with(end)) {
    CAPTURE(text);
    REQUIRE(stream.next(chunk, kPatience) == Stream::Next::chunk);
    if (chunk.kind == STACYVM_CHUNK_STDOUT) text.append(static_cast<const char*>(chunk.data), chunk.size);
  }
  return text;
}

}  // namespace

TEST_CASE("nothing can be typed into a terminal from inside, not even into one's own") {
  Lab lab;
  install_tool(lab.sandbox, "attack");
  Stream stream = lab.sandbox.exec_start(on_terminal(Exec::program({"/tmp/attack", "type"})));
  CHECK(stream.read_all() == "sti -1 EPERM\r\nsti-high -1 EPERM\r\nconsole -1 EPERM\r\n");
}

TEST_CASE("a terminal belongs to its user: others can neither read, write nor take it") {
  Lab lab;
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "user_per_exec"), "one user only");
  install_tool(lab.sandbox, "attack");
  for (const char* owner : {"user", "nobody", "1000:2000"}) {
    CAPTURE(std::string(owner));
    Stream victim = lab.sandbox.exec_start(on_terminal(Exec::sh("tty; read line; echo \"<$line>\""), owner));
    std::string path = read_until(victim, "\r\n");
    path.resize(path.size() - 2);
    // the same group is not enough either
    for (const char* attacker : {"2001:2000", "2001", "65534:2000", "2002:1000"}) {
      if (std::string(owner) == "nobody" && std::string(attacker).starts_with("65534")) continue;
      CAPTURE(std::string(attacker));
      Stream attack = lab.sandbox.exec_start(on_terminal(Exec::program({"/tmp/attack", "type", path}), attacker));
      CHECK(attack.read_all().ends_with("open -1 EACCES\r\nwrite -1 EACCES\r\n"));
    }
    victim.write("mine\n");
    CHECK(read_until(victim, "<mine>\r\n").find("<mine>") != std::string::npos);
  }
}

TEST_CASE("a sandbox's terminals are its own: a neighbour's are not there, and the host's neither") {
  Lab lab, neighbour;
  Stream one = lab.sandbox.exec_start(on_terminal(Exec::sh("tty; sleep 100")));
  CHECK(read_until(one, "\r\n") == "/dev/pts/0\r\n");
  Stream other = neighbour.sandbox.exec_start(on_terminal(Exec::sh("tty; ls /dev/pts; sleep 100")));
  CHECK(read_until(other, "ptmx\r\n") == "/dev/pts/0\r\n0  ptmx\r\n");
}

TEST_CASE("a flood on a terminal, read or not, keeps neither the agent nor a neighbour waiting") {
  Lab lab, neighbour;
  Stream unread = lab.sandbox.exec_start(on_terminal(Exec::sh("cat /dev/zero")));
  Stream background = lab.sandbox.exec_start(on_terminal(Exec::sh("cat /dev/zero"), "", STACYVM_EXEC_BACKGROUND));
  for (int i = 0; i < 5; ++i) {
    CHECK(sh(lab.sandbox, "echo alive") == "alive\n");
    CHECK(lab.sandbox.stat("/").type == STACYVM_TYPE_DIRECTORY);
    CHECK(sh(neighbour.sandbox, "echo alive") == "alive\n");
  }
}

TEST_CASE("processes that fork on and hold the terminal after the command's end do not hold its stream") {
  auto spawn = spawn_options();
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  Lab lab(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "pids"), "this host cannot limit processes");
  install_tool(lab.sandbox, "attack");
  Stream stream = lab.sandbox.exec_start(on_terminal(Exec::program({"/tmp/attack", "hold-terminal"})));
  stacyvm_chunk chunk;
  while (stream.next(chunk, kPatience) == Stream::Next::chunk) {
  }
  const auto result = stream.exec_result();
  REQUIRE(result);
  CHECK(result->exit_code == 4);
  CHECK(result->reason == STACYVM_REASON_EXITED);
  CHECK(lab.sandbox.stat("/").type == STACYVM_TYPE_DIRECTORY);
}
