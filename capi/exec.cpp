#include <iterator>
#include <string>

#include "gate/gate.hpp"
#include "options.hpp"
#include "stream.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

int32_t reason_number(const std::string& reason) noexcept {
  static constexpr std::string_view kReasons[] = {"exited", "signalled", "timeout", "oom", "output_limit", "cancelled"};
  for (int32_t i = 0; i < static_cast<int32_t>(std::size(kReasons)); ++i)
    if (reason == kReasons[i]) return i;
  return STACYVM_REASON_SIGNALLED;
}

static_assert(STACYVM_REASON_EXITED == 0 && STACYVM_REASON_SIGNALLED == 1 && STACYVM_REASON_TIMEOUT == 2 && STACYVM_REASON_OOM == 3 &&
              STACYVM_REASON_OUTPUT_LIMIT == 4 && STACYVM_REASON_CANCELLED == 5);

/// The response stays alive behind `owner`, so that its output is not copied again.
stacyvm_exec_result result_of(std::unique_ptr<model::ExecResponse> response) {
  stacyvm_exec_result r{};
  r.exit_code = response->exit_code;
  r.signal = response->signal;
  r.reason = reason_number(response->reason);
  r.wall_us = response->wall_us;
  r.cpu_us = response->cpu_us;
  r.memory_peak_bytes = response->memory_peak;
  r.stdout_size = response->out.size();
  r.stderr_size = response->err.size();
  r.stdout_data = response->out.c_str();
  r.stderr_data = response->err.c_str();
  r.owner = response.release();
  return r;
}

}  // namespace

int32_t stacyvm_exec(stacyvm_sandbox* sb, const stacyvm_exec_options* o, stacyvm_exec_result* out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(o, "options");
    check_result(out, "out");
    if (out->owner) throw invalid("out.owner", "not NULL: clear the result before it is used again");
    model::ExecRequest request = exec_request(read_options(o, "options"), sandbox.id, false);
    auto response = std::make_unique<model::ExecResponse>();
    const Lease lease = sandbox.session->enter();
    *response = lease.door().run<ops::ExecRun>(sandbox.session->caller(), std::move(request));
    write_result(out, result_of(std::move(response)));
    return STACYVM_OK;
  });
}

void stacyvm_exec_result_clear(stacyvm_exec_result* r) {
  if (!r || r->struct_size < kFirstSize<stacyvm_exec_result>) return;
  delete static_cast<model::ExecResponse*>(r->owner);
  write_result(r, stacyvm_exec_result{});
}

int32_t stacyvm_exec_start(stacyvm_sandbox* sb, const stacyvm_exec_options* o, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(o, "options");
    require_output(out, "out");
    const stacyvm_exec_options options = read_options(o, "options");
    model::ExecRequest request = exec_request(options, sandbox.id, true);
    Stream::Shape shape = exec_shape(request);
    shape.text = (options.flags & STACYVM_EXEC_TEXT) != 0;
    const Lease lease = sandbox.session->enter();
    auto below = lease.door().start<ops::ExecStart>(sandbox.session->caller(), std::move(request));
    *out = make_stream(sandbox.session, std::move(below), shape);
    return STACYVM_OK;
  });
}

const char* stacyvm_exec_id(const stacyvm_stream* st) {
  return is_handle(st) && !st->core->exec_id().empty() ? st->core->exec_id().c_str() : nullptr;
}

int32_t stacyvm_exec_attach(stacyvm_sandbox* sb, const char* exec_id, uint64_t from_offset, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    model::ExecAttachRequest request;
    request.id = sandbox.id;
    request.exec_id = required_text(exec_id, "exec_id");
    // A model's integers have 63 bits; all ones stand for what comes from now on, and no output is as long as those between.
    if (from_offset != STACYVM_UNLIMITED && from_offset >= INT64_MAX) throw invalid("from_offset", "beyond any output");
    request.from_offset = from_offset;
    require_output(out, "out");
    const Stream::Shape shape = attach_shape(request);
    const Lease lease = sandbox.session->enter();
    auto below = lease.door().start<ops::ExecAttach>(sandbox.session->caller(), std::move(request));
    *out = make_stream(sandbox.session, std::move(below), shape);
    return STACYVM_OK;
  });
}

int32_t stacyvm_exec_resize(stacyvm_stream* st, uint32_t rows, uint32_t cols, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    if (stream.kind() != STACYVM_STREAM_EXEC) throw invalid("st", "not an exec stream");
    stream.resize(rows, cols);
    return STACYVM_OK;
  });
}

int32_t stacyvm_console(stacyvm_sandbox* sb, uint64_t flags, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    refuse_unknown_flags(flags, STACYVM_CONSOLE_FOLLOW);
    require_output(out, "out");
    const Lease lease = sandbox.session->enter();
    model::ConsoleRequest request{sandbox.id, (flags & STACYVM_CONSOLE_FOLLOW) != 0};
    *out = make_stream(sandbox.session, lease.door().start<ops::SandboxConsole>(sandbox.session->caller(), std::move(request)), console_shape());
    return STACYVM_OK;
  });
}

int32_t stacyvm_exec_signal(stacyvm_stream* st, int32_t linux_signo, uint64_t flags, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    if (stream.kind() != STACYVM_STREAM_EXEC) throw invalid("st", "not an exec stream");
    if (linux_signo < 1 || linux_signo > 64) throw invalid("linux_signo", "not in 1 to 64");
    refuse_unknown_flags(flags, STACYVM_SIGNAL_GROUP);
    stream.send_signal(linux_signo, (flags & STACYVM_SIGNAL_GROUP) != 0);
    return STACYVM_OK;
  });
}

int32_t stacyvm_exec_result_of(stacyvm_stream* st, stacyvm_exec_result* out, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    check_result(out, "out");
    if (out->owner) throw invalid("out.owner", "not NULL: clear the result before it is used again");
    return stream.exec_result(*out);
  });
}
