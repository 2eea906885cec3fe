// One JSON answer.
#include <poll.h>

#include <optional>
#include <string>
#include <string_view>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

/// Clients of 0.15 read stdout and stderr of every result. The library has NAME_b64 in the place of what is not UTF-8; here NAME goes before it with what can
/// be shown. In a string of JSON no quote is bare: what is found is a member.
void show(std::string& json, std::string_view name) {
  const std::string twin = ",\"" + std::string(name) + "_b64\":\"";
  const size_t at = json.find(twin);
  if (at == json.npos) return;
  const size_t from = at + twin.size();
  const std::optional<std::string> bytes = text::from_base64(std::string_view(json).substr(from, json.find('"', from) - from));
  if (bytes) json.insert(at, ",\"" + std::string(name) + "\":" + text::json_string(*bytes));
}

/// A call that asks nobody but the library itself is over before anything else could be done.
bool is_quick(std::string_view operation) {
  return operation == "sandbox.list" || operation == "sandbox.get" || operation == "exec.list" || operation == "exec.get" || operation.starts_with("system.") ||
         operation.starts_with("quota.") || operation.starts_with("pool.") || operation == "template.list" || operation == "template.get";
}

}  // namespace

std::string result_of(http::Exchange& exchange, const Call& call, const std::string& operation, const http::Pairs& pairs, const std::string& body) {
  if (is_quick(operation)) return call.session->call(operation, pairs, body);
  stacyvm::Op op = call.session->call_begin(operation, pairs, body);
  return finish(op, exchange.client());
}

std::string json_body(http::Exchange& exchange) {
  std::string body;
  require_whole(exchange, exchange.read_body(body, kMaxJsonBody));
  return body;
}

void require_whole(const http::Exchange& exchange, http::Exchange::Body body) {
  switch (body) {
    case http::Exchange::Body::whole: return;
    case http::Exchange::Body::too_large: throw Refused(413, "BAD_REQUEST", "the body is larger than 64 MiB");
    case http::Exchange::Body::malformed: throw Refused(400, "BAD_REQUEST", "the body is not chunked as it should be");
    case http::Exchange::Body::late: throw Refused(408, "TIMEOUT", "the body did not come in time");
    case http::Exchange::Body::closed: break;
  }
  pollfd stop{exchange.stop(), POLLIN, 0};
  if (::poll(&stop, 1, 0) > 0) throw Refused(503, "UNAVAILABLE", "the server ends");
  throw Refused(400, "BAD_REQUEST", "the body is not complete");
}

void answer_json(http::Exchange& exchange, const Call& call) {
  exchange.answer(call.route.status, "application/json", result_of(exchange, call, std::string(call.route.operation), call.pairs, json_body(exchange)) + '\n');
}

void answer_destroy(http::Exchange& exchange, const Call& call) {
  try {
    answer_json(exchange, call);
  } catch (const stacyvm::Error& error) {
    if (error.code() != STACYVM_E_NOT_FOUND) throw;
    exchange.answer(call.route.status, "application/json", "{\"status\":\"destroyed\"}\n");
  }
}

void answer_ready(http::Exchange& exchange, const Call& call) {
  const std::string json = call.session->call(std::string(call.route.operation), call.pairs, json_body(exchange));
  const auto members = frame_members(json).value_or(std::map<std::string, std::string>());
  const auto status = members.find("status");
  exchange.answer(status != members.end() && status->second == "ready" ? 200 : 503, "application/json", json + '\n');
}

void answer_exec(http::Exchange& exchange, const Call& call) {
  const std::string body = json_body(exchange);
  if (asks_for_stream(body)) return stream_exec(exchange, call, body);
  std::string json = result_of(exchange, call, std::string(call.route.operation), call.pairs, body);
  show(json, "stdout");
  show(json, "stderr");
  // Clients know a timeout as a failure. What the command wrote until then is told all the same.
  if (json.find(R"(,"reason":"timeout")") == std::string::npos) return exchange.answer(call.route.status, "application/json", json + '\n');
  std::string error = error_body("TIMEOUT", "exec timeout: the command was killed", call.request_id);
  error.resize(error.rfind('}'));
  exchange.answer(408, "application/json", error + ',' + json.substr(1) + '\n');
}

void answer_text(http::Exchange& exchange, const Call& call) {
  exchange.answer(call.route.status, "text/plain; version=0.0.4; charset=utf-8", call.session->call(std::string(call.route.operation), call.pairs, json_body(exchange)));
}

}  // namespace serve
