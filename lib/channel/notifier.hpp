// The hook of a stream: set, replaced, removed and called from any thread.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace svm::channel {

class Notifier {
 public:
  /// After it returns no earlier hook is running, unless this is called from one.
  void set(std::function<void()> hook) {
    auto next = hook ? std::make_shared<std::function<void()>>(std::move(hook)) : nullptr;
    std::unique_lock lock(mutex_);
    present_ = next != nullptr;
    hook_.swap(next);
    if (current() != this) idle_.wait(lock, [&] { return running_ == 0; });
    lock.unlock();
    // `next`, the former hook, goes here without the lock: it may own anything.
  }

  void operator()() {
    if (!present_.load(std::memory_order_acquire)) return;  // most streams have none
    std::shared_ptr<std::function<void()>> hook;  // goes last and without the lock: it may own us, and whoever calls set()
    std::unique_lock lock(mutex_);
    hook = hook_;
    if (!hook) return;
    ++running_;
    lock.unlock();
    const Notifier* outer = std::exchange(current(), this);
    (*hook)();
    current() = outer;
    lock.lock();
    if (--running_ == 0) idle_.notify_all();
    lock.unlock();
  }

 private:
  /// Whose hook this thread is running.
  static const Notifier*& current() {
    thread_local const Notifier* notifier = nullptr;
    return notifier;
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  std::shared_ptr<std::function<void()>> hook_;
  unsigned running_ = 0;
  std::atomic<bool> present_ = false;
};

}  // namespace svm::channel
