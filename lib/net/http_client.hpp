// HTTP/1.1 with one server, over as many connections as there are calls at a time.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "model/answers.hpp"
#include "net/server_address.hpp"

namespace svm::net {

struct HttpRequest {
  std::string method, target;        // "POST", "/api/v1/..."; the target is put behind the server's address
  std::vector<std::string> headers;  // "Name: value", without line breaks
  std::string_view body;
};

struct HttpAnswer {
  int status = 0;
  std::string body;
};
/// What one answer may have: no more could be read as one.
using model::kMaxAnswerBytes;

/// Ends a call in another thread.
class Interrupt {
 public:
  /// Any thread; any number of times.
  void raise() noexcept;
  bool raised() const noexcept { return raised_.load(); }

 private:
  friend class Line;
  std::atomic<bool> raised_ = false;
  std::mutex mutex_;
  void* waiting_ = nullptr;  // what the call waits with
};

/// Until the descriptor is ready for `events` (of poll). Throws Error cancelled; and timeout once the monotonic clock has reached `end_ms`.
void wait_for(int fd, short events, int64_t end_ms, const Interrupt& interrupt);

struct HttpOptions {
  std::string ca_file;  // PEM; "": the system's
  int64_t connect_timeout_ms = 10'000;
  std::string agent;    // User-Agent
};

class Line;       // a connection for one call after another
class WebSocket;

/// Thread-safe. A call blocks its thread. Redirections are not followed: the caller's key is for this server alone. Proxies are those of the environment
/// (http_proxy, https_proxy, no_proxy), but for a server on this machine.
class HttpClient {
 public:
  /// Error unsupported without libcurl.
  HttpClient(ServerAddress address, HttpOptions options);
  ~HttpClient();

  /// Whatever the server answers. Throws Error unavailable: it cannot be reached, is not who it should be, or broke off; timeout: no connection in time;
  /// cancelled: `interrupt` (may be null); io: an answer of more than kMaxAnswerBytes.
  HttpAnswer exchange(const HttpRequest& request, Interrupt* interrupt = nullptr);
  /// Upgrades a connection of its own. Where the server answers something else, `refused` has it and nothing is returned. Throws as exchange().
  std::unique_ptr<WebSocket> open_web_socket(const HttpRequest& request, HttpAnswer& refused, Interrupt& interrupt);

 private:
  static constexpr size_t kMaxIdle = 16;  // lines
  std::unique_ptr<Line> take_line();
  void give_back(std::unique_ptr<Line> line);

  const ServerAddress address_;
  const HttpOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Line>> idle_;
};

}  // namespace svm::net
