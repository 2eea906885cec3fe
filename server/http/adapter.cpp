// The only file that includes the library. What it must not do, and how that is kept from it, is said at each place.
#include "adapter.hpp"

#define CPPHTTPLIB_HEADER_MAX_LENGTH 8192
#define CPPHTTPLIB_SEND_FLAGS MSG_NOSIGNAL
#include <httplib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "ranges.hpp"
#include "web_socket.hpp"

namespace http {
namespace {

constexpr const char* kRoute = "/";  // every request's, so that the library matches nothing that a client wrote

bool has_token(std::string_view list, std::string_view wanted) {
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    if (is_named(trimmed(list.substr(at, end - at)), wanted)) return true;
    at = end + 1;
  }
  return false;
}

/// What the library is told of the fields. It would decode percent signs in values, of several of one name take any, and refuse requests for an Accept or a
/// Range that it cannot read: so it is shown the request line alone, and given the fields when it has read that.
httplib::Headers headers_of(std::string_view head, bool http_1_0) {
  httplib::Headers headers;
  for (const auto& [name, value] : fields_of(head)) {
    // Neither means anything to HTTP/1.0 (RFC 9110 sections 7.8 and 10.1.1); the library would answer Expect before anybody has looked at the request.
    if (is_named(name, "expect") || (http_1_0 && is_named(name, "upgrade"))) continue;
    const auto [same, end] = headers.equal_range(std::string(name));
    if (same == end)
      headers.emplace(name, value);
    else
      same->second.append(", ").append(value);  // section 5.3: what is no list is then no such value either
  }
  return headers;
}

/// The library's view of a connection: it reads a request line, and writes.
class LibraryStream final : public httplib::Stream {
 public:
  LibraryStream(Connection& connection, std::string line) : connection_(connection), line_(std::move(line)) {}
  bool is_readable() const override { return at_ < line_.size(); }
  bool wait_readable() const override { return true; }
  bool wait_writable() const override { return true; }  // write() waits
  bool is_peer_alive() const override { return true; }  // write() tells
  ssize_t read(char* data, size_t size) override {
    const size_t n = line_.copy(data, size, at_);
    at_ += n;
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* data, size_t size) override { return connection_.write(data, size); }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return connection_.fd(); }
  time_t duration() const override { return 0; }

 private:
  Connection& connection_;
  const std::string line_;
  size_t at_ = 0;
};

class LibrarySink final : public Sink {
 public:
  LibrarySink(httplib::DataSink& sink, int client, int stop) : sink_(sink), client_(client), stop_(stop) {}
  bool write(std::string_view bytes) override { return sink_.write(bytes.data(), bytes.size()); }
  int client() const noexcept override { return client_; }
  int stop() const noexcept override { return stop_; }

 private:
  httplib::DataSink& sink_;
  const int client_, stop_;
};

/// Of the request that this thread serves.
struct Current {
  Connection* connection = nullptr;
  const std::string* client_address = nullptr;
  bool encrypted = false;
  bool close = false;  // after this answer
  bool expects = false;  // the client sends its body when it is asked for it
  bool ranged = false;   // the answer is one that parts can be had of
  uint64_t size = 0;   // of what ranges were asked of
  Outcome outcome;
};
thread_local Current* current = nullptr;

struct Serving {
  explicit Serving(Current& state) { current = &state; }
  ~Serving() { current = nullptr; }
};

class LibraryExchange final : public Exchange {
 public:
  LibraryExchange(const httplib::Request& request, httplib::Response* response, Current& state, int stop)
      : request_(request), response_(response), state_(state), stop_(stop) {}

  const std::string& method() const override { return request_.method; }
  std::string_view path() const override { return std::string_view(request_.target).substr(0, request_.target.find('?')); }
  std::string_view query() const override {
    const size_t at = request_.target.find('?');
    return at == std::string::npos ? std::string_view() : std::string_view(request_.target).substr(at + 1);
  }
  bool has_header(const char* name) const override { return request_.has_header(name); }
  std::string header(const char* name) const override { return request_.get_header_value(name); }
  const std::string& client_address() const override { return *state_.client_address; }
  bool encrypted() const override { return state_.encrypted; }
  bool is_upgrade() const override { return httplib::detail::is_websocket_upgrade(request_); }

