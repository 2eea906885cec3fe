#include "server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <list>
#include <map>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "adapter.hpp"

namespace http {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBreath{20};  // without descriptors or threads: until the next try to take a connection

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }
  void reset(int fd = -1) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_;
};

std::string text_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    (void)::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.ss_family == AF_INET6) {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&six))
      (void)::inet_ntop(AF_INET, six.s6_addr + 12, text, sizeof text);
    else
      (void)::inet_ntop(AF_INET6, &six, text, sizeof text);
  }
  return text;
}

}  // namespace

class Server::Implementation {
 public:
  Implementation(const ServerOptions& options, Handler& handler) : options_(options) {
    stopping_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    spare_.reset(::eventfd(0, EFD_CLOEXEC));
    if (stopping_.get() < 0 || spare_.get() < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    listen();
    adapter_ = std::make_unique<Adapter>(handler, listener_.get(), stopping_.get());
  }

  uint16_t port() const noexcept { return port_; }
  std::string url() const {
    const bool six = options_.host.find(':') != std::string::npos;
    return std::string(options_.tls ? "https://" : "http://") + (six ? "[" + options_.host + "]" : options_.host) + ':' + std::to_string(port_);
  }

  size_t run(int stop) {
    pollfd wait[2] = {{listener_.get(), POLLIN, 0}, {stop, POLLIN, 0}};
    for (;;) {
      if (::poll(wait, 2, -1) < 0) {
        if (errno == EINTR) continue;
        throw std::system_error(errno, std::generic_category(), "poll");
      }
      if (wait[1].revents != 0) break;
      if (wait[0].revents != 0) accept();
    }
    return drain();
  }

 private:
  struct Entry {
    Entry(int its_fd, std::string its_address) : fd(its_fd), address(std::move(its_address)) {}
    const int fd;
    const std::string address;
    std::atomic<int64_t> idle_since{kBusy};  // of the steady clock
  };
  static constexpr int64_t kBusy = 0, kEvicted = -1;
  using Entries = std::list<Entry>;

  void listen() {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    const std::string service = std::to_string(options_.port), where = options_.host + ':' + service;
    if (const int error = ::getaddrinfo(options_.host.c_str(), service.c_str(), &hints, &found)) throw std::runtime_error(where + ": " + ::gai_strerror(error));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    listener_.reset(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (listener_.get() < 0) throw std::system_error(errno, std::generic_category(), where);
    const int on = 1;
    (void)::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(listener_.get(), found->ai_addr, found->ai_addrlen) < 0 || ::listen(listener_.get(), kBacklog) < 0)
      throw std::system_error(errno, std::generic_category(), where);
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    if (::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &size) < 0) throw std::system_error(errno, std::generic_category(), where);
    port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  }

