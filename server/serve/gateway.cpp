#include "gateway.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>

#include "../http/head.hpp"
#include "../text/text.hpp"
#include "forms.hpp"
#include "openapi.hpp"
#include "output.hpp"

namespace serve {
namespace {

constexpr const char* kJson = "application/json";
constexpr size_t kMaxRequestId = 128;
constexpr const char* kMethods = "GET, POST, PUT, PATCH, DELETE, OPTIONS";
constexpr const char* kRequestHeaders =
    "Content-Type, X-API-Key, X-Admin-API-Key, X-Request-ID, X-User-ID, X-Tenant-ID, Authorization, Last-Event-ID, Range, If-Range";
constexpr const char* kAnswerHeaders = "X-Request-ID, Content-Range, ETag, Retry-After";

/// RFC 9562 version 4: a name that no other request has; no secret.
std::string new_request_id() {
  static thread_local std::mt19937_64 random(std::random_device{}() ^ static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) << 20);
  unsigned char bytes[16];
  for (const size_t half : {0u, 8u}) {
    const uint64_t number = random();
    std::memcpy(bytes + half, &number, sizeof number);
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  char text[37];
  std::snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5],
                bytes[6], bytes[7], bytes[8], bytes[9], bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]);
  return text;
}

/// The client's own, if it is harmless to repeat; else a new one.
std::string request_id_of(const http::Exchange& exchange) {
  std::string given = exchange.header("X-Request-ID");
  const bool harmless = !given.empty() && given.size() <= kMaxRequestId && std::all_of(given.begin(), given.end(), [](char c) { return c > ' ' && c <= '~'; });
  return harmless ? given : new_request_id();
}

/// In a time that depends on neither's content or length.
bool same_key(const std::string& a, const std::string& b) {
  unsigned char ha[EVP_MAX_MD_SIZE], hb[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(a.data(), a.size(), ha, &size, EVP_sha256(), nullptr) != 1 || EVP_Digest(b.data(), b.size(), hb, &size, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("no SHA-256");
  return CRYPTO_memcmp(ha, hb, size) == 0;
}

/// The name in a Host field, without its port.
std::string_view host_name(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t end = std::min(host.find(']'), host.size() - 1) + 1;
    return end == host.size() || host[end] == ':' ? host.substr(0, end) : host;
  }
  return host.substr(0, host.find(':'));
}

http::Pairs query_of(std::string_view query) {
  http::Pairs pairs;
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    std::string name, value;
    if (!http::percent_decode(part.substr(0, equals), true, name) || !http::percent_decode(part.substr(std::min(equals + 1, part.size())), true, value))
      throw Refused(400, "BAD_REQUEST", "the query is not percent-encoded as it should be, or has a NUL");
    pairs.emplace_back(std::move(name), std::move(value));
  }
  return pairs;
}

/// A key that a browser can only put beside the name of the protocol: "stacyvm-key.KEY", where KEY is base64url without padding.
std::string offered_key(const http::Exchange& exchange) {
  constexpr std::string_view kPrefix = "stacyvm-key.";
  const std::string offered = exchange.header("Sec-WebSocket-Protocol");
  const size_t at = offered.find(kPrefix);
  if (at == std::string::npos) return "";
  std::string text = offered.substr(at + kPrefix.size());
  text.resize(std::min(text.find_first_of(", "), text.size()));
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  return text::from_base64(text).value_or("");
}

bool is_conversation(Form form) { return form == Form::terminal || form == Form::attach || form == Form::port || form == Form::operation_stream; }

}  // namespace

Gateway::Gateway(stacyvm::Instance& instance, const Config& config, const RequestLog& log)
    : instance_(instance), config_(config), log_(log), openapi_(make_openapi(stacyvm::operations(), routes(), stacyvm::version(), has_keys()) + '\n') {}