  Body read_body(const std::function<bool(std::string_view)>& take) override {
    if (std::exchange(state_.expects, false) && !state_.connection->body_ended() && !state_.connection->has_input()) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      (void)state_.connection->write(kContinue.data(), kContinue.size());  // reading tells of a client who has gone
    }
    std::string piece;
    while (!state_.connection->body_ended()) {
      piece.clear();
      switch (state_.connection->read_body(piece)) {
        case Connection::Body::more:
          if (!piece.empty() && !take(piece)) return Body::whole;
          break;
        case Connection::Body::end: return Body::whole;
        case Connection::Body::malformed: state_.close = true; return Body::malformed;
        case Connection::Body::late: state_.close = true; return Body::late;
        case Connection::Body::closed: state_.close = true; return Body::closed;
      }
    }
    return Body::whole;
  }
  int client() const noexcept override { return state_.connection->fd(); }
  int stop() const noexcept override { return stop_; }

  void set_request_id(const std::string& id) override {
    state_.outcome.request_id = id;
    set_header("X-Request-ID", id);
  }
  void set_header(const char* name, const std::string& value) override {
    if (response_) response_->set_header(name, value);
  }
  void answer(int status, const std::string& type, std::string body) override {
    if (!response_) return;
    response_->status = status;
    if (!type.empty()) response_->set_header("Content-Type", type);
    response_->body = std::move(body);
  }
  void stream(int status, const std::string& type, std::function<bool(Sink&)> write) override {
    if (!response_) return;
    response_->status = status;
    const auto provide = [write = std::move(write), client = client(), stop = stop_](size_t, httplib::DataSink& sink) {
      LibrarySink out(sink, client, stop);
      if (!write(out)) return false;
      sink.done();
      return true;
    };
    if (request_.version == "HTTP/1.0")
      response_->set_content_provider(type, provide);  // to the connection's end: chunks are none of its (RFC 9112 section 6.1)
    else
      response_->set_chunked_content_provider(type, provide);
  }
  void ranges(const std::string& type, uint64_t size, std::function<bool(uint64_t, uint64_t, Sink&)> write) override {
    if (!response_) return;
    // A part of what has changed meanwhile would not fit to the parts that the client has (RFC 9110 section 13.1.5).
    const bool changed = request_.has_header("If-Range") && request_.get_header_value("If-Range") != response_->get_header_value("ETag");
    const auto wanted = request_.method != "GET" || changed ? std::nullopt : parse_ranges(request_.get_header_value("Range"), size);
    auto& ranges = const_cast<httplib::Request&>(request_).ranges;  // it is no constant: Implementation::serve has it made
    ranges.clear();
    for (const Range& each : wanted.value_or(std::vector<Range>())) ranges.emplace_back(static_cast<ssize_t>(each.first), static_cast<ssize_t>(each.last));
    if (wanted && wanted->empty()) ranges.emplace_back(static_cast<ssize_t>(size), static_cast<ssize_t>(size));  // the library refuses it
    state_.ranged = true;
    state_.size = size;
    response_->status = wanted ? 206 : 200;
    response_->set_content_provider(size, type, [write = std::move(write), client = client(), stop = stop_](size_t offset, size_t length, httplib::DataSink& sink) {
      LibrarySink out(sink, client, stop);
      return write(offset, length, out);
    });
  }
  void close_after() override { state_.close = true; }

 private:
  const httplib::Request& request_;
  httplib::Response* response_;  // none after an upgrade
  Current& state_;
  const int stop_;
};

}  // namespace

