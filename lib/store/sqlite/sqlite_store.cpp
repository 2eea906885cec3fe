// The Store on SQLite. One connection writes, under a mutex, and alone checkpoints: SQLite before 3.51.3 can lose pages when one
// connection checkpoints while another resets the write-ahead log.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <set>
#include <type_traits>

#include "core/fail_point.hpp"
#include "model/limits.hpp"
#include "store/sqlite/held_room.hpp"
#include "store/sqlite/open.hpp"
#include "store/sqlite/reader_pool.hpp"
#include "store/sqlite/records.hpp"
#include "store/store.hpp"

namespace svm::store {

namespace {

// As in the schema: a partial index is used where the condition is the same, word for word.
#define SVM_LIVE "state IN ('creating', 'running', 'destroying')"

constexpr const char* kInsert =
    "INSERT INTO sandboxes (" SVM_SANDBOX_COLUMNS ") "
    "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING";
// The numbers are those of SVM_SANDBOX_COLUMNS; 26 is the state it must have. What never changes is not written.
constexpr const char* kUpdate =
    "UPDATE sandboxes SET state=?2, provider=?3, image=?4, memory_bytes=?5, disk_bytes=?6, milli_cpus=?7, pids=?8, profile=?9, "
    "user=?10, network=?11, owner_id=?12, tenant_id=?13, metadata=?14, expires_ms=?17, destroyed_ms=?18, enforced=?19, "
    "unenforced=?20, reason=?21, keep_until_ms=?24 WHERE id=?1 AND state=?26 RETURNING id_base";
constexpr const char* kGet = "SELECT " SVM_SANDBOX_COLUMNS " FROM sandboxes WHERE id=?";
constexpr const char* kGetNamed =
    "SELECT " SVM_SANDBOX_COLUMNS " FROM sandboxes INDEXED BY sandboxes_name WHERE " SVM_LIVE " AND name <> '' AND tenant_id=? AND name=?";
constexpr const char* kGetKey = "SELECT sandbox_id, request FROM idempotency WHERE tenant_id=? AND key=? AND expires_ms > ?";
constexpr const char* kForgetExpiredKey = "DELETE FROM idempotency WHERE tenant_id=? AND key=? AND expires_ms <= ?";
constexpr const char* kInsertKey =
    "INSERT INTO idempotency (tenant_id, key, request, sandbox_id, expires_ms) VALUES (?,?,?,?,?) ON CONFLICT (tenant_id, key) DO NOTHING";
constexpr const char* kFreeKey = "DELETE FROM idempotency WHERE sandbox_id=?";
constexpr const char* kForgetKeys = "DELETE FROM idempotency WHERE expires_ms <= ?";
constexpr const char* kSeqOf = "SELECT seq FROM sandboxes WHERE id=?";
constexpr const char* kList =
    "SELECT " SVM_SANDBOX_COLUMNS " FROM sandboxes INDEXED BY sandboxes_live WHERE " SVM_LIVE
    " AND seq < ? ORDER BY seq DESC LIMIT ?";
constexpr const char* kCountLive = "SELECT count(*) FROM sandboxes INDEXED BY sandboxes_live WHERE " SVM_LIVE;
constexpr const char* kCountLiveOf = "SELECT count(*) FROM sandboxes INDEXED BY sandboxes_owner WHERE " SVM_LIVE " AND owner_id <> '' AND tenant_id=? AND owner_id=?";
constexpr const char* kCountTemplates = "SELECT count(*) FROM templates WHERE tenant_id=?";
constexpr const char* kInsertTemplate =
    "INSERT INTO templates (tenant_id, name, body, created_ms, updated_ms) VALUES (?,?,?,?,?) ON CONFLICT (tenant_id, name) DO NOTHING";
constexpr const char* kUpdateTemplate = "UPDATE templates SET body=?3, updated_ms=?4 WHERE tenant_id=?1 AND name=?2";
constexpr const char* kRemoveTemplate = "DELETE FROM templates WHERE tenant_id=? AND name=?";
constexpr const char* kGetTemplate = "SELECT tenant_id, body, created_ms, updated_ms FROM templates WHERE tenant_id=? AND name=?";
constexpr const char* kTemplates = "SELECT tenant_id, body, created_ms, updated_ms FROM templates WHERE tenant_id=? ORDER BY name";
constexpr const char* kRanges =
    "SELECT id_base FROM sandboxes INDEXED BY sandboxes_id_range WHERE " SVM_LIVE
    " AND id_base <> 0 AND id_base > ? ORDER BY id_base";
constexpr const char* kPrune =
    "DELETE FROM sandboxes WHERE seq IN (SELECT seq FROM sandboxes WHERE state IN ('destroyed', 'error') AND "
    "destroyed_ms < ?1 AND keep_until_ms <= ?2 AND (?3 = '' OR tenant_id = ?3) AND "
    "NOT EXISTS (SELECT 1 FROM idempotency WHERE sandbox_id = sandboxes.id) ORDER BY destroyed_ms LIMIT ?4)";
constexpr const char* kInstance = "SELECT instance_id FROM instance";
constexpr const char* kAppendAudit = "INSERT INTO audit (" SVM_AUDIT_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr const char* kForgetAudit = "DELETE FROM audit WHERE seq <= ?";
constexpr const char* kAudit = "SELECT " SVM_AUDIT_COLUMNS " FROM audit WHERE seq > ? ORDER BY seq LIMIT ?";
constexpr const char* kWriteExec =
    "INSERT INTO execs (" SVM_EXEC_COLUMNS ") "
    "SELECT ?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18 WHERE EXISTS (SELECT 1 FROM sandboxes WHERE id=?2) "
    "ON CONFLICT (id) DO UPDATE SET ended_ms=?9, reason=?10, exit_code=?11, signal=?12, wall_us=?13, cpu_us=?14, memory_peak=?15, "
    "out_bytes=?16, err_bytes=?17, error=?18 WHERE ended_ms = 0";
constexpr const char* kEndExecs = "UPDATE execs SET ended_ms=?, reason=? WHERE sandbox_id=? AND ended_ms = 0";
constexpr const char* kForgetExecs =
    "DELETE FROM execs WHERE sandbox_id=?1 AND ended_ms <> 0 AND seq <= "
    "(SELECT seq FROM execs WHERE sandbox_id=?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)";
constexpr const char* kExec = "SELECT " SVM_EXEC_COLUMNS " FROM execs WHERE id=?";
constexpr const char* kExecSeq = "SELECT seq FROM execs WHERE id=?";
#define SVM_EXECS "SELECT " SVM_EXEC_COLUMNS " FROM execs WHERE seq < ?1 AND (?2 = '' OR tenant_id = ?2) AND (?3 = 0 OR (ended_ms = 0) = (?3 = 1))"
constexpr const char* kExecs = SVM_EXECS " ORDER BY seq DESC LIMIT ?4";
constexpr const char* kExecsOf = SVM_EXECS " AND sandbox_id = ?5 ORDER BY seq DESC LIMIT ?4";
constexpr const char* kAppendEvent = "INSERT INTO events (" SVM_EVENT_COLUMNS ") VALUES (?,?,?,?,?,?)";
constexpr const char* kEvents = "SELECT " SVM_EVENT_COLUMNS " FROM events WHERE id > ? ORDER BY id LIMIT ?";
// Also when there is no row: AUTOINCREMENT remembers.
constexpr const char* kLastEvent = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)";
constexpr const char* kFirstEvent = "SELECT id FROM events ORDER BY id LIMIT 1";
constexpr const char* kFirstFreshEvent = "SELECT id FROM events WHERE wall_ms >= ? ORDER BY id LIMIT 1";
constexpr const char* kForgetEvents = "DELETE FROM events WHERE id <= ?";
constexpr const char* kLastAudit = "SELECT coalesce(max(seq), 0) FROM audit";

/// The disk's refusal, in whichever of its files: not a limit of ours.
bool is_full(const Error& error) {
  const std::string no_memory = std::to_string(SQLITE_NOMEM);
  return error.code() == Code::limit && std::any_of(error.facts().begin(), error.facts().end(), [&](const auto& fact) {
           return fact.first == "sqlite" && fact.second != no_memory;
         });
}

/// A record that says that its sandbox ends or has ended: there is always room for it.
bool records_end(model::State state) noexcept { return state != model::State::creating && state != model::State::running; }

class SqliteStore final : public Store {
 public:
  explicit SqliteStore(std::unique_ptr<Connection> memory) : writer_(std::move(memory)) { load(*writer_); }

