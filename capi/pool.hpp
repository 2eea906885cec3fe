// Threads for calls in flight.
#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

namespace svm::capi {

inline constexpr size_t kQuickThreads = 1;  // of a pool whose jobs wait for nobody
inline constexpr size_t kMaxWaitingThreads = 16;  // of one whose jobs wait for a sandbox: as many as there are processors, but at least two
inline constexpr size_t kServerThreads = 64;      // the same where the other side is a server: calls at a time; further ones wait
inline constexpr size_t kTransferThreads = 4;  // transfers to and from descriptors at a time; further ones wait
inline constexpr size_t kMaxQueuedJobs = 10'000;
inline constexpr std::chrono::milliseconds kThreadIdle{5000};

/// How many threads calls may use that wait for a sandbox to start or end.
size_t waiting_threads() noexcept;

/// Runs jobs on at most `most` threads that are started when needed, block every signal, are named "stacyvm-op" and end after `idle` without work.
/// Thread-safe.
class Pool {
 public:
  explicit Pool(size_t most, std::chrono::milliseconds idle = kThreadIdle);
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
