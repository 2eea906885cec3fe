#include "fakes.hpp"

#include <chrono>

namespace svm::test {

int64_t FakeLog::append(model::AuditRow&& row) {
  if (failures_after == 0) throw Error(Code::io, "audit: disk full");
  if (failures_after > 0) --failures_after;
  journal_.push_back("audit " + row.phase);
  row.seq = static_cast<int64_t>(rows.size()) + 1;
  rows.push_back(row);
  return row.seq;
}

channel::Stream::Next FakeStream::next(int64_t timeout_ms, channel::Piece& out) {
  std::unique_lock lock(mutex_);
  const auto due = [&] {
    if (held) return false;
    if (!pieces.empty()) return bytes_per_piece == 0 || written.size() >= (given_ + 1) * bytes_per_piece;
    return !waits_for_end || finished;
  };
  if (!due()) {
    if (timeout_ms < 0)
      wake_.wait(lock, due);
    else if (!wake_.wait_for(lock, std::chrono::milliseconds(timeout_ms), due))
      return Next::again;
  }
  if (pieces.empty()) {
    ended_ = true;
    return Next::end;
  }
  out = std::move(pieces.front());
  pieces.pop_front();
  ++given_;
  if (bytes_per_piece > 0) credit += bytes_per_piece;  // what was read back makes room
  return Next::piece;
}

size_t FakeStream::write(const void* data, size_t size, int64_t) {
  const std::lock_guard lock(mutex_);
  if (finished || written.size() >= closes_after) throw Error(Code::closed, "the stream has ended");
  const size_t taken = std::min(size, credit);
  written.append(static_cast<const char*>(data), taken);
  if (credit != SIZE_MAX) credit -= taken;
  return taken;
}

void FakeStream::finish() {
  const std::lock_guard lock(mutex_);
  finished = true;
  wake_.notify_all();
}

void FakeStream::cancel() noexcept { *cancelled = true; }

void FakeStream::set_notify(std::function<void()> hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void FakeStream::grant(size_t bytes) {
  std::function<void()> hook;
  {
    const std::lock_guard lock(mutex_);
    credit += bytes;
    hook = hook_;
  }
  if (hook) hook();
}

void FakeStream::release() {
  std::function<void()> hook;
  {
    const std::lock_guard lock(mutex_);
    held = false;
    wake_.notify_all();
    hook = hook_;
  }
  if (hook) hook();
}

std::string exec_result(protocol::ExecReason reason, int32_t exit_code, int32_t signal) {
  protocol::ExecResult result;
  result.reason = reason;
  result.exit_code = exit_code;
  result.signal = signal;
  result.wall_us = 1500;
  result.cpu_us = 700;
  result.memory_peak = 4096;
  result.out_bytes = 5;
  std::string body;
  protocol::encode(body, result);
  return body;
}

std::shared_ptr<channel::Stream> FakeSession::request(protocol::Op op, std::string payload) {
  operations.push_back(op);
  payloads.push_back(std::move(payload));
  std::shared_ptr<FakeStream> made = std::exchange(stream, nullptr);
  if (made) return made;
  made = std::make_shared<FakeStream>();
  if (op == protocol::Op::exec) made->result_value.body = exec_result(protocol::ExecReason::exited, 0);
  if (op == protocol::Op::listening) protocol::encode(made->result_value.body, protocol::Listeners{});
  if (op == protocol::Op::stats) protocol::encode(made->result_value.body, protocol::DiskStats{4096, 1024, 10, 3});
  if (op == protocol::Op::search) protocol::encode(made->result_value.body, protocol::SearchSummary{});
  if (op == protocol::Op::replace) protocol::encode(made->result_value.body, protocol::Replaced{});
  if (op == protocol::Op::stat || op == protocol::Op::write) {
    protocol::FileInfo info;
    info.type = protocol::FileType::directory;
    info.mode = 0755;
    info.size = 42;
    info.mtime_ns = 1;
    protocol::encode(made->result_value.body, info);
  }
  return made;
}

protocol::Request FakeSession::last() const {
  REQUIRE_FALSE(payloads.empty());
  protocol::Request request;
  REQUIRE(protocol::decode(payloads.back(), request));
  CHECK(request.op == operations.back());
  return request;
}

std::shared_ptr<channel::Stream> FakeEvents::follow(events::Filter wanted, int64_t after) {
  filter = std::move(wanted);
  after_id = after;
  return std::make_shared<FakeStream>();
}

model::SandboxRecord FakeManager::record(std::string id, std::string tenant) {
  model::SandboxRecord record;
  record.id = std::move(id);
  record.state = model::State::running;
  record.tenant_id = std::move(tenant);
  return record;
}

void FakeManager::note(std::string_view call) {
  journal.push_back("manager " + std::string(call));
  if (fault) fault(call);
}

std::vector<model::ProviderHealth> FakeManager::providers(bool now) {
  note(now ? "look" : "providers");
  return {{"native", healthy, true, 1500, 4000, healthy ? "" : "broken", {"spawn", "exec"}, 3}};
}

model::Admission FakeManager::admission(const model::SpawnRequest& request, const model::Identity&) {
  note("admission");
  if (resolving) resolving(request);
  return {};
}

model::TemplateRecord FakeManager::create_template(std::string_view tenant, model::Template body) {
  note("create_template " + std::string(tenant));
  return {std::string(tenant), std::move(body), 1000, 2000};
}
model::TemplateRecord FakeManager::update_template(std::string_view tenant, model::Template body) {
  note("update_template " + std::string(tenant));
  return {std::string(tenant), std::move(body), 1000, 2000};
}
void FakeManager::delete_template(std::string_view tenant, std::string_view name) { note("delete_template " + std::string(tenant) + ' ' + std::string(name)); }
model::TemplateRecord FakeManager::get_template(std::string_view tenant, std::string_view name) {
  note("get_template " + std::string(tenant) + ' ' + std::string(name));
  model::Template body = shape;
  body.name = name;
  return {std::string(tenant), std::move(body), 1000, 2000};
}
std::vector<model::TemplateRecord> FakeManager::templates(std::string_view tenant) { return {get_template(tenant, "a"), get_template(tenant, "b")}; }

manager::ResolvedSpawn FakeManager::resolve(const model::SpawnRequest& request, const model::Identity&, bool may_be_path) {
  note("resolve");
  host_path = may_be_path;
  if (resolving) resolving(request);
  manager::ResolvedSpawn spawn;
  spawn.record = record(kOther, "");
  spawn.record.image = request.image;
  return spawn;
}

model::SandboxRecord FakeManager::spawn(manager::ResolvedSpawn spawn) {
  note("spawn");
  return spawned ? *spawned : spawn.record;
}

model::SandboxRecord FakeManager::get(std::string_view id) {
  note("get");
  for (const model::SandboxRecord& record : records)
    if (record.id == id) return record;
  throw Error(Code::not_found, "sandbox not found");
}

model::SandboxRecord FakeManager::get_named(std::string_view tenant, std::string_view name) {
  note("get_named");
  for (const model::SandboxRecord& record : records)
    if (record.tenant_id == tenant && record.name == name) return record;
  throw Error(Code::not_found, "sandbox not found");
}

std::vector<model::SandboxRecord> FakeManager::list(uint32_t limit, std::string_view after) {
  note("list");
  std::vector<model::SandboxRecord> page;
  bool found = after.empty();
  for (const model::SandboxRecord& record : records) {
    if (found && page.size() < limit) page.push_back(record);
    if (record.id == after) found = true;
  }
  return page;
}

std::vector<model::ExecRecord> FakeManager::execs(const store::Store::ExecQuery& query) {
  note("execs");
  asked = query;
  return event_log.execs;
}

std::optional<model::ExecRecord> FakeManager::exec(std::string_view id) {
  note("exec");
  model::ExecRecord exec;
  exec.id = id;
  exec.tenant_id = "mine";
  return exec;
}

model::SandboxRecord FakeManager::extend(std::string_view id, int64_t ttl_ms) {
  note("extend");
  model::SandboxRecord extended = record(std::string(id), "");
  extended.image = records.front().image;
  extended.expires_ms = ttl_ms;
  return extended;
}

model::SandboxStats FakeManager::stats(std::string_view id) {
  note("stats");
  model::SandboxStats stats;
  stats.id = id;
  return stats;
}

model::SandboxRecord FakeManager::relabel(std::string_view id, model::StringMap metadata) {
  note("relabel");
  model::SandboxRecord relabelled = record(std::string(id), "");
  relabelled.image = records.front().image;
  relabelled.metadata = std::move(metadata);
  return relabelled;
}

void FakeManager::destroy(std::string_view, std::string_view reason, int64_t keep_ms) {
  note("destroy " + std::string(reason) + (keep_ms > 0 ? " keep " + std::to_string(keep_ms) : ""));
}

uint32_t FakeManager::prune(std::string_view tenant, int64_t older_than_ms) {
  note("prune " + std::string(tenant));
  return static_cast<uint32_t>(older_than_ms);
}

std::shared_ptr<providers::Session> FakeManager::session(std::string_view) {
  note("session");
  return session_object;
}

}  // namespace svm::test
