#include "gate/audited_stream.hpp"

#include <new>

#include "core/error.hpp"
#include "gate/handlers.hpp"

namespace svm::gate {

AuditedStream::AuditedStream(std::shared_ptr<channel::Stream> stream, audit::Log& log, model::AuditRow outcome, std::string exec_id, bool attached)
    : NamedStream(std::move(stream), std::move(exec_id)), log_(log), outcome_(std::move(outcome)), attached_(attached) {}

AuditedStream::~AuditedStream() {
  below_.reset();  // cancels what still runs, before the log says so
  if (recorded_) return;
  try {
    // Whoever has read all that the other side sends, or lets go of a background command, has cut nothing short.
    outcome_.outcome = code_name(half_ || attached_ ? Code::ok : Code::cancelled);
    outcome_.detail = exec_detail(exec_id_, attached_ ? "detached" : "");
    log_.append(std::move(outcome_));
  } catch (const std::exception&) {
    // A destructor has nobody to tell. The intent without an outcome remains, and the log, once it cannot write, refuses every
    // further act.
  }
}

channel::Stream::Next AuditedStream::next(int64_t timeout_ms, channel::Piece& out) {
  const Next next = below_->next(timeout_ms, out);
  if (next == Next::half) half_ = true;
  if (next == Next::end && !recorded_) record();
  return next;
}

void AuditedStream::record() {
  recorded_ = true;  // a log that refuses is said once
  try {
    const protocol::Result* result = below_->result();
    const Code code = result ? result->code : Code::internal;
    outcome_.outcome = code_name(code);
    protocol::ExecResult exec;
    std::string detail;
    if (code != Code::ok)
      detail = result ? result->message : "";
    else if (!exec_id_.empty() && protocol::decode(result->body, exec))
      detail = exec_summary(exec_reason_name(exec.reason), exec.exit_code);
    outcome_.detail = exec_detail(exec_id_, std::move(detail));
    log_.append(std::move(outcome_));
  } catch (const std::bad_alloc&) {
    recorded_ = false;  // nor has it taken the row: the next call tries again
    throw;
  }
}

}  // namespace svm::gate
