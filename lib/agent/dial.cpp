// A connection to what listens inside: bytes both ways, each way ended by itself.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "agent/socket_address.hpp"
#include "core/clock.hpp"

namespace svm::agent {
namespace {

constexpr int64_t kConnectUs = 10'000'000;    // until a connection that is neither made nor refused is given up
constexpr int64_t kFirstRetryUs = 1'000;      // of a unix socket whose backlog is full; doubles
constexpr int64_t kLastRetryUs = 50'000;
constexpr int kReads = 4;                     // of the socket in one round
constexpr size_t kKeptBytes = 64 * 1024;      // of buffer, once it is empty

class Dial final : public Stream, private Ready {
 public:
  Dial(Loop& loop, uint32_t id, protocol::DialRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    give_up_us_ = monotonic_us() + kConnectUs;
    {
      const ActAs as(loop_.context().rights, who_);
      if (as.error()) return finish(failure(as.error(), "become user", request_.user));
      if (request_.port != 0) {
        address_ = SocketAddress::loopback(AF_INET, request_.port);
      } else if (const int error = SocketAddress::unix_socket(loop_.context().root, request_.path, address_)) {
        return finish(path_failure(error, "connect to", request_.path));
      }
    }
    connect();
  }

  void on_data(std::string_view bytes) override {
    if (write_error_) return consumed(bytes.size());
    size_t sent = 0;
    if (state_ == State::open && unsent_.empty()) {
      sent = send(bytes);
      if (write_error_) sent = bytes.size();  // nobody takes them
      consumed(sent);
    }
    unsent_.append(bytes.substr(sent));
    update();
  }

  void on_end() override {
    input_ended_ = true;
    flush();
  }

  void on_room() override { update(); }

  void on_deadline() override {
    if (monotonic_us() >= give_up_us_) return fail(retry_us_ != 0 ? EAGAIN : ETIMEDOUT);
    connect();
  }

 private:
  enum class State { connecting, open };

  std::string subject() const { return request_.port != 0 ? "port " + std::to_string(request_.port) : request_.path; }

  void fail(int error) {
    watch_.stop();
    if (error == EAGAIN) return finish(failure(Code::unavailable, EAGAIN, "connect to", subject(), "it does not accept connections"));
    finish(failure(error, state_ == State::open ? "connection to" : "connect to", subject()));
  }

  void connect() {
    // A socket's file decides who may connect to it.
    const int error = act_as(loop_.context().rights, who_, [this] { return address_.connect(socket_); });
    if (error == 0) return connected();
    if (error == -EINPROGRESS) {
      set_deadline(give_up_us_);
      if (const int failed = watch_.start(loop_, socket_.get(), EPOLLOUT, *this, 0)) fail(-failed);
      return;
    }
    if (error == -EAGAIN && request_.port == 0) {
      retry_us_ = retry_us_ == 0 ? kFirstRetryUs : std::min(2 * retry_us_, kLastRetryUs);
      return set_deadline(std::min(give_up_us_, monotonic_us() + retry_us_));
    }
    refused(-error);
  }

  /// Many servers listen on one of the two loopback addresses only.
  void refused(int error) {
    if (request_.port == 0 || first_error_ != 0) return fail(first_error_ != 0 ? first_error_ : error);
    first_error_ = error;
    address_ = SocketAddress::loopback(AF_INET6, request_.port);
    watch_.stop();
    connect();
  }

  void connected() {
    state_ = State::open;
    set_deadline(kNoDeadline);
    // The first look finds what is there already, and arms the watch.
    if (const int error = watch_.start(loop_, socket_.get(), EPOLLIN, *this, 0)) return fail(-error);
    armed_ = EPOLLIN;
    flush();
  }

  void on_ready(int, uint32_t events) override {
    if (state_ == State::connecting) {
      int error = 0;
      socklen_t size = sizeof error;
      if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
      if (error) return refused(error);
      return connected();
    }
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) flush();
    if (!finished() && (events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP))) receive();
  }

  /// How many bytes the socket took. A peer that takes no more does not end what it sends: that is delivered first.
  size_t send(std::string_view bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) {
        write_error_ = errno;
        break;
      }
      done += static_cast<size_t>(n);
    }
    return done;
  }

  void flush() {
    if (state_ == State::open && !write_error_ && at_ < unsent_.size()) {
      const size_t sent = send(std::string_view(unsent_).substr(at_));
      at_ += sent;
      consumed(sent);
    }
    if (write_error_ && at_ < unsent_.size()) {
      consumed(unsent_.size() - at_);
      at_ = unsent_.size();
    }
    if (at_ == unsent_.size()) {
      at_ = 0;
      unsent_.clear();
      if (unsent_.capacity() > kKeptBytes) unsent_.shrink_to_fit();
      if (state_ == State::open && input_ended_ && !shut_ && !write_error_) {
        shut_ = true;
        if (::shutdown(socket_.get(), SHUT_WR) < 0 && errno != ENOTCONN) write_error_ = errno;
      }
    }
    update();
  }

  void receive() {
    Connection& connection = loop_.connection();
    for (int reads = 0; reads < kReads && !peer_ended_; ++reads) {
      if (credit() == 0 || connection.congested()) break;
      const auto room = static_cast<size_t>(std::min<uint64_t>(protocol::kMaxData, credit()));
      const ssize_t n = ::recv(socket_.get(), connection.data(), room, MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return fail(errno);
      if (n > 0) {
        send_data(protocol::DataKind::bytes, static_cast<size_t>(n));
        continue;
      }
      peer_ended_ = true;
      connection.send(protocol::FrameType::end, id(), {});
    }
    update();
  }

  /// Waits for what can be done now, and ends when nothing is left to do.
  void update() {
    if (state_ != State::open || finished()) return;
    if (peer_ended_ && write_error_) return fail(write_error_);
    if (peer_ended_ && shut_) {
      watch_.stop();
      return finish_ok();
    }
    const bool can_read = !peer_ended_ && credit() > 0 && !loop_.connection().congested();
    const bool must_write = !write_error_ && at_ < unsent_.size();
    const uint32_t events = (can_read ? EPOLLIN : 0u) | (must_write ? EPOLLOUT : 0u);
    if (events == armed_) return;
    armed_ = events;
    if (const int error = watch_.set(events)) fail(-error);
  }

  protocol::DialRequest request_;
  Identity who_;
  SocketAddress address_;
  State state_ = State::connecting;
  int64_t give_up_us_ = 0, retry_us_ = 0;
  int first_error_ = 0;   // of 127.0.0.1
  int write_error_ = 0;
  bool input_ended_ = false, shut_ = false, peer_ended_ = false;
  uint32_t armed_ = 0;
  std::string unsent_;    // at most a window
  size_t at_ = 0;
  Fd socket_;
  Watch watch_;
};

}  // namespace

std::unique_ptr<Stream> make_dial(Loop& loop, uint32_t id, protocol::DialRequest&& request) {
  return std::make_unique<Dial>(loop, id, std::move(request));
}

}  // namespace svm::agent