void Gateway::act(http::Exchange& exchange, const Call& call) const {
  switch (call.route.form) {
    case Form::json: return answer_json(exchange, call);
    case Form::destroy: return answer_destroy(exchange, call);
    case Form::ready: return answer_ready(exchange, call);
    case Form::exec: return answer_exec(exchange, call);
    case Form::text: return answer_text(exchange, call);
    case Form::start: return answer_start(exchange, call);
    case Form::output: return answer_output(exchange, call);
    case Form::events: return answer_events(exchange, call);
    case Form::watch: return answer_watch(exchange, call);
    case Form::download: return answer_download(exchange, call);
    case Form::upload:
    case Form::tar_upload: return answer_upload(exchange, call);
    case Form::tar_download: return answer_tar_download(exchange, call);
    case Form::terminal:
    case Form::attach:
    case Form::port:
    case Form::operation_stream:
      // What is asked for, and which (RFC 9110 section 15.5.22, RFC 6455 section 4.2.2).
      exchange.set_header("Upgrade", "websocket");
      exchange.set_header("Sec-WebSocket-Version", "13");
      throw Refused(426, "BAD_REQUEST", "this is a WebSocket: ask for an upgrade");
    case Form::operation: return answer_operation(exchange, call);
    case Form::openapi: return exchange.answer(200, kJson, openapi_);
    case Form::docs:
      exchange.set_header("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'");
      return exchange.answer(200, "text/html; charset=utf-8", kDocsPage);
  }
}

std::string error_body(std::string_view code, std::string_view message, const std::string& request_id) {
  return "{\"code\":" + text::json_string(code) + ",\"message\":" + text::json_string(message) + ",\"request_id\":" + text::json_string(request_id) + "}\n";
}

std::string error_body(const stacyvm::Error& error, const std::string& request_id) {
  return '{' + error_members(error) + ",\"request_id\":" + text::json_string(request_id) + "}\n";
}

std::string Gateway::refusal(int status, std::string_view why, std::string& request_id) {
  if (request_id.empty()) request_id = new_request_id();
  const char* code = status >= 500 ? (status == 503 ? "UNAVAILABLE" : status == 500 ? "INTERNAL_ERROR" : "UNSUPPORTED") : status == 408 ? "TIMEOUT" : "BAD_REQUEST";
  return error_body(code, why, request_id);
}

bool Gateway::origin_allowed(const http::Exchange& exchange, const std::string& origin) const {
  // A key is nothing that a browser adds by itself: a page that has none can do no harm.
  if (!config_.cors_allowed_origins) {
    if (has_keys()) return true;
  } else {
    for (const std::string& allowed : *config_.cors_allowed_origins)
      if (allowed == "*" || allowed == origin) return true;
  }
  return origin == (exchange.encrypted() ? "https://" : "http://") + exchange.header("Host");
}

bool Gateway::host_allowed(const http::Exchange& exchange) const {
  // Without a key, what keeps a web page away from a server on this machine is the page's own name: one that its owner let point here (DNS rebinding)
  // comes as Host.
  if (has_keys()) return true;
  const std::string host = exchange.header("Host");
  return host.empty() || is_loopback_name(host_name(host)) || host_name(host) == config_.host;
}

Gateway::Admitted Gateway::admit(const http::Exchange& exchange, Access access) const {
  if (!has_keys() || access == Access::open) return Admitted::yes;
  bool given = false, admitted = false;
  const auto try_key = [&](const std::string& key) {
    if (key.empty()) return;
    given = true;
    if (!config_.admin_api_key.empty() && same_key(key, config_.admin_api_key)) admitted = true;
    // The ordinary key is no administrator's, but where there is only one.
    if (!config_.api_key.empty() && same_key(key, config_.api_key) && (access == Access::caller || config_.admin_api_key.empty())) admitted = true;
  };
  for (const char* header : {"X-Admin-API-Key", "X-API-Key"}) try_key(exchange.header(header));
  if (exchange.is_upgrade()) try_key(offered_key(exchange));
  return admitted ? Admitted::yes : given ? Admitted::wrong_key : Admitted::no_key;
}

