#include "launcher/launcher.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "core/clock.hpp"
#include "core/fail_point.hpp"
#include "core/process.hpp"
#include "isolation/cgroup.hpp"
#include "isolation/lockdown.hpp"
#include "isolation/mount.hpp"
#include "isolation/syscalls.hpp"
#include "launcher/network.hpp"
#include "launcher/plan.hpp"
#include "launcher/slim.hpp"

namespace svm::launcher {
namespace {

using protocol::Step;

constexpr int64_t kRemoveRetryMs = 2;       // a control group stays busy a moment after its last process was reaped
constexpr int64_t kQuietMs = 5;              // without a message for so long, there is time to prepare the next sandbox
constexpr int64_t kRemoveGiveUpMs = 5'000;
constexpr int64_t kClaimMs = 1'000;         // how long somebody who wants to be the owner may take to say so
constexpr int64_t kEndingMs = 5'000;        // the host is gone: how long its sandboxes may take to go
constexpr int64_t kFormerMs = 8'000;        // and how long the next host's launcher waits for that: less than that host waits for the launcher
constexpr uint32_t kNobody = 65'534;         // is in every passwd file that is written here
constexpr uint64_t kAgentHeadroom = 64ull << 20;  // bytes of the agent's own level beyond the commands' limit and the disk

struct Sandbox {
  uint64_t token = 0;
  std::string name;
  Fd control;                // where the agent takes further connections; none where nobody else may become the owner
  int64_t expires_ms = INT64_MAX;
  pid_t pid = 0;             // nobody else's until it is reaped, which only this process does
  isolation::Cgroup cgroup;
  bool has_cgroup = false;
  bool reaped = false;
  int wait_status = 0;
  uint64_t oom_kills = 0;
  int64_t give_up_ms = 0;
};

class Launcher {
 public:
  /// `closing`: what closing the application's descriptors gave: 0, or -errno.
  Launcher(int socket, int closing) noexcept : socket_(socket), closing_(closing) {}

  int run() noexcept {
    if (!receive_init()) return 1;
    start(online_);
    if (online_.error != 0) groups_.close();  // before the host is told: then nothing is left
    if (!say(online_) || online_.error != 0) {
      groups_.close();
      return 1;
    }
    while (!ending_) turn();
    end_all();
    return 0;
  }

 private:
  static constexpr uint64_t kSocketKey = 0, kHostKey = 1, kListenerKey = 2, kClaimantKey = 3, kChildrenKey = 4;

  template <class Message>
  bool say(const Message& message, const int* fds = nullptr, size_t fd_count = 0) noexcept {
    if (!socket_) return false;
    out_.clear();
    protocol::encode(out_, message);
    // The host drains this socket on its reactor; when it does not (stopped), waiting here is all there is to do.
    return send_message(socket_.get(), out_.data(), out_.size(), fds, fd_count) == 0;
  }

  /// The process at the other end; 0: unknown.
  static pid_t peer_of(int socket) noexcept {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
  }

  /// For a host that cannot make a pidfd of itself, because it runs in a tool that does not know the call (valgrind before 3.21).
  static int open_peer(int socket, Fd& out) noexcept {
    const pid_t peer = peer_of(socket);
    return peer > 0 ? open_pidfd(peer, out) : -ESRCH;
  }

  bool receive_init() noexcept {
    protocol::LaunchMessage message;
    Fd fds[4];
    size_t count = 4;
    const long n = receive_message(socket_.get(), in_, sizeof in_, fds, &count);
    if (n <= 0 || !protocol::decode({in_, static_cast<size_t>(n)}, message) || message.type != protocol::LaunchType::init) return false;
    const protocol::Init& init = message.init;
    const size_t others = (init.holds ? 1u : 0u) + (init.alone ? 1u : 0u) + (init.key.empty() ? 0u : 1u);
    if (count == others) {
      for (size_t i = others; i > 0; --i) fds[i] = std::move(fds[i - 1]);
      // Still our parent: so the number has not become another process's.
      if (open_peer(socket_.get(), fds[0]) != 0 || peer_of(socket_.get()) != ::getppid()) return false;
    } else if (count != 1 + others) {
      return false;
    }
    rootless_ = init.rootless;
    instance_ = init.instance;
    detached_ = init.detached;
    key_ = init.key;
    host_ = std::move(fds[0]);
    size_t next = 1;
    if (init.holds) held_ = std::move(fds[next++]);
    if (init.alone) alone_ = std::move(fds[next++]);
    if (!key_.empty()) listener_ = std::move(fds[next]);
    return !listener_ || set_nonblocking(listener_.get(), true) == 0;
  }

