// Stand-ins for what lies behind the gate. They make faults and show order; the real path has its own suite.
#pragma once
#include <doctest/doctest.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "events/log.hpp"
#include "gate/gate.hpp"
#include "gate/trace.hpp"

namespace svm::test {

inline const std::string kId = "sb-" + std::string(26, 'a');
inline const std::string kOther = "sb-" + std::string(26, 'b');

/// Everything that happened, in order: "stage scope", "audit intent", "manager get" ...
using Journal = std::vector<std::string>;

class FakeLog final : public audit::Log {
 public:
  explicit FakeLog(Journal& journal) : journal_(journal) {}
  int64_t append(model::AuditRow&& row) override;
  void flush() override {}

  std::vector<model::AuditRow> rows;
  int failures_after = -1;  // appends that still succeed; -1: all

 private:
  Journal& journal_;
};

/// Plays a script: what `next` gives, what `write` takes.
class FakeStream final : public channel::Stream {
 public:
  Next next(int64_t timeout_ms, channel::Piece& out) override;
  const protocol::Result* result() const noexcept override { return ended_ ? &result_value : nullptr; }
  uint32_t pid() const noexcept override { return 7; }
  size_t write(const void* data, size_t size, int64_t timeout_ms) override;
  void finish() override;
  void cancel() noexcept override;
  void send_signal(int signal, bool) override { last_signal = signal; }
  void kill() noexcept override {
    *killed = true;
    cancel();
  }
  void resize(uint32_t rows, uint32_t columns) override { size = {rows, columns}; }
  bool readable() const noexcept override { return true; }
  bool writable() const noexcept override { return true; }
  void set_notify(std::function<void()> hook) override;

  /// From another thread: more may be written, the rest may be read.
  void grant(size_t bytes);
  void release();

  std::deque<channel::Piece> pieces;
  protocol::Result result_value;
  size_t credit = SIZE_MAX;      // bytes that write still takes
  size_t bytes_per_piece = 0;    // > 0: a piece is given only for each so many bytes written, as `cat` does
  size_t closes_after = SIZE_MAX;  // bytes after which write throws closed
  bool waits_for_end = false;    // the Result comes only after finish()
  bool held = false;             // nothing comes until release()
  std::string written;
  bool finished = false;
  int last_signal = 0;
  std::pair<uint32_t, uint32_t> size;
  std::shared_ptr<bool> killed = std::make_shared<bool>(false);
  std::shared_ptr<bool> cancelled = std::make_shared<bool>(false);

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::function<void()> hook_;
  size_t given_ = 0;
  bool ended_ = false;
};

class FakeSession final : public providers::Session {
 public:
  std::shared_ptr<channel::Stream> request(protocol::Op op, std::string payload) override;
  const std::vector<std::string>& enforced() const noexcept override { return none_; }
  const std::vector<std::string>& unenforced() const noexcept override { return none_; }
  providers::Usage usage() override { return {}; }
  void expire(int64_t) noexcept override {}
  void destroy(int64_t) override {}

  std::vector<protocol::Op> operations;
  std::vector<std::string> payloads;
  std::shared_ptr<FakeStream> stream;  // what the next request gets; empty: one that succeeds at once

  /// What the agent would have read.
  protocol::Request last() const;

 private:
  std::vector<std::string> none_;
};

class FakeEvents final : public events::Log {
 public:
  void append(std::string type, const std::string& sandbox_id, const std::string& tenant_id, std::string data) override {
    events.push_back({static_cast<int64_t>(events.size()) + 1, 0, std::move(type), sandbox_id, tenant_id, std::move(data)});
  }
  void note_lost() noexcept override { ++lost; }
  void flush() override {}
  void record(model::ExecRecord exec) override { execs.push_back(std::move(exec)); }
  std::shared_ptr<channel::Stream> follow(events::Filter wanted, int64_t after) override;
  model::EventCounts counts() override { return {1, 2, 3}; }

  std::vector<model::Event> events;
  std::vector<model::ExecRecord> execs;
  int lost = 0;
  events::Filter filter;  // of the last follow()
  int64_t after_id = 0;
};

class FakeManager final : public manager::Manager {
 public:
  FakeManager() : log(journal), session_object(std::make_shared<FakeSession>()) {}
  audit::Log& audit() noexcept override { return log; }
  events::Log& events() noexcept override { return event_log; }
  channel::Reactor& reactor() noexcept override { return timers; }
  const model::Settings& settings() const noexcept override { return decided; }
  const std::string& version() const noexcept override { return release; }
  int64_t uptime_ms() const noexcept override { return 61'000; }
  model::SandboxCounts counts() override { return {{{"running", 2}, {"creating", 1}}, {{"native", 3}}, 3, 2}; }
  std::vector<model::ProviderHealth> providers(bool now) override;
  model::StringMap provider_config(std::string_view) override { return {{"type", "native"}}; }
  manager::ResolvedSpawn resolve(const model::SpawnRequest& request, const model::Identity& caller, bool host_path) override;
  model::Admission admission(const model::SpawnRequest& request, const model::Identity& caller) override;
  model::TemplateRecord create_template(std::string_view tenant, model::Template body) override;
  model::TemplateRecord update_template(std::string_view tenant, model::Template body) override;
  void delete_template(std::string_view tenant, std::string_view name) override;
  model::TemplateRecord get_template(std::string_view tenant, std::string_view name) override;
  std::vector<model::TemplateRecord> templates(std::string_view tenant) override;
  model::SandboxRecord spawn(manager::ResolvedSpawn spawn) override;
  model::SandboxRecord get(std::string_view id) override;
  void look_at_limits(std::string_view id, int64_t told) override { looks.emplace_back(id, told); }
  model::SandboxRecord get_named(std::string_view tenant, std::string_view name) override;
  std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) override;
  std::vector<model::ExecRecord> execs(const store::Store::ExecQuery& query) override;
  std::optional<model::ExecRecord> exec(std::string_view id) override;
  model::SandboxRecord extend(std::string_view id, int64_t ttl_ms) override;
  model::SandboxStats stats(std::string_view id) override;
  model::SandboxRecord relabel(std::string_view id, model::StringMap metadata) override;
  void destroy(std::string_view id, std::string_view reason, int64_t keep_ms) override;
  uint32_t prune(std::string_view tenant, int64_t older_than_ms) override;
  std::shared_ptr<providers::Session> session(std::string_view id) override;
  void keep(std::shared_ptr<channel::Stream> stream) override { kept.push_back(std::move(stream)); }
  void shutdown(int64_t) override {}
  void leave(int64_t) override {}

