#include "providers/native/native.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <new>
#include <utility>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/fail_point.hpp"
#include "core/id.hpp"
#include "images/byte_source.hpp"
#include "images/tar_reader.hpp"
#include "images/unpack.hpp"
#include "isolation/cgroup.hpp"
#include "isolation/cgroup_usage.hpp"
#include "isolation/id_range.hpp"
#include "providers/native/agent_tree_writer.hpp"
#include "providers/native/id_ranges.hpp"
#include "providers/native/identity.hpp"
#include "providers/native/launcher_client.hpp"
#include "providers/native/rendezvous.hpp"

namespace svm::providers::native {
namespace {

constexpr uint64_t kBytesPerInode = 4096;   // one inode for each page of disk, within these
constexpr uint64_t kMinInodes = 1024, kMaxInodes = 4'000'000;
constexpr int kChannelBuffer = 1024 * 1024; // bytes; the kernel may give less
constexpr char kPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What one sandbox's callbacks report to, shared by the session and those who wait for it.
struct Fate {
  std::mutex mutex;
  std::condition_variable changed;
  channel::Opening opening;
  bool opened = false, exited = false, destroying = false;
  protocol::StepFailure refused{protocol::Step::none, 0};
  std::function<void()> on_gone;
  std::shared_ptr<channel::Channel> channel;

  /// Everything is gone, or never came to be.
  void end(const protocol::StepFailure* why) {
    std::function<void()> gone;
    std::shared_ptr<channel::Channel> last;
    {
      const std::lock_guard lock(mutex);
      if (exited) return;
      exited = true;
      if (why) refused = *why;
      if (!destroying && opening.ready) gone = std::move(on_gone);
      on_gone = nullptr;
      if (opened) last = channel;  // otherwise what its process 1 said last may be in there, and is waited for
    }
    changed.notify_all();
    if (last) last->close();
    if (gone) gone();
  }

  template <class P>
  bool wait(int64_t timeout_ms, P done) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), done);
  }
};

class NativeSession final : public Session {
 public:
  NativeSession(std::shared_ptr<LauncherClient> launcher, uint64_t token, std::shared_ptr<Fate> fate, std::shared_ptr<channel::Channel> channel,
                std::vector<std::string> enforced, std::vector<std::string> unenforced, std::string instance, std::string name)
      : launcher_(std::move(launcher)), token_(token), fate_(std::move(fate)), channel_(std::move(channel)), enforced_(std::move(enforced)),
        unenforced_(std::move(unenforced)), instance_(std::move(instance)), name_(std::move(name)) {}

  ~NativeSession() override { begin_destroy(); }

  std::shared_ptr<channel::Stream> request(protocol::Op op, std::string payload) override { return channel_->request(op, std::move(payload)); }
  const std::vector<std::string>& enforced() const noexcept override { return enforced_; }
  const std::vector<std::string>& unenforced() const noexcept override { return unenforced_; }

  Usage usage() override {
    isolation::CgroupUsage counted;
    isolation::read_cgroup_usage(instance_.c_str(), name_.c_str(), counted);
    Usage usage{counted.cpu_us, counted.memory, counted.memory_peak, counted.pids, counted.oom_kills, counted.pids_refused, static_cast<uint32_t>(channel_->open_streams()), {}};
    const auto note = [&](const char* what, int64_t value, int error) {
      if (value < 0) usage.missing.push_back(std::string(what) + ": " + (error == ENOENT ? "no control group" : error == EOPNOTSUPP ? "the control groups of this host do not count it" : errno_text(error)));
    };
    note("cpu_us", counted.cpu_us, counted.cpu_error);
    note("memory_bytes", counted.memory, counted.memory_error);
    note("memory_peak_bytes", counted.memory_peak, counted.memory_peak_error);
    note("pids", counted.pids, counted.pids_error);
    note("oom_kills", counted.oom_kills, counted.oom_error);
    return usage;
  }