  SqliteStore(Opened opened, bool read_only)
      : pool_(std::make_unique<ReaderPool>(std::move(opened.reader_name), opened.reader_flags)), log_(std::move(opened.log)) {
    load(*opened.connection);
    if (read_only) {
      pool_->add(std::move(opened.connection));
    } else {
      writer_ = std::move(opened.connection);
      room_ = std::make_unique<HeldRoom>(*writer_, log_.get());
    }
  }

  const std::string& instance_id() const noexcept override { return instance_id_; }

  void insert(model::SandboxRecord& record, const Reserve& reserve) override {
    model::SandboxRecord row = record;
    row.state = model::State::creating;
    const SandboxBlobs blobs(row);
    const Change change(changes_);
    write([&](Connection& connection) {
      if (live_ >= reserve.max_live) {
        throw Error(Code::limit, "there are " + std::to_string(live_) + " sandboxes, the limit is " + std::to_string(reserve.max_live))
            .with("field", "max_sandboxes").with("limit", static_cast<long long>(reserve.max_live));
      }
      Transaction transaction(connection);
      if (reserve.max_live_of_owner != 0 && !row.owner_id.empty()) refuse_full_owner(connection, row, reserve.max_live_of_owner);
      if (!row.name.empty()) refuse_taken_name(connection, row);
      row.id_base = record.id_base = reserve.ranges ? free_range(connection, reserve) : 0;
      SVM_FAIL_POINT_THROW(Code::io, "store.insert_sandbox");
      const Use insert = connection.prepared(kInsert);
      bind_sandbox(*insert, row, blobs);
      insert->step();
      if (sqlite3_changes(connection.get()) == 0) throw Error(Code::conflict, "sandbox " + row.id + " exists already");
      if (!reserve.key.empty()) insert_key(connection, row, reserve);
      commit(transaction, live_ + 1);
      ++live_;
      if (row.id_base != 0) taken_below_ = row.id_base + kIdsPerRange;
    });
    record.state = row.state;
  }

