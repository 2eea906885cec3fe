// The agent as it runs in a sandbox: process 1 of its namespace, under its own uid, locked down, with hostile commands.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.hpp"
#include "core/clock.hpp"
#include "isolation/lockdown.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

constexpr uint32_t kAgentUid = 2'000'000'000;

// Each prints the name of what it could get at.
constexpr char kLook[] =
    "cd /proc/1; for f in environ maps mem auxv smaps; do head -c1 $f >/dev/null 2>&1 && [ \"$(head -c1 $f | wc -c)\" != 0 ] && echo $f; done;"
    "for f in exe cwd root ns/mnt; do readlink $f; done 2>/dev/null; true";
constexpr char kTouch[] =
    "cd /proc/1; ls fd map_files 2>/dev/null; for f in oom_score_adj comm clear_refs coredump_filter; do (echo 1 >$f) 2>/dev/null && echo $f; done; true";
// The agent and the shell that counts: it starts nothing, which might be there already or not yet.
constexpr char kCountProcesses[] = "set -- /proc/[0-9]*; echo $#";

bool succeeds(pid_t child) {
  int status = 1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

bool in_child(const std::function<bool()>& act) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(act() ? 0 : 1);
  return succeeds(pid);
}

bool can_be_process_one() {
  const bool able = in_child([] {
    if (::unshare(CLONE_NEWPID | CLONE_NEWNS) < 0) return false;
    return in_child([] {
      return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && ::mount("proc", "/proc", "proc", 0, nullptr) == 0;
    });
  });
  if (!able) MESSAGE("skipped: no pid and mount namespaces here");
  return able;
}

/// What the launcher does for a sandbox of the root mode.
void become_agent(Profile profile) {
  using isolation::capability;
  uint64_t kept = capability(CAP_SETUID) | capability(CAP_SETGID) | capability(CAP_KILL);
  kept |= isolation::profile_capabilities(static_cast<isolation::Profile>(profile));
  must(isolation::reduce_bounding_set(kept) == 0, "bounding set");
  must(::prctl(PR_SET_KEEPCAPS, 1) == 0, "keep capabilities");
  must(::syscall(SYS_setgroups, 0, nullptr) == 0, "groups");
  must(::syscall(SYS_setresgid, kAgentUid, kAgentUid, kAgentUid) == 0, "gid");
  must(::syscall(SYS_setresuid, kAgentUid, kAgentUid, kAgentUid) == 0, "uid");
  must(isolation::set_capabilities(kept | capability(CAP_SETPCAP), kept | capability(CAP_SETPCAP), kept) == 0, "capabilities");
}

Client::Setup locked(Profile profile = Profile::standard) {
  Client::Setup setup;
  setup.process_one = true;
  setup.options.lock_down = true;
  setup.hello.rootless = false;
  setup.hello.profile = profile;
  setup.hello.uid = setup.hello.gid = 1234;
  setup.before_run = [profile] { become_agent(profile); };
  return setup;
}

protocol::ExecRequest as(const std::string& user, const std::string& script) {
  protocol::ExecRequest request = shell(script);
  request.user = user;
  return request;
}

}  // namespace

TEST_CASE("a locked-down agent says what it enforces, and its commands have it") {
  if (!can_switch_users() || !can_be_process_one()) return;
  Client client(locked());
  REQUIRE(client.failed.step == Step::none);
  const uint64_t expected = kEnforcedUndumpable | kEnforcedNoNewPrivs | kEnforcedSeccomp | kEnforcedCapabilities | kEnforcedUserPerExec;
  CHECK((client.ready.enforced & expected) == expected);
  CHECK(((client.ready.enforced & kEnforcedLandlock) != 0) == (client.ready.landlock_abi > 0));
  const std::string status = "grep -E '^(NoNewPrivs|Seccomp:|Cap(Inh|Prm|Eff|Bnd|Amb))' /proc/self/status | tr '\\n\\t' '  '";
  const std::string none = "CapInh: 0000000000000000 CapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 CapAmb: "
                           "0000000000000000 NoNewPrivs: 1 Seccomp: 2 ";
  for (const std::string user : {"", "0", "65534"}) {
    CAPTURE(user);
    CHECK(client.call(as(user, status)).out == none);
  }
  CHECK(client.call(as("0", "id -u; echo $PPID")).out == "0\n1\n");
}

TEST_CASE("commands cannot signal, stop, read or replace the agent") {
  if (!can_switch_users() || !can_be_process_one()) return;
  Client client(locked());
  for (const std::string user : {"0", "1234"}) {
    CAPTURE(user);
    CHECK(client.call(as(user, "for s in 1 2 9 15 17 19 11; do kill -$s 1; done 2>/dev/null; echo survived")).out == "survived\n");
    CHECK(client.call(as(user, kLook)).out == "");
  }
  // Without a user namespace uid 0 owns the agent's /proc files; what guards them there is their owner, not the agent.
  CHECK(client.call(as("1234", kTouch)).out == "");
  for (const char* reserved : {"2000000000", "1234:2000000000", "2000000000:1234"}) {
    CHECK(client.call(as(reserved, "true")).result.code == Code::forbidden);
    StatRequest stat;
    stat.path = "/";
    stat.user = reserved;
    CHECK(client.call(stat).result.code == Code::forbidden);
  }
  CHECK(client.call(shell("echo alive")).out == "alive\n");
}

