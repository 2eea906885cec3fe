// Many sources of readiness behind one descriptor.
#pragma once
#include <stacyvm/stacyvm.h>

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>

#include "core/fd.hpp"
#include "deadline.hpp"
#include "family.hpp"
#include "guard.hpp"
#include "instance.hpp"
#include "signal_fd.hpp"

namespace svm::capi {

/// Members tell the queue when their readiness changes; the queue keeps the ready ones in a list, so neither waiting nor a change costs
/// more with many members. Locks: a member's own mutex is taken before the queue's, never after.
class Queue : public Child {
 public:
  struct Member {
    uint32_t interest = 0;
    uint64_t tag = 0;
    uint32_t ready = 0;  // as last told, whatever the interest
    int32_t code = 0;
    bool listed = false;
    std::list<Member*>::iterator place;  // where listed
    std::list<Member*> node;             // the list node while not listed: linking cannot fail for want of memory
  };

  explicit Queue(std::shared_ptr<Instance> instance) : instance_(std::move(instance)) {}

  /// The descriptor, made at the first call; -1 without.
  int fd() noexcept;
  /// How many were stored; 0 when the time is over. Error closed after end().
  uint32_t wait(const Deadline& deadline, stacyvm_ready* out, uint32_t cap);
  /// Also for a new member, after its interest, tag, ready and code are set.
  void set(Member& member, uint32_t interest, uint64_t tag);
  void update(Member& member, uint32_t ready, int32_t code) noexcept;
  void remove(Member& member) noexcept;
  void end() noexcept override;
  bool ended() const noexcept;
  const Instance& instance() const noexcept { return *instance_; }
  Instance& instance() noexcept { return *instance_; }

 private:
  void relink(Member& member) noexcept;
  void signal() noexcept;

  const std::shared_ptr<Instance> instance_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Member*> ready_;
  bool ended_ = false;
  SignalFd fd_;
};

}  // namespace svm::capi

struct stacyvm_queue : svm::capi::Handle<svm::capi::Queue, 0x75757571> {
  using Handle::Handle;
};
