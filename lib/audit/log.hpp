// The audit log: what was tried and what came of it, in order. Rows are appended by the gate (and by the manager for the library's own acts).
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "model/records.hpp"
#include "store/store.hpp"

namespace svm::audit {

/// strict: append() returns when the row is on disk (group commit). interval: within kIntervalMs it will be.
enum class Durability { strict, interval };
inline constexpr int64_t kIntervalMs = 20;
inline constexpr size_t kMaxPending = 10'000;   // rows; append() then waits for room (back-pressure, never loss)
inline constexpr size_t kMaxDetailBytes = 2048; // longer details are cut at a character and end in "..."
inline constexpr int64_t kMaxRetryMs = 1000;

/// Thread-safe. A writer thread, with all signals blocked, commits groups; it starts with the first row. There is one Log per store, and
/// nothing else appends audit rows. Not to be used or destroyed in a forked child.
///
/// When the store fails, nothing is lost or renumbered: the rows are kept and tried again, at most kMaxRetryMs apart, and append() refuses
/// new ones until they are written. So privileged acts stop while they cannot be recorded, and go on by themselves afterwards.
///
/// Text is stored as it came, control bytes included, so that the log is evidence: whoever exports rows to lines escapes them.
class Log {
 public:
  /// Flushes. Rows that the store still refuses then are lost.
  virtual ~Log() = default;
  static std::unique_ptr<Log> create(store::Store& store, Durability durability);
  /// Gives the row its seq (gapless, in call order) and wall time, and returns the seq. Throws Error io when earlier rows could not be
  /// written, and when strict and this one could not: then the act must be refused (fail closed). In the second case the row stays
  /// and is written later: it was tried.
  virtual int64_t append(model::AuditRow&& row) = 0;
  /// Waits until everything appended before is durable. Error io when it could not be written.
  virtual void flush() = 0;
};

}  // namespace svm::audit
