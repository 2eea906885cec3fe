// One JSON answer.
#include <poll.h>

#include <atomic>
#include <optional>
#include <string>
#include <string_view>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

/// Clients of 0.15 read stdout and stderr of every result. The library has NAME_b64 in the place of what is not UTF-8; here NAME goes
/// before it with what can be shown. In a string of JSON no quote is bare: what is found is a member.
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

std::atomic<uint64_t> shared{0};  // of kMaxJsonBodies

}  // namespace

std::string result_of(http::Exchange& exchange, const Call& call, const std::string& operation, const http::Pairs& pairs, const std::string& body) {
  if (is_quick(operation)) return call.session->call(operation, pairs, body);
  stacyvm::Op op = call.session->call_begin(operation, pairs, body);
  return finish(op, exchange.client());
}

bool JsonBody::Share::take(uint64_t size) noexcept {
  if (shared.fetch_add(size) + size > kMaxJsonBodies) {
    shared -= size;  // who is refused takes nothing from others
    return false;
  }
  taken += size;
  return true;
}

JsonBody::Share::~Share() { shared -= taken; }

JsonBody::JsonBody(http::Exchange& exchange) {
  require_whole(exchange, exchange.read_body([&](std::string_view piece) {
    if (piece.size() > kMaxJsonBody - text_.size()) throw Refused(413, "BAD_REQUEST", "the body is larger than 64 MiB");
    if (text_.size() + piece.size() > kSmallJsonBody && !share_.take(piece.size())) {
      exchange.set_header("Retry-After", "1");
      throw Refused(503, "UNAVAILABLE", "there are too many large bodies at a time: send this one again later");
    }
    text_.append(piece);
    return true;
  }));
}

void require_whole(const http::Exchange& exchange, http::Exchange::Body body) {
  switch (body) {
    case http::Exchange::Body::whole: return;
    case http::Exchange::Body::malformed: throw Refused(400, "BAD_REQUEST", "the body is not chunked as it should be");
    case http::Exchange::Body::late: throw Refused(408, "TIMEOUT", "the body did not come in time");
    case http::Exchange::Body::closed: break;
  }
  pollfd stop{exchange.stop(), POLLIN, 0};
  if (::poll(&stop, 1, 0) > 0) throw Refused(503, "UNAVAILABLE", "the server ends");
  throw Refused(400, "BAD_REQUEST", "the body is not complete");
}

void answer_json(http::Exchange& exchange, const Call& call) {
  exchange.answer(call.route.status, "application/json", result_of(exchange, call, std::string(call.route.operation), call.pairs, JsonBody(exchange).text()) + '\n');
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
  const std::string json = call.session->call(std::string(call.route.operation), call.pairs, JsonBody(exchange).text());
  const auto members = frame_members(json).value_or(std::map<std::string, std::string>());
  const auto status = members.find("status");
  exchange.answer(status != members.end() && status->second == "ready" ? 200 : 503, "application/json", json + '\n');
}

void answer_exec(http::Exchange& exchange, const Call& call) {
  const JsonBody json_body(exchange);
  const std::string& body = json_body.text();
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
  exchange.answer(call.route.status, "text/plain; version=0.0.4; charset=utf-8", call.session->call(std::string(call.route.operation), call.pairs, JsonBody(exchange).text()));
}

}  // namespace serve