  bool update(const model::SandboxRecord& record, model::State from) override {
    const SandboxBlobs blobs(record);
    const bool ends = records_end(record.state);
    const Change change(changes_);
    bool found = false;
    const auto replace = [&](Connection& connection, int64_t release) {
      Transaction transaction(connection);
      if (release != 0) room_->release(release);
      uint32_t id_base = 0;
      {
        SVM_FAIL_POINT_THROW(Code::io, "store.update_sandbox");
        const Use update = connection.prepared(kUpdate);
        bind_sandbox(*update, record, blobs);
        update->bind_text(stored_state(from));
        found = update->step();
        if (found) {
          id_base = static_cast<uint32_t>(update->integer());
          update->step();  // to its end, or the commit would find it unfinished
        }
      }
      if (!found) return;
      if (from == model::State::creating && record.state != model::State::running) free_key(connection, record.id);
      if (!ends) {
        commit(transaction, live_);
      } else {
        if (room_) room_->place_pages();
        transaction.commit();
      }
      const bool was_live = is_live(from), now_live = is_live(record.state);
      if (was_live && !now_live) {
        --live_;
        if (id_base != 0) taken_below_ = std::min<uint64_t>(taken_below_, id_base);
      } else if (!was_live && now_live) {
        ++live_;
      }
    };
    write([&](Connection& connection) {
      // A page is enough for most; the largest row needs all that is always held.
      for (const int64_t release : {int64_t{0}, int64_t{1}}) {
        if (!ends || !room_) break;
        try {
          return replace(connection, release);
        } catch (const Error& error) {
          if (!is_full(error)) throw;
        }
      }
      replace(connection, ends && room_ ? kHeldRowsAlways : 0);
    });
    return found;
  }

