#include "remote/link.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/id.hpp"

namespace svm::remote {
namespace {

constexpr int64_t kOpenMs = 60'000;          // for the first word of a stream: what it asks for may have to be looked up, not waited for
constexpr size_t kRoundBytes = 1u << 20;     // of one stream, before others have their turn
constexpr size_t kMostFrame = 64 * 1024;     // of what one write() takes at once

protocol::Result result_of(Code code, std::string message) {
  protocol::Result result;
  result.code = code;
  result.message = std::move(message);
  return result;
}

/// What a close frame says behind its code (RFC 6455 section 5.5.1).
std::string reason_of(std::string_view payload) { return payload.size() > 2 ? ": " + std::string(payload.substr(2)) : std::string(); }

}  // namespace

std::string Link::open(std::string_view request, const net::Interrupt& interrupt) {
  const std::lock_guard lock(mutex_);  // nobody else is here yet
  const int64_t until = system_clock().monotonic_ms() + kOpenMs;
  const auto wait = [&](short events) { net::wait_for(socket_->fd(), events, until, interrupt); };
  append(net::Opcode::text, request);
  while (!unsent_.empty()) {
    const size_t sent = socket_->send(unsent_);
    unsent_.erase(0, sent);
    if (sent == 0) wait(POLLOUT);
  }
  for (;;) {
    net::Message message;
    while (frames_.next(message)) {
      if (message.kind == net::Opcode::close) throw Error(Code::unavailable, "the server has ended the connection");
      if (message.kind == net::Opcode::ping) append(net::Opcode::pong, message.payload);
      if (message.kind != net::Opcode::text) continue;
      if (auto refusal = refusal_of(message.payload)) throw std::move(*refusal);
      const auto word = parse_text(message.payload);
      if (word && word->kind == Word::Kind::started) return word->exec_id;
      throw Error(Code::io, "the server does not say that it has begun");
    }
    std::string bytes;
    switch (socket_->receive(bytes)) {
      case net::WebSocket::Received::bytes: frames_.feed(bytes); break;
      case net::WebSocket::Received::nothing: wait(POLLIN); break;
      case net::WebSocket::Received::end: throw Error(Code::unavailable, "the server has ended the connection");
    }
  }
}

void Link::watch() {
  {
    const std::lock_guard lock(mutex_);
    watched_ = EPOLLIN;
    watch_ = reactor_.watch(socket_->fd(), watched_, [self = shared_from_this()](uint32_t events) { self->on_event(events); });
  }
  // What came with the first word is here already, and the socket need not say so.
  reactor_.post([self = shared_from_this()] { self->on_event(EPOLLIN); });
}

void Link::on_event(uint32_t events) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!socket_) return;
    try {
      if (events == channel::Reactor::kStopping) {
        end(result_of(Code::closed, "the instance is closed"));
      } else {
        // Before anything is sent: a connection that takes nothing more may have brought why.
        receive((events & (EPOLLHUP | EPOLLERR)) != 0);
        if (socket_) flush();
        if (socket_) interest();
      }
    } catch (const Error& error) {
      end(result_of(error.code(), error.message()));
    } catch (const std::bad_alloc&) {
      end(result_of(Code::limit, "out of memory"));
    }
  }
  notify_();
}

/// `all`: a connection that has broken says so for as long as anybody asks: what is left of it is taken, and that is not much.
void Link::receive(bool all) {
  size_t round = 0;
  net::Message message;
  for (;;) {
    while ((all || !full()) && socket_ && frames_.next(message)) take(message);
    if ((full() && !all) || !socket_) return;
    if (round >= kRoundBytes && !all) {
      // More may be inside TLS, of which the socket does not tell.
      reactor_.post([self = shared_from_this()] { self->on_event(EPOLLIN); });
      return;
    }
    std::string bytes;
    const auto received = socket_->receive(bytes);
    if (received == net::WebSocket::Received::nothing) return;
    if (received == net::WebSocket::Received::end) return end(result_of(Code::closed, "the server has ended the connection"));
    round += bytes.size();
    frames_.feed(bytes);
  }
}

void Link::take(net::Message& message) {
  std::optional<Word> word;
  switch (message.kind) {
    case net::Opcode::ping: return append(net::Opcode::pong, message.payload);
    case net::Opcode::close: return end(result_of(Code::closed, "the server has ended the connection" + reason_of(message.payload)));
    case net::Opcode::text: word = parse_text(message.payload); break;
    case net::Opcode::binary: word = parse_binary(message.payload); break;
    default: return;
  }
  if (!word) return;
  switch (word->kind) {
    case Word::Kind::started: throw Error(Code::io, "the server begins twice");
    case Word::Kind::piece:
      unread_ += word->piece.data.size();
      pieces_.push_back(std::move(word->piece));
      can_read_.notify_all();
      return;
    case Word::Kind::half:
      half_ = true;
      can_read_.notify_all();
      return;
    case Word::Kind::end: return end(std::move(word->result));
  }
}

void Link::append(net::Opcode opcode, std::string_view payload) {
  uint32_t mask = 0;
  random_bytes(&mask, sizeof mask);
  net::append_frame(unsent_, opcode, payload, mask);
}

