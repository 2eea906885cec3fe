// The connection of one stream: what came and was not read, what is to be sent, and how it ended.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "channel/channel.hpp"
#include "channel/notifier.hpp"
#include "channel/reactor.hpp"
#include "net/web_socket.hpp"
#include "net/web_socket_frames.hpp"
#include "remote/words.hpp"

namespace svm::remote {

class Link : public std::enable_shared_from_this<Link> {
 public:
  /// How much is held that nobody has read, and how much that the server has not taken: beyond it the other side waits.
  static constexpr size_t kMostUnread = 1u << 20, kMostUnsent = 1u << 20;

  Link(channel::Reactor& reactor, std::unique_ptr<net::WebSocket> socket) noexcept : reactor_(reactor), socket_(std::move(socket)) {}

  /// Sends the request and waits for what the server says first: the id of the command, or "". Throws what it refuses; cancelled.
  std::string open(std::string_view request, const net::Interrupt& interrupt);
  /// From here on the reactor drives it.
  void watch();
  /// Nobody reads any more: the connection ends, and with it the stream, as a closed handle's would.
  void abandon() noexcept;

  channel::Stream::Next next(int64_t timeout_ms, channel::Piece& out);
  const protocol::Result* result() const noexcept;
  size_t write(const char* data, size_t size, int64_t timeout_ms);
  void finish();
  void cancel() noexcept;
  /// Throws Error closed after the end.
  void say(const std::string& word);
  bool readable() const noexcept;
  bool writable() const noexcept;
  void set_notify(std::function<void()> hook) { notify_.set(std::move(hook)); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  template <class P>
  bool wait(Lock& lock, std::condition_variable& on, int64_t timeout_ms, P ready);

  // Of the reactor, but for the beginning. mutex_ is held by all of these.
  void on_event(uint32_t events) noexcept;
  void receive(bool all);
  void take(net::Message& message);
  void flush();
  void send_now();
  void interest();
  void end(protocol::Result result) noexcept;
  void send_text(const std::string& text);
  void append(net::Opcode opcode, std::string_view payload);
  bool full() const noexcept { return unread_ >= kMostUnread; }

  channel::Reactor& reactor_;
  channel::Notifier notify_;
  mutable std::mutex mutex_;
  std::condition_variable can_read_, can_write_;
  std::unique_ptr<net::WebSocket> socket_;  // gone after the end
  channel::Reactor::WatchId watch_ = 0;
  uint32_t watched_ = 0;          // events
  net::FrameReader frames_;
  std::deque<channel::Piece> pieces_;
  size_t unread_ = 0;             // bytes in pieces_
  std::string unsent_;
  bool half_ = false, finished_ = false, cancelled_ = false;
  std::unique_ptr<const protocol::Result> result_;
  bool end_seen_ = false;         // next() has told it
};

}  // namespace svm::remote
