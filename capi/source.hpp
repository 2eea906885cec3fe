// What streams and ops have in common: a lock, waiters, descriptors, and membership in a queue.
#pragma once
#include <memory>
#include <mutex>

#include "deadline.hpp"
#include "family.hpp"
#include "queue.hpp"
#include "signal_fd.hpp"

namespace svm::capi {

class Source : public Child {
 public:
  /// Level-triggered; made at the first call; -1 without. `bit`: STACYVM_READY_WRITE, or the source's other one.
  int fd(uint32_t bit) noexcept;
  /// Joins the queue, or changes interest and tag. Error conflict when it is in another open queue, invalid when of another instance.
  void join(const std::shared_ptr<Queue>& queue, uint32_t interest, uint64_t tag);
  /// No queue any more.
  void leave_queue() noexcept;

 protected:
  explicit Source(std::shared_ptr<Session> session) noexcept : session_(std::move(session)), instance_(session_->instance_ptr()) {}
  /// Of no session yet, or (null) of no instance yet: such a one may be in any instance's queue.
  explicit Source(std::shared_ptr<Instance> instance) noexcept : instance_(std::move(instance)) {}
  ~Source() override { leave_queue(); }

  /// The STACYVM_READY_ bits that are true now. mutex_ is held.
  virtual uint32_t ready_now() noexcept = 0;
  virtual int32_t ready_code() const noexcept { return 0; }
  /// After every change of what ready_now() says, with mutex_ held: levels the descriptors and tells the queue.
  void publish() noexcept;
  /// publish(), and wakes the waiters.
  void wake() noexcept;

  const std::shared_ptr<Session> session_;
  const std::shared_ptr<Instance> instance_;
  std::mutex mutex_;
  std::condition_variable changed_;

 private:
  void leave_queue_locked() noexcept;

  SignalFd read_fd_, write_fd_;
  std::shared_ptr<Queue> queue_;
  Queue::Member member_;
};

}  // namespace svm::capi
