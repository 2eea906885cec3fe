#include "store/sqlite/records.hpp"

#include <iterator>

#include "core/bytes.hpp"
#include "model/fields.hpp"

namespace svm::store {

namespace {

// What is on disk, in the order of model::State. Not model::state_name: a change of the wire's words must not change the file.
constexpr std::string_view kStates[] = {"creating", "running", "destroying", "destroyed", "error"};
static_assert(static_cast<size_t>(model::State::creating) == 0 && static_cast<size_t>(model::State::running) == 1 &&
              static_cast<size_t>(model::State::destroying) == 2 && static_cast<size_t>(model::State::destroyed) == 3 &&
              static_cast<size_t>(model::State::error) == 4);

[[noreturn]] void damaged(std::string_view column) {
  throw Error(Code::io, "store: a stored row is damaged: " + std::string(column));
}

model::State parse_state(std::string_view word) {
  for (size_t i = 0; i < std::size(kStates); ++i) {
    if (kStates[i] == word) return static_cast<model::State>(i);
  }
  damaged("state");
}

// A list is a u32 count and length-prefixed strings; a map is a list of pairs. Not JSON: these are bytes that need no escaping and
// are never searched.
std::string encode(const std::vector<std::string>& list) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(static_cast<uint32_t>(list.size()));
  for (const std::string& item : list) writer.bytes(item);
  return out;
}

std::string encode(const model::StringMap& map) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(static_cast<uint32_t>(map.size()));
  for (const auto& [key, value] : map) {
    writer.bytes(key);
    writer.bytes(value);
  }
  return out;
}

void decode(std::string_view blob, std::string_view column, std::vector<std::string>& list) {
  ByteReader reader(blob);
  const uint32_t count = reader.count(sizeof(uint32_t));
  list.reserve(count);
  for (uint32_t i = 0; i < count; ++i) list.emplace_back(reader.bytes());
  if (!reader.done()) damaged(column);
}

void decode(std::string_view blob, std::string_view column, model::StringMap& map) {
  ByteReader reader(blob);
  const uint32_t count = reader.count(2 * sizeof(uint32_t));
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view key = reader.bytes();
    map.insert_or_assign(map.end(), std::string(key), std::string(reader.bytes()));
  }
  if (!reader.done() || map.size() != count) damaged(column);
}

uint32_t narrow(int64_t value, std::string_view column) {
  if (value < 0 || value > UINT32_MAX) damaged(column);
  return static_cast<uint32_t>(value);
}

}  // namespace

std::string_view stored_state(model::State state) {
  const auto index = static_cast<size_t>(state);
  if (index >= std::size(kStates)) throw Error(Code::internal, "store: a state that is not one");
  return kStates[index];
}

bool is_live(model::State state) noexcept {
  return state == model::State::creating || state == model::State::running || state == model::State::destroying;
}

SandboxBlobs::SandboxBlobs(const model::SandboxRecord& record)
    : metadata(encode(record.metadata)), enforced(encode(record.enforced)), unenforced(encode(record.unenforced)) {}

void bind_sandbox(Statement& statement, const model::SandboxRecord& record, const SandboxBlobs& blobs) {
  // SQLite's integers are signed: sizes beyond 2^63 keep their bits.
  statement.bind_text(record.id).bind_text(stored_state(record.state)).bind_text(record.provider).bind_text(record.image)
      .bind(static_cast<int64_t>(record.memory_bytes)).bind(static_cast<int64_t>(record.disk_bytes))
      .bind(record.milli_cpus).bind(record.pids).bind_text(record.profile).bind_text(record.user).bind_text(record.network)
      .bind_text(record.owner_id).bind_text(record.tenant_id).bind_blob(blobs.metadata).bind(record.id_base)
      .bind(record.created_ms).bind(record.expires_ms).bind(record.destroyed_ms)
      .bind_blob(blobs.enforced).bind_blob(blobs.unenforced).bind_text(record.reason)
      .bind_text(record.name).bind(record.timeout_ms).bind(record.keep_until_ms).bind_blob(record.spec);
}

model::SandboxRecord read_sandbox(Statement& statement) {
  model::SandboxRecord record;
  record.id = statement.bytes();
  record.state = parse_state(statement.bytes());
  record.provider = statement.bytes();
  record.image = statement.bytes();
  record.memory_bytes = static_cast<uint64_t>(statement.integer());
  record.disk_bytes = static_cast<uint64_t>(statement.integer());
  record.milli_cpus = narrow(statement.integer(), "milli_cpus");
  record.pids = narrow(statement.integer(), "pids");
  record.profile = statement.bytes();
  record.user = statement.bytes();
  record.network = statement.bytes();
  record.owner_id = statement.bytes();
  record.tenant_id = statement.bytes();
  decode(statement.bytes(), "metadata", record.metadata);
  record.id_base = narrow(statement.integer(), "id_base");
  record.created_ms = statement.integer();
  record.expires_ms = statement.integer();
  record.destroyed_ms = statement.integer();
  decode(statement.bytes(), "enforced", record.enforced);
  decode(statement.bytes(), "unenforced", record.unenforced);
  record.reason = statement.bytes();
  record.name = statement.bytes();
  record.timeout_ms = statement.integer();
  record.keep_until_ms = statement.integer();
  record.spec = statement.bytes();
  return record;
}

