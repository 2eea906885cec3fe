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

/// Thread-safe. A writer thread commits groups; it starts with the first row. Destruction flushes.
class Log {
 public:
  virtual ~Log() = default;
  static std::unique_ptr<Log> create(store::Store& store, Durability durability);
  /// Gives the row its seq (gapless, in call order) and wall time, and returns the seq. Throws Error io when earlier rows could not be
  /// written: then privileged acts must be refused (fail closed).
  virtual int64_t append(model::AuditRow row) = 0;
  /// Waits until everything appended before is durable.
  virtual void flush() = 0;
};

}  // namespace svm::audit
