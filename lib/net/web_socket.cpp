#include "net/web_socket.hpp"

#include "core/error.hpp"

namespace svm::net {

WebSocket::WebSocket(std::unique_ptr<Line> line) : line_(std::move(line)) {
  curl_socket_t socket = CURL_SOCKET_BAD;
  if (line_->library().easy_getinfo(line_->easy(), CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK || socket == CURL_SOCKET_BAD)
    throw Error(Code::unavailable, "the server has ended the connection");
  fd_ = socket;
}

size_t WebSocket::send(std::string_view bytes) {
  const SignalsHeld held;
  size_t sent = 0;
  switch (line_->library().easy_send(line_->easy(), bytes.data(), bytes.size(), &sent)) {
    case CURLE_OK: return sent;
    case CURLE_AGAIN: return 0;
    default: throw Error(Code::unavailable, "the connection to the server is broken");
  }
}

WebSocket::Received WebSocket::receive(std::string& to) {
  if (!first_.empty()) {
    to += first_;
    first_.clear();
    return Received::bytes;
  }
  const SignalsHeld held;
  const size_t before = to.size();
  to.resize(before + kReceive);
  size_t received = 0;
  const CURLcode code = line_->library().easy_recv(line_->easy(), to.data() + before, kReceive, &received);
  to.resize(before + (code == CURLE_OK ? received : 0));
  if (code == CURLE_AGAIN) return Received::nothing;
  if (code != CURLE_OK) throw Error(Code::unavailable, "the connection to the server is broken");
  return received == 0 ? Received::end : Received::bytes;
}

}  // namespace svm::net
