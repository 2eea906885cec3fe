#include "web_socket.hpp"

#include <algorithm>
#include <utility>

namespace http {
namespace {

constexpr size_t kPiece = 16u << 10;

}  // namespace

bool WebSocket::send(Opcode opcode, std::string_view payload) {
  std::string frame;
  frame.reserve(payload.size() + 10);
  append_frame(frame, opcode, payload);
  const std::lock_guard order(order_);
  if (closed_) return false;
  // After a part of a frame nothing could follow.
  closed_ = opcode == Opcode::close;
  if (connection_.write(frame.data(), frame.size()) >= 0) return true;
  closed_ = true;
  return false;
}

void WebSocket::send_close(int code, std::string_view reason) { (void)send(Opcode::close, close_payload(code, reason)); }

ssize_t WebSocket::receive(std::chrono::milliseconds gap) {
  in_.resize(kPiece);
  connection_.set_read_deadline(gap);
  const ssize_t n = connection_.read_raw(in_.data(), in_.size());
  rest_ = std::string_view(in_).substr(0, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  return n;
}

Socket::Kind WebSocket::read(std::string& message) {
  for (int pings = 0;;) {
    while (!rest_.empty()) {
      switch (frames_.take(rest_)) {
        case MessageReader::Came::nothing_yet:
        case MessageReader::Came::pong: break;
        case MessageReader::Came::text: message = std::exchange(frames_.payload(), {}); return Kind::text;
        case MessageReader::Came::binary: message = std::exchange(frames_.payload(), {}); return Kind::binary;
        case MessageReader::Came::ping: (void)send(Opcode::pong, frames_.payload()); break;
        case MessageReader::Came::close: send_close(frames_.code(), ""); return Kind::closed;
        case MessageReader::Came::broken:
          // What still comes cannot be read, but has to be for the client to learn why.
          send_close(frames_.code(), frames_.why());
          connection_.linger();
          return Kind::closed;
      }
    }
    const ssize_t n = receive(ping_);
    if (n > 0) {
      pings = 0;
      continue;
    }
    if (n != Connection::kLate || pings++ == kPings) return Kind::closed;
    (void)send(Opcode::ping, "");
  }
}

void WebSocket::close(int code, const std::string& reason) {
  send_close(code, reason);
  if (reader_ == std::this_thread::get_id()) await_close();
}

void WebSocket::await_close() {
  const auto end = Clock::now() + kFarewell;
  for (auto left = kFarewell; left.count() > 0; left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now())) {
    while (!rest_.empty()) {
      const auto came = frames_.take(rest_);
      if (came == MessageReader::Came::close || came == MessageReader::Came::broken) return;
    }
    if (receive(left) <= 0) return;
  }
}

}  // namespace http