void bind_audit(Statement& statement, int64_t seq, const model::AuditRow& row) {
  statement.bind(seq).bind(row.wall_ms).bind_text(row.actor).bind_text(row.tenant).bind_text(row.source)
      .bind_text(row.request_id).bind_text(row.action).bind_text(row.object).bind_text(row.phase).bind(row.intent_seq)
      .bind_text(row.outcome).bind_text(row.detail);
}

model::AuditRow read_audit(Statement& statement) {
  model::AuditRow row;
  row.seq = statement.integer();
  row.wall_ms = statement.integer();
  row.actor = statement.bytes();
  row.tenant = statement.bytes();
  row.source = statement.bytes();
  row.request_id = statement.bytes();
  row.action = statement.bytes();
  row.object = statement.bytes();
  row.phase = statement.bytes();
  row.intent_seq = statement.integer();
  row.outcome = statement.bytes();
  row.detail = statement.bytes();
  return row;
}

void bind_event(Statement& statement, int64_t id, const model::Event& event) {
  statement.bind(id).bind(event.wall_ms).bind_text(event.type).bind_text(event.sandbox_id).bind_text(event.tenant_id).bind_text(event.data);
}

model::Event read_event(Statement& statement) {
  model::Event event;
  event.id = statement.integer();
  event.wall_ms = statement.integer();
  event.type = statement.bytes();
  event.sandbox_id = statement.bytes();
  event.tenant_id = statement.bytes();
  event.data = statement.bytes();
  return event;
}

namespace {
// What is on disk.
constexpr int64_t kExecShell = 1, kExecPty = 2, kExecBackground = 4;
}  // namespace

void bind_exec(Statement& statement, const model::ExecRecord& exec) {
  statement.bind_text(exec.id).bind_text(exec.sandbox_id).bind_text(exec.tenant_id).bind_text(exec.command).bind_text(exec.user)
      .bind_text(exec.workdir).bind((exec.shell ? kExecShell : 0) | (exec.pty ? kExecPty : 0) | (exec.background ? kExecBackground : 0))
      .bind(exec.started_ms).bind(exec.ended_ms).bind_text(exec.reason).bind(exec.exit_code).bind(exec.signal).bind(exec.wall_us)
      .bind(exec.cpu_us).bind(static_cast<int64_t>(exec.memory_peak)).bind(static_cast<int64_t>(exec.out_bytes))
      .bind(static_cast<int64_t>(exec.err_bytes)).bind_text(exec.error);
}

model::ExecRecord read_exec(Statement& statement) {
  model::ExecRecord exec;
  exec.id = statement.bytes();
  exec.sandbox_id = statement.bytes();
  exec.tenant_id = statement.bytes();
  exec.command = statement.bytes();
  exec.user = statement.bytes();
  exec.workdir = statement.bytes();
  const int64_t flags = statement.integer();
  exec.shell = (flags & kExecShell) != 0;
  exec.pty = (flags & kExecPty) != 0;
  exec.background = (flags & kExecBackground) != 0;
  exec.started_ms = statement.integer();
  exec.ended_ms = statement.integer();
  exec.reason = statement.bytes();
  exec.exit_code = static_cast<int32_t>(statement.integer());
  exec.signal = static_cast<int32_t>(statement.integer());
  exec.wall_us = statement.integer();
  exec.cpu_us = statement.integer();
  exec.memory_peak = static_cast<uint64_t>(statement.integer());
  exec.out_bytes = static_cast<uint64_t>(statement.integer());
  exec.err_bytes = static_cast<uint64_t>(statement.integer());
  exec.error = statement.bytes();
  return exec;
}

std::string template_body(const model::TemplateRecord& record) { return model::encode(model::TemplateCreateRequest{record.body}); }

model::TemplateRecord read_template(Statement& statement) {
  model::TemplateRecord record;
  record.tenant_id = statement.bytes();
  try {
    record.body = model::decode<model::TemplateCreateRequest>({}, statement.bytes()).body;
  } catch (const Error&) {
    damaged("body");
  }
  record.created_ms = statement.integer();
  record.updated_ms = statement.integer();
  return record;
}

}  // namespace svm::store
