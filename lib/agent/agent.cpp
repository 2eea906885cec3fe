#include "agent/agent.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "agent/connection.hpp"
#include "agent/loop.hpp"
#include "core/fail_point.hpp"
#include "isolation/lockdown.hpp"

namespace svm::agent {
namespace {

using protocol::Step;

constexpr int kExitOk = 0;
constexpr int kExitProtocol = 1;  // the peer broke a rule
constexpr int kExitStart = 2;     // containment or start-up failed
constexpr size_t kMaxOwnGroups = 64;

isolation::Profile isolation_profile(protocol::Profile profile) noexcept {
  switch (profile) {
    case protocol::Profile::debug: return isolation::Profile::debug;
    case protocol::Profile::build: return isolation::Profile::build;
    case protocol::Profile::standard: break;
  }
  return isolation::Profile::standard;
}

/// Nothing interrupts the agent and a command starts with every disposition at its default (an ignored signal would stay
/// ignored through exec).
int prepare_signals() noexcept {
  uint64_t all = ~0ull;
  if (::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all) < 0) return errno;
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action;
    if (::sigaction(signal, nullptr, &action) < 0 || action.sa_handler != SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    if (::sigaction(signal, &action, nullptr) < 0) return errno;
  }
  return 0;
}

/// Descriptors 0 to 2 exist, so that no pipe gets one of these numbers.
int fill_standard_fds() noexcept {
  for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    if (::open("/", O_PATH | O_DIRECTORY) != fd) return errno ? errno : EBADF;
  }
  return 0;
}

/// Waits for one whole frame. 0, or an errno.
int receive_hello(Connection& connection, const AgentOptions& options, protocol::Hello& hello) {
  protocol::Frame frame;
  for (;;) {
    switch (connection.next(frame)) {
      case Connection::Next::malformed: return EBADMSG;
      case Connection::Next::frame:
        if (frame.type != protocol::FrameType::hello || !protocol::decode(frame.payload, hello)) return EBADMSG;
        return hello.version == protocol::kVersion ? 0 : EPROTONOSUPPORT;
      case Connection::Next::none: break;
    }
    pollfd fds[2] = {{connection.fd(), POLLIN, 0}, {options.life, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return errno;
    char byte;
    if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && ::read(options.life, &byte, 1) <= 0) return ECONNABORTED;
    if (fds[0].revents && connection.receive() == Connection::Input::ended) return ECONNRESET;
  }
}

uint64_t bounding_set() noexcept {
  uint64_t set = 0;
  for (int number = 0; number <= CAP_LAST_CAP; ++number)
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) set |= isolation::capability(number);
  return set;
}

void fill_rights(const protocol::Hello& hello, const AgentOptions& options, Rights& rights) noexcept {
  rights.switches = !hello.rootless;
  rights.uid = ::geteuid();
  rights.gid = ::getegid();
  rights.groups.resize(kMaxOwnGroups);
  const int count = ::getgroups(static_cast<int>(rights.groups.size()), rights.groups.data());
  rights.groups.resize(count > 0 ? static_cast<size_t>(count) : 0);
  if (!options.lock_down) return;
  const uint64_t kept = isolation::profile_capabilities(isolation_profile(hello.profile));
  const uint64_t kill_only = isolation::capability(CAP_KILL);
  rights.fixed_capabilities = true;
  rights.command_root = kept;
  rights.effective = hello.rootless ? 0 : kill_only | isolation::capability(CAP_SETUID) | isolation::capability(CAP_SETGID);
  // Rootless keeps one permitted capability for no use but this: a process without it cannot trace one that has it.
  rights.permitted = rights.effective | kill_only | kept;
  rights.inheritable = kept;
}

