// Every operation by its name.
#include "gate/gate.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"
#include "op.hpp"
#include "options.hpp"
#include "stream.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

gate::Pairs views(const gate::OwnedCall& call) { return {call.pairs.begin(), call.pairs.end()}; }

gate::OwnedCall json_call(const Caller& caller, const char* op, const stacyvm_pair* pairs, uint32_t pair_count, const void* body, uint64_t body_size) {
  constexpr uint32_t kMaxPairs = 1024;
  gate::OwnedCall call;
  call.caller = caller.identity;
  call.operation = required_text(op, "op");
  if (pair_count > kMaxPairs) throw invalid("pair_count", "more than " + std::to_string(kMaxPairs));
  if (pair_count > 0 && !pairs) throw invalid("pairs", "NULL, but pair_count is not zero");
  for (uint32_t i = 0; i < pair_count; ++i) {
    if (!pairs[i].key || !pairs[i].value) throw invalid("pairs[" + std::to_string(i) + "]", "NULL");
    call.pairs.emplace_back(pairs[i].key, pairs[i].value);
  }
  if (body_size > 0 && !body) throw invalid("body", "NULL, but body_size is not zero");
  if (body_size > model::kMaxBodyBytes)
    throw invalid("body", "too large").with("limit", static_cast<long long>(model::kMaxBodyBytes));
  if (body_size > 0) call.body.assign(static_cast<const char*>(body), body_size);
  return call;
}

/// What the stream is, by the operation that made it. Its request was accepted, so decoding it again fails only for what a later release's server knows.
Stream::Shape shape_of(const gate::OwnedCall& call) {
  if (call.operation == ops::ExecStart::row.name) return exec_shape(model::decode<model::ExecRequest>(views(call), call.body));
  if (call.operation == ops::ExecAttach::row.name) return attach_shape(model::decode<model::ExecAttachRequest>(views(call), call.body));
  if (call.operation == ops::SandboxConsole::row.name) return console_shape();
  Stream::Shape shape;
  if (call.operation == ops::FileUpload::row.name || call.operation == ops::FileTarPut::row.name) {
    shape.kind = STACYVM_STREAM_WRITER;
    shape.takes_bytes = true;
  } else if (call.operation == ops::EventFollow::row.name) {
    shape.kind = STACYVM_STREAM_EVENTS;
  } else if (call.operation == ops::FileWatch::row.name) {
    shape.kind = STACYVM_STREAM_WATCH;
  } else if (call.operation == ops::PortDial::row.name) {
    shape.kind = STACYVM_STREAM_PORT;
    shape.takes_bytes = true;
  } else {
    shape.kind = STACYVM_STREAM_READER;
  }
  return shape;
}

}  // namespace

int32_t stacyvm_call(stacyvm_session* s, const char* op, const stacyvm_pair* pairs, uint32_t pair_count, const void* body, uint64_t body_size,
                     char** json_out, stacyvm_error** err) {
  return guard(err, [&] {
    Session& session = *core_of(s, "s");
    require_output(json_out, "json_out");
    const gate::OwnedCall call = json_call(session.caller(), op, pairs, pair_count, body, body_size);
    const Lease lease = session.enter();
    const std::string answer = lease.door().call(session.caller(), call.operation, views(call), call.body);
    *json_out = static_cast<char*>(copy_out(answer));
    return STACYVM_OK;
  });
}

int32_t stacyvm_call_begin(stacyvm_session* s, const char* op, const stacyvm_pair* pairs, uint32_t pair_count, const void* body,
                           uint64_t body_size, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    *out = make_op(session, json_call(session->caller(), op, pairs, pair_count, body, body_size));
    return STACYVM_OK;
  });
}

int32_t stacyvm_call_stream(stacyvm_session* s, const char* op, const stacyvm_pair* pairs, uint32_t pair_count, const void* body,
                            uint64_t body_size, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    const gate::OwnedCall call = json_call(session->caller(), op, pairs, pair_count, body, body_size);
    const Lease lease = session->enter();
    auto below = lease.door().call_stream(session->caller(), call.operation, views(call), call.body);
    *out = make_stream(session, std::move(below), shape_of(call));
    return STACYVM_OK;
  });
}

int32_t stacyvm_events(stacyvm_session* s, const char* filter_json, int64_t after_id, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    if (after_id < -1) throw invalid("after_id", "below -1");
    const std::string filter = text_or_empty(filter_json), after = std::to_string(after_id);
    const Lease lease = session->enter();
    auto below = lease.door().call_stream(session->caller(), ops::EventFollow::row.name, {{"after", after}}, filter);
    Stream::Shape shape;
    shape.kind = STACYVM_STREAM_EVENTS;
    *out = make_stream(session, std::move(below), shape);
    return STACYVM_OK;
  });
}

int32_t stacyvm_operations(char** json_out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(json_out, "json_out");
    *json_out = static_cast<char*>(copy_out(gate::describe_operations()));
    return STACYVM_OK;
  });
}