  void expire(int64_t in_ms) noexcept override {
    if (SVM_FAIL_POINT("provider.expire") == 0) launcher_->expire(token_, in_ms);
  }

  void destroy(int64_t timeout_ms) override {
    SVM_FAIL_POINT_THROW(Code::timeout, "provider.destroy");
    begin_destroy();
    SVM_FAIL_POINT_THROW(Code::timeout, "provider.destroyed");
    if (!fate_->wait(timeout_ms, [&] { return fate_->exited; })) throw Error(Code::timeout, "the sandbox has not ended in time").with("step", "destroy");
  }

 private:
  void begin_destroy() noexcept {
    {
      const std::lock_guard lock(fate_->mutex);
      if (fate_->exited || fate_->destroying) return;
      fate_->destroying = true;
    }
    launcher_->kill(token_);
    channel_->close();
  }

  std::shared_ptr<LauncherClient> launcher_;
  const uint64_t token_;
  std::shared_ptr<Fate> fate_;
  std::shared_ptr<channel::Channel> channel_;
  const std::vector<std::string> enforced_, unenforced_;
  const std::string instance_, name_;  // of its control groups
};

/// The field of the request that asked for what this host cannot enforce; nullptr for other steps.
const char* limit_field(protocol::Step step) noexcept {
  switch (step) {
    case protocol::Step::memory_limit: return "memory_mb";
    case protocol::Step::cpu_limit: return "vcpus";
    case protocol::Step::pids_limit: return "pids";
    default: return nullptr;
  }
}

Error step_error(const protocol::StepFailure& failure) {
  const char* step = protocol::step_name(failure.step);
  Code code = Code::unavailable;
  if (failure.error == EMFILE || failure.error == ENFILE || failure.error == EAGAIN || failure.error == ENOSPC || failure.error == ENOMEM || failure.error == EUSERS)
    code = Code::limit;
  if (failure.step == protocol::Step::open_mount || failure.step == protocol::Step::open_rootfs || failure.step == protocol::Step::user_mount)
    code = Code::invalid;
  if (const char* field = limit_field(failure.step))
    return errno_error(Code::unsupported, failure.error, std::string("sandbox: ") + field + " cannot be enforced on this host: " + step)
        .with("field", field)
        .with("step", step);
  return errno_error(code, failure.error, std::string("sandbox: ") + step).with("step", step);
}

protocol::Profile protocol_profile(std::string_view name) {
  if (name.empty() || name == "default") return protocol::Profile::standard;
  if (name == "debug") return protocol::Profile::debug;
  if (name == "build") return protocol::Profile::build;
  throw Error(Code::invalid, "profile: give default, debug or build").with("field", "profile");
}

class Native final : public Provider {
 public:
  Native(channel::Reactor& reactor, const std::string& instance, const std::string& state_directory, bool detached)
      : reactor_(reactor), instance_(instance), state_directory_(state_directory), no_ranges_(isolation::why_no_id_ranges()), rootless_(no_ranges_ != nullptr), detached_(detached) {
    Fd held;
    if (detached || has_rendezvous(state_directory)) {
      rendezvous_ = std::make_unique<Rendezvous>(state_directory);
      launcher_ = LauncherClient::take_over(reactor_, *rendezvous_, detached, found_, held);
    }
    if (!detached) rendezvous_.reset();
    if (!rootless_) ranges_ = held ? std::make_unique<IdRanges>(std::move(held)) : std::make_unique<IdRanges>();
    found_launcher_ = launcher_ != nullptr;
    if (!launcher_) launcher_ = start();
    // Each instance looks from a place of its own, so that it seldom finds a range claimed by another.
    uint32_t random = 0;
    random_bytes(&random, sizeof random);
    first_id_ = isolation::kFirstHostId + random % ((isolation::kEndHostId - isolation::kFirstHostId) / model::kIdsPerRange / 2) * model::kIdsPerRange;
  }

