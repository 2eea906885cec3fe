#include "connection.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

namespace http {
namespace {

using std::chrono::milliseconds;

constexpr size_t kPiece = 64u << 10;
constexpr size_t kHeadPiece = 4u << 10;          // what most heads, with a small body, fit in
constexpr size_t kKept = 16u << 10;              // bytes of buffer that an idle connection may keep
constexpr milliseconds kLinger{2'000};           // for a client to read the last answer, and to stop sending
constexpr int kProbeAfter = 30, kProbeEvery = 10, kProbes = 3;  // seconds, seconds, times: a peer that has vanished is noticed within a minute

int left_ms(Clock::time_point deadline) noexcept {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count() + 1;
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT_MAX));
}

}  // namespace

Connection::Connection(int fd, std::unique_ptr<TlsSession> tls, const Deadlines& deadlines) : fd_(fd), tls_(std::move(tls)), deadlines_(deadlines) {
  if (tls_) {
    (void)::fcntl(fd_, F_SETFL, O_NONBLOCK);
  } else {
    // Waiting for a request is then one call.
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(deadlines_.idle);
    const timeval idle{seconds.count(), std::chrono::duration_cast<std::chrono::microseconds>(deadlines_.idle - seconds).count()};
    (void)::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
  }
  // A socket that does not know these (AF_UNIX) does without.
  const int on = 1;
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &kProbeAfter, sizeof kProbeAfter);
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &kProbeEvery, sizeof kProbeEvery);
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &kProbes, sizeof kProbes);
}

Connection::~Connection() {
  if (tls_) tls_->close_notify();
}

void Connection::abort() noexcept { (void)::shutdown(fd_, SHUT_RDWR); }

ssize_t Connection::fill(Clock::time_point deadline) {
  if (at_ == in_.size()) {
    in_.clear();
    at_ = 0;
  } else if (at_ > kPiece) {
    in_.erase(0, at_);
    at_ = 0;
  }
  const size_t old = in_.size(), room = body_ended_ ? kHeadPiece : kPiece;
  for (;;) {
    in_.resize(old + room);
    ssize_t n;
    bool wants_write = false;
    if (tls_) {
      const std::lock_guard lock(tls_mutex_);
      n = tls_->read(in_.data() + old, room, wants_write);
    } else {
      do n = ::recv(fd_, in_.data() + old, room, MSG_DONTWAIT);
      while (n < 0 && errno == EINTR);
    }
    in_.resize(old + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n >= 0) return n;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    pollfd wait{fd_, static_cast<short>(wants_write ? POLLOUT : POLLIN), 0};
    int ready;
    do ready = ::poll(&wait, 1, left_ms(deadline));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return ready == 0 ? kLate : -1;
  }
}

Connection::Wait Connection::wait_request() {
  if (has_input()) return Wait::ready;
  if (in_.capacity() > kKept) in_ = {};
  in_.clear();
  at_ = 0;
  ssize_t n;
  if (tls_) {
    n = fill(Clock::now() + deadlines_.idle);
  } else {
    in_.resize(kHeadPiece);
    do n = ::recv(fd_, in_.data(), in_.size(), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) n = kLate;
    in_.resize(static_cast<size_t>(std::max<ssize_t>(n, 0)));
  }
  return n > 0 ? Wait::ready : n == kLate ? Wait::late : Wait::closed;
}

Connection::HeadResult Connection::read_head() {
  const auto deadline = Clock::now() + deadlines_.head;
  for (;;) {
    // Empty lines before a request line are read over (RFC 9112 section 2.2).
    while (in_.size() - at_ >= 2 && in_[at_] == '\r' && in_[at_ + 1] == '\n') at_ += 2;
    const std::string_view all = std::string_view(in_).substr(at_);
    head_size_ = find_head_end(all.substr(0, kMaxHeadBytes));
    if (head_size_ > 0) return HeadResult::complete;
    if (all.size() >= kMaxHeadBytes) return HeadResult::too_large;
    const ssize_t n = fill(deadline);
    if (n == kLate) return HeadResult::late;
    if (n <= 0) return HeadResult::closed;
  }
}

void Connection::skip_head() noexcept {
  at_ += head_size_;
  head_size_ = 0;
}

void Connection::begin_body(const Head& head) noexcept {
  framing_ = head.framing;
  left_ = head.length;
  chunks_ = {};
  body_ended_ = framing_ == Framing::none || (framing_ == Framing::length && left_ == 0);
}

Connection::Body Connection::read_body(std::string& out) {
  if (body_ended_) return Body::end;
  if (!has_input()) {
    const ssize_t n = fill(Clock::now() + deadlines_.read);
    if (n == kLate) return Body::late;
    if (n <= 0) return Body::closed;
  }
  const std::string_view all = std::string_view(in_).substr(at_);
  if (framing_ == Framing::length) {
    const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, all.size()));
    out.append(all.substr(0, take));
    at_ += take;
    left_ -= take;
    body_ended_ = left_ == 0;
    return Body::more;
  }
  at_ += chunks_.feed(all, out);
  if (chunks_.malformed()) return Body::malformed;
  body_ended_ = chunks_.ended();
  return Body::more;
}

void Connection::linger() noexcept {
  if (tls_) {
    const std::lock_guard lock(tls_mutex_);
    tls_->close_notify();
  }
  (void)::shutdown(fd_, SHUT_WR);
  const auto end = Clock::now() + kLinger;
  std::array<char, kKept> unwanted;
  while (Clock::now() < end) {
    ssize_t n;
    do n = ::recv(fd_, unwanted.data(), unwanted.size(), MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) continue;
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return;
    pollfd wait{fd_, POLLIN, 0};
    (void)::poll(&wait, 1, left_ms(end));
  }
}

ssize_t Connection::read_raw(char* data, size_t size) {
  if (!has_input()) {
    const ssize_t n = fill(Clock::now() + deadlines_.read);
    if (n <= 0) return n;
  }
  const size_t take = std::min(size, in_.size() - at_);
  std::copy_n(in_.data() + at_, take, data);
  at_ += take;
  return static_cast<ssize_t>(take);
}

ssize_t Connection::write(const char* data, size_t size) {
  const std::lock_guard order(write_mutex_);
  size_t done = 0;
  while (done < size) {
    ssize_t n;
    bool wants_read = false;
    if (tls_) {
      const std::lock_guard lock(tls_mutex_);
      n = tls_->write(data + done, size - done, wants_read);
    } else {
      do n = ::send(fd_, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      while (n < 0 && errno == EINTR);
    }
    if (n > 0) {
      done += static_cast<size_t>(n);
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    pollfd wait{fd_, static_cast<short>(wants_read ? POLLIN : POLLOUT), 0};
    int ready;
    do ready = ::poll(&wait, 1, left_ms(Clock::now() + deadlines_.write));
    while (ready < 0 && errno == EINTR);
    if (ready <= 0) return -1;
  }
  return static_cast<ssize_t>(size);
}

}  // namespace http