  std::optional<model::SandboxRecord> get(std::string_view id) const override {
    return read([&](Connection& connection) -> std::optional<model::SandboxRecord> {
      const Use get = connection.prepared(kGet);
      get->bind_text(id);
      if (!get->step()) return std::nullopt;
      return read_sandbox(*get);
    });
  }

  std::optional<model::SandboxRecord> get_named(std::string_view tenant, std::string_view name) const override {
    return read([&](Connection& connection) -> std::optional<model::SandboxRecord> {
      const Use get = connection.prepared(kGetNamed);
      get->bind_text(tenant).bind_text(name);
      if (!get->step()) return std::nullopt;
      return read_sandbox(*get);
    });
  }

  std::optional<Key> get_key(std::string_view tenant, std::string_view key, int64_t now_ms) const override {
    return read([&](Connection& connection) -> std::optional<Key> {
      const Use get = connection.prepared(kGetKey);
      get->bind_text(tenant).bind_text(key).bind(now_ms);
      if (!get->step()) return std::nullopt;
      Key found;
      found.sandbox = get->bytes();
      found.request = get->bytes();
      return found;
    });
  }

  void free_key(std::string_view sandbox) override {
    write([&](Connection& connection) { free_key(connection, sandbox); });
  }

  std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) const override {
    if (limit == 0) throw Error(Code::invalid, "limit must be positive").with("field", "limit");
    // The first page is asked for again and again by whoever looks on. What was read at or after a count of changes is true until the next one.
    const uint64_t seen = changes_.load();
    if (after.empty() && writer_) {
      const std::lock_guard lock(first_page_mutex_);
      if (first_page_limit_ == limit && first_page_seen_ == seen) return first_page_;
    }
    std::vector<model::SandboxRecord> rows = read([&](Connection& connection) {
      int64_t before = INT64_MAX;
      if (!after.empty()) {
        const Use seq = connection.prepared(kSeqOf);
        seq->bind_text(after);
        if (!seq->step()) throw Error(Code::invalid, "after names no sandbox").with("field", "after");
        before = seq->integer();
      }
      std::vector<model::SandboxRecord> rows;
      const Use list = connection.prepared(kList);
      list->bind(before).bind(limit);
      while (list->step()) rows.push_back(read_sandbox(*list));
      return rows;
    });
    if (after.empty() && writer_ && rows.size() <= kKeptRows) {
      const std::lock_guard lock(first_page_mutex_);
      first_page_limit_ = 0;  // none while it is copied: there may be no memory for it
      first_page_ = rows;
      first_page_limit_ = limit;
      first_page_seen_ = seen;
    }
    return rows;
  }

  uint32_t live_count() const override {
    return read([](Connection& connection) { return count_live(connection); });
  }

  uint32_t live_count_of(std::string_view tenant, std::string_view owner) const override {
    return read([&](Connection& connection) { return count_live_of(connection, tenant, owner); });
  }

  bool insert_template(const model::TemplateRecord& record) override {
    const std::string body = template_body(record);
    bool added = false;
    write([&](Connection& connection) {
      Transaction transaction(connection);
      {
        const Use insert = connection.prepared(kInsertTemplate);
        insert->bind_text(record.tenant_id).bind_text(record.body.name).bind_text(body).bind(record.created_ms).bind(record.updated_ms);
        insert->step();
      }
      added = sqlite3_changes(connection.get()) != 0;
      if (added) refuse_too_many_templates(connection, record.tenant_id);
      commit(transaction, live_);
    });
    return added;
  }

  bool update_template(const model::TemplateRecord& record) override {
    const std::string body = template_body(record);
    return changes([&](Connection& connection) {
      const Use update = connection.prepared(kUpdateTemplate);
      update->bind_text(record.tenant_id).bind_text(record.body.name).bind_text(body).bind(record.updated_ms);
      update->step();
    });
  }

  bool remove_template(std::string_view tenant, std::string_view name) override {
    return changes([&](Connection& connection) {
      const Use remove = connection.prepared(kRemoveTemplate);
      remove->bind_text(tenant).bind_text(name);
      remove->step();
    });
  }

