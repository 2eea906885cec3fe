// The only truth: what exists, durable across SIGKILL. Interface; sqlite/ implements it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/records.hpp"
#include "model/templates.hpp"

namespace svm::store {

/// Thread-safe. Every function throws Error on failure and leaves the store as it was: io or limit (a full disk) from the file,
/// unsupported from a writing function of a store that was opened read-only. One connection writes; readers have their own.
/// Not to be used or destroyed in a forked child.
class Store {
 public:
  virtual ~Store() = default;

  /// 26-character random name of this state directory, made at first open; names cgroups and other runtime objects.
  virtual const std::string& instance_id() const noexcept = 0;

  /// The reservation: in one transaction checks that fewer than `max_live` sandboxes are live (Error limit, field max_sandboxes) and, unless that
  /// is 0 or the record has no owner, fewer than `max_live_of_owner` of the tenant's owner (Error limit, field max_sandboxes_per_owner),
  /// gives the record an id range of its own (kIdsPerRange ids, lowest free one in [range_first, range_end) that `claim` grants, 0 when
  /// `ranges` is false; Error limit when there is none) and inserts it in state creating. Error conflict if the id exists. `claim`, when
  /// set, must not block nor throw; a range that it granted to a record that could not be inserted is in the record all the same.
  /// Error conflict, field name, when a live sandbox of the tenant has the record's name. `key`, when not empty, stands for the sandbox from
  /// then on until key_expires_ms, unless the sandbox never runs; Error conflict, field idempotency_key, when it stands for another one.
  struct Reserve {
    uint32_t max_live = 0, max_live_of_owner = 0;
    bool ranges = false;
    uint32_t range_first = 0, range_end = 0;
    std::function<bool(uint32_t base)> claim = nullptr;
    std::string key = {}, request = {};  // and the fingerprint of the request
    int64_t now_ms = 0, key_expires_ms = 0;
  };
  virtual void insert(model::SandboxRecord& record, const Reserve& reserve) = 0;
  /// Replaces a row whose state is `from`; false (nothing written) when it is in another state or absent. id, id_base and created_ms
  /// are fixed at insertion and keep their stored values. A record that leaves state creating for another than running frees its key.
  virtual bool update(const model::SandboxRecord& record, model::State from) = 0;
  virtual std::optional<model::SandboxRecord> get(std::string_view id) const = 0;
  /// The live sandbox of the tenant with that name.
  virtual std::optional<model::SandboxRecord> get_named(std::string_view tenant, std::string_view name) const = 0;
  /// What a key stands for at that time.
  struct Key {
    std::string sandbox, request;
  };
  virtual std::optional<Key> get_key(std::string_view tenant, std::string_view key, int64_t now_ms) const = 0;
  /// Live ones (creating, running, destroying), newest first by insertion; after: only those inserted before this id's row, "" for all.
  /// limit > 0. Error invalid (field after) when there is no such row.
  virtual std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) const = 0;
  virtual uint32_t live_count() const = 0;
  /// Those of the tenant's owner, who is not "".
  virtual uint32_t live_count_of(std::string_view tenant, std::string_view owner) const = 0;
  /// The key of the sandbox, if it has one, stands for nothing any more.
  virtual void free_key(std::string_view sandbox) = 0;
  /// Deletes rows of sandboxes that ended, or failed to start, before the wall time, oldest first; returns how many. At most kMaxPrune a call.
  /// Rows stay that are kept (keep_until_ms) beyond now_ms or that a key stands for then, and those of other tenants where one is given.
  struct Prune {
    int64_t ended_before_ms = 0, now_ms = 0;
    std::string tenant = {};
  };
  static constexpr uint32_t kMaxPrune = 10'000;
  virtual uint32_t prune(const Prune& which) = 0;