  void start(protocol::Online& online) noexcept {
    const auto failed = [&](Step step, int error) {
      online.step = step;
      online.error = -error;
    };
    if (closing_ != 0) return failed(Step::close_fds, closing_);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      (void)::setrlimit(RLIMIT_NOFILE, &files);  // more room is better, less is an error of a later spawn
    }
    if (const int injected = SVM_FAIL_POINT("launcher.exec_agent")) return failed(Step::exec_agent, -injected);
    agent_.reset(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    if (!agent_) return failed(Step::exec_agent, -errno);
    // Unreadable to whoever runs it: then process 1's files in /proc belong to the host's root, and not to root inside.
    if (::fchmod(agent_.get(), 0111) < 0) return failed(Step::exec_agent, -errno);
    if (const int error = make_pipe(life_read_, life_write_)) return failed(Step::sync, error);
    // A former owner's launcher may still be ending what it ran, and what it removes has the names that this one is about to use.
    if (alone_)
      if (const int error = be_alone()) return failed(Step::former_launcher, error);
    // Control groups are opened from the host's view, before that view goes.
    (void)isolation::remove_stale_cgroups(instance_.c_str());
    isolation::CgroupSupport support;
    groups_.open(instance_.c_str(), support);
    online.cgroup_version = support.version;
    online.memory_error = support.memory_error;
    online.swap_error = support.swap_error;
    online.cpu_error = support.cpu_error;
    online.pids_error = support.pids_error;
    if (rootless_)
      if (const int error = isolation::read_inotify_share(inotify_)) return failed(Step::inotify_share, error);
    groups_left_ = rootless_ && ::getgroups(0, nullptr) > 0;
    Step step{};
    if (const int error = namespaces_.enter(rootless_, layout_, step)) return failed(step, error);
    // Not rootless: there the kernel would give the id maps of undumpable children to root, and they could not be written. Commands that
    // share the user's id cannot name this process in any case: it is in no pid namespace of theirs.
    if (!rootless_) {
      if (const int injected = SVM_FAIL_POINT("launcher.undumpable")) return failed(Step::undumpable, -injected);
      if (const int error = isolation::set_undumpable()) return failed(Step::undumpable, error);
    }
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return failed(Step::sync, -errno);
    if (!watch(socket_.get(), kSocketKey) || !watch(host_.get(), kHostKey)) return failed(Step::sync, -errno);
    if (listener_ && !watch(listener_.get(), kListenerKey)) return failed(Step::sync, -errno);
    // One descriptor for all children, and not one each: the next child begins with copies of all there are, and closes them.
    sigset_t child;
    ::sigemptyset(&child);
    ::sigaddset(&child, SIGCHLD);
    const int injected = SVM_FAIL_POINT("launcher.watch");
    if (!injected) children_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!children_ || !watch(children_.get(), kChildrenKey)) return failed(Step::sync, injected ? -injected : -errno);
  }

  /// Locks `alone_`, as a file that this process alone has open: forked workers of the host may have the host's for ever.
  int be_alone() noexcept {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", alone_.get());
    alone_.reset(::open(path, O_RDWR | O_CLOEXEC));
    if (!alone_) return -errno;
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    const int64_t end = system_clock().monotonic_ms() + kFormerMs;
    while (::fcntl(alone_.get(), F_OFD_SETLK, &whole) < 0) {
      if (errno != EAGAIN && errno != EACCES) return -errno;
      if (system_clock().monotonic_ms() >= end) return -ETIMEDOUT;
      pollfd host{host_.get(), POLLIN, 0};
      if (::poll(&host, 1, kRemoveRetryMs) > 0) return -ECANCELED;  // the host has ended: nobody waits for this launcher
    }
    return 0;
  }

  bool watch(int fd, uint64_t key) noexcept {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = key;
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }

  void turn() noexcept {
    epoll_event events[64];
    const int n = ::epoll_wait(epoll_.get(), events, 64, wait_ms());
    if (n < 0 && errno != EINTR) ending_ = true;
    if (n == 0 && removing_ == 0) prepare_next();
    for (int i = 0; i < n; ++i) {
      const uint64_t key = events[i].data.u64;
      if (key == kHostKey) {
        if (owner_has_gone()) lose_owner();  // a claimant earlier in these events may have taken its place
      } else if (key == kSocketKey)
        receive();
      else if (key == kListenerKey)
        accept_claimant();
      else if (key == kClaimantKey)
        hear_claimant(false);
      else
        reap();
    }
    if (claimant_ && system_clock().monotonic_ms() >= claim_by_ms_) hear_claimant(true);
    if (!socket_) end_expired();
    if (removing_ > 0) retry_removals();
    if (!socket_ && !claimant_ && sandboxes_.empty()) ending_ = true;  // nothing that anybody could come back for
  }

  int wait_ms() const noexcept {
    int64_t next = removing_ > 0 ? kRemoveRetryMs : prepared_ || !socket_ ? INT64_MAX : kQuietMs;
    const int64_t now = claimant_ || !socket_ ? system_clock().monotonic_ms() : 0;
    if (claimant_) next = std::min(next, claim_by_ms_ - now);
    if (!socket_)
      for (const auto& [token, sandbox] : sandboxes_) next = std::min(next, sandbox->expires_ms == INT64_MAX ? INT64_MAX : sandbox->expires_ms - now);
    return next == INT64_MAX ? -1 : static_cast<int>(std::clamp<int64_t>(next, 0, 60'000));
  }

  /// The host has ended, or let go. Its sandboxes wait for another one, or end.
  void lose_owner() noexcept {
    if (!detached_) {
      ending_ = true;
      return;
    }
    socket_.reset();
    host_.reset();
  }

  /// Without an owner nobody else looks at the clock. Killed ones are reaped like any other.
  void end_expired() noexcept {
    const int64_t now = system_clock().monotonic_ms();
    for (const auto& [token, sandbox] : sandboxes_) {
      if (sandbox->reaped || sandbox->expires_ms > now) continue;
      sandbox->expires_ms = INT64_MAX;
      (void)::kill(sandbox->pid, SIGKILL);
    }
  }

  /// One at a time: others wait in the backlog.
  void accept_claimant() noexcept {
    claimant_.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!claimant_) return;
    if (!watch(claimant_.get(), kClaimantKey)) {
      claimant_.reset();
      return;
    }
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
    claim_by_ms_ = system_clock().monotonic_ms() + kClaimMs;
  }

  void dismiss_claimant() noexcept {
    claimant_.reset();
    if (!watch(listener_.get(), kListenerKey)) listener_.reset();  // no memory: then nobody else is heard
  }

  /// `late`: its time is over. What it has said counts all the same: it was perhaps this process that had no time.
  void hear_claimant(bool late) noexcept {
    if (SVM_FAIL_POINT("launcher.hear_claimant") != 0) return dismiss_claimant();
    protocol::LaunchMessage message;
    Fd fds[1];
    size_t count = 1;
    const long n = receive_message(claimant_.get(), in_, sizeof in_, fds, &count, MSG_DONTWAIT);
    if (n == -EAGAIN) return late ? dismiss_claimant() : void();
    const bool understood = n > 0 && protocol::decode({in_, static_cast<size_t>(n)}, message) && message.type == protocol::LaunchType::claim &&
                            (count == 1 || open_peer(claimant_.get(), fds[0]) == 0);
    if (!understood) return dismiss_claimant();
    if (owner_has_gone()) lose_owner();
    protocol::Claimed claimed;
    ucred peer{};
    socklen_t size = sizeof peer;
    const bool same_user = ::getsockopt(claimant_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == ::getuid();
    Fd self;
    if (!same_user || !same_key(message.claim.key))
      claimed.error = EPERM;
    else if (socket_)
      claimed.error = EBUSY;
    else if (const int error = open_pidfd(::getpid(), self))
      claimed.error = -error;
    Fd claimant = std::move(claimant_);
    dismiss_claimant();
    if (claimed.error != 0) {
      out_.clear();
      protocol::encode(out_, claimed);
      (void)send_message(claimant.get(), out_.data(), out_.size(), nullptr, 0);
      return;
    }
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, claimant.get(), nullptr);
    socket_ = std::move(claimant);
    host_ = std::move(fds[0]);
    detached_ = message.claim.detached;
    if (!watch(socket_.get(), kSocketKey) || !watch(host_.get(), kHostKey)) return lose_owner();
    hand_over(self.get());
  }

  void hand_over(int self) noexcept {
    protocol::Claimed claimed;
    claimed.online = online_;
    claimed.holds = held_.valid();
    for (const auto& [token, sandbox] : sandboxes_) claimed.sandboxes += !sandbox->reaped;
    const int fds[] = {self, held_.get()};
    if (!say(claimed, fds, claimed.holds ? 2 : 1)) return;
    for (const auto& [token, sandbox] : sandboxes_) {
      if (sandbox->reaped) continue;
      // A pair that cannot be made or sent leaves the new owner with a sandbox that does not answer, which it then ends.
      Fd ours, theirs;
      const bool made = make_socketpair(SOCK_STREAM, ours, theirs) == 0;
      const char news = 0;
      const int agent_end = theirs.get(), host_end = ours.get();
      if (made) (void)send_message(sandbox->control.get(), &news, sizeof news, &agent_end, 1);
      const int64_t left = sandbox->expires_ms == INT64_MAX ? INT64_MAX : std::max<int64_t>(0, sandbox->expires_ms - system_clock().monotonic_ms());
      if (!say(protocol::Adopted{token, sandbox->name, static_cast<uint64_t>(left)}, &host_end, made ? 1 : 0)) return;
    }
  }

  bool owner_has_gone() const noexcept {
    if (!socket_) return false;
    pollfd fds[] = {{host_.get(), POLLIN, 0}, {socket_.get(), POLLRDHUP, 0}};
    return ::poll(fds, 2, 0) > 0 && ((fds[0].revents & POLLIN) != 0 || (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
  }

  /// In a time that does not depend on where they differ.
  bool same_key(const std::string& key) const noexcept {
    if (key_.empty() || key.size() != key_.size()) return false;
    unsigned char different = 0;
    for (size_t i = 0; i < key.size(); ++i) different = static_cast<unsigned char>(different | (key[i] ^ key_[i]));
    return different == 0;
  }

  void receive() noexcept {
    protocol::LaunchMessage message;
    Fd fds[1];
    size_t count = 1;
    const long n = receive_message(socket_.get(), in_, sizeof in_, fds, &count, MSG_DONTWAIT);
    if (n == -EAGAIN) return;
    if (n <= 0 || !protocol::decode({in_, static_cast<size_t>(n)}, message)) return lose_owner();
    if (message.type == protocol::LaunchType::spawn && count == 1 && message.spawn.token >= protocol::kFirstToken)
      spawn(message.spawn, std::move(fds[0]));
    else if (message.type == protocol::LaunchType::kill)
      kill(message.kill.token);
    else if (message.type == protocol::LaunchType::expire)
      expire(message.expire);
    else
      ending_ = true;
  }

  void expire(const protocol::Expire& message) noexcept {
    const auto found = sandboxes_.find(message.token);
    if (found == sandboxes_.end()) return;
    const int64_t now = system_clock().monotonic_ms();
    found->second->expires_ms = message.in_ms > static_cast<uint64_t>(INT64_MAX - now) ? INT64_MAX : now + static_cast<int64_t>(message.in_ms);
  }

  /// What the next sandbox will need and takes long to make. A failure shows when that comes and it fails again.
  void prepare_next() noexcept {
    Step step;
    (void)network_.prepare(step);
    (void)groups_.prepare();
    prepared_ = true;
  }

  void refuse(uint64_t token, Step step, int error) noexcept { say(protocol::Refused{token, {step, -error}}); }

  void spawn(const protocol::Spawn& request, Fd channel) noexcept {
    if (sandboxes_.count(request.token)) return refuse(request.token, Step::clone, -EEXIST);
    auto sandbox = std::make_unique<Sandbox>();
    sandbox->token = request.token;
    sandbox->name = request.name;
    prepared_ = false;
    Plan plan;
    namespaces_.renew_linker_cache(layout_);
    plan.host = &layout_;
    plan.spawn = &request;
    plan.rootless = rootless_;
    plan.groups_left = groups_left_;
    plan.inotify = inotify_;
    plan.agent = agent_.get();
    plan.channel = channel.get();
    plan.life = life_read_.get();
    Fd agent_control;
    if (!key_.empty()) {
      // Nonblocking: an agent that does not take its messages holds up nobody.
      int error = make_socketpair(SOCK_SEQPACKET, sandbox->control, agent_control);
      if (error == 0) error = set_nonblocking(sandbox->control.get(), true);
      if (error) return refuse(request.token, Step::sync, error);
      plan.control = agent_control.get();
    }
    if (const auto [step, error] = prepare(request, plan); error) return refuse(request.token, step, error);
    if (const auto [step, error] = make_groups(request, *sandbox, plan); error) {
      abandon(*sandbox);
      return refuse(request.token, step, error);
    }
    const int injected = SVM_FAIL_POINT("launcher.sync");
    const Fd go(injected ? -1 : ::eventfd(0, EFD_CLOEXEC));
    if (!go) {
      const int error = injected ? -injected : -errno;
      abandon(*sandbox);
      return refuse(request.token, Step::sync, error);
    }
    plan.go = go.get();
    Step network_step = Step::network;
    int network_error = -SVM_FAIL_POINT("launcher.make_network");
    if (!network_error) network_error = network_.prepare(network_step);
    if (const int injected = SVM_FAIL_POINT("launcher.loopback")) {
      network_step = Step::loopback;
      network_error = -injected;
    }
    if (const int error = network_error) {
      abandon(*sandbox);
      return refuse(request.token, network_step, error);
    }
    if (const auto [step, error] = clone(plan, *sandbox); error) {
      abandon(*sandbox);
      return refuse(request.token, step, error);
    }
    if (const auto [step, error] = map_ids(request, plan, sandbox->pid); error) {
      (void)write_all(go.get(), &kGiveUp, sizeof kGiveUp);
      ::waitpid(sandbox->pid, nullptr, __WALL);
      abandon(*sandbox);
      return refuse(request.token, step, error);
    }
    (void)write_all(go.get(), &kGo, sizeof kGo);  // a child that died meanwhile is reaped like any other
    sandbox->cgroup.close_fds();
    by_pid_.emplace(sandbox->pid, request.token);
    sandboxes_.emplace(request.token, std::move(sandbox));
  }

  struct Outcome {
    Step step = Step::none;
    int error = 0;
  };

  /// Everything the child will need that takes memory or the host's view of its files.
  Outcome prepare(const protocol::Spawn& request, Plan& plan) noexcept {
    plan.size = std::to_string(request.disk);
    plan.inodes = std::to_string(request.inodes);
    const char* shell = layout_.bash ? "/bin/bash" : "/bin/sh";
    plan.passwd = "root:x:0:0:root:/root:" + std::string(shell) + "\nuser:x:1000:1000:user:/workspace:" + shell + "\n";
    plan.group = "root:x:0:\ntty:x:5:\nuser:x:1000:\n";
    if (request.uid != 0 && request.uid != 1000 && request.uid != kNobody) {
      plan.passwd += "sandbox:x:" + std::to_string(request.uid) + ":" + std::to_string(request.gid) + ":sandbox:/workspace:" + shell + "\n";
      plan.group += "sandbox:x:" + std::to_string(request.gid) + ":\n";
    }
    plan.passwd += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    plan.group += "nogroup:x:65534:\n";
    plan.hosts = "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 " + request.hostname + "\n";
    if (!rootless_) {
      if (const int injected = SVM_FAIL_POINT("launcher.mount_disk")) return {Step::disk, -injected};
      if (const int error = new_disk(plan, plan.disk)) return {Step::disk, error};
      if (::fchownat(plan.disk.get(), "", request.id_base, request.id_base, AT_EMPTY_PATH) < 0) return {Step::disk, -errno};
    }
    bool directory = false;
    if (request.root == protocol::RootKind::directory) {
      if (const int injected = SVM_FAIL_POINT("launcher.open_rootfs")) return {Step::open_rootfs, -injected};
      if (const int error = namespaces_.clone_host_path(request.rootfs.c_str(), request.rootfs_device, request.rootfs_inode, false, plan.rootfs, directory))
        return {Step::open_rootfs, error};
      if (!directory) return {Step::open_rootfs, -ENOTDIR};
    }
    for (const protocol::HostMount& wanted : request.mounts) {
      PlannedMount planned;
      planned.guest = wanted.guest;
      if (const int injected = SVM_FAIL_POINT("launcher.open_mount")) return {Step::open_mount, -injected};
      if (const int error = namespaces_.clone_host_path(wanted.host.c_str(), wanted.device, wanted.inode, true, planned.mount, planned.directory))
        return {Step::open_mount, error};
      const uint64_t attributes = isolation::kMountNoSuid | isolation::kMountNoDev | (wanted.writable ? 0 : isolation::kMountReadOnly);
      if (const int error = isolation::set_mount_attributes(planned.mount.get(), attributes, true)) return {Step::open_mount, error};
      plan.mounts.push_back(std::move(planned));
    }
    return {};
  }

  Outcome make_groups(const protocol::Spawn& request, Sandbox& sandbox, Plan& plan) noexcept {
    isolation::CgroupLimits limits;
    limits.memory = request.memory;
    limits.milli_cpus = request.milli_cpus;
    limits.pids = request.pids;
    if (request.memory != 0) limits.headroom = request.disk + kAgentHeadroom;
    int error = -SVM_FAIL_POINT("launcher.cgroup_create");
    if (!error) error = groups_.create(request.name.c_str(), limits, sandbox.cgroup);
    sandbox.has_cgroup = error == 0;
    const auto missing = [&](int32_t applied) { return error ? -error : applied; };
    if (request.require_memory && missing(sandbox.cgroup.memory_error) != 0) return {Step::memory_limit, -missing(sandbox.cgroup.memory_error)};
    if (request.require_cpu && missing(sandbox.cgroup.cpu_error) != 0) return {Step::cpu_limit, -missing(sandbox.cgroup.cpu_error)};
    plan.pids_by_rlimit = request.pids != 0 && rootless_ && missing(sandbox.cgroup.pids_error) != 0;
    if (request.require_pids && !plan.pids_by_rlimit && missing(sandbox.cgroup.pids_error) != 0)
      return {Step::pids_limit, -missing(sandbox.cgroup.pids_error)};
    if (error) return {};
    plan.oom = sandbox.cgroup.oom_fd();
    plan.command_group_count = sandbox.cgroup.command_fd_count();
    for (size_t i = 0; i < plan.command_group_count; ++i) plan.command_groups[i] = sandbox.cgroup.command_fd(i);
    if (sandbox.cgroup.memory_error == 0) plan.enforced |= protocol::kEnforcedMemory;
    if (sandbox.cgroup.swap_error == 0) plan.enforced |= protocol::kEnforcedSwap;
    if (sandbox.cgroup.cpu_error == 0) plan.enforced |= protocol::kEnforcedCpu;
    if (sandbox.cgroup.pids_error == 0) plan.enforced |= protocol::kEnforcedPids;
    return {};
  }

  Outcome clone(const Plan& plan, Sandbox& sandbox) noexcept {
    isolation::CloneArgs arguments{};
    arguments.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    arguments.exit_signal = SIGCHLD;
    if (sandbox.has_cgroup) {
      if (sandbox.cgroup.into_fd() >= 0) {
        arguments.flags |= isolation::kCloneIntoCgroup;
        arguments.cgroup = static_cast<uint64_t>(sandbox.cgroup.into_fd());
      } else {
        if (const int injected = SVM_FAIL_POINT("launcher.cgroup_attach")) return {Step::cgroup_attach, -injected};
        if (const int error = sandbox.cgroup.enter()) return {Step::cgroup_attach, error};
      }
    }
    // The kernel charges what a user namespace uses (inotify instances, namespaces ...) to the user who made it too: not to the host's root,
    // whose own would run out, but to an id of the sandbox's range.
    int switched = rootless_ ? 0 : set_effective_id(plan.spawn->id_base);
    if (!rootless_ && switched == 0) switched = -SVM_FAIL_POINT("launcher.effective_ids");
    if (switched == 0) switched = -SVM_FAIL_POINT("launcher.clone");
    // Whether it may be born in the group is a question of file rights, and stays root's: an id of the range has none there.
    if (!rootless_ && switched == 0 && (arguments.flags & isolation::kCloneIntoCgroup) != 0) ::syscall(SYS_setfsuid, 0);
    // A failure goes the same way as one of clone3: this process must leave the sandbox's group, whose removal kills what is inside.
    const long child = switched ? switched : isolation::syscall_result(isolation::kSysClone3, &arguments, sizeof arguments);
    if (child == 0) {
      life_write_.reset();  // or this child would keep its siblings' life pipe open until it execs
      contain(plan);
    }
    if (!rootless_ && set_effective_id(0) != 0) ::_exit(1);  // cannot happen: the real id is still root's
    // On v1 the child was born in the group; this process goes back.
    const int left = sandbox.has_cgroup && sandbox.cgroup.into_fd() < 0 ? sandbox.cgroup.leave() : 0;
    if (child < 0) return {Step::clone, static_cast<int>(child)};
    network_.taken();
    sandbox.pid = static_cast<pid_t>(child);
    if (left) {
      (void)::kill(sandbox.pid, SIGKILL);
      ::waitpid(sandbox.pid, nullptr, __WALL);
      return {Step::cgroup_attach, left};
    }
    return {};
  }

  static int set_effective_id(uint32_t id) noexcept {
    // Raw calls: the C library's would be for all threads, of which there is one. Leaving root the group goes first, coming back last.
    if (id != 0 && ::syscall(SYS_setresgid, -1, id, -1) < 0) return -errno;
    if (::syscall(SYS_setresuid, -1, id, -1) < 0) return -errno;
    return id == 0 && ::syscall(SYS_setresgid, -1, id, -1) < 0 ? -errno : 0;
  }

  Outcome map_ids(const protocol::Spawn& request, Plan& plan, int pid) noexcept {
    if (const int injected = SVM_FAIL_POINT("launcher.id_map")) return {Step::id_map, -injected};
    if (const int error = write_id_maps(namespaces_.proc(), pid, request, rootless_)) return {Step::id_map, error};
    if (rootless_ || !plan.rootfs) return {};
    if (const int injected = SVM_FAIL_POINT("launcher.idmap_mount")) return {Step::idmap_mount, -injected};
    // The image's files belong to host users; inside they belong to the same numbers of the sandbox's range.
    char path[48];
    std::snprintf(path, sizeof path, "%d/ns/user", pid);
    Fd user_namespace(::openat(namespaces_.proc(), path, O_RDONLY | O_CLOEXEC));
    if (!user_namespace) return {Step::idmap_mount, -errno};
    const int error = isolation::idmap_mount(plan.rootfs.get(), user_namespace.get());
    // A file system without id-mapped mounts still serves: its files appear as nobody's, which allows less, not more.
    if (error && error != -EINVAL && error != -EOPNOTSUPP && error != -ENOSYS) return {Step::idmap_mount, error};
    return {};
  }

  void abandon(Sandbox& sandbox) noexcept {
    if (!sandbox.has_cgroup) return;
    for (int64_t end = system_clock().monotonic_ms() + 500; sandbox.cgroup.remove() == -EBUSY && system_clock().monotonic_ms() < end;) ::usleep(1000);
  }

  void kill(uint64_t token) noexcept {
    const auto found = sandboxes_.find(token);
    // Not there: it has ended by itself and its Exited is on the way.
    if (found != sandboxes_.end() && !found->second->reaped) (void)::kill(found->second->pid, SIGKILL);
  }

  void reap() noexcept {
    // The signal names one that has ended. Signals merge: whether it is the only one, a look at all children tells.
    signalfd_siginfo signal{};
    if (::read(children_.get(), &signal, sizeof signal) == sizeof signal) (void)reap(P_PID, signal.ssi_pid);
    while (reap(P_ALL, 0)) {
    }
  }

  /// False: none of these has ended.
  bool reap(idtype_t which, id_t id) noexcept {
    siginfo_t info{};
    int result;
    do result = ::waitid(which, id, &info, WEXITED | WNOHANG | __WALL);
    while (result < 0 && errno == EINTR);
    if (result < 0 || info.si_pid == 0) return false;  // the only error that can be is ECHILD
    const auto known = by_pid_.find(info.si_pid);
    if (known == by_pid_.end()) return true;
    const uint64_t token = known->second;
    by_pid_.erase(known);
    ended(token, info);
    return true;
  }

  void ended(uint64_t token, const siginfo_t& info) noexcept {
    const auto found = sandboxes_.find(token);
    if (found == sandboxes_.end()) return;
    Sandbox& sandbox = *found->second;
    sandbox.wait_status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status & 0x7f;
    sandbox.reaped = true;
    sandbox.oom_kills = sandbox.has_cgroup ? sandbox.cgroup.oom_kills() : 0;
    sandbox.give_up_ms = system_clock().monotonic_ms() + kRemoveGiveUpMs;
    if (!finish(sandbox)) ++removing_;
    else sandboxes_.erase(found);
  }

  /// True when nothing is left and the host was told.
  bool finish(Sandbox& sandbox) noexcept {
    if (sandbox.has_cgroup && sandbox.cgroup.remove() == -EBUSY && system_clock().monotonic_ms() < sandbox.give_up_ms) return false;
    if (!ending_) say(protocol::Exited{sandbox.token, sandbox.wait_status, sandbox.oom_kills});
    return true;
  }

  void retry_removals() noexcept {
    for (auto at = sandboxes_.begin(); at != sandboxes_.end();) {
      if (at->second->reaped && finish(*at->second)) {
        --removing_;
        at = sandboxes_.erase(at);
      } else {
        ++at;
      }
    }
  }

  /// The owner is gone for good: so is every sandbox of it.
  void end_all() noexcept {
    for (const auto& [token, sandbox] : sandboxes_)
      if (!sandbox->reaped) (void)::kill(sandbox->pid, SIGKILL);
    const int64_t end = system_clock().monotonic_ms() + kEndingMs;
    while (!sandboxes_.empty() && system_clock().monotonic_ms() < end) {
      epoll_event events[64];
      const int n = ::epoll_wait(epoll_.get(), events, 64, static_cast<int>(kRemoveRetryMs));
      for (int i = 0; i < n; ++i) {
        if (events[i].data.u64 == kChildrenKey)
          reap();
        else  // level-triggered and of no more use
          ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, own_fd(events[i].data.u64), nullptr);
      }
      retry_removals();
    }
    groups_.close();
  }

  int own_fd(uint64_t key) const noexcept {
    return key == kSocketKey ? socket_.get() : key == kHostKey ? host_.get() : key == kListenerKey ? listener_.get() : claimant_.get();
  }

  Fd socket_, host_;  // the owner; none while nobody is
  int closing_;
  Fd agent_, epoll_;
  Fd children_;  // a signal descriptor: some have ended
  Fd listener_, claimant_;
  int64_t claim_by_ms_ = 0;
  std::string key_;
  bool detached_ = false;
  protocol::Online online_;
  Fd held_;  // the host's claims on id ranges, which last until this process ends
  Fd alone_;  // locked
  Fd life_read_, life_write_;  // agents hold the read end: it ends with this process
  std::string instance_;
  bool prepared_ = false;      // for the next sandbox, or in vain
  isolation::InotifyShare inotify_;
  bool rootless_ = false, groups_left_ = false, ending_ = false;
  HostLayout layout_;
  Namespaces namespaces_;
  NextNetwork network_;
  isolation::CgroupParent groups_;
  std::unordered_map<uint64_t, std::unique_ptr<Sandbox>> sandboxes_;
  std::unordered_map<pid_t, uint64_t> by_pid_;  // tokens of those that have not been reaped
  size_t removing_ = 0;
  std::string out_;
  char in_[protocol::kMaxLaunchMessage];
};

}  // namespace

int run(int socket) noexcept {
  // Nothing a terminal or the host's group sends is meant for this process.
  (void)::setsid();
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  // An application that ignores it hands that down, and the kernel would reap our children.
  (void)::signal(SIGCHLD, SIG_DFL);
  (void)::umask(0);  // what sandboxes are built of has the modes it is given; the agent sets its own
  const long closing = isolation::syscall_result(isolation::kSysCloseRange, socket + 1, ~0u, 0);
  auto launcher = std::make_unique<Launcher>(socket, static_cast<int>(closing));
  return launcher->run();
}

}  // namespace svm::launcher