/// Gives up what no command may have. 0, or an errno with the step that failed.
int lock_down(const protocol::Hello& hello, const Rights& rights, protocol::Ready& ready, Step& step) noexcept {
  const isolation::Profile profile = isolation_profile(hello.profile);
  const uint64_t kept = rights.command_root;

  step = Step::bounding_set;
  if (const int injected = SVM_FAIL_POINT("agent.bounding_set")) return injected;
  // Dropping needs CAP_SETPCAP; where the launcher did it before, nothing is left to drop.
  const int bounded = isolation::reduce_bounding_set(kept);
  if (bounded != 0 && (bounding_set() & ~kept) != 0) return -bounded;
  if (bounded != 0 && ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return errno;

  step = Step::no_new_privs;
  if (const int injected = SVM_FAIL_POINT("agent.no_new_privs")) return injected;
  if (const int error = isolation::set_no_new_privs()) return -error;
  ready.enforced |= protocol::kEnforcedNoNewPrivs;

  step = Step::landlock;
  if (const int injected = SVM_FAIL_POINT("agent.landlock")) return injected;
  const int landlock = isolation::install_landlock(&ready.landlock_abi);
  if (landlock != 0 && landlock != -ENOSYS && landlock != -EOPNOTSUPP) return -landlock;
  if (landlock == 0) ready.enforced |= protocol::kEnforcedLandlock;
  if (landlock != 0) ready.landlock_abi = 0;

  step = Step::seccomp;
  if (const int injected = SVM_FAIL_POINT("agent.seccomp")) return injected;
  if (const int error = isolation::install_seccomp(profile)) return -error;
  ready.enforced |= protocol::kEnforcedSeccomp;

  step = Step::capabilities;
  if (const int injected = SVM_FAIL_POINT("agent.drop_capabilities")) return injected;
  if (const int error = isolation::set_capabilities(rights.permitted, rights.effective, rights.inheritable)) return -error;
  ready.enforced |= protocol::kEnforcedCapabilities;
  return 0;
}

int fail(Connection& connection, Step step, int error) {
  std::string payload;
  protocol::encode(payload, protocol::StepFailure{step, error});
  connection.send(protocol::FrameType::failed, 0, payload);
  connection.flush();
  return kExitStart;
}

/// Ends what is left. As process 1 that is everything; in a test, the streams have ended their own already.
void end_all(const AgentOptions& options) noexcept {
  if (!options.lock_down) return;
  (void)::kill(-1, SIGKILL);  // ESRCH: nobody
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace

int run(const AgentOptions& options) noexcept {
  // Before anything else: from the first moment on nobody inside may look at or trace this process.
  uint64_t enforced = options.enforced;
  int early = 0;
  if (options.lock_down) {
    early = SVM_FAIL_POINT("agent.undumpable");
    if (early == 0) early = -isolation::set_undumpable();
    if (early == 0) enforced |= protocol::kEnforcedUndumpable;
  }
  Connection connection(options.channel);
  if (early) return fail(connection, Step::undumpable, early);
  int error = connection.error();
  if (error == 0) error = prepare_signals();
  if (error == 0) error = fill_standard_fds();
  ::umask(022);  // what commands start with; files made for requests get their exact mode

  Fd root(options.root >= 0 ? ::fcntl(options.root, F_DUPFD_CLOEXEC, 3) : ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (error == 0 && !root) error = errno;
  protocol::Hello hello;
  if (error == 0) error = SVM_FAIL_POINT("agent.read_hello");
  if (error == 0) error = receive_hello(connection, options, hello);
  if (error) return fail(connection, Step::hello, error);

  std::string workdir = hello.workdir;
  Context context{std::move(hello), options, {}, Root(std::move(root), std::move(workdir))};
  fill_rights(context.hello, options, context.rights);
  protocol::Ready ready;
  ready.version = protocol::kVersion;
  ready.enforced = enforced;
  if (context.rights.switches) ready.enforced |= protocol::kEnforcedUserPerExec;
  if (options.lock_down) {
    Step step = Step::none;
    if (const int failed = lock_down(context.hello, context.rights, ready, step)) return fail(connection, step, failed);
  }
  context.ready = ready;
  std::string payload;
  protocol::encode(payload, ready);
  connection.send(protocol::FrameType::ready, 0, payload);
  connection.flush();

  Loop::End end;
  {
    Loop loop(context, connection);
    end = loop.run();
  }
  end_all(options);
  return end == Loop::End::closed ? kExitOk : end == Loop::End::malformed ? kExitProtocol : kExitStart;
}

}  // namespace svm::agent