  std::optional<model::TemplateRecord> get_template(std::string_view tenant, std::string_view name) const override {
    return read([&](Connection& connection) -> std::optional<model::TemplateRecord> {
      const Use get = connection.prepared(kGetTemplate);
      get->bind_text(tenant).bind_text(name);
      if (!get->step()) return std::nullopt;
      return read_template(*get);
    });
  }

  std::vector<model::TemplateRecord> templates(std::string_view tenant) const override {
    return read([&](Connection& connection) {
      std::vector<model::TemplateRecord> all;
      const Use list = connection.prepared(kTemplates);
      list->bind_text(tenant);
      while (list->step()) all.push_back(read_template(*list));
      return all;
    });
  }

  uint32_t prune(const Prune& which) override {
    uint32_t removed = 0;
    write([&](Connection& connection) {
      Transaction transaction(connection);
      {
        SVM_FAIL_POINT_THROW(Code::io, "store.forget_keys");
        const Use keys = connection.prepared(kForgetKeys);
        keys->bind(which.now_ms);
        keys->step();
      }
      {
        SVM_FAIL_POINT_THROW(Code::io, "store.prune");
        const Use prune = connection.prepared(kPrune);
        prune->bind(which.ended_before_ms).bind(which.now_ms).bind_text(which.tenant).bind(kMaxPrune);
        prune->step();
      }
      removed = static_cast<uint32_t>(sqlite3_changes(connection.get()));
      commit(transaction, live_);
    });
    return removed;
  }

  void append_audit(std::vector<model::AuditRow>& rows, bool durable) override {
    if (rows.empty()) return;
    if (durable && sync_error_ != 0) throw not_synced();
    write([&](Connection& connection) {
      Transaction transaction(connection);
      int64_t seq = last_audit_seq_;
      for (const model::AuditRow& row : rows) {
        SVM_FAIL_POINT_THROW(Code::io, "store.append_audit");
        const Use append = connection.prepared(kAppendAudit);
        bind_audit(*append, ++seq, row);
        append->step();
      }
      // In memory the log would grow for as long as the process lives. A tenth at a time, so that not every row costs a deletion.
      const int64_t forget = seq - kMemoryAuditRows;
      const bool forgets = !pool_ && forget >= forgotten_audit_seq_ + kMemoryAuditRows / 10;
      if (forgets) {
        const Use statement = connection.prepared(kForgetAudit);
        statement->bind(forget);
        statement->step();
      }
      commit(transaction, live_);
      if (forgets) forgotten_audit_seq_ = forget;
      for (model::AuditRow& row : rows) row.seq = ++last_audit_seq_;
    });
    // What synchronous=FULL would do within the commit, done here without the writer's mutex: no spawn waits for the disk because an
    // audit row does. Should the log have been written back and begun anew meanwhile, that has synced both files.
    if (!durable || !log_) return;
    int error = SVM_FAIL_POINT("store.sync_audit");
    if (error == 0 && ::fdatasync(log_.get()) != 0) error = errno;
    if (error == 0) return;
    // The kernel reports a failed write once and then takes the pages for clean: to ask again would be answered with a lie.
    sync_error_ = error;
    throw not_synced();
  }

  std::vector<model::AuditRow> audit(int64_t after_seq, uint32_t limit) const override {
    return read([&](Connection& connection) {
      std::vector<model::AuditRow> rows;
      const Use audit = connection.prepared(kAudit);
      audit->bind(after_seq).bind(limit);
      while (audit->step()) rows.push_back(read_audit(*audit));
      return rows;
    });
  }

  void record(const std::vector<model::ExecRecord>& execs, std::vector<model::Event>& events, int64_t oldest_ms) override {
    if (execs.empty() && events.empty()) return;
    write([&](Connection& connection) {
      Transaction transaction(connection);
      write_execs(connection, execs);
      int64_t id = last_event_id_;
      for (const model::Event& event : events) {
        SVM_FAIL_POINT_THROW(Code::io, "store.append_event");
        const Use append = connection.prepared(kAppendEvent);
        bind_event(*append, ++id, event);
        append->step();
      }
      // A tenth at a time, so that not every event costs a deletion.
      const bool forgets = !events.empty() && id >= event_check_;
      if (forgets) forget_events(connection, id, oldest_ms);
      commit(transaction, live_);
      if (forgets) event_check_ = id + kept_events() / 10;
      for (model::Event& event : events) event.id = ++last_event_id_;
    });
  }