  void accept() {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int fd = ::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) shed();
      return;  // the client has gone, or another error of its own
    }
    take(fd, text_of(from));
  }

  /// No descriptor for a client who waits: it is told so with the one that is kept for this, instead of being looked at again and again.
  void shed() {
    if (!evict_idle()) {
      spare_.reset();
      if (const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC); fd >= 0) ::close(fd);
      spare_.reset(::eventfd(0, EFD_CLOEXEC));
    }
    std::this_thread::sleep_for(kBreath);
  }

  void take(int fd, std::string address) {
    Entries::iterator entry;
    const char* refused = nullptr;
    {
      const std::lock_guard lock(mutex_);
      const auto same = per_address_.find(address);
      const bool address_full = same != per_address_.end() && same->second >= options_.max_connections_per_address;
      if (address_full && !evict_locked(&address))
        refused = "too many connections from this address";
      else if (!address_full && entries_.size() >= options_.max_connections && !evict_locked())
        refused = "too many connections";
      else {
        entries_.emplace_front(fd, address);
        entry = entries_.begin();
        ++per_address_[address];
      }
    }
    if (refused) {
      refuse(fd, refused, address);
      return;
    }
    try {
      std::thread([this, entry] { serve(entry); }).detach();
    } catch (const std::system_error&) {  // no threads
      forget(entry);
      refuse(fd, "too many connections", address);
    }
  }

  /// Never waits: this thread has others to take.
  void refuse(int fd, const char* why, const std::string& address) {
    if (!options_.tls) {
      Connection connection(fd, nullptr, {.write = milliseconds(0)});
      adapter_->refuse(connection, {503, why}, address);
    }
    ::close(fd);
  }

  bool evict_idle() {
    const std::lock_guard lock(mutex_);
    return evict_locked();
  }
  /// Ends the connection that is idle longest, of one address or of any. It may begin to be busy at the same moment: then the next one.
  bool evict_locked(const std::string* address = nullptr) {
    for (;;) {
      Entry* longest = nullptr;
      int64_t since = 0;
      for (Entry& entry : entries_) {
        if (address && entry.address != *address) continue;
        const int64_t one = entry.idle_since;
        if (one > 0 && (!longest || one < since)) longest = &entry, since = one;
      }
      if (!longest) return false;
      if (!longest->idle_since.compare_exchange_strong(since, kEvicted)) continue;
      (void)::shutdown(longest->fd, SHUT_RDWR);
      return true;
    }
  }

  void forget(Entries::iterator entry) {
    const std::lock_guard lock(mutex_);
    if (const auto same = per_address_.find(entry->address); --same->second == 0) per_address_.erase(same);
    entries_.erase(entry);
    if (entries_.empty()) none_.notify_all();
  }

  void serve(Entries::iterator entry) noexcept {
    try {
      const int fd = entry->fd;
      const std::string address = entry->address;
      std::unique_ptr<TlsSession> tls = options_.tls ? options_.tls->accept(fd) : nullptr;
      if (options_.tls && !tls) {
        (void)::shutdown(fd, SHUT_RDWR);
      } else {
        Connection connection(fd, std::move(tls), options_.deadlines);
        converse(connection, *entry, address);
      }
    } catch (const std::exception&) {  // no memory for it: the client sees the connection end
    }
    const int fd = entry->fd;
    forget(entry);
    ::close(fd);  // only now, so that nobody shuts down another one's
  }

  void converse(Connection& connection, Entry& entry, const std::string& address) {
    for (;;) {
      int64_t since = std::max<int64_t>(1, Clock::now().time_since_epoch().count());
      entry.idle_since = since;
      if (ending_) return;  // looked at only now, as drain() looks for who is idle once it has said so
      const auto came = connection.wait_request();
      if (came != Connection::Wait::ready || !entry.idle_since.compare_exchange_strong(since, kBusy)) return;
      switch (connection.read_head()) {
        case Connection::HeadResult::complete: break;
        case Connection::HeadResult::too_large: return refuse(connection, {431, "the request's head is larger than 64 KiB"}, address);
        case Connection::HeadResult::late: return refuse(connection, {408, "the request's head did not come within 10 s"}, address);
        case Connection::HeadResult::closed: return;
      }
      Head head;
      if (const auto refusal = check_head(connection.head(), head)) return refuse(connection, *refusal, address);
      if (adapter_->serve(connection, head, address, options_.tls != nullptr)) continue;
      if (!connection.body_ended()) connection.linger();
      return;
    }
  }

  void refuse(Connection& connection, const Refusal& refusal, const std::string& address) {
    adapter_->refuse(connection, refusal, address);
    connection.linger();
  }

  size_t drain() {
    (void)::shutdown(listener_.get(), SHUT_RDWR);  // refuses further clients at once, while the descriptor's number stays taken
    const uint64_t one = 1;
    (void)!::write(stopping_.get(), &one, sizeof one);  // an eventfd of ours takes it
    ending_ = true;
    std::unique_lock lock(mutex_);
    for (Entry& entry : entries_) {
      // Not of one that has just begun to be busy: its client would seem to have gone.
      int64_t since = entry.idle_since;
      if (since > 0 && entry.idle_since.compare_exchange_strong(since, kEvicted)) (void)::shutdown(entry.fd, SHUT_RD);
    }
    (void)none_.wait_for(lock, options_.drain, [&] { return entries_.empty(); });
    const size_t cut = entries_.size();
    for (const Entry& entry : entries_) (void)::shutdown(entry.fd, SHUT_RDWR);
    none_.wait(lock, [&] { return entries_.empty(); });
    return cut;
  }

  const ServerOptions options_;
  Descriptor listener_, stopping_, spare_;
  uint16_t port_ = 0;
  std::atomic<bool> ending_ = false;
  std::unique_ptr<Adapter> adapter_;
  std::mutex mutex_;  // guards what follows
  Entries entries_;
  std::map<std::string, size_t> per_address_;
  std::condition_variable none_;
};

Server::Server(const ServerOptions& options, Handler& handler) : implementation_(std::make_unique<Implementation>(options, handler)) {}
Server::~Server() = default;
uint16_t Server::port() const noexcept { return implementation_->port(); }
std::string Server::url() const { return implementation_->url(); }
size_t Server::run(int stop) { return implementation_->run(stop); }

}  // namespace http
