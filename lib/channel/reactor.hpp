// One thread that waits for everything: channels, timers, posted work. Nothing that runs on it may block or throw.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

namespace svm::channel {

/// An epoll loop on a thread of its own, named "stacyvm" (started by the constructor; all signals blocked in it; stopped and
/// joined by stop()). The constructor and watch() throw Error: limit where descriptors, memory or threads have run out.
class Reactor {
 public:
  Reactor();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  /// Runs `work` on the reactor thread, in order of posting. Any thread. False (and `work` is dropped) after stop().
  bool post(std::function<void()> work);

  /// Calls `ready(epoll events)` on the reactor thread while `fd` is ready (level-triggered). Any thread; the descriptor is borrowed
  /// and must stay open until remove() has returned. stop() calls `ready` one last time with kStopping. Throws
  /// Error(Code::closed) after stop().
  static constexpr uint32_t kStopping = 0;  // no epoll event
  using WatchId = uint64_t;
  WatchId watch(int fd, uint32_t events, std::function<void(uint32_t)> ready);
  void change(WatchId id, uint32_t events);
  /// After it returns the callback is not running and never runs again (except when called from that very callback).
  void remove(WatchId id);

  /// Calls `due` once, on the reactor thread, when the monotonic clock reaches `at_ms`. Any thread. What is not due when stop()
  /// is called is dropped; 0 (no timer) after stop().
  using TimerId = uint64_t;
  TimerId at(int64_t at_ms, std::function<void()> due);
  /// After it returns `due` is not running and never runs (except when called from that very `due`).
  void cancel(TimerId id);

  bool on_thread() const noexcept;
  /// Runs what was posted before, then every watch with kStopping, then ends the thread. Idempotent. Not from the reactor thread.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace svm::channel