  std::vector<model::Event> events(int64_t after_id, uint32_t limit) const override {
    return read([&](Connection& connection) {
      std::vector<model::Event> rows;
      const Use events = connection.prepared(kEvents);
      events->bind(after_id).bind(limit);
      while (events->step()) rows.push_back(read_event(*events));
      return rows;
    });
  }

  EventRange event_range() const override {
    return read([](Connection& connection) { return range_of_events(connection); });
  }

  std::vector<model::ExecRecord> execs(const ExecQuery& query) const override {
    return read([&](Connection& connection) {
      int64_t before = INT64_MAX;
      if (!query.after.empty()) {
        const Use seq = connection.prepared(kExecSeq);
        seq->bind_text(query.after);
        if (!seq->step()) throw Error(Code::invalid, "after names no command").with("field", "after");
        before = seq->integer();
      }
      std::vector<model::ExecRecord> rows;
      const Use execs = connection.prepared(query.sandbox.empty() ? kExecs : kExecsOf);
      execs->bind(before).bind_text(query.tenant).bind(static_cast<int64_t>(query.state)).bind(query.limit);
      if (!query.sandbox.empty()) execs->bind_text(query.sandbox);
      while (execs->step()) rows.push_back(read_exec(*execs));
      return rows;
    });
  }

  std::optional<model::ExecRecord> exec(std::string_view id) const override {
    return read([&](Connection& connection) -> std::optional<model::ExecRecord> {
      const Use exec = connection.prepared(kExec);
      exec->bind_text(id);
      if (!exec->step()) return std::nullopt;
      return read_exec(*exec);
    });
  }

  int64_t last_audit_seq() const override {
    return read([](Connection& connection) {
      const Use last = connection.prepared(kLastAudit);
      last->step();
      return last->integer();
    });
  }

 private:
  /// Counts a change of the table of sandboxes, or the attempt at one, when it is over and before its caller goes on.
  class Change {
   public:
    explicit Change(std::atomic<uint64_t>& count) noexcept : count_(count) {}
    ~Change() { ++count_; }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

   private:
    std::atomic<uint64_t>& count_;
  };
  static constexpr size_t kKeptRows = 1'000;

  Error not_synced() const {
    return errno_error(Code::io, sync_error_, "store: the disk did not take the audit rows; open the state directory again");
  }

  /// What is not the end of a sandbox leaves alone what is held for that, and makes it whole first.
  void commit(Transaction& transaction, uint32_t live) {
    if (room_) room_->hold(live);
    transaction.commit();
  }

  static void write_execs(Connection& connection, const std::vector<model::ExecRecord>& execs) {
    std::set<std::string_view> sandboxes;
    for (const model::ExecRecord& exec : execs) {
      if (exec.id.empty()) {
        SVM_FAIL_POINT_THROW(Code::io, "store.end_execs");
        const Use end = connection.prepared(kEndExecs);
        end->bind(exec.ended_ms).bind_text(exec.reason).bind_text(exec.sandbox_id);
        end->step();
        continue;
      }
      SVM_FAIL_POINT_THROW(Code::io, "store.write_exec");
      const Use written = connection.prepared(kWriteExec);
      bind_exec(*written, exec);
      written->step();
      sandboxes.insert(exec.sandbox_id);
    }
    for (const std::string_view sandbox : sandboxes) {
      SVM_FAIL_POINT_THROW(Code::io, "store.forget_execs");
      const Use forget = connection.prepared(kForgetExecs);
      forget->bind_text(sandbox).bind(model::kMaxExecHistory);
      forget->step();
    }
  }

  int64_t kept_events() const { return pool_ ? kMaxEvents : kMemoryEvents; }

