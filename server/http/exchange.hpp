// What a request handler sees of HTTP: one request and the way to answer it. Nothing here knows which library speaks HTTP.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace http {

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// Where an answer's bytes go.
class Sink {
 public:
  virtual ~Sink() = default;
  /// False: the client is gone, or takes nothing. Then nothing more can be said.
  virtual bool write(std::string_view bytes) = 0;
  /// For poll: POLLRDHUP says that the client has gone.
  virtual int client() const noexcept = 0;
  /// For poll: readable when the server ends; long answers should, too.
  virtual int stop() const noexcept = 0;
};

/// Valid until the handler returns.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const std::string& method() const = 0;
  virtual std::string_view path() const = 0;   // as it came, percent-encoded, without the query
  virtual std::string_view query() const = 0;  // as it came; "" without one
  virtual bool has_header(const char* name) const = 0;
  virtual std::string header(const char* name) const = 0;  // the first of that name; ""
  virtual const std::string& client_address() const = 0;   // "192.0.2.1", "2001:db8::1"; "unix"
  virtual bool encrypted() const = 0;
  /// An upgrade to WebSocket is asked for: handled by Handler::converse once Handler::serve has answered nothing.
  virtual bool is_upgrade() const = 0;

  enum class Body : uint8_t { whole, malformed, late, closed };
  /// Piece by piece; `take` answers false to stop (Body::whole is then the answer, and the rest is not read).
  virtual Body read_body(const std::function<bool(std::string_view)>& take) = 0;
  virtual int client() const noexcept = 0;  // as Sink
  virtual int stop() const noexcept = 0;

  /// X-Request-ID of the answer, and what its Outcome is called.
  virtual void set_request_id(const std::string& id) = 0;
  virtual void set_header(const char* name, const std::string& value) = 0;
  virtual void answer(int status, const std::string& type, std::string body) = 0;
  /// An answer whose length nobody knows yet. `write` is called once, after the handler has returned, and not at all for HEAD; false: it failed half
  /// way, and the connection ends without the last chunk, so that the client knows.
  virtual void stream(int status, const std::string& type, std::function<bool(Sink&)> write) = 0;
  /// An answer of `size` bytes, or the ranges of it that were asked for (RFC 9110 section 14): `write` writes from `offset` on `length` bytes; false: it
  /// could not.
  virtual void ranges(const std::string& type, uint64_t size, std::function<bool(uint64_t offset, uint64_t length, Sink&)> write) = 0;
  /// The connection ends after this answer.
  virtual void close_after() = 0;
};

/// Messages both ways, after an upgrade. One thread reads; any thread sends.
class Socket {
 public:
  virtual ~Socket() = default;
  enum class Kind : uint8_t { text, binary, closed };
  /// Waits for the next message; text is UTF-8. Fragments are put together, pings answered.
  virtual Kind read(std::string& message) = 0;
  virtual bool send_text(const std::string& message) = 0;
  virtual bool send_binary(std::string_view message) = 0;
  /// Says that the conversation is over; a read() in another thread ends when the client has answered, or with abort(). In the thread that reads, waits for
  /// the answer, for 5 s at most. RFC 6455 section 7.4: 1000, 1001 (going away), 1007, 1008, 1011; what breaks the protocol is told by itself: 1002, 1009.
  virtual void close(int code, const std::string& reason) = 0;
  /// Ends a read() in another thread.
  virtual void abort() noexcept = 0;
  virtual int client() const noexcept = 0;
  virtual int stop() const noexcept = 0;
};

/// How a request went: for a log.
struct Outcome {
  std::string method, path;  // as they came, without the query; "" of a head that could not be read
  std::string client_address;
  std::string request_id;
  int status = 0;                     // 101: a WebSocket
  std::chrono::microseconds took{0};  // until the last byte of the answer was written, or the WebSocket had ended
};

/// Called from as many threads as there are connections. What serve() throws is answered with 500.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void serve(Exchange& exchange) = 0;
  /// After a serve() of an upgrade that answered nothing.
  virtual void converse(Exchange& exchange, Socket& socket) = 0;
  /// The body of an answer that is made here: a malformed request, too many connections. A request without an id is given one.
  virtual std::string refusal(int status, std::string_view why, std::string& request_id) = 0;
  /// After each answer, whoever made it.
  virtual void served(const Outcome& outcome) noexcept = 0;
  /// What serve() or converse() threw.
  virtual void failed(const std::string& request_id, std::string_view why) noexcept = 0;
};

}  // namespace http