  ~Native() override {
    launcher_.reset();
    try {
      // What a launcher that was killed could not remove itself.
      if (!left_) (void)isolation::remove_stale_cgroups(instance_.c_str());
    } catch (const std::bad_alloc&) {  // the next one removes it when it starts
    }
  }

  std::string_view name() const noexcept override { return "native"; }
  void check() override { (void)launcher(); }  // one that has ended is started again
  std::vector<std::string> capabilities() const override {
    return {"spawn", "exec", "exec_stream", "files", "console", "health", "runtime_inventory", "pty", "background", "watch", "archives", "ports", "userspace_isolation"};
  }
  model::StringMap config() const override { return {{"type", "native"}, {"network", "none"}, {"ids", rootless_ ? "one" : "range"}}; }

  std::optional<IdSpace> id_space() const noexcept override {
    if (!ranges_) return std::nullopt;
    return IdSpace{first_id_, isolation::kEndHostId};
  }
  bool claim_ids(uint32_t base) noexcept override { return SVM_FAIL_POINT("provider.claim_ids") == 0 && ranges_ && ranges_->claim(base); }
  void release_ids(uint32_t base) noexcept override {
    (void)SVM_FAIL_POINT("provider.release_ids");  // cannot fail
    if (ranges_) ranges_->release(base);
  }

  std::shared_ptr<Session> launch(const LaunchSpec& spec, int64_t timeout_ms, std::function<void()> on_gone) override {
    const int64_t deadline = system_clock().monotonic_ms() + timeout_ms;
    SVM_FAIL_POINT_THROW(Code::unavailable, "provider.launch");
    const User user = default_user(spec.user);
    std::shared_ptr<LauncherClient> launcher = this->launcher();
    protocol::Spawn request = make_request(spec, user);
    request.token = launcher->new_token();

    Fd ours, theirs;
    int error = -SVM_FAIL_POINT("provider.channel");
    if (!error) error = make_socketpair(SOCK_STREAM, ours, theirs);
    if (error) throw errno_error(Code::limit, -error, "sandbox channel");
    for (const Fd* end : {&ours, &theirs})  // a smaller buffer is only slower
      for (const int option : {SO_SNDBUF, SO_RCVBUF}) (void)::setsockopt(end->get(), SOL_SOCKET, option, &kChannelBuffer, sizeof kChannelBuffer);

    auto fate = std::make_shared<Fate>();
    fate->on_gone = std::move(on_gone);
    launcher->spawn(request, theirs,
                    {[fate](const protocol::StepFailure& failure) { fate->end(&failure); }, [fate] { fate->end(nullptr); }});
    theirs.reset();
    std::shared_ptr<channel::Channel> channel;
    try {
      SVM_FAIL_POINT_THROW(Code::unavailable, "provider.greet");
      channel = channel::Channel::create(reactor_, std::move(ours), make_hello(spec, user), tell(fate), [] {});
    } catch (...) {
      launcher->kill(request.token);
      throw;
    }
    {
      const std::lock_guard lock(fate->mutex);
      fate->channel = channel;
    }
    const bool answered = fate->wait(deadline - system_clock().monotonic_ms(), [&] { return fate->opened || fate->exited; });
    // Its end is told on another socket than which step failed, and may overtake that.
    if (answered) (void)fate->wait(kLastWordsMs, [&] { return fate->opened || fate->refused.step != protocol::Step::none; });
    if (!answered || !runs(*fate)) fail(*launcher, request.token, *fate, *channel, answered);

    std::shared_ptr<NativeSession> session;
    try {
      session = make_session(launcher, request.token, fate, channel, spec.id);
    } catch (...) {
      launcher->kill(request.token);
      throw;
    }
    SVM_FAIL_POINT_THROW(Code::unavailable, "provider.launched");  // the session ends the sandbox
    if (spec.root.kind == images::RootKind::tar) {
      try {
        unpack_root(spec.root, *session, deadline);
      } catch (...) {
        session->destroy(kCleanUpMs);
        throw;
      }
    }
    return session;
  }

