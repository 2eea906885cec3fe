// What listens inside, and waiting until something does.
//
// A TCP port is looked up in /proc/net, not tried: a server that serves one connection and ends would be used up by the question, and
// others would log one that says nothing. The kernel lists sockets that listen first, so a look costs some microseconds however
// many connections there are. A unix socket can only be tried: its row in /proc/net/unix is the text it was bound with, which
// another directory or a link makes another path.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "agent/proc_net.hpp"
#include "agent/proc_self.hpp"
#include "agent/socket_address.hpp"
#include "core/clock.hpp"

namespace svm::agent {
namespace {

constexpr int64_t kFirstLookUs = 1'000;       // between two looks; doubles
constexpr int64_t kLastLookUs = 50'000;
constexpr size_t kMaxTableBytes = 1024 * 1024;  // of /proc/net/tcp or tcp6 that are read: some 6,000 sockets

/// Those of one family; 0, -errno, or -E2BIG for more than an answer holds.
int read_table(const char* path, bool v6, std::vector<TcpListener>& out) {
  const Fd file(::open(path, O_RDONLY | O_CLOEXEC));
  if (!file) return v6 && errno == ENOENT ? 0 : -errno;  // a kernel without IPv6
  std::string text;
  size_t parsed = 0;
  for (;;) {
    const size_t had = text.size();
    text.resize(had + 16 * 1024);
    const ssize_t n = ::read(file.get(), text.data() + had, text.size() - had);
    if (n < 0) return -errno;
    text.resize(had + static_cast<size_t>(n));
    const size_t whole = n == 0 ? text.size() : text.rfind('\n') + 1;
    const size_t before = out.size();
    const std::string_view lines = std::string_view(text).substr(parsed, whole - parsed);
    if (!parse_tcp_listeners(lines, v6, protocol::kMaxListeners, out)) return -E2BIG;
    // Sockets that listen come before all others; the first piece has the heading alone where there are none.
    if (n == 0 || (parsed > 0 && out.size() == before)) return 0;
    parsed = whole;
    if (parsed > kMaxTableBytes) return -E2BIG;
  }
}

int read_listeners(std::vector<TcpListener>& out) {
  if (!have_proc()) return -ENOSYS;
  if (const int error = read_table("/proc/self/net/tcp", false, out)) return error;
  return read_table("/proc/self/net/tcp6", true, out);
}

class Listening final : public Stream {
 public:
  Listening(Loop& loop, uint32_t id, protocol::ListeningRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    if (request_.port == 0 && request_.path.empty()) return list();
    constexpr uint64_t kForEver = INT64_MAX / 4 / 1000;
    give_up_us_ = monotonic_us() + static_cast<int64_t>(std::min(request_.wait_ms, kForEver)) * 1000;
    look();
  }

  void on_deadline() override { look(); }

 private:
  void too_many(std::string_view verb) {
    finish(failure(Code::limit, 0, verb, {}, "more than " + std::to_string(protocol::kMaxListeners) + " listening sockets"));
  }

  void list() {
    std::vector<TcpListener> found;
    const int error = read_listeners(found);
    if (error == -E2BIG) return too_many("list ports");
    if (error) return finish(failure(-error, "list ports", {}));
    protocol::Listeners answer;
    for (const TcpListener& listener : found) {
      char text[INET6_ADDRSTRLEN];
      if (!::inet_ntop(listener.v6 ? AF_INET6 : AF_INET, listener.address, text, sizeof text)) continue;
      answer.items.push_back({listener.port, listener.uid, text});
    }
    std::string body;
    protocol::encode(body, answer);
    finish_ok(std::move(body));
  }

  void look() {
    const int error = request_.port != 0 ? look_for_port() : look_for_socket();
    if (error == 0) return finish_ok();
    if (error == -E2BIG) return too_many("wait for");
    // What may still come about: no file yet, one that nobody listens on yet or that is full.
    if (error != -ENOENT && error != -ECONNREFUSED && error != -EAGAIN) return finish(path_failure(error, "wait for", request_.path));
    const int64_t now = monotonic_us();
    if (now >= give_up_us_) {
      const std::string subject = request_.port != 0 ? "port " + std::to_string(request_.port) : request_.path;
      return finish(failure(Code::timeout, 0, "wait for", subject, "nothing listens"));
    }
    set_deadline(std::min(give_up_us_, now + interval_us_));
    interval_us_ = std::min(2 * interval_us_, kLastLookUs);
  }

  int look_for_port() const {
    std::vector<TcpListener> found;
    // One of the first 4,096 that is the right one will do.
    const int error = read_listeners(found);
    for (const TcpListener& listener : found)
      if (listener.port == request_.port && listener.on_loopback()) return 0;
    return error ? error : -ENOENT;
  }

  int look_for_socket() const {
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) return -as.error();
    SocketAddress address;
    if (const int error = SocketAddress::unix_socket(loop_.context().root, request_.path, address)) return error;
    Fd connection;
    return address.connect(connection);  // and closed again: a unix socket is connected at once or not at all
  }

  protocol::ListeningRequest request_;
  Identity who_;
  int64_t give_up_us_ = 0, interval_us_ = kFirstLookUs;
};

}  // namespace

std::unique_ptr<Stream> make_listening(Loop& loop, uint32_t id, protocol::ListeningRequest&& request) {
  return std::make_unique<Listening>(loop, id, std::move(request));
}

}  // namespace svm::agent
