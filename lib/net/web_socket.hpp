// A connection after its upgrade: bytes, without ever waiting. What they mean is web_socket_frames.hpp's.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "net/line.hpp"

namespace svm::net {

/// One thread at a time.
class WebSocket {
 public:
  explicit WebSocket(std::unique_ptr<Line> line);

  /// For poll and epoll. With TLS bytes may be here although it is not readable: receive() until it says nothing.
  int fd() const noexcept { return fd_; }
  /// How many of them were taken. Error unavailable: the connection is broken.
  size_t send(std::string_view bytes);
  enum class Received { bytes, nothing, end };
  /// Appends what there is, at most kReceive bytes. Error unavailable: the connection is broken.
  Received receive(std::string& to);
  static constexpr size_t kReceive = 64 * 1024;

  /// What came behind the handshake: receive() gives it first.
  void begin(std::string first) { first_ = std::move(first); }

 private:
  const std::unique_ptr<Line> line_;
  int fd_ = -1;
  std::string first_;
};

}  // namespace svm::net
