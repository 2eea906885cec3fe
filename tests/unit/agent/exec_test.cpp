#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.hpp"
#include "core/clock.hpp"

using namespace svm;
using namespace svm::agent::test;
using protocol::ExecReason;

namespace {
protocol::ExecRequest argv(std::vector<std::string> words) {
  protocol::ExecRequest request;
  request.argv = std::move(words);
  return request;
}

std::string pattern(size_t size) {
  std::string bytes(size, '\0');
  uint32_t state = 1;
  for (char& c : bytes) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return bytes;
}

bool alive(const std::string& pid_file) {
  const std::string text = read_text(pid_file);
  REQUIRE_FALSE(text.empty());
  const int pid = std::stoi(text);
  const std::string stat = read_text("/proc/" + std::to_string(pid) + "/stat");
  return !stat.empty() && stat.find(") Z ") == std::string::npos;
}

bool gone_soon(const std::string& pid_file) {
  for (int i = 0; i < 500; ++i) {
    if (!alive(pid_file)) return true;
    ::usleep(10'000);
  }
  return false;
}
}  // namespace

TEST_CASE("a command's output, exit code and pid come back") {
  Client client;
  CHECK(client.ready.version == protocol::kVersion);
  CHECK(client.ready.enforced == 0);
  const Reply reply = client.call(shell("echo out; echo err >&2; exit 3"));
  CHECK(reply.out == "out\n");
  CHECK(reply.err == "err\n");
  CHECK(reply.pid > 0);
  CHECK(reply.exec().reason == ExecReason::exited);
  CHECK(reply.exec().exit_code == 3);
  CHECK(reply.exec().signal == 0);
  CHECK(reply.exec().wall_us > 0);
  CHECK(reply.exec().memory_peak > 4096);
}

TEST_CASE("every exit code from 0 to 255 is itself") {
  Client client;
  for (const int code : {0, 1, 127, 128, 255}) CHECK(client.call(shell("exit " + std::to_string(code))).exec().exit_code == code);
}

TEST_CASE("argv reaches the program byte for byte") {
  Client client;
  const Reply reply = client.call(argv({"printf", "%s|", "", "a b", "$x\n", "\xff\xfe"}));
  CHECK(reply.out == "|a b|$x\n|\xff\xfe|");
}

TEST_CASE("a command that cannot be started says which and why") {
  Client client;
  TemporaryDirectory dir;
  struct Row { std::vector<std::string> argv; Code code; int error; std::string text; };
  write_text(dir / "plain", "text");
  ::chmod((dir / "plain").c_str(), 0644);
  write_text(dir / "interp", "#!/nonexistent/interp\n");
  ::chmod((dir / "interp").c_str(), 0755);
  const Row rows[] = {
      {{"no-such-program"}, Code::file_not_found, ENOENT, "exec no-such-program: not found in PATH"},
      {{"/no/such"}, Code::file_not_found, ENOENT, "exec /no/such: no such file or directory (the program or its interpreter)"},
      {{dir / "interp"}, Code::file_not_found, ENOENT, ""},
      {{dir / "plain"}, Code::forbidden, EACCES, ""},
      {{dir.path()}, Code::forbidden, EACCES, ""},
      {{""}, Code::file_not_found, ENOENT, ""},
      {{"a\nb\xff"}, Code::file_not_found, ENOENT, "exec a\\x0ab\\xff: not found in PATH"},
      {{std::string(5000, 'x')}, Code::invalid, ENAMETOOLONG, ""},
  };
  for (const Row& row : rows) {
    const Reply reply = client.call(argv(row.argv));
    CAPTURE(row.argv[0]);
    CHECK(reply.result.code == row.code);
    CHECK(reply.result.error == row.error);
    CHECK(reply.pid == 0);
    CHECK(reply.result.message.size() <= 512);
    if (!row.text.empty()) CHECK(reply.result.message == row.text);
  }
  CHECK(client.call(protocol::ExecRequest{}).result.code == Code::invalid);
  protocol::ExecRequest missing = shell("true");
  missing.cwd = "/no/such/dir";
  const Reply reply = client.call(missing);
  CHECK(reply.result.code == Code::file_not_found);
  CHECK(reply.result.message == "working directory /no/such/dir: no such file or directory");
}

TEST_CASE("a script without #! is run by the shell, through PATH as well") {
  Client client;
  TemporaryDirectory dir;
  write_text(dir / "script", "echo \"$0 $1\"\n");
  ::chmod((dir / "script").c_str(), 0755);
  CHECK(client.call(argv({dir / "script", "x"})).out == (dir / "script") + " x\n");
  protocol::ExecRequest request = argv({"script", "y"});
  request.env = {{"PATH", "/no/such::" + dir.path()}};
  CHECK(client.call(request).out == (dir / "script") + " y\n");
}

TEST_CASE("PATH of the command's own environment is searched, a forbidden hit is remembered") {
  Client client;
  TemporaryDirectory dir;
  write_text(dir / "tool", "x");
  protocol::ExecRequest request = argv({"tool"});
  request.env = {{"PATH", dir.path() + ":/bin"}};
  CHECK(client.call(request).result.code == Code::forbidden);
  request.env = {{"PATH", std::string(100'000, ':')}};  // the working directory, very often
  CHECK(client.call(request).result.code == Code::file_not_found);
}

TEST_CASE("the environment is the base with the request's over it, the last value of a name wins") {
  Client::Setup setup;
  setup.hello.env = {{"PATH", "/usr/bin:/bin"}, {"A", "base"}, {"B", "base"}};
  setup.hello.workdir = "/usr";
  Client client(setup);
  protocol::ExecRequest request = argv({"env"});
  request.env = {{"A", "1"}, {"C", "x=y"}, {"A", "2"}};
  CHECK(client.call(request).out == "PATH=/usr/bin:/bin\nA=2\nB=base\nC=x=y\n");
  CHECK(client.call(argv({"pwd"})).out == "/usr\n");
  request = argv({"pwd"});
  request.cwd = "bin/..";
  CHECK(client.call(request).out == "/usr\n");
}

TEST_CASE("a command gets a session of its own, an empty mask, three descriptors and nothing else") {
  Client client;
  const Reply reply = client.call(argv({"/bin/sh", "-c",
      "ls /proc/self/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; cut -d' ' -f5,6 /proc/$$/stat; readlink /proc/self/fd/0; echo $$"}));
  // ls itself holds one more: the directory it reads.
  CHECK(reply.out == "0 1 2 3 SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0022\n" + std::to_string(reply.pid) + " " +
                         std::to_string(reply.pid) + "\n/dev/null\n" + std::to_string(reply.pid) + "\n");
}

TEST_CASE("merge keeps the order of both outputs") {
  Client client;
  protocol::ExecRequest request = shell("for i in 1 2 3; do echo o$i; echo e$i >&2; done");
  request.merge = true;
  const Reply reply = client.call(request);
  CHECK(reply.out == "o1\ne1\no2\ne2\no3\ne3\n");
  CHECK(reply.err.empty());
}

TEST_CASE("megabytes go through stdin and stdout unchanged") {
  Client client;
  protocol::ExecRequest request = argv({"cat"});
  request.use_stdin = true;
  const std::string bytes = pattern(5 * 1024 * 1024 + 17);
  const uint32_t stream = client.start(request);
  client.send_bytes(stream, bytes);
  client.end(stream);
  const Reply reply = client.wait(stream);
  CHECK(reply.out.size() == bytes.size());
  CHECK(reply.out == bytes);
  CHECK(reply.exec().exit_code == 0);
}

TEST_CASE("a command that does not read its stdin does not hold it up") {
  Client client;
  protocol::ExecRequest request = shell("exec 0<&-; sleep 0.3");
  request.use_stdin = true;
  const uint32_t stream = client.start(request);
  client.send_bytes(stream, pattern(4 * 1024 * 1024));
  client.end(stream);
  CHECK(client.wait(stream).exec().exit_code == 0);
  // Bytes for a command without stdin are dropped just so.
  const uint32_t other = client.start(shell("sleep 0.2"));
  client.send_bytes(other, pattern(3 * 1024 * 1024));
  CHECK(client.wait(other).exec().exit_code == 0);
}

TEST_CASE("signals reach the leader or its group") {
  Client client;
  const uint32_t leader = client.start(shell("sleep 100 & trap 'kill $!; exit 7' TERM; wait"));
  REQUIRE(client.pump([&] { return client.reply(leader).pid != 0; }));
  ::usleep(200'000);
  client.signal(leader, SIGTERM, false);
  CHECK(client.wait(leader).exec().exit_code == 7);

  const uint32_t group = client.start(shell("sleep 100; echo not reached"));
  REQUIRE(client.pump([&] { return client.reply(group).pid != 0; }));
  ::usleep(200'000);  // dash loses an interrupt that comes while it forks
  client.signal(group, SIGINT, true);
  const Reply reply = client.wait(group);
  CHECK(reply.exec().reason == ExecReason::signalled);
  CHECK(reply.exec().signal == SIGINT);
  CHECK(reply.exec().exit_code == 128 + SIGINT);
}

TEST_CASE("a signal sent right behind the request is not lost") {
  Client client;
  for (int i = 0; i < 20; ++i) {
    const uint32_t stream = client.start(argv({"sleep", "100"}));
    client.signal(stream, SIGKILL, i % 2 == 0);
    CHECK(client.wait(stream).exec().signal == SIGKILL);
  }
}

TEST_CASE("a timeout ends the command with everything it started, also in other sessions") {
  Client client;
  TemporaryDirectory dir;
  protocol::ExecRequest request = shell("setsid sh -c 'echo $$ >" + (dir / "a") + "; sleep 101; true' & sh -c 'echo $$ >" + (dir / "b") +
                                        "; trap \"\" TERM; sleep 102; true' & sleep 103; echo no");
  request.timeout_ms = 500;
  const int64_t before = monotonic_us();
  const Reply reply = client.call(request);
  const int64_t took = monotonic_us() - before;
  CHECK(reply.exec().reason == ExecReason::timeout);
  CHECK(reply.exec().signal == SIGKILL);
  CHECK(took >= 500'000);
  CHECK(took < 5'000'000);
  CHECK(gone_soon(dir / "a"));
  CHECK(gone_soon(dir / "b"));
}

TEST_CASE("a command that is quicker than its timeout exits by itself") {
  Client client;
  protocol::ExecRequest request = shell("exit 4");
  request.timeout_ms = 10'000;
  CHECK(client.call(request).exec().reason == ExecReason::exited);
  request.timeout_ms = UINT64_MAX;
  CHECK(client.call(request).exec().exit_code == 4);
}

TEST_CASE("cancel ends the command and keeps nobody waiting, even without credit") {
  Client client;
  client.grant = false;
  const uint32_t stream = client.start(shell("yes"));
  REQUIRE(client.pump([&] { return client.reply(stream).out.size() >= protocol::kWindow; }));
  client.cancel(stream);
  const Reply reply = client.wait(stream);
  CHECK(reply.exec().reason == ExecReason::cancelled);
  CHECK(reply.out.size() == protocol::kWindow);  // never a byte more than was granted
  const uint32_t early = client.start(shell("sleep 100"));
  client.cancel(early);
  CHECK(client.wait(early).exec().reason == ExecReason::cancelled);
}

TEST_CASE("the output limit holds at the byte") {
  Client client;
  protocol::ExecRequest request = shell("printf 12345; printf 67890 >&2");
  request.output_limit = 10;
  Reply reply = client.call(request);
  CHECK(reply.exec().reason == ExecReason::exited);
  CHECK(reply.out + reply.err == "1234567890");
  request = shell("printf 12345678901; sleep 100");
  request.output_limit = 10;
  reply = client.call(request);
  CHECK(reply.exec().reason == ExecReason::output_limit);
  CHECK(reply.out == "1234567890");
  request = shell("yes");
  request.output_limit = 3'000'000;
  reply = client.call(request);
  CHECK(reply.exec().reason == ExecReason::output_limit);
  CHECK(reply.out.size() == 3'000'000);
}

TEST_CASE("what a command leaves behind holds its pipes, not its result") {
  Client client;
  TemporaryDirectory dir;
  const int64_t before = monotonic_us();
  Reply reply = client.call(shell("sleep 30 & echo $! >" + (dir / "pid") + "; echo done"));
  CHECK(reply.out == "done\n");
  CHECK(reply.exec().exit_code == 0);
  CHECK(monotonic_us() - before < 5'000'000);
  CHECK(alive(dir / "pid"));  // a service stays
  ::kill(std::stoi(read_text(dir / "pid")), SIGKILL);
  // Output that comes soon after the end still belongs to it; one that never stops does not keep it open.
  // Not in every try: on a busy machine the straggler may come after the agent has stopped listening.
  bool late = false;
  for (int i = 0; i < 10 && !late; ++i) late = client.call(shell("(sleep 0.03; echo late) &")).out == "late\n";
  CHECK(late);
  const int64_t chatty = monotonic_us();
  reply = client.call(shell("(for i in $(seq 1 400); do echo x; sleep 0.02; done) & echo $! >" + (dir / "pid")));
  CHECK(reply.exec().exit_code == 0);
  CHECK(monotonic_us() - chatty < 4'000'000);
}

TEST_CASE("all of a command's own output comes, however late the credit") {
  Client client;
  client.grant = false;
  const uint32_t stream = client.start(shell("head -c 1100000 /dev/zero"));
  REQUIRE(client.pump([&] { return client.reply(stream).out.size() == protocol::kWindow; }));
  CHECK_FALSE(client.pump([&] { return client.reply(stream).done; }, 1500));
  client.frame(protocol::FrameType::window, stream, std::string("\xff\xff\x0f\x00", 4));
  CHECK(client.wait(stream).out.size() == 1'100'000);
}

TEST_CASE("an OOM kill is told from another SIGKILL") {
  TemporaryDirectory dir;
  write_text(dir / "oom", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
  Client::Setup setup;
  const Fd oom(::open((dir / "oom").c_str(), O_RDONLY | O_CLOEXEC));
  setup.options.oom = oom.get();
  Client client(setup);
  CHECK(client.call(shell("kill -9 $$")).exec().reason == ExecReason::signalled);
  const std::string grow = "echo 'oom_kill 4' >" + (dir / "oom");
  CHECK(client.call(shell(grow + "; kill -9 $$")).exec().reason == ExecReason::oom);
  CHECK(client.call(shell("echo 'oom_kill 5' >" + (dir / "oom") + "; exit 137")).exec().reason == ExecReason::exited);
  // A kill is one command's: who else is killed meanwhile was killed by somebody.
  protocol::ExecRequest waits = shell("echo up; read word; kill -9 $$");
  waits.use_stdin = true;
  const uint32_t other = client.start(waits);
  REQUIRE(client.pump([&] { return client.reply(other).out == "up\n"; }));
  CHECK(client.call(shell("echo 'oom_kill 6' >" + (dir / "oom") + "; kill -9 $$")).exec().reason == ExecReason::oom);
  client.send_bytes(other, "go\n");
  CHECK(client.wait(other).exec().reason == ExecReason::signalled);
}

TEST_CASE("a command enters the given control groups") {
  TemporaryDirectory dir;
  Client::Setup setup;
  const Fd a(::open((dir / "a").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), b(::open((dir / "b").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  setup.options.command_groups[0] = a.get();
  setup.options.command_groups[1] = b.get();
  setup.options.command_group_count = 2;
  Client client(setup);
  CHECK(client.call(shell("true")).exec().exit_code == 0);
  CHECK(read_text(dir / "a") == "0");
  CHECK(read_text(dir / "b") == "0");
}

TEST_CASE("a command that cannot enter its control group does not run") {
  Client::Setup setup;
  const Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  setup.options.command_groups[0] = full.get();
  setup.options.command_group_count = 1;
  Client client(setup);
  const Reply reply = client.call(shell("true"));
  CHECK(reply.result.code == Code::internal);
  CHECK(reply.result.error == ENOSPC);
  CHECK(reply.result.message == "enter control group: no space left on device");
}

TEST_CASE("64 commands run side by side") {
  Client client;
  std::vector<uint32_t> streams;
  for (int i = 0; i < 64; ++i) {
    protocol::ExecRequest request = argv({"cat"});
    request.use_stdin = true;
    streams.push_back(client.start(request));
  }
  for (size_t i = 0; i < streams.size(); ++i) client.send_bytes(streams[i], pattern(100'000 + i));
  for (const uint32_t stream : streams) client.end(stream);
  for (size_t i = 0; i < streams.size(); ++i) CHECK(client.wait(streams[i]).out == pattern(100'000 + i));
}

TEST_CASE("a stream nobody reads does not stall the others") {
  Client client;
  client.grant = false;
  const uint32_t slow = client.start(shell("yes"));
  REQUIRE(client.pump([&] { return client.reply(slow).out.size() >= protocol::kWindow; }));
  for (int i = 0; i < 20; ++i) CHECK(client.call(shell("echo quick")).out == "quick\n");
}

TEST_CASE("the end of the channel ends the commands and the agent") {
  TemporaryDirectory dir;
  Client client;
  const uint32_t stream = client.start(shell("echo $$ >" + (dir / "pid") + "; echo up; sleep 100; true"));
  REQUIRE(client.pump([&] { return !client.reply(stream).out.empty(); }));
  client.close_channel();
  CHECK(client.wait_exit() == 0);
  CHECK(gone_soon(dir / "pid"));
}

TEST_CASE("the end of `life` ends the agent and its commands") {
  Fd read_end, write_end;
  REQUIRE(make_pipe(read_end, write_end) == 0);
  TemporaryDirectory dir;
  Client::Setup setup;
  setup.options.life = read_end.get();
  setup.close_in_agent = write_end.get();
  Client client(setup);
  read_end.reset();
  const uint32_t stream = client.start(shell("echo $$ >" + (dir / "pid") + "; echo up; sleep 100; true"));
  REQUIRE(client.pump([&] { return !client.reply(stream).out.empty(); }));
  write_end.reset();
  CHECK(client.wait_exit() == 0);
  CHECK(gone_soon(dir / "pid"));
}

TEST_CASE("one user: another is unsupported, the same by number or name is not") {
  Client client;
  protocol::ExecRequest request = shell("id -u");
  request.user = std::to_string(::geteuid());
  CHECK(client.call(request).out == std::to_string(::geteuid()) + "\n");
  request.user = std::to_string(::geteuid() + 12345);
  CHECK(client.call(request).result.code == Code::unsupported);
  for (const char* bad : {":", "a:b:c", "root:", "no-such-user-here"}) {
    request.user = bad;
    CHECK(client.call(request).result.code == Code::invalid);
  }
}

TEST_CASE("commands run as the user that was named") {
  if (!can_switch_users()) return;
  Client::Setup setup;
  setup.hello.rootless = false;
  setup.hello.uid = 1234;
  setup.hello.gid = 2345;
  setup.hello.groups = {2346};
  setup.hello.env.emplace_back("HOME", "/default");
  Client client(setup);
  CHECK(client.call(shell("id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status")).out ==
        "1234\n2345\n2345 2346\n/default\nCapEff:\t0000000000000000\n");
  protocol::ExecRequest request = shell("id -u; id -g; id -G; echo $HOME $USER $LOGNAME");
  request.user = "nobody";
  CHECK(client.call(request).out == "65534\n65534\n65534\n/nonexistent nobody nobody\n");
  request.user = "777";
  CHECK(client.call(request).out == "777\n777\n777\n/\n");
  request.user = "777:4";
  CHECK(client.call(request).out == "777\n4\n4\n/\n");
  request.user = "daemon:nogroup";
  CHECK(client.call(request).out == "1\n65534\n65534\n/usr/sbin daemon daemon\n");
  request.env = {{"HOME", "/mine"}};
  request.user = "nobody";
  CHECK(client.call(request).out == "65534\n65534\n65534\n/mine nobody nobody\n");
  // The pipes belong to the command, so that it may open them by name.
  request = shell("echo by name >/dev/stderr");
  CHECK(client.call(request).err == "by name\n");
  for (const char* bad : {"4294967295", "4294967296", "-1", "1 ", "0x1"}) {
    request.user = bad;
    CHECK(client.call(request).result.code == Code::invalid);
  }
}