Call Gateway::open(http::Exchange& exchange, Match match, std::string request_id) {
  stacyvm::SessionOptions options;
  options.source = exchange.client_address();
  options.request_id = request_id;
  options.owner = exchange.header("X-User-ID");
  options.flags = STACYVM_SESSION_REMOTE;
  Call call{*match.route, std::make_shared<stacyvm::Session>(instance_.session(options)), std::move(match.pairs), std::move(request_id)};
  for (auto& pair : query_of(exchange.query())) call.pairs.push_back(std::move(pair));
  return call;
}

void Gateway::serve(http::Exchange& exchange) {
  const std::string request_id = request_id_of(exchange);
  exchange.set_request_id(request_id);
  exchange.set_header("X-Content-Type-Options", "nosniff");
  exchange.set_header("Cache-Control", "no-store");
  const auto refuse = [&](int status, const char* code, const char* message) { exchange.answer(status, kJson, error_body(code, message, request_id)); };
  try {
    const std::string origin = exchange.header("Origin");
    if (!origin.empty()) {
      exchange.set_header("Vary", "Origin");
      if (!origin_allowed(exchange, origin)) return refuse(403, "FORBIDDEN", "this origin may not use the server: see server.cors_allowed_origins");
      exchange.set_header("Access-Control-Allow-Origin", origin);
      exchange.set_header("Access-Control-Expose-Headers", kAnswerHeaders);
    }
    if (!host_allowed(exchange)) return refuse(403, "FORBIDDEN", "without a key the server answers only under the names of this machine");
    if (exchange.method() == "OPTIONS") {
      exchange.set_header("Access-Control-Allow-Methods", kMethods);
      exchange.set_header("Access-Control-Allow-Headers", kRequestHeaders);
      exchange.set_header("Access-Control-Max-Age", "600");
      return exchange.answer(204, "", "");
    }
    Match match = find_route(exchange.method(), exchange.path());
    // Who has no key learns nothing of which paths there are.
    switch (admit(exchange, match.route ? match.route->access : Access::caller)) {
      case Admitted::yes: break;
      case Admitted::no_key: return refuse(401, "UNAUTHORIZED", "a key is needed: give it as X-API-Key");
      case Admitted::wrong_key:
        if (match.route && match.route->access == Access::admin && admit(exchange, Access::caller) == Admitted::yes) return refuse(403, "FORBIDDEN", "the administrator's key is needed");
        return refuse(401, "UNAUTHORIZED", "the key is not valid");
    }
    if (!match.route && !match.allowed.empty()) {
      exchange.set_header("Allow", match.allowed);
      return refuse(405, "BAD_REQUEST", "this path has other methods");
    }
    if (!match.route) return refuse(404, "NOT_FOUND", "no such path");
    if (match.malformed) return refuse(400, "BAD_REQUEST", "the path is not percent-encoded as it should be, or has a NUL");
    if (exchange.is_upgrade()) {
      if (!is_conversation(match.route->form)) return refuse(400, "BAD_REQUEST", "this path is no WebSocket");
      (void)query_of(exchange.query());
      return;  // converse() goes on
    }
    const Call call = open(exchange, std::move(match), request_id);
    act(exchange, call);
  } catch (const stacyvm::Error& error) {
    exchange.answer(error.http_status(), kJson, error_body(error, request_id));
  } catch (const Refused& refused) {
    refuse(refused.status, refused.code, refused.what());
  }
}

void Gateway::converse(http::Exchange& exchange, http::Socket& socket) {
  const Call call = open(exchange, find_route(exchange.method(), exchange.path()), request_id_of(exchange));
  switch (call.route.form) {
    case Form::terminal: return talk_terminal(socket, call);
    case Form::attach: return talk_attached(socket, call);
    case Form::operation_stream: return talk_operation(socket, call);
    default: return talk_port(socket, call);
  }
}

}  // namespace serve
