// Threads for calls in flight.
#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace svm::capi {

inline constexpr size_t kMaxThreads = 64;
inline constexpr size_t kMaxQueuedJobs = 10'000;
inline constexpr std::chrono::milliseconds kThreadIdle{5000};

/// Runs jobs on threads that are started when needed, block every signal, are named "stacyvm-op" and end after `idle` without work.
/// Thread-safe.
class Pool {
 public:
  explicit Pool(std::chrono::milliseconds idle = kThreadIdle);
  ~Pool();  // as stop()
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  using Job = std::function<void()>;  // must not throw
  /// Error closed after stop(); Error limit when kMaxQueuedJobs wait or no thread can be made at all.
  void submit(Job job);
  /// Drops jobs that have not begun and waits until no thread is left (but for the caller, if it is one). Idempotent.
  void stop() noexcept;
  size_t threads() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;  // also held by every thread: they may outlive the pool by an instant
};

}  // namespace svm::capi
