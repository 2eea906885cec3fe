// What each form of a route does with a call. Each answers the exchange, or, of a WebSocket, talks until its end; failures before the first byte of an
// answer are thrown (stacyvm::Error, Refused).
#pragma once
#include <stdexcept>
#include <string>

#include "gateway.hpp"

namespace serve {

/// What the server itself does not accept.
struct Refused : std::runtime_error {
  Refused(int refused_status, const char* refused_code, const std::string& message) : std::runtime_error(message), status(refused_status), code(refused_code) {}
  int status;
  const char* code;
};

inline constexpr uint64_t kMaxJsonBody = 64u << 20;  // as the library takes it: 413 beyond

// Of what all requests hold at a time beyond 64 KiB each, so that small ones are always served: 503 beyond.
inline constexpr uint64_t kMaxJsonBodies = 512u << 20, kSmallJsonBody = 64u << 10;

/// The body of a request, whole.
class JsonBody {
 public:
  /// Reads it. Throws Refused.
  explicit JsonBody(http::Exchange& exchange);
  JsonBody(const JsonBody&) = delete;
  JsonBody& operator=(const JsonBody&) = delete;
  const std::string& text() const noexcept { return text_; }

 private:
  /// Part of kMaxJsonBodies.
  struct Share {
    ~Share();
    bool take(uint64_t size) noexcept;
    uint64_t taken = 0;
  };
  Share share_;
  std::string text_;
};
/// Throws Refused for a body that did not come whole: also whether the client went, or the server, which ends, no longer reads what had not come.
void require_whole(const http::Exchange& exchange, http::Exchange::Body body);

/// What the call's operation answers; where the client goes before it has, it is cancelled.
std::string result_of(http::Exchange& exchange, const Call& call, const std::string& operation, const http::Pairs& pairs, const std::string& body);

void answer_json(http::Exchange& exchange, const Call& call);
void answer_destroy(http::Exchange& exchange, const Call& call);
void answer_ready(http::Exchange& exchange, const Call& call);
void answer_exec(http::Exchange& exchange, const Call& call);
void stream_exec(http::Exchange& exchange, const Call& call, const std::string& body);  // NDJSON
void answer_text(http::Exchange& exchange, const Call& call);
void answer_start(http::Exchange& exchange, const Call& call);
void answer_output(http::Exchange& exchange, const Call& call);
void answer_events(http::Exchange& exchange, const Call& call);
void answer_watch(http::Exchange& exchange, const Call& call);
void answer_download(http::Exchange& exchange, const Call& call);
void answer_upload(http::Exchange& exchange, const Call& call);
void answer_tar_download(http::Exchange& exchange, const Call& call);

void answer_operation(http::Exchange& exchange, const Call& call);

void talk_terminal(http::Socket& socket, const Call& call);
void talk_attached(http::Socket& socket, const Call& call);
void talk_port(http::Socket& socket, const Call& call);
void talk_operation(http::Socket& socket, const Call& call);

}  // namespace serve