/// A connection that takes nothing more is not over: what the server said before that is still to be read, and then its end.
void Link::flush() {
  size_t from = 0;
  try {
    while (from < unsent_.size()) {
      const size_t sent = socket_->send(std::string_view(unsent_).substr(from));
      if (sent == 0) break;
      from += sent;
    }
  } catch (const Error&) {
    from = unsent_.size();
  }
  unsent_.erase(0, from);
  if (from > 0) can_write_.notify_all();
}

void Link::interest() {
  const uint32_t wanted = (full() ? 0u : static_cast<uint32_t>(EPOLLIN)) | (unsent_.empty() ? 0u : static_cast<uint32_t>(EPOLLOUT));
  if (wanted == watched_ || watch_ == 0) return;
  watched_ = wanted;
  reactor_.change(watch_, wanted);
}

/// On the reactor's thread alone: elsewhere remove() would wait for a callback that waits for mutex_.
void Link::end(protocol::Result result) noexcept {
  if (result_) return;
  try {
    result_ = std::make_unique<const protocol::Result>(std::move(result));
  } catch (const std::bad_alloc&) {
    static const protocol::Result no_memory = result_of(Code::limit, "");
    result_ = std::make_unique<const protocol::Result>(no_memory);
  }
  // Nothing comes any more. The descriptor goes first with the watch, which must be gone before it is closed.
  if (watch_ != 0) reactor_.remove(std::exchange(watch_, 0));
  socket_.reset();
  can_read_.notify_all();
  can_write_.notify_all();
}

void Link::abandon() noexcept {
  channel::Reactor::WatchId watch = 0;
  {
    const std::lock_guard lock(mutex_);
    watch = std::exchange(watch_, 0);
  }
  if (watch != 0) reactor_.remove(watch);  // without the lock: the callback may be waiting for it
  const std::lock_guard lock(mutex_);
  socket_.reset();  // the server takes that for a closed handle
}

template <class P>
bool Link::wait(Lock& lock, std::condition_variable& on, int64_t timeout_ms, P ready) {
  if (timeout_ms == 0) return ready();
  if (timeout_ms < 0) {
    on.wait(lock, ready);
    return true;
  }
  return on.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready);
}

channel::Stream::Next Link::next(int64_t timeout_ms, channel::Piece& out) {
  Lock lock(mutex_);
  if (!wait(lock, can_read_, timeout_ms, [&] { return !pieces_.empty() || result_ || half_; })) return channel::Stream::Next::again;
  if (pieces_.empty()) {
    if (!result_) return channel::Stream::Next::half;
    end_seen_ = true;
    return channel::Stream::Next::end;
  }
  const bool was_full = full();
  out = std::move(pieces_.front());
  pieces_.pop_front();
  unread_ -= out.data.size();
  if (was_full && !full() && socket_) reactor_.post([self = shared_from_this()] { self->on_event(EPOLLIN); });
  return channel::Stream::Next::piece;
}

const protocol::Result* Link::result() const noexcept {
  const std::lock_guard lock(mutex_);
  return end_seen_ ? result_.get() : nullptr;
}

size_t Link::write(const char* data, size_t size, int64_t timeout_ms) {
  Lock lock(mutex_);
  const auto over = [&] { return finished_ || result_; };
  const bool ready = wait(lock, can_write_, timeout_ms, [&] { return over() || size == 0 || unsent_.size() < kMostUnsent; });
  if (over()) throw Error(Code::closed, finished_ ? "write after finish" : "the stream has ended");
  if (!ready) return 0;
  size_t taken = 0;
  while (taken < size && unsent_.size() < kMostUnsent) {
    const size_t piece = std::min(size - taken, kMostFrame);
    append(net::Opcode::binary, {data + taken, piece});
    taken += piece;
  }
  if (taken > 0 && socket_) send_now();
  return taken;
}

/// What goes at once needs no other thread.
void Link::send_now() {
  flush();
  interest();
}

void Link::send_text(const std::string& text) {
  append(net::Opcode::text, text);
  send_now();
}

void Link::say(const std::string& word) {
  const std::lock_guard lock(mutex_);
  if (result_ || !socket_) throw Error(Code::closed, "the stream has ended");
  if (unsent_.size() >= kMostUnsent) throw Error(Code::limit, "the server does not read");
  send_text(word);
}

void Link::finish() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(finished_, true) || result_ || !socket_) return;
  send_text(finish_word());
  can_write_.notify_all();
}

void Link::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  if (std::exchange(cancelled_, true) || result_ || !socket_) return;
  try {
    send_text(cancel_word());
  } catch (const std::bad_alloc&) {
    ::shutdown(socket_->fd(), SHUT_RDWR);  // which the server takes for a closed handle, and the reactor for the end
  }
}

bool Link::readable() const noexcept {
  const std::lock_guard lock(mutex_);
  return !pieces_.empty() || result_ || half_;
}

bool Link::writable() const noexcept {
  const std::lock_guard lock(mutex_);
  return finished_ || result_ || unsent_.size() < kMostUnsent;
}

}  // namespace svm::remote
