// What this host can enforce, found by doing it in a child. Runs in the agent executable's `probe` mode; no exceptions.
#pragma once
#include <cstdint>

namespace svm::isolation {

/// One row of the host report. `error` 0: it works. `value` is a number that goes with it (an ABI, a count, bytes) or -1.
struct ProbeRow {
  const char* name;     // "user_namespace", "proc_mount", ...
  const char* meaning;  // one line for people: what a sandbox gains from it
  int32_t error = 0;
  int64_t value = -1;
  char detail[120] = {};  // printable; no host path
};

inline constexpr unsigned kMaxProbeRows = 64;

/// Fills rows in a fixed order and returns their count. Each row tries the thing in a forked child (so nothing of the caller
/// changes); a child that hangs is killed after 2 s and reported as ETIMEDOUT.
unsigned probe_host(ProbeRow (&rows)[kMaxProbeRows]) noexcept;

}  // namespace svm::isolation