  std::map<std::string, Adopted> adopt(std::function<std::function<void()>(const std::string& id)> on_gone) override {
    const bool found = found_launcher_;
    try {
      SVM_FAIL_POINT_THROW(Code::unavailable, "provider.adopt");
      return adopt_found(on_gone);
    } catch (...) {
      found_.clear();
      found_launcher_ = false;
      const std::lock_guard lock(mutex_);
      if (found) {
        launcher_->kill_all();
        launcher_.reset();  // the next launch starts another one
      }
      throw;
    }
  }

  void detach() noexcept override {
    (void)SVM_FAIL_POINT("provider.detach");  // cannot fail
    const std::lock_guard lock(mutex_);
    left_ = true;
    if (launcher_) launcher_->detach();
  }

 private:
  std::map<std::string, Adopted> adopt_found(const std::function<std::function<void()>(const std::string& id)>& on_gone) {
    struct Waiting {
      LauncherClient::Found found;
      std::shared_ptr<Fate> fate;
      std::shared_ptr<channel::Channel> channel;
    };
    std::vector<Waiting> waiting;
    for (LauncherClient::Found& found : std::exchange(found_, {})) {
      Waiting one{std::move(found), std::make_shared<Fate>(), nullptr};
      one.fate->on_gone = on_gone(one.found.name);
      launcher_->watch(one.found.token, {[](const protocol::StepFailure&) {}, [fate = one.fate] { fate->end(nullptr); }});
      waiting.push_back(std::move(one));
    }
    if (std::exchange(found_launcher_, false)) launcher_->start();
    for (Waiting& one : waiting) {
      if (!one.found.channel) continue;
      try {
        one.channel = channel::Channel::resume(reactor_, std::move(one.found.channel), tell(one.fate), [] {});
      } catch (const Error&) {
        continue;  // no talking to it, either
      }
      const std::lock_guard lock(one.fate->mutex);
      one.fate->channel = one.channel;
    }
    std::map<std::string, Adopted> sessions;
    const int64_t deadline = system_clock().monotonic_ms() + kAdoptMs;
    for (Waiting& one : waiting) {
      const auto settled = [&] { return one.fate->opened || one.fate->exited; };
      if (one.channel && one.fate->wait(deadline - system_clock().monotonic_ms(), settled) && runs(*one.fate)) {
        sessions.emplace(one.found.name, Adopted{make_session(launcher_, one.found.token, one.fate, one.channel, one.found.name), one.found.expires_in_ms});
        continue;
      }
      {
        const std::lock_guard lock(one.fate->mutex);
        one.fate->destroying = true;
      }
      launcher_->kill(one.found.token);
      (void)one.fate->wait(kCleanUpMs, [&] { return one.fate->exited; });  // one that cannot even be killed is not waited for twice
    }
    return sessions;
  }

  static bool has_rendezvous(const std::string& state_directory) {
    return !state_directory.empty() && ::access((state_directory + "/run/owner").c_str(), F_OK) == 0;
  }