  /// Always whole from the beginning, so that ids stay without gaps. `last`: the newest id.
  void forget_events(Connection& connection, int64_t last, int64_t oldest_ms) {
    int64_t through = last - kept_events();
    {
      const Use fresh = connection.prepared(kFirstFreshEvent);
      fresh->bind(oldest_ms);
      through = std::max(through, (fresh->step() ? fresh->integer() : last + 1) - 1);
    }
    SVM_FAIL_POINT_THROW(Code::io, "store.forget_events");
    const Use forget = connection.prepared(kForgetEvents);
    forget->bind(through);
    forget->step();
  }

  static uint32_t count_live(Connection& connection) {
    const Use count = connection.prepared(kCountLive);
    count->step();
    return static_cast<uint32_t>(count->integer());
  }

  static EventRange range_of_events(Connection& connection) {
    EventRange range;
    {
      const Use last = connection.prepared(kLastEvent);
      last->step();
      range.last = last->integer();
    }
    const Use first = connection.prepared(kFirstEvent);
    range.first = first->step() ? first->integer() : range.last + 1;
    return range;
  }

  void load(Connection& connection) {
    const Use instance = connection.prepared(kInstance);
    if (!instance->step()) throw Error(Code::io, "store: the database has no instance id");
    instance_id_ = instance->bytes();
    const Use last = connection.prepared(kLastAudit);
    last->step();
    last_audit_seq_ = last->integer();
    live_ = count_live(connection);
    last_event_id_ = range_of_events(connection).last;
  }

  static void free_key(Connection& connection, std::string_view sandbox) {
    SVM_FAIL_POINT_THROW(Code::io, "store.free_key");
    const Use free = connection.prepared(kFreeKey);
    free->bind_text(sandbox);
    free->step();
  }

  /// One statement, which `act` steps. Whether it changed anything.
  template <class Act>
  bool changes(Act act) {
    bool changed = false;
    write([&](Connection& connection) {
      Transaction transaction(connection);
      act(connection);
      changed = sqlite3_changes(connection.get()) != 0;
      commit(transaction, live_);
    });
    return changed;
  }

  static uint32_t count_live_of(Connection& connection, std::string_view tenant, std::string_view owner) {
    const Use count = connection.prepared(kCountLiveOf);
    count->bind_text(tenant).bind_text(owner);
    count->step();
    return static_cast<uint32_t>(count->integer());
  }

  static void refuse_full_owner(Connection& connection, const model::SandboxRecord& row, uint32_t most) {
    const uint32_t live = count_live_of(connection, row.tenant_id, row.owner_id);
    if (live < most) return;
    throw Error(Code::limit, "the owner has " + std::to_string(live) + " sandboxes, the limit is " + std::to_string(most))
        .with("field", "max_sandboxes_per_owner").with("limit", static_cast<long long>(most));
  }

  static void refuse_too_many_templates(Connection& connection, std::string_view tenant) {
    const Use count = connection.prepared(kCountTemplates);
    count->bind_text(tenant);
    count->step();
    if (count->integer() <= int64_t{model::kMaxTemplates}) return;
    throw Error(Code::limit, "there are " + std::to_string(model::kMaxTemplates) + " templates, and no more may be")
        .with("field", "max_templates").with("limit", static_cast<long long>(model::kMaxTemplates));
  }

  static void refuse_taken_name(Connection& connection, const model::SandboxRecord& row) {
    const Use get = connection.prepared(kGetNamed);
    get->bind_text(row.tenant_id).bind_text(row.name);
    if (get->step()) throw Error(Code::conflict, "name: a live sandbox has it").with("field", "name");
  }

  static void insert_key(Connection& connection, const model::SandboxRecord& row, const Reserve& reserve) {
    {
      const Use forget = connection.prepared(kForgetExpiredKey);
      forget->bind_text(row.tenant_id).bind_text(reserve.key).bind(reserve.now_ms);
      forget->step();
    }
    SVM_FAIL_POINT_THROW(Code::io, "store.insert_key");
    const Use insert = connection.prepared(kInsertKey);
    insert->bind_text(row.tenant_id).bind_text(reserve.key).bind_blob(reserve.request).bind_text(row.id).bind(reserve.key_expires_ms);
    insert->step();
    if (sqlite3_changes(connection.get()) == 0)
      throw Error(Code::conflict, "idempotency_key: it stands for another sandbox").with("field", "idempotency_key");
  }

