#include "gate/observed.hpp"

#include <cerrno>
#include <cstdlib>
#include <exception>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"

namespace svm::gate {

int error_number(const Error& error) {
  for (const auto& [name, value] : error.facts())
    if (name == "errno") return std::atoi(value.c_str());
  return 0;
}

ObservedStream::~ObservedStream() {
  stream_.reset();  // cancels what still runs, before anybody is told
  if (ended_) ended_(nullptr, counts_);
}

channel::Stream::Next ObservedStream::next(int64_t timeout_ms, channel::Piece& out) {
  const Next next = stream_->next(timeout_ms, out);
  if (next == Next::piece) {
    uint64_t& count = out.kind == protocol::DataKind::out ? counts_.out : out.kind == protocol::DataKind::err ? counts_.err : counts_.bytes;
    count += out.data.size();
  } else if (next == Next::end && ended_) {
    const Ended ended = std::move(ended_);
    ended_ = nullptr;
    ended(stream_->result(), counts_);
  }
  return next;
}

size_t ObservedStream::write(const void* data, size_t size, int64_t timeout_ms) {
  const size_t taken = stream_->write(data, size, timeout_ms);
  counts_.in += taken;
  return taken;
}

template <class F>
void Witness::quietly(F&& act) const noexcept {
  try {
    act();
  } catch (const std::exception&) {  // bad_alloc: the log itself throws nothing else
    log_->note_lost();
  }
}

void Witness::exec_started(std::string exec_id, const model::ExecRequest& request) {
  const std::string command = model::shell_join(request.command, request.args);
  exec_.id = std::move(exec_id);
  exec_.sandbox_id = sandbox_;
  exec_.tenant_id = tenant_;
  exec_.command = model::utf8_prefix(command, model::kMaxExecCommandBytes);
  exec_.user = request.user;
  exec_.workdir = request.workdir;
  exec_.shell = request.mode != "argv";
  exec_.pty = request.tty;
  exec_.background = request.background;
  exec_.started_ms = system_clock().wall_ms();
  log_->record(exec_);
  events::Data data;
  data.text("exec_id", exec_.id).text("command", command);
  if (!request.user.empty()) data.text("user", request.user);
  tell("exec.started", data);
}

void Witness::exec_ended(manager::Manager& manager, const protocol::ExecResult& result) const noexcept {
  quietly([&] {
    model::ExecRecord exec = exec_;
    exec.ended_ms = system_clock().wall_ms();
    exec.reason = exec_reason_name(result.reason);
    exec.exit_code = result.exit_code;
    exec.signal = result.signal;
    exec.wall_us = static_cast<int64_t>(result.wall_us);
    exec.cpu_us = static_cast<int64_t>(result.cpu_us);
    exec.memory_peak = result.memory_peak;
    exec.out_bytes = result.out_bytes;
    exec.err_bytes = result.err_bytes;
    events::Data data;
    data.text("exec_id", exec.id).text("reason", exec.reason).number("exit_code", exec.exit_code).number("signal", exec.signal);
    data.number("wall_us", exec.wall_us).number("cpu_us", exec.cpu_us);
    data.number("stdout_bytes", static_cast<int64_t>(result.out_bytes)).number("stderr_bytes", static_cast<int64_t>(result.err_bytes));
    log_->record(std::move(exec));
    tell(result.reason == protocol::ExecReason::timeout ? "exec.timeout" : "exec.completed", data);
    if (result.reason == protocol::ExecReason::oom) tell("resource.limit", events::Data().text("resource", "memory"));
    if (result.reason == protocol::ExecReason::output_limit) tell("resource.limit", events::Data().text("resource", "output"));
    // Whatever ran into a limit inside mostly ends in a command that says so; the others are not worth the look.
    if (result.exit_code != 0) manager.look_at_limits(sandbox_, result.reason == protocol::ExecReason::oom ? 1 : 0);
  });
}

void Witness::exec_failed(Code code, std::string_view message, const Counts& counts) const noexcept {
  quietly([&] {
    model::ExecRecord exec = exec_;
    exec.ended_ms = system_clock().wall_ms();
    exec.reason = code == Code::cancelled ? "cancelled" : code == Code::closed ? "lost" : "failed";
    exec.error = message;
    exec.out_bytes = counts.out;
    exec.err_bytes = counts.err;
    log_->record(exec);
    tell("exec.failed", events::Data().text("exec_id", exec.id).text("code", code_name(code)).text("error", message));
  });
}

void Witness::failed(std::string_view operation, Code code, int error_number, std::string_view message) const noexcept {
  quietly([&] {
    tell("operation.failed", events::Data().text("operation", operation).text("code", code_name(code)).text("error", message));
    if (code == Code::limit && (error_number == ENOSPC || error_number == EDQUOT)) tell("resource.limit", events::Data().text("resource", "disk").text("operation", operation));
  });
}

}  // namespace svm::gate