  std::shared_ptr<LauncherClient> start() {
    Fd alone;  // no two instances without a directory have one name
    if (!state_directory_.empty()) {
      alone.reset(::open((state_directory_ + "/launcher").c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
      if (!alone) throw errno_error(Code::io, errno, "state directory: launcher");
    }
    return std::make_shared<LauncherClient>(reactor_, instance_, rootless_, ranges_ ? ranges_->file() : -1, alone.get(), rendezvous_.get(), detached_);
  }

  static std::function<void(const channel::Opening&)> tell(std::shared_ptr<Fate> fate) {
    return [fate = std::move(fate)](const channel::Opening& opening) {
      {
        const std::lock_guard lock(fate->mutex);
        fate->opening = opening;
        fate->opened = true;
      }
      fate->changed.notify_all();
    };
  }

  std::shared_ptr<NativeSession> make_session(const std::shared_ptr<LauncherClient>& launcher, uint64_t token, const std::shared_ptr<Fate>& fate,
                                              const std::shared_ptr<channel::Channel>& channel, const std::string& id) const {
    std::vector<std::string> enforced, unenforced;
    const uint64_t bits = fate->opening.ready->enforced;
    for (unsigned bit = 0; bit < protocol::kEnforcedBits; ++bit)
      if (bits >> bit & 1) enforced.emplace_back(protocol::enforced_name(bit));
    note_missing(*launcher, bits, unenforced);
    return std::make_shared<NativeSession>(launcher, token, fate, channel, std::move(enforced), std::move(unenforced), instance_, id);
  }

  /// The launcher, started anew when the last one was killed.
  std::shared_ptr<LauncherClient> launcher() {
    const std::lock_guard lock(mutex_);
    if (!launcher_ || !launcher_->alive()) {
      launcher_.reset();
      launcher_ = start();
    }
    return launcher_;
  }

  static bool runs(Fate& fate) {
    const std::lock_guard lock(fate.mutex);
    // Of one that ended before its agent was heard nobody else is told.
    return fate.opened && fate.opening.ready.has_value() && !fate.exited;
  }

  [[noreturn]] static void fail(LauncherClient& launcher, uint64_t token, Fate& fate, channel::Channel& channel, bool answered) {
    {
      const std::lock_guard lock(fate.mutex);
      fate.destroying = true;
    }
    channel.close();
    launcher.kill(token);
    // Whatever was built goes before the caller hears of the failure; a sandbox that cannot even be killed is not waited for twice.
    (void)fate.wait(kCleanUpMs, [&] { return fate.exited; });
    const std::lock_guard lock(fate.mutex);
    if (!answered) throw Error(Code::timeout, "the sandbox has not started in time").with("step", "start");
    if (fate.opening.failure) throw step_error(*fate.opening.failure);
    if (fate.refused.step != protocol::Step::none) throw step_error(fate.refused);
    throw Error(Code::unavailable, "the sandbox ended while it was being started").with("step", "start");
  }

  protocol::Spawn make_request(const LaunchSpec& spec, const User& user) const {
    protocol::Spawn request;
    request.name = spec.id;
    request.root = spec.root.kind == images::RootKind::host        ? protocol::RootKind::host
                   : spec.root.kind == images::RootKind::directory ? protocol::RootKind::directory
                                                                   : protocol::RootKind::empty;
    if (request.root == protocol::RootKind::directory) {
      request.rootfs = spec.root.path;
      request.rootfs_device = spec.root.device;
      request.rootfs_inode = spec.root.inode;
    }
    request.id_base = spec.id_base;
    request.uid = user.uid;
    request.gid = user.gid;
    request.fixed_user = rootless_;
    request.profile = protocol_profile(spec.profile);
    request.hostname = spec.id;
    request.memory = spec.memory_bytes;
    request.disk = spec.disk_bytes;
    request.inodes = std::clamp(spec.disk_bytes / kBytesPerInode, kMinInodes, kMaxInodes);
    request.milli_cpus = spec.milli_cpus;
    request.pids = spec.pids;
    request.require_memory = spec.require_memory;
    request.require_cpu = spec.require_cpu;
    request.require_pids = spec.require_pids;
    for (const model::Mount& mount : spec.mounts) request.mounts.push_back(resolve_mount(mount));
    return request;
  }

  static protocol::HostMount resolve_mount(const model::Mount& mount) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(mount.host.c_str(), nullptr), &std::free);
    struct stat info {};
    if (!real || ::stat(real.get(), &info) < 0) throw errno_error(Code::invalid, errno, "mount " + mount.host).with("field", "mounts");
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode))
      throw Error(Code::invalid, "mount " + mount.host + ": neither a directory nor a regular file").with("field", "mounts");
    return {real.get(), mount.guest, static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino), mount.writable};
  }

  protocol::Hello make_hello(const LaunchSpec& spec, const User& user) const {
    protocol::Hello hello;
    hello.version = protocol::kVersion;
    hello.profile = protocol_profile(spec.profile);
    hello.rootless = rootless_;
    hello.uid = user.uid;
    hello.gid = user.gid;
    hello.home = user.uid == 0 ? "/root" : "/workspace";
    hello.workdir = "/workspace";
    model::StringMap env = {{"PATH", kPath}, {"HOME", hello.home}, {"USER", user.name}, {"LOGNAME", user.name}, {"LANG", "C.UTF-8"}};
    for (const auto& [key, value] : spec.env) env[key] = value;
    hello.env.assign(env.begin(), env.end());
    return hello;
  }

  /// Default limits that this host does not enforce, for people.
  void note_missing(const LauncherClient& launcher, uint64_t bits, std::vector<std::string>& out) const {
    const protocol::Online& online = launcher.online();
    const auto note = [&](uint64_t bit, int32_t error, const char* name) {
      if (bits & bit) return;
      out.push_back(std::string(name) + ": " + (online.cgroup_version == 0 ? "no usable cgroup controller" : error != 0 ? errno_text(error) : "not applied"));
    };
    note(protocol::kEnforcedMemory, online.memory_error, "memory");
    note(protocol::kEnforcedSwap, online.swap_error, "swap");
    note(protocol::kEnforcedCpu, online.cpu_error, "cpu");
    note(protocol::kEnforcedPids, online.pids_error, "pids");
    if (!(bits & protocol::kEnforcedLandlock)) out.emplace_back("landlock: this kernel has none that serves, or does not offer it");
    if (!(bits & protocol::kEnforcedGroupsDropped)) out.emplace_back("groups_dropped: supplementary groups of the user remain");
    if (ranges_ && !ranges_->problem().empty()) out.emplace_back("id_range: other instances do not see it: " + ranges_->problem());
    if (rootless_) out.push_back(std::string("id_range: ") + no_ranges_ + ": one id is mapped, so commands share the agent's and run as the default user only");
  }

  /// The archive is read here and written in there, by the agent as the sandbox's own user.
  static void unpack_root(const images::Root& root, NativeSession& session, int64_t deadline_ms) {
    Fd archive(::open(root.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!archive || ::fstat(archive.get(), &info) < 0) throw errno_error(Code::invalid, errno, "image").with("field", "image");
    if (info.st_dev != root.device || info.st_ino != root.inode) throw Error(Code::conflict, "image: the archive was replaced meanwhile").with("field", "image");
    images::TarReader reader(images::open_source(std::move(archive)));
    AgentTreeWriter writer([&session](protocol::Op op, std::string payload) { return session.request(op, std::move(payload)); }, "",
                           std::max<int64_t>(0, deadline_ms - system_clock().monotonic_ms()));
    images::unpack(reader, writer);
  }

  static constexpr int64_t kCleanUpMs = 10'000;
  static constexpr int64_t kLastWordsMs = 1'000;  // a forked worker of the application may hold the socket, whose end then never comes
  static constexpr int64_t kAdoptMs = 10'000;  // for all that were found

  channel::Reactor& reactor_;
  const std::string instance_, state_directory_;
  const char* const no_ranges_;  // why, or nullptr
  const bool rootless_, detached_;
  std::unique_ptr<Rendezvous> rendezvous_;  // none where nobody shall take over
  std::unique_ptr<IdRanges> ranges_;        // none when rootless
  bool found_launcher_ = false;             // a former owner's, which nobody listens to yet
  std::vector<LauncherClient::Found> found_;
  uint32_t first_id_ = isolation::kFirstHostId;
  std::mutex mutex_;  // guards what follows
  bool left_ = false;  // to the next owner
  std::shared_ptr<LauncherClient> launcher_;
};

}  // namespace

std::unique_ptr<Provider> create(channel::Reactor& reactor, const std::string& instance, const std::string& state_directory, bool detached) {
  return std::make_unique<Native>(reactor, instance, state_directory, detached);
}

}  // namespace svm::providers::native