  Journal journal;
  FakeLog log;
  FakeEvents event_log;
  channel::Reactor timers;
  std::shared_ptr<FakeSession> session_object;
  std::vector<model::SandboxRecord> records = {record(kId, "")};
  store::Store::ExecQuery asked;                     // of the last execs()
  std::vector<std::shared_ptr<channel::Stream>> kept;
  std::vector<std::pair<std::string, int64_t>> looks;  // at limits: where, and how many kills were told already
  std::function<void(std::string_view call)> fault;  // may throw
  std::function<void(const model::SpawnRequest& request)> resolving;  // sees what is to be spawned
  bool host_path = false;                            // of the last resolve()
  model::Settings decided;
  const std::string release = "1.2.3";
  bool healthy = true;
  model::Template shape;                             // of every template there is
  std::optional<model::SandboxRecord> spawned;       // what spawn answers instead of its own

  static model::SandboxRecord record(std::string id, std::string tenant);

 private:
  void note(std::string_view call);
};

/// A manager, a gate before it, and a journal that also has the stages.
struct Rig {
  FakeManager manager;
  gate::Gate gate{manager};
  model::Identity caller;
  gate::TraceScope trace{[this](std::string_view, std::string_view stage) { manager.journal.push_back("stage " + std::string(stage)); }};

  Rig() { caller.scopes = {"*"}; }
  const std::vector<model::AuditRow>& rows() const { return manager.log.rows; }
  FakeSession& session() { return *manager.session_object; }
  /// The stream that the next request gets.
  FakeStream& script() { return *(session().stream = std::make_shared<FakeStream>()); }
};

std::string exec_result(protocol::ExecReason reason, int32_t exit_code, int32_t signal = 0);

/// The body that every operation accepts: members that it does not know are ignored.
template <class O>
std::string body_of() {
  std::string mode, ids;
  if constexpr (requires(typename O::Request r) { r.exec_id; }) ids = R"(,"exec_id":"ex-aaaaaaaaaaaaaaaaaaaaaaaaaa","signal":15,"rows":24,"cols":80)";
  if constexpr (requires(typename O::Request r) { r.mode; }) mode = std::is_same_v<typename O::Request, model::ExecRequest> ? R"(,"mode":"argv")" : R"(,"mode":"0600")";
  if constexpr (requires(typename O::Request r) { r.body.image; }) ids += R"(,"name":"t","image":"host")";
  if constexpr (std::is_same_v<typename O::Request, model::ProviderIdRequest>) ids += R"(,"name":"native")";
  return R"({"id":")" + kId + R"(","template":"t","command":"c","path":"/a","pattern":"/*","text":"t","old_path":"/a","new_path":"/b","target":"c","upload":"u","ttl":"1m","metadata":{})" + ids + mode + "}";
}

template <class Visit, class... O>
void each(Visit visit, std::tuple<O...>*) { (visit.template operator()<O>(), ...); }
template <class Visit>
void each_operation(Visit visit) { each(visit, static_cast<ops::All*>(nullptr)); }

/// Through the typed door or the JSON door, whichever shape it has; drains a stream.
template <class O>
void call_typed(Rig& rig, typename O::Request request) {
  if constexpr (O::row.shape == ops::Shape::stream) {
    auto stream = rig.gate.template start<O>(rig.caller, std::move(request));
    stream->finish();
    channel::Piece piece;
    while (stream->next(1000, piece) == channel::Stream::Next::piece) {
    }
  } else {
    rig.gate.template run<O>(rig.caller, std::move(request));
  }
}
template <class O>
void call_json(Rig& rig, std::string_view body) {
  if constexpr (O::row.shape == ops::Shape::stream) {
    auto stream = rig.gate.call_stream(rig.caller, O::row.name, {}, body);
    stream->finish();
    channel::Piece piece;
    while (stream->next(1000, piece) == channel::Stream::Next::piece) {
    }
  } else {
    rig.gate.call(rig.caller, O::row.name, {}, body);
  }
}

template <class F>
std::optional<Error> error_of(F act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}
template <class F>
Code code_of(F act) {
  const auto error = error_of(act);
  return error ? error->code() : Code::ok;
}
inline std::string fact(const Error& error, std::string_view name) {
  for (const auto& [key, value] : error.facts())
    if (key == name) return value;
  return "";
}

}  // namespace svm::test