  /// False, and nothing done, when the tenant has one of that name; Error limit, field max_templates, when it has kMaxTemplates.
  virtual bool insert_template(const model::TemplateRecord& record) = 0;
  /// Replaces the tenant's template of that name but for created_ms. False when there is none.
  virtual bool update_template(const model::TemplateRecord& record) = 0;
  virtual bool remove_template(std::string_view tenant, std::string_view name) = 0;
  virtual std::optional<model::TemplateRecord> get_template(std::string_view tenant, std::string_view name) const = 0;
  /// The tenant's, by name.
  virtual std::vector<model::TemplateRecord> templates(std::string_view tenant) const = 0;

  /// Appends rows in order, in one transaction; each gets the next seq. `durable`: on the disk before return. Error io when the disk refused
  /// that: the rows are there, but no durable append succeeds before the store is opened again.
  virtual void append_audit(std::vector<model::AuditRow>& rows, bool durable) = 0;
  virtual std::vector<model::AuditRow> audit(int64_t after_seq, uint32_t limit) const = 0;
  static constexpr int64_t kMaxEvents = 100'000, kMemoryEvents = 10'000;
  /// Writes commands in order and appends events in order, all in one transaction. They are on the disk when the next durable row is.
  ///
  /// A command that is new is added, one that is known and runs is replaced, one that has ended stays as it is, and one of a sandbox that is not
  /// there is dropped. One without an id stands for all of its sandbox that still run: each gets its ended_ms and reason. Of each sandbox the
  /// newest model::kMaxExecHistory stay, and those that run.
  ///
  /// Each event gets the next id. Of all there are it keeps the newest kMaxEvents (in memory kMemoryEvents) and a tenth more at most, and none
  /// from before `oldest_ms`.
  virtual void record(const std::vector<model::ExecRecord>& execs, std::vector<model::Event>& events, int64_t oldest_ms) = 0;
  virtual std::vector<model::Event> events(int64_t after_id, uint32_t limit) const = 0;
  /// The ids that there are, without a gap from the first to the last; first = last + 1 when there are none. `last` never goes back, also when
  /// all events are forgotten and the store is opened again.
  struct EventRange {
    int64_t first = 1, last = 0;
  };
  virtual EventRange event_range() const = 0;
  enum class ExecState { any, running, ended };
  struct ExecQuery {
    std::string sandbox = {}, tenant = {}, after = {};  // "": any, any, from the newest on
    ExecState state = ExecState::any;
    uint32_t limit = 1;
  };
  /// Newest first. Error invalid (field after) when there is no such row.
  virtual std::vector<model::ExecRecord> execs(const ExecQuery& query) const = 0;
  virtual std::optional<model::ExecRecord> exec(std::string_view id) const = 0;
  /// The seq of the newest row, 0 when there is none.
  virtual int64_t last_audit_seq() const = 0;
};

using model::kIdsPerRange;

/// Opens or makes `<directory>/stacyvm.db` (directory 0700, files 0600; made when missing, whatever the umask). Checks integrity, applies
/// schema/NNNN_name.sql in order, refuses a newer schema (Error conflict) and a damaged file (Error io) without changing them. A read-only
/// store makes nothing: Error not_found when there is no database, conflict when an older schema would have to be upgraded; it works on
/// a read-only file system. The caller holds the directory's lock.
std::unique_ptr<Store> open_sqlite(const std::string& directory, bool read_only);
/// The same, private and in memory. Of the audit rows it keeps the last ones, at least kMemoryAuditRows and a tenth more at most.
inline constexpr int64_t kMemoryAuditRows = 10'000;
std::unique_ptr<Store> open_sqlite_memory();

/// Exclusive owner of a state directory for the life of the object: a POSIX lock on `<directory>/lock`, which holds the owner's pid. Error
/// conflict, naming the holder's pid (fact "pid"), when another process or another instance in this one has it. The kernel releases the
/// lock when the process dies, also when a forked child lives on. Nothing else may open the lock file (see the implementation for why).
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
  static std::unique_ptr<DirectoryLock> take(const std::string& directory);
};

}  // namespace svm::store
