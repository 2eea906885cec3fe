#include "providers/native/launcher_client.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/fail_point.hpp"
#include "core/process.hpp"

namespace svm::providers::native {
namespace {
constexpr int64_t kOnlineTimeoutMs = 10'000;
constexpr int64_t kEndTimeoutMs = 8'000;
}  // namespace

namespace {

Error not_online() { return Error(Code::unavailable, "the launcher ended before it was online").with("step", "launcher"); }

/// By which the launcher knows when this process ends. None in a tool that does not know the call: the launcher then opens it itself.
void open_self(Fd& self) {
  const int error = open_pidfd(::getpid(), self);
  if (error != 0 && error != -ENOSYS) throw errno_error(Code::unavailable, -error, "pidfd_open").with("step", "pidfd");
}

/// The next message, within the time.
long receive_within(const Fd& socket, int64_t end_ms, std::string& buffer, protocol::LaunchMessage& message, Fd* fds, size_t* count) {
  pollfd wait{socket.get(), POLLIN, 0};
  int n;
  do {
    const int64_t left = end_ms - system_clock().monotonic_ms();
    n = ::poll(&wait, 1, left > 0 ? static_cast<int>(left) : 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) throw Error(Code::timeout, "the launcher did not answer in time").with("step", "launcher");
  buffer.resize(protocol::kMaxLaunchMessage);
  const long size = receive_message(socket.get(), buffer.data(), buffer.size(), fds, count);
  if (size > 0 && !protocol::decode({buffer.data(), static_cast<size_t>(size)}, message)) throw not_online();
  return size;
}

}  // namespace

LauncherClient::LauncherClient(channel::Reactor& reactor, const std::string& instance, bool rootless, int held, int alone, const Rendezvous* rendezvous, bool detached)
    : reactor_(reactor) {
  Fd theirs, self;
  if (const int error = make_socketpair(SOCK_SEQPACKET, socket_, theirs)) throw errno_error(Code::limit, -error, "launcher socket");
  open_self(self);
  process_ = AgentProcess::start("launcher", theirs.get());
  theirs.reset();
  protocol::Init init;
  init.instance = instance;
  init.rootless = rootless;
  init.holds = held >= 0;
  init.alone = alone >= 0;
  init.detached = detached;
  Fd listener;
  if (rendezvous) {
    init.key = rendezvous->key();
    listener = rendezvous->listen();
  }
  std::vector<int> fds;
  if (self) fds.push_back(self.get());
  if (held >= 0) fds.push_back(held);
  if (alone >= 0) fds.push_back(alone);
  if (listener) fds.push_back(listener.get());
  int error = -SVM_FAIL_POINT("provider.launcher");
  if (!error) error = send(init, fds);
  if (error) throw errno_error(Code::unavailable, -error, "launcher").with("step", "launcher");
  std::string buffer;
  protocol::LaunchMessage message;
  if (receive_within(socket_, system_clock().monotonic_ms() + kOnlineTimeoutMs, buffer, message, nullptr, nullptr) <= 0 ||
      message.type != protocol::LaunchType::online)
    throw not_online();
  online_ = message.online;
  if (online_.error != 0) {
    const char* step = protocol::step_name(online_.step);
    throw errno_error(Code::unavailable, online_.error, std::string("this host cannot run native sandboxes: ") + step).with("step", step);
  }
  start();
}

std::shared_ptr<LauncherClient> LauncherClient::take_over(channel::Reactor& reactor, const Rendezvous& rendezvous, bool detached, std::vector<Found>& found, Fd& held) {
  const int64_t end = system_clock().monotonic_ms() + kOnlineTimeoutMs;
  for (;;) {
    SVM_FAIL_POINT_THROW(Code::unavailable, "provider.take_over");
    Fd socket = rendezvous.connect();
    if (!socket) return nullptr;
    const std::shared_ptr<LauncherClient> client(new LauncherClient(reactor, std::move(socket)));
    if (client->claim(rendezvous, detached, end, found, held)) return client;
    // It may have ended just now, or had no ear for us. Only when nobody listens any more has it ended: a second launcher beside it would end
    // what it runs.
    if (system_clock().monotonic_ms() >= end) throw Error(Code::timeout, "the launcher did not answer in time").with("step", "launcher");
  }
}

bool LauncherClient::claim(const Rendezvous& rendezvous, bool detached, int64_t end_ms, std::vector<Found>& found, Fd& held) {
  Fd self;
  open_self(self);
  if (const int error = send(protocol::Claim{rendezvous.key(), detached}, self ? std::vector<int>{self.get()} : std::vector<int>())) {
    if (error == -EPIPE || error == -ECONNRESET) return false;
    throw errno_error(Code::unavailable, -error, "launcher").with("step", "launcher");
  }
  std::string buffer;
  protocol::LaunchMessage message;
  Fd fds[2];
  size_t count = 2;
  const long size = receive_within(socket_, end_ms, buffer, message, fds, &count);
  if (size == 0 || size == -ECONNRESET) return false;
  if (size < 0 || message.type != protocol::LaunchType::claimed) throw not_online();
  if (message.claimed.error != 0)
    throw errno_error(Code::conflict, message.claimed.error, "the launcher of this state directory has another owner, or does not know us").with("step", "launcher");
  if (count != (message.claimed.holds ? 2u : 1u)) throw not_online();
  online_ = message.claimed.online;
  process_ = AgentProcess::adopt(std::move(fds[0]));
  if (message.claimed.holds) held = std::move(fds[1]);
  for (uint32_t left = message.claimed.sandboxes; left > 0; --left) {
    count = 1;
    if (receive_within(socket_, end_ms, buffer, message, fds, &count) <= 0 || message.type != protocol::LaunchType::adopted) throw not_online();
    next_token_ = std::max(next_token_, message.adopted.token + 1);
    found.push_back({message.adopted.token, message.adopted.name, static_cast<int64_t>(message.adopted.expires_in_ms), std::move(fds[0])});
  }
  detached_ = false;
  return true;
}

void LauncherClient::watch(uint64_t token, Events events) {
  const std::lock_guard lock(mutex_);
  sandboxes_.emplace(token, std::move(events));
}

void LauncherClient::start() {
  const std::lock_guard lock(mutex_);  // the reactor may call receive() before watch() has returned
  watch_ = reactor_.watch(socket_.get(), EPOLLIN, [this](uint32_t events) { receive(events); });
}

void LauncherClient::detach() noexcept {
  if (watch_) reactor_.remove(watch_);
  watch_ = 0;
  {
    const std::lock_guard lock(mutex_);
    sandboxes_.clear();
    lost_ = detached_ = true;
  }
  (void)shutdown(socket_.get(), SHUT_RDWR);  // a forked worker of the application may hold it as well
  process_.release();
}

LauncherClient::~LauncherClient() {
  if (detached_) return;
  if (watch_) reactor_.remove(watch_);
  // Not only close: a forked worker of the application may hold the socket as well.
  (void)::shutdown(socket_.get(), SHUT_RDWR);
  if (!process_.wait(kEndTimeoutMs)) {
    process_.kill();
    process_.wait(-1);
  }
  lost();
}

template <class Message>
int LauncherClient::send(const Message& message, const std::vector<int>& fds) {
  std::string bytes;
  protocol::encode(bytes, message);
  if (bytes.size() > protocol::kMaxLaunchMessage) return -EMSGSIZE;
  const std::lock_guard lock(send_mutex_);
  return send_message(socket_.get(), bytes.data(), bytes.size(), fds.data(), fds.size());
}

template <class Message>
void LauncherClient::send_small(const Message& message) noexcept {
  const std::lock_guard lock(send_mutex_);
  small_.clear();
  protocol::encode(small_, message);
  // A launcher that is gone has taken its sandboxes with it.
  (void)send_message(socket_.get(), small_.data(), small_.size(), nullptr, 0);
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
  send_small(protocol::Kill{token});
}

void LauncherClient::expire(uint64_t token, int64_t in_ms) noexcept {
  send_small(protocol::Expire{token, static_cast<uint64_t>(std::max<int64_t>(in_ms, 0))});
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
      channel::Reactor::WatchId watch;
      {
        const std::lock_guard lock(mutex_);
        watch = watch_;
      }
      reactor_.remove(watch);
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