TEST_CASE("a command that stops everything it may does not stop the agent") {
  if (!can_switch_users() || !can_be_process_one()) return;
  Client client(locked());
  const uint32_t attacker = client.start(shell("trap '' TERM; while :; do kill -STOP -1; done 2>/dev/null"));
  REQUIRE(client.pump([&] { return client.reply(attacker).pid != 0; }));
  for (int i = 0; i < 30; ++i) {
    // Of the same uid, so it may be stopped at any moment, also between fork and exec.
    protocol::ExecRequest victim = shell("true");
    victim.timeout_ms = 200;
    const Reply reply = client.call(victim);
    const ExecReason reason = reply.exec().reason;
    CHECK((reason == ExecReason::exited || reason == ExecReason::timeout));
    CHECK(client.call(as("4321", "echo other")).out == "other\n");
  }
  client.cancel(attacker);
  CHECK(client.wait(attacker).exec().reason == ExecReason::cancelled);
}

TEST_CASE("a timeout ends commands of any user") {
  if (!can_switch_users() || !can_be_process_one()) return;
  Client client(locked());
  for (const std::string user : {"0", "4321"}) {
    protocol::ExecRequest request = as(user, "setsid sleep 1000 & sleep 1000");
    request.timeout_ms = 300;
    CHECK(client.call(request).exec().reason == ExecReason::timeout);
  }
  ::usleep(100'000);
  CHECK(client.call(shell(kCountProcesses)).out == "2\n");
}

TEST_CASE("orphans are reaped, whatever left them") {
  if (!can_switch_users() || !can_be_process_one()) return;
  Client client(locked());
  for (int i = 0; i < 20; ++i) CHECK(client.call(shell("for i in 1 2 3 4 5; do (sleep 0.01 &) ; done; exit 0")).exec().exit_code == 0);
  ::usleep(300'000);
  CHECK(client.call(shell(kCountProcesses)).out == "2\n");
}

TEST_CASE("profile build: root keeps five capabilities, its file operations none, others nothing") {
  if (!can_switch_users() || !can_be_process_one()) return;
  TemporaryDirectory dir;
  ::chmod(dir.path().c_str(), 0755);
  REQUIRE(::mkdir((dir / "private").c_str(), 0700) == 0);
  write_text(dir / "private/file", "x");
  REQUIRE(::chown((dir / "private").c_str(), 1234, 1234) == 0);
  Client client(locked(Profile::build));
  const std::string caps = "grep -E '^Cap(Eff|Bnd)' /proc/self/status | tr '\\n\\t' '  '";
  CHECK(client.call(as("0", caps)).out == "CapEff: 00000000000000cb CapBnd: 00000000000000cb ");
  CHECK(client.call(as("1234", caps)).out == "CapEff: 0000000000000000 CapBnd: 00000000000000cb ");
  CHECK(client.call(as("0", "cat " + (dir / "private/file"))).out == "x");
  CHECK(client.call(as("0", "chown 77 " + (dir / "private/file"))).exec().exit_code == 0);
  ReadRequest read;
  read.path = dir / "private/file";
  read.user = "0";
  CHECK(client.call(read).result.code == Code::forbidden);
  read.user = "1234";
  CHECK(client.call(read).bytes == "x");
  // Before and after, nothing of a switch is left behind.
  CHECK(client.call(as("1234", "id -u; grep Groups /proc/self/status")).out == "1234\nGroups:\t \n");
}

TEST_CASE("rootless: one user, and still no way to the agent") {
  const bool able = in_child([] {
    if (::syscall(SYS_setresuid, 1234, 1234, 1234) != 0) return false;
    const pid_t child = clone_into_user_namespace();
    if (child == 0) ::syscall(SYS_exit_group, 0);
    return succeeds(child);
  });
  if (!can_switch_users() || !able || !can_be_process_one()) {
    MESSAGE("skipped: no user namespaces for ordinary users here");
    return;
  }
  Client::Setup setup;
  setup.options.lock_down = true;
  setup.hello.rootless = true;
  setup.hello.uid = setup.hello.gid = 0;
  setup.rootless_uid = 1234;
  Client client(setup);
  REQUIRE(client.failed.step == Step::none);
  CHECK((client.ready.enforced & kEnforcedUserPerExec) == 0);
  CHECK(client.call(shell("id -u; grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status | tr '\\n\\t' '  '")).out ==
        "0\nCapPrm: 0000000000000000 CapEff: 0000000000000000 CapBnd: 0000000000000000 ");
  CHECK(client.call(as("1234", "true")).result.code == Code::unsupported);
  CHECK(client.call(as("0", "echo same")).out == "same\n");
  CHECK(client.call(shell("for s in 1 2 9 15 17 19 11; do kill -$s 1; done; echo survived")).out == "survived\n");
  CHECK(client.call(shell(kLook)).out == "");
  CHECK(client.call(shell(kTouch)).out == "");
  // Same uid from the fork on: a stopped child must not stop the agent either.
  const uint32_t attacker = client.start(shell("while :; do kill -STOP -1; done 2>/dev/null"));
  REQUIRE(client.pump([&] { return client.reply(attacker).pid != 0; }));
  for (int i = 0; i < 20; ++i) {
    protocol::ExecRequest victim = shell("true");
    victim.timeout_ms = 200;
    CHECK(client.call(victim).result.code == Code::ok);
  }
  client.cancel(attacker);
  CHECK(client.wait(attacker).result.code == Code::ok);
}