class Adapter::Implementation final : public httplib::Server {
 public:
  Implementation(http::Handler& handler, int listener, int stop) : handler_(handler), stop_(stop) {
    svr_sock_ = listener;  // otherwise it counts as shut down, and writes no content
    // Bodies are read by Exchange: the library sees none (setup() marks them as read), whose limits would be other ones.
    set_payload_max_length(std::numeric_limits<size_t>::max());
    set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(Deadlines{}.idle).count());
    set_keep_alive_max_count(std::numeric_limits<int>::max());
    set_websocket_ping_interval(0);  // frames are ours
    const auto serve = [this](const httplib::Request& request, httplib::Response& response) { answer(request, response); };
    const auto serve_body = [this](const httplib::Request& request, httplib::Response& response, const httplib::ContentReader&) { answer(request, response); };
    Get(kRoute, serve);
    Options(kRoute, serve);
    Post(kRoute, serve_body);
    Put(kRoute, serve_body);
    Patch(kRoute, serve_body);
    Delete(kRoute, serve_body);
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      if (!httplib::detail::is_websocket_upgrade(request)) return HandlerResponse::Unhandled;
      answer(request, response);
      if (response.status == -1) return HandlerResponse::Unhandled;
      response.set_header("Content-Length", std::to_string(response.body.size()));  // the library gives an answer made here none
      return HandlerResponse::Handled;
    });
    WebSocket(
        kRoute,
        [this](const httplib::Request& request, httplib::ws::WebSocket&) {
          current->outcome.status = 101;
          LibraryExchange exchange(request, nullptr, *current, stop_);
          http::WebSocket ours(*current->connection, stop_);
          try {
            handler_.converse(exchange, ours);
          } catch (const std::exception& error) {
            handler_.failed(current->outcome.request_id, error.what());
            ours.close(1011, "internal error");
          }
        },
        // A browser can send no header with a WebSocket: it may offer what serves as one beside our name.
        [](const std::vector<std::string>& offered) { return std::find(offered.begin(), offered.end(), "stacyvm") == offered.end() ? std::string() : "stacyvm"; });
    // What the library refuses by itself has no body yet.
    set_error_handler([this](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty() || response.content_provider_) return HandlerResponse::Unhandled;
      if (response.status == 416) response.set_header("Content-Range", "bytes */" + std::to_string(current->size));
      response.body = refusal(response, httplib::status_message(response.status));
      return HandlerResponse::Handled;
    });
    // The library ends every connection after an error, and says so; only some have to.
    set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
      current->outcome.status = response.status;
      response.headers.erase("Connection");
      response.headers.erase("Keep-Alive");
      if (!current->ranged) response.headers.erase("Accept-Ranges");  // the library promises parts of whatever HEAD asks for
      // What is here already of a body that nobody wanted is read over: closed with it unread, the kernel resets the connection.
      std::string unwanted;
      while (!current->connection->body_ended() && current->connection->has_input() && current->connection->read_body(unwanted) == Connection::Body::more) unwanted.clear();
      if (!current->connection->body_ended()) current->close = true;
      const std::string connection = current->close ? "close" : "keep-alive";
      response.set_header("Connection", response.has_header("Upgrade") ? connection + ", Upgrade" : connection);
    });
    set_exception_handler([this](const httplib::Request&, httplib::Response& response, const std::exception_ptr& thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& error) {
        handler_.failed(current->outcome.request_id, error.what());
      } catch (...) {
        handler_.failed(current->outcome.request_id, "an exception of an unknown kind");
      }
      response.headers.clear();
      response.status = 500;
      response.body = refusal(response, "internal error");
    });
  }

  bool serve(Connection& connection, const Head& head, const std::string& client_address, bool encrypted) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string_view text = connection.head();  // is there until a body is read
    LibraryStream stream(connection, std::string(text.substr(0, text.find("\r\n"))) + "\r\n\r\n");
    Current state{&connection, &client_address, encrypted};
    const Serving serving(state);
    connection.skip_head();
    connection.begin_body(head);
    bool closed = false, upgraded = false;
    const bool served = process_request(
        stream, client_address, 0, {}, 0, false, closed,
        [&](httplib::Request& request) {
          request.path = kRoute;
          request.params.clear();
          request.body_consumed_ = true;
          state.outcome.method = request.method;
          state.outcome.path = request.target.substr(0, request.target.find('?'));
          const bool http_1_0 = request.version == "HTTP/1.0";
          request.headers = headers_of(text, http_1_0);
          state.expects = head.expects_continue && !http_1_0;
          state.close = http_1_0 || has_token(request.get_header_value("Connection"), "close");
        },
        &upgraded);
    state.outcome.client_address = client_address;
    state.outcome.took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    handler_.served(state.outcome);
    return served && !upgraded && !state.close;
  }

 private:
  void answer(const httplib::Request& request, httplib::Response& response) {
    LibraryExchange exchange(request, &response, *current, stop_);
    handler_.serve(exchange);
  }

  std::string refusal(httplib::Response& response, std::string_view why) {
    std::string body = handler_.refusal(response.status, why, current->outcome.request_id);
    for (const char* name : {"Content-Type", "X-Request-ID"}) response.headers.erase(name);
    response.set_header("Content-Type", "application/json");
    response.set_header("X-Request-ID", current->outcome.request_id);
    return body;
  }

  http::Handler& handler_;
  const int stop_;
};

Adapter::Adapter(Handler& handler, int listener, int stop) : implementation_(std::make_unique<Implementation>(handler, listener, stop)), handler_(handler) {}
Adapter::~Adapter() = default;

bool Adapter::serve(Connection& connection, const Head& head, const std::string& client_address, bool encrypted) {
  return implementation_->serve(connection, head, client_address, encrypted);
}

void Adapter::refuse(Connection& connection, const Refusal& refusal, const std::string& client_address) {
  Outcome outcome{"", "", client_address, "", refusal.status, std::chrono::microseconds(0)};
  const std::string body = handler_.refusal(refusal.status, refusal.why, outcome.request_id);
  const char* allow = refusal.status == 405 ? "\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" : "";
  const std::string answer = "HTTP/1.1 " + std::to_string(refusal.status) + ' ' + httplib::status_message(refusal.status) + allow +
                             "\r\nConnection: close\r\nX-Request-ID: " + outcome.request_id + "\r\nContent-Type: application/json\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body;
  (void)connection.write(answer.data(), answer.size());
  handler_.served(outcome);
}

}  // namespace http
