// Parents and children: what closing a parent does.
#pragma once
#include <memory>
#include <mutex>
#include <unordered_map>

namespace svm::capi {

/// Something that ends when its parent is closed.
class Child {
 public:
  virtual ~Child() = default;
  /// From then on every call answers CLOSED and nothing below the C ABI is held any more. Any thread; idempotent; when it returns, that
  /// is so, whoever called it first.
  virtual void end() noexcept = 0;
};

/// Knows its children strongly, so that closing it finds even those whose handle is being closed this moment.
class Parent {
 public:
  /// A child that comes after end_children() is ended at once.
  void adopt(const std::shared_ptr<Child>& child) {
    {
      const std::lock_guard lock(children_mutex_);
      if (!ended_) {
        children_.emplace(child.get(), child);
        return;
      }
    }
    child->end();
  }

  /// After the child's own end().
  void forget(const Child& child) noexcept {
    std::shared_ptr<Child> last;  // released outside the lock
    const std::lock_guard lock(children_mutex_);
    const auto found = children_.find(&child);
    if (found == children_.end()) return;
    last = std::move(found->second);
    children_.erase(found);
  }

  /// When it returns, every child has ended, whichever thread did it.
  void end_children() noexcept {
    const std::lock_guard once(ending_);
    std::unordered_map<const Child*, std::shared_ptr<Child>> children;
    {
      const std::lock_guard lock(children_mutex_);
      ended_ = true;
      children.swap(children_);
    }
    for (const auto& [key, child] : children) child->end();
  }

 protected:
  ~Parent() = default;

 private:
  std::mutex ending_;  // taken before a child's own locks
  std::mutex children_mutex_;
  std::unordered_map<const Child*, std::shared_ptr<Child>> children_;
  bool ended_ = false;
};

}  // namespace svm::capi
