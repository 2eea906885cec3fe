// Rows to records and back. The column lists here are the order of the bind and read functions.
#pragma once
#include <string_view>

#include "model/records.hpp"
#include "model/templates.hpp"
#include "store/sqlite/connection.hpp"

namespace svm::store {

#define SVM_SANDBOX_COLUMNS                                                                                             \
  "id, state, provider, image, memory_bytes, disk_bytes, milli_cpus, pids, profile, user, network, owner_id, tenant_id, " \
  "metadata, id_base, created_ms, expires_ms, destroyed_ms, enforced, unenforced, reason, name, timeout_ms, keep_until_ms, spec"
#define SVM_EXEC_COLUMNS                                                                                                                 \
  "id, sandbox_id, tenant_id, command, user, workdir, flags, started_ms, ended_ms, reason, exit_code, signal, wall_us, cpu_us, memory_peak, " \
  "out_bytes, err_bytes, error"
#define SVM_EVENT_COLUMNS "id, wall_ms, type, sandbox_id, tenant_id, data"
#define SVM_AUDIT_COLUMNS \
  "seq, wall_ms, actor, tenant, source, request_id, action, object, phase, intent_seq, outcome, detail"

/// The word stored for a state.
std::string_view stored_state(model::State state);
/// creating, running, destroying: what the partial indices cover.
bool is_live(model::State state) noexcept;

/// A record's lists and maps, encoded once and kept alive while bound.
class SandboxBlobs {
 public:
  explicit SandboxBlobs(const model::SandboxRecord& record);
  std::string metadata, enforced, unenforced;
};

void bind_sandbox(Statement& statement, const model::SandboxRecord& record, const SandboxBlobs& blobs);
model::SandboxRecord read_sandbox(Statement& statement);
void bind_audit(Statement& statement, int64_t seq, const model::AuditRow& row);
model::AuditRow read_audit(Statement& statement);
void bind_event(Statement& statement, int64_t id, const model::Event& event);
model::Event read_event(Statement& statement);
void bind_exec(Statement& statement, const model::ExecRecord& exec);
model::ExecRecord read_exec(Statement& statement);

/// Of the columns tenant_id, body, created_ms, updated_ms.
model::TemplateRecord read_template(Statement& statement);
/// The column body.
std::string template_body(const model::TemplateRecord& record);

}  // namespace svm::store
