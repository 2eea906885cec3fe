// One client's connection: buffered bytes both ways, with deadlines. TLS or not makes no difference beyond this file.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "head.hpp"
#include "tls.hpp"

namespace http {

using Clock = std::chrono::steady_clock;

/// How long a client may take. All are tested at the limit and beyond.
struct Deadlines {
  std::chrono::milliseconds head{10'000};   // from a request's first byte to the end of its head, however it trickles
  std::chrono::milliseconds idle{65'000};   // between requests: longer than clients keep theirs (60 s), so that they close first
  std::chrono::milliseconds read{30'000};   // between two pieces of a body
  std::chrono::milliseconds write{30'000};  // in which a client takes nothing of an answer
};

/// One thread reads; any thread writes (a WebSocket's output has a thread of its own), one at a time. The descriptor stays the caller's.
class Connection {
 public:
  /// `tls`: nullptr for a plain connection. Of the socket, flags and options are set.
  Connection(int fd, std::unique_ptr<TlsSession> tls, const Deadlines& deadlines);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  enum class Wait : uint8_t { ready, closed, late };
  /// Until the next request's first byte. Whoever wants no further request shuts the socket down for reading.
  Wait wait_request();

  enum class HeadResult : uint8_t { complete, closed, late, too_large };
  /// Reads on until the head is whole; head() has it then, and read_raw() begins with it, or behind it after skip_head().
  HeadResult read_head();
  std::string_view head() const noexcept { return std::string_view(in_).substr(at_, head_size_); }

  void skip_head() noexcept;

  /// What the head said of the body that follows it.
  void begin_body(const Head& head) noexcept;
  enum class Body : uint8_t { more, end, malformed, late, closed };
  /// Appends what comes next of the body, about 64 KiB at most.
  Body read_body(std::string& out);
  bool body_ended() const noexcept { return body_ended_; }
  /// Says that nothing more comes, and reads over what the client still sends, until it has gone or for 2 s: a socket that is closed with bytes unread is
  /// reset, and the client may then lose what was said last (RFC 9112 section 9.6).
  void linger() noexcept;

  static constexpr ssize_t kLate = -2;
  /// As recv(2): bytes of the head, and after a protocol switch whatever comes. 0: the client closed; -1: an error; kLate: nothing within the time.
  ssize_t read_raw(char* data, size_t size);
  void set_read_deadline(std::chrono::milliseconds gap) noexcept { deadlines_.read = gap; }
  /// All of it, or -1.
  ssize_t write(const char* data, size_t size);

  bool has_input() const noexcept { return at_ < in_.size(); }
  int fd() const noexcept { return fd_; }
  /// Wakes whoever waits for the client: nothing more comes or goes. Any thread.
  void abort() noexcept;

 private:
  /// One receive into the buffer. As read_raw.
  ssize_t fill(Clock::time_point deadline);

  int fd_;
  std::unique_ptr<TlsSession> tls_;
  std::mutex tls_mutex_;  // an SSL object takes one call at a time
  std::mutex write_mutex_;
  Deadlines deadlines_;
  std::string in_;  // received; from at_ on not yet taken
  size_t at_ = 0, head_size_ = 0;
  Framing framing_ = Framing::none;
  uint64_t left_ = 0;
  ChunkDecoder chunks_;
  bool body_ended_ = true;
};

}  // namespace http
