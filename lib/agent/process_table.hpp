// The commands of a sandbox: those that run, and how the last background ones ended. It belongs to the agent, not to whoever asks.
#pragma once
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "agent/process.hpp"
#include "agent/ring.hpp"

namespace svm::agent {

inline constexpr size_t kMaxBackground = 256;  // background commands that run at a time
inline constexpr size_t kMaxEnded = 64;        // ended background commands whose result and last output are kept; the oldest go first

/// Told when the console has more.
class ConsoleWatcher {
 public:
  virtual void on_console_output() = 0;

 protected:
  ~ConsoleWatcher() = default;
};

class ProcessTable {
 public:
  ProcessTable() noexcept : console_(budget_, kConsoleBytes) {}

  /// Puts it in and starts it, or ends it at once with what forbids that.
  void start(const std::shared_ptr<Process>& process);
  /// Running, or ended and kept. nullptr: no such one (also for "").
  std::shared_ptr<Process> find(std::string_view id) const noexcept;
  /// Oldest first: those that have ended, then those that run.
  template <class F>
  void each(F f) const {
    for (const auto& process : ended_) f(*process);
    for (const auto& process : running_) f(*process);
  }

  RingBudget& budget() noexcept { return budget_; }
  const Ring& console() const noexcept { return console_; }
  void add_to_console(protocol::DataKind kind, std::string_view bytes) {
    console_.append(kind, bytes);
    for (ConsoleWatcher* watcher : console_watchers_) watcher->on_console_output();
  }
  void watch_console(ConsoleWatcher& watcher) { console_watchers_.push_back(&watcher); }
  void unwatch_console(ConsoleWatcher& watcher) noexcept { std::erase(console_watchers_, &watcher); }

  /// The last of the sandbox's `kills` out-of-memory kills was of this command: who else ends by SIGKILL was not killed by it. The kernel tells
  /// how many there were, and not of whom.
  void claim_oom_kill(const Process& killed, uint64_t kills) noexcept {
    for (const auto& process : running_)
      if (process.get() != &killed) process->discount_oom_kill(kills);
  }

  /// The null device, open for both; -1 where there is none. One for all commands: there is nothing in it to share.
  int null_device() noexcept;

  // --- for the loop
  int64_t next_deadline() const noexcept;
  void fire_deadlines(int64_t now_us);
  void note_end() noexcept { some_ended_ = true; }
  /// Forgets what has ended, or keeps it as ended.
  void settle();

 private:
  RingBudget budget_;  // outlives the rings
  Ring console_;
  std::vector<ConsoleWatcher*> console_watchers_;
  std::vector<std::shared_ptr<Process>> running_;
  std::deque<std::shared_ptr<Process>> ended_;
  Fd null_;
  bool some_ended_ = false;
};

}  // namespace svm::agent
