#include "providers/native/launcher_client.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/process.hpp"
#include "isolation/cgroup.hpp"

namespace svm::providers::native {
namespace {
constexpr int64_t kOnlineTimeoutMs = 10'000;
constexpr int64_t kEndTimeoutMs = 8'000;
}  // namespace

LauncherClient::LauncherClient(channel::Reactor& reactor, const std::string& instance, bool rootless, int held)
    : reactor_(reactor), instance_(instance) {
  Fd theirs, self;
  if (const int error = make_socketpair(SOCK_SEQPACKET, socket_, theirs)) throw errno_error(Code::limit, -error, "launcher socket");
  if (const int error = open_pidfd(::getpid(), self)) throw errno_error(Code::unavailable, -error, "pidfd_open").with("step", "pidfd");
  process_ = AgentProcess::start("launcher", theirs.get());
  theirs.reset();
  protocol::Init init;
  init.instance = instance;
  init.rootless = rootless;
  if (const int error = held >= 0 ? send(init, {self.get(), held}) : send(init, {self.get()})) throw errno_error(Code::unavailable, -error, "launcher").with("step", "launcher");

  pollfd wait{socket_.get(), POLLIN, 0};
  const int64_t end = system_clock().monotonic_ms() + kOnlineTimeoutMs;
  int n;
  do {
    const int64_t left = end - system_clock().monotonic_ms();
    n = ::poll(&wait, 1, left > 0 ? static_cast<int>(left) : 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) throw Error(Code::timeout, "the launcher did not start in time").with("step", "launcher");
  std::string buffer(protocol::kMaxLaunchMessage, '\0');
  protocol::LaunchMessage message;
  const long size = receive_message(socket_.get(), buffer.data(), buffer.size(), nullptr, nullptr);
  if (size <= 0 || !protocol::decode({buffer.data(), static_cast<size_t>(size)}, message) || message.type != protocol::LaunchType::online)
    throw Error(Code::unavailable, "the launcher ended before it was online").with("step", "launcher");
  online_ = message.online;
  if (online_.error != 0) {
    const char* step = protocol::step_name(online_.step);
    throw errno_error(Code::unavailable, online_.error, std::string("this host cannot run native sandboxes: ") + step).with("step", step);
  }
  watch_ = reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t events) { receive(events); });
}

LauncherClient::~LauncherClient() {
  if (watch_) reactor_.remove(watch_);
  // Not only close: a forked worker of the application may hold the socket as well.
  (void)::shutdown(socket_.get(), SHUT_RDWR);
  if (!process_.wait(kEndTimeoutMs)) {
    process_.kill();
    process_.wait(-1);
  }
  lost();
  // What a launcher that was killed could not remove itself.
  (void)isolation::remove_stale_cgroups(instance_.c_str());
}

template <class Message>
int LauncherClient::send(const Message& message, std::initializer_list<int> fds) noexcept {
  std::string bytes;
  protocol::encode(bytes, message);
  if (bytes.size() > protocol::kMaxLaunchMessage) return -EMSGSIZE;
  const std::lock_guard lock(send_mutex_);
  return send_message(socket_.get(), bytes.data(), bytes.size(), fds.begin(), fds.size());
}

bool LauncherClient::alive() const {
  const std::lock_guard lock(mutex_);
  return !lost_;
}

uint64_t LauncherClient::new_token() {
  const std::lock_guard lock(mutex_);
  return next_token_++;
}

void LauncherClient::spawn(const protocol::Spawn& request, const Fd& channel, Events events) {
  {
    const std::lock_guard lock(mutex_);
    if (lost_) throw Error(Code::unavailable, "the launcher has ended").with("step", "launcher");
    sandboxes_.emplace(request.token, std::move(events));
  }
  if (const int error = send(request, {channel.get()})) {
    const std::lock_guard lock(mutex_);
    sandboxes_.erase(request.token);
    if (error == -EMSGSIZE) throw Error(Code::limit, "the spawn request is too large").with("limit", static_cast<long long>(protocol::kMaxLaunchMessage));
    throw errno_error(Code::unavailable, -error, "launcher").with("step", "launcher");
  }
}

void LauncherClient::kill(uint64_t token) noexcept {
  // A launcher that is gone has taken its sandboxes with it.
  (void)send(protocol::Kill{token}, {});
}

void LauncherClient::receive(uint32_t events) {
  if (events == channel::Reactor::kStopping) return lost();
  char buffer[1024];  // everything a launcher says after Online is small
  for (;;) {
    Fd fds[1];
    size_t count = 1;
    const long n = receive_message(socket_.get(), buffer, sizeof buffer, fds, &count, MSG_DONTWAIT);
    if (n == -EAGAIN) return;
    protocol::LaunchMessage message;
    if (n <= 0 || !protocol::decode({buffer, static_cast<size_t>(n)}, message)) {
      reactor_.remove(watch_);
      return lost();
    }
    const bool refused = message.type == protocol::LaunchType::refused;
    if (!refused && message.type != protocol::LaunchType::exited) continue;
    Events told;
    {
      const std::lock_guard lock(mutex_);
      const auto found = sandboxes_.find(refused ? message.refused.token : message.exited.token);
      if (found == sandboxes_.end()) continue;
      told = std::move(found->second);
      sandboxes_.erase(found);
    }
    if (refused)
      told.refused(message.refused.failure);
    else
      told.exited();
  }
}

void LauncherClient::lost() {
  std::unordered_map<uint64_t, Events> all;
  {
    const std::lock_guard lock(mutex_);
    lost_ = true;
    all.swap(sandboxes_);
  }
  for (auto& [token, events] : all) events.exited();
}

}  // namespace svm::providers::native
