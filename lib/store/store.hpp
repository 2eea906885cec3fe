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

namespace svm::store {

/// Thread-safe. Every function throws Error on failure and leaves the store as it was: io or limit (a full disk) from the file,
/// unsupported from a writing function of a store that was opened read-only. One connection writes; readers have their own.
/// Not to be used or destroyed in a forked child.
class Store {
 public:
  virtual ~Store() = default;

  /// 26-character random name of this state directory, made at first open; names cgroups and other runtime objects.
  virtual const std::string& instance_id() const noexcept = 0;

  /// The reservation: in one transaction checks that fewer than `max_live` sandboxes are live (Error limit, field max_sandboxes),
  /// gives the record an id range of its own (kIdsPerRange ids, lowest free one in [range_first, range_end) that `claim` grants, 0 when
  /// `ranges` is false; Error limit when there is none) and inserts it in state creating. Error conflict if the id exists. `claim`, when
  /// set, must not block nor throw; a range that it granted to a record that could not be inserted is in the record all the same.
  struct Reserve {
    uint32_t max_live = 0;
    bool ranges = false;
    uint32_t range_first = 0, range_end = 0;
    std::function<bool(uint32_t base)> claim = nullptr;
  };
  virtual void insert(model::SandboxRecord& record, const Reserve& reserve) = 0;
  /// Replaces a row whose state is `from`; false (nothing written) when it is in another state or absent. id, id_base and created_ms
  /// are fixed at insertion and keep their stored values.
  virtual bool update(const model::SandboxRecord& record, model::State from) = 0;
  virtual std::optional<model::SandboxRecord> get(std::string_view id) const = 0;
  /// Live ones (creating, running, destroying), newest first by insertion; after: only those inserted before this id's row, "" for all.
  /// limit > 0. Error invalid (field after) when there is no such row.
  virtual std::vector<model::SandboxRecord> list(uint32_t limit, std::string_view after) const = 0;
  virtual uint32_t live_count() const = 0;
  /// Deletes rows of sandboxes that ended, or failed to start, before the wall time, oldest first; returns how many. At most kMaxPrune a call.
  static constexpr uint32_t kMaxPrune = 10'000;
  virtual uint32_t prune(int64_t destroyed_before_ms) = 0;

  /// Appends rows in order, in one transaction; each gets the next seq. `durable`: on the disk before return. Error io when the disk refused
  /// that: the rows are there, but no durable append succeeds before the store is opened again.
  virtual void append_audit(std::vector<model::AuditRow>& rows, bool durable) = 0;
  virtual std::vector<model::AuditRow> audit(int64_t after_seq, uint32_t limit) const = 0;
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