  uint32_t free_range(Connection& connection, const Reserve& reserve) {
    // Everything in [range_first, taken_below_) is taken, so that with n live sandboxes the search does not pass all n of them.
    if (reserve.range_first != searched_first_) {
      searched_first_ = reserve.range_first;
      taken_below_ = reserve.range_first;
    }
    const uint64_t start = std::max<uint64_t>(reserve.range_first, taken_below_);
    uint32_t base = lowest_free_range(connection, reserve, start);
    // What somebody else had claimed below may be free again.
    if (base == 0 && reserve.claim && start > reserve.range_first) base = lowest_free_range(connection, reserve, reserve.range_first);
    if (base == 0) throw Error(Code::limit, "every host id range is taken").with("field", "id_ranges");
    return base;
  }

  /// From `candidate` on; 0 when there is none.
  static uint32_t lowest_free_range(Connection& connection, const Reserve& reserve, uint64_t candidate) {
    const Use taken = connection.prepared(kRanges);
    // Also one that begins below the candidate and reaches into it: another range_first may have been in use before.
    taken->bind(static_cast<int64_t>(candidate) - kIdsPerRange);
    const auto next_taken = [&] { return taken->step() ? static_cast<uint64_t>(taken->integer()) : UINT64_MAX; };
    uint64_t base = next_taken();
    while (candidate + kIdsPerRange <= reserve.range_end) {
      if (base < candidate + kIdsPerRange) {
        candidate = std::max(candidate, base + kIdsPerRange);
        base = next_taken();
      } else if (!reserve.claim || reserve.claim(static_cast<uint32_t>(candidate))) {
        return static_cast<uint32_t>(candidate);
      } else {
        candidate += kIdsPerRange;
      }
    }
    return 0;
  }

  template <class Function>
  void write(Function function) {
    if (!writer_) throw Error(Code::unsupported, "the store was opened read-only");
    const std::lock_guard lock(mutex_);
    try {
      function(*writer_);
    } catch (const Error& error) {
      if (!is_full(error)) throw;
      // The log may be what fills the disk. Written back and begun anew, it has room for the row.
      sqlite3_wal_checkpoint_v2(writer_->get(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
      function(*writer_);
    }
  }

  template <class Function>
  std::invoke_result_t<Function, Connection&> read(Function function) const {
    if (!pool_) {  // in memory there is one connection
      const std::lock_guard lock(mutex_);
      return function(*writer_);
    }
    const ReaderPool::Lease reader = pool_->take();
    return function(*reader);
  }

  std::string instance_id_;
  mutable std::mutex mutex_;             // the writer and what follows
  std::unique_ptr<Connection> writer_;   // none when read-only
  std::unique_ptr<ReaderPool> pool_;     // none in memory; closed before the writer, whose close checkpoints
  const Fd log_;                         // the write-ahead log, to sync; none in memory or read-only
  std::unique_ptr<HeldRoom> room_;       // none in memory or read-only
  std::atomic<int> sync_error_ = 0;      // errno of the failed one, after which none succeeds
  std::atomic<uint64_t> changes_{0};     // see Change
  mutable std::mutex first_page_mutex_;  // guards what follows
  mutable std::vector<model::SandboxRecord> first_page_;
  mutable uint32_t first_page_limit_ = 0;
  mutable uint64_t first_page_seen_ = 0;
  // What the rows say, kept because this is their only writer: counting them on every spawn would grow with their number.
  uint32_t live_ = 0;
  int64_t last_audit_seq_ = 0;
  int64_t forgotten_audit_seq_ = 0;  // in memory: rows up to here are gone
  int64_t last_event_id_ = 0;
  int64_t event_check_ = 0;          // the id at which old events are looked for next
  uint32_t searched_first_ = 0;
  uint64_t taken_below_ = 0;
};

}  // namespace

std::unique_ptr<Store> open_sqlite(const std::string& directory, bool read_only) {
  return std::make_unique<SqliteStore>(open_database(directory, read_only, schema_steps()), read_only);
}

std::unique_ptr<Store> open_sqlite_memory() { return std::make_unique<SqliteStore>(open_memory_database(schema_steps())); }

}  // namespace svm::store
